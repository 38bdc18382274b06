"""The runtime interface: InvokeEndpoint, as an unmodified boto3 `sagemaker-runtime` client speaks it."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from staged_rollout.adapters.resource_names import is_resource_name
from staged_rollout.servers.endpoint.aws_errors import ACCOUNT, InvokeError, model_failure, validation
from staged_rollout.servers.endpoint.capture import OUTPUT_TYPE, Call, Capture
from staged_rollout.servers.endpoint.live import LiveEndpoint, LiveVariant
from staged_rollout.servers.endpoint.models import AnswerError
from staged_rollout.servers.endpoint.shadow_failures import ShadowFailures
from staged_rollout.servers.endpoint.shapes import DataCaptureConfig
from staged_rollout.servers.request_body import BodyTooLargeError, TooManyBodiesError, read_body
from staged_rollout.servers.simulated_time import request_time

BODY_LIMIT = 6_291_456
"""Bytes. Source: the Body member of InvokeEndpointInput in botocore's model of `sagemaker-runtime`."""

_ATTRIBUTES_LIMIT = 1024
_INFERENCE_ID_LIMIT = 64
_SHADOWS_IN_FLIGHT = 1000
_PREFIX = "x-amzn-sagemaker-"
_UNSUPPORTED = ("target-model", "target-container-hostname", "inference-component", "session-id", "enable-explanations")
_LOG = logging.getLogger(__name__)


class Runtime:
    """Answers calls from loaded variants.

    Args:
        endpoints: Finds the endpoint that is in service under a name.
        capture: Writes calls.
        failures: Counts copies that the shadow did not answer.
        simulated_time: Whether loopback callers may say what time it is.
    """

    def __init__(
        self,
        endpoints: Callable[[str], LiveEndpoint | None],
        capture: Capture,
        failures: ShadowFailures,
        *,
        simulated_time: bool,
    ) -> None:
        self._endpoints = endpoints
        self._capture = capture
        self._failures = failures
        self._simulated_time = simulated_time
        self._shadows: set[asyncio.Task[None]] = set()

    async def invoke(self, name: str, request: Request) -> Response:
        """POST /endpoints/{name}/invocations."""
        event_id = str(uuid.uuid4())
        try:
            return await self._answered(name, event_id, request)
        except InvokeError as error:
            return error.response(event_id)
        except ClientDisconnect:
            return Response(status_code=400)  # nobody reads it

    async def drain(self) -> None:
        """Wait for copies that the shadow still answers."""
        while self._shadows:
            await asyncio.gather(*self._shadows)

    async def _answered(self, name: str, event_id: str, request: Request) -> Response:
        try:
            body = await read_body(request, BODY_LIMIT)
        except BodyTooLargeError as error:
            raise InvokeError(413, "", f"HTTP content length exceeded {BODY_LIMIT} bytes.") from error
        except TooManyBodiesError as error:
            raise InvokeError(503, "ServiceUnavailable", "Too many requests are being read at once.") from error
        endpoint = self._endpoints(name) if is_resource_name(name) else None
        if endpoint is None:
            raise validation(f"Endpoint {name[:63]} of account {ACCOUNT} not found.")
        target, call = self._read(endpoint, event_id, request, body)
        variant = endpoint.any_variant() if target is None else endpoint.variant(target)
        if variant is None:
            raise validation(f"Variant {target} not found in endpoint {name} of account {ACCOUNT}.")
        answer = await _ask(variant, call)
        config = endpoint.captured()
        if config is not None:
            self._record(variant.name, config, call, answer)
        shadow = endpoint.copies() if target is None else None
        if shadow is not None:
            self._copy(shadow, config, call)
        headers = {"x-Amzn-Invoked-Production-Variant": variant.name, "x-amzn-RequestId": event_id}
        return Response(answer, 200, headers, OUTPUT_TYPE)

    def _read(self, endpoint: LiveEndpoint, event_id: str, request: Request, body: bytes) -> tuple[str | None, Call]:
        headers = request.headers
        for member in _UNSUPPORTED:
            if _PREFIX + member in headers:
                raise validation(f"{member} is not supported: endpoint {endpoint.name} has single-container variants.")
        target = headers.get(_PREFIX + "target-variant")
        if target is not None and not is_resource_name(target):
            raise validation("TargetVariant must be 1 to 63 letters, digits and inner hyphens.")
        try:
            at = request_time(headers, request.client.host if request.client else None, enabled=self._simulated_time)
        except ValueError as error:
            raise validation(str(error)) from error
        return target, Call(
            endpoint=endpoint.name,
            event_id=event_id,
            content_type=headers.get("content-type", "application/octet-stream"),
            body=body,
            inference_id=_text(headers, "inference-id", 1, _INFERENCE_ID_LIMIT),
            custom_attributes=_text(headers, "custom-attributes", 0, _ATTRIBUTES_LIMIT),
            at=at or datetime.now(UTC),
        )

    def _copy(self, shadow: LiveVariant, config: DataCaptureConfig | None, call: Call) -> None:
        if len(self._shadows) >= _SHADOWS_IN_FLIGHT:
            self._failures.add(call.endpoint, shadow.name, f"{_SHADOWS_IN_FLIGHT} copies are in flight", call.at)
            return
        task = asyncio.create_task(self._ask_shadow(shadow, config, call))
        self._shadows.add(task)
        task.add_done_callback(self._shadows.discard)

    async def _ask_shadow(self, shadow: LiveVariant, config: DataCaptureConfig | None, call: Call) -> None:
        try:
            answer = await _ask(shadow, call)
        except InvokeError as error:
            self._failures.add(call.endpoint, shadow.name, str(error), call.at)
            return
        if config is not None:
            self._record(shadow.name, config, call, answer)

    def _record(self, variant: str, config: DataCaptureConfig, call: Call, answer: bytes) -> None:
        try:
            self._capture.record(variant, config, call, answer)
        except OSError:  # as on AWS, a full disk stops capture and not the endpoint; completeness shows it
            _LOG.exception("call %s of endpoint %s was not captured", call.event_id, call.endpoint)


async def _ask(variant: LiveVariant, call: Call) -> bytes:
    try:
        return await variant.answer(call.content_type, call.body)
    except AnswerError as error:
        raise model_failure(variant.name, error.status, str(error)) from error
    except Exception as error:
        _LOG.exception("variant %s of endpoint %s failed", variant.name, call.endpoint)
        raise model_failure(variant.name, 500, f"{type(error).__name__}: {error}") from error


def _text(headers: Mapping[str, str], member: str, least: int, most: int) -> str | None:
    value = headers.get(_PREFIX + member)
    if value is None:
        return None
    if not least <= len(value) <= most or not value.isascii() or not value.isprintable():
        raise validation(f"{member} has {len(value)} characters, must be {least} to {most} of printable ASCII.")
    return value

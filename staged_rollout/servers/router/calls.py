"""Asking the endpoint, and the champion when the assigned variant does not answer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import orjson

from staged_rollout.adapters.aws_client import make_client
from staged_rollout.assignment import Assigned, AssignmentDocument, VariantRef
from staged_rollout.servers.router.requests import can_be_logged
from staged_rollout.servers.simulated_time import HEADER

POOL = 64
"""Connections that are kept open to an endpoint."""
_TIMES_OUT = 504
_UNREACHABLE = 503
_NO_ANSWER = 502
_simulated_time: ContextVar[str | None] = ContextVar("simulated_time", default=None)


@dataclass(frozen=True)
class Outcome:
    """What became of one request.

    Attributes:
        status: 200, or the last attempt's: 400 refused, 424 the model failed, 502 no prediction in the answer, 503 not
            reachable, 504 timed out.
        variant: Who answered; when nobody did, who was asked last.
        fallback: Whether another variant than the assigned one was asked in its place.
        prediction: The model's, or None.
        model_version: As the answer tells it, else as the document does.
        reason: Why it failed, or "".
    """

    status: int
    variant: str
    fallback: bool
    prediction: Any
    model_version: str
    reason: str


@dataclass(frozen=True)
class _Failure:
    status: int
    refused: bool
    reason: str


class EndpointCalls:
    """Calls `sagemaker-runtime` through one pooled client. Thread-safe.

    Args:
        runtime_url: The runtime's address; None for AWS.
        region: AWS region; None: as the environment says.
        timeout_s: Seconds to wait for each attempt's answer.
        client: A client of `sagemaker-runtime` that is used instead, such as an environment's; it must not retry.
    """

    def __init__(
        self,
        runtime_url: str | None,
        *,
        region: str | None = None,
        timeout_s: float = 5.0,
        client: Any = None,
    ) -> None:
        self._client = client or make_client(
            "sagemaker-runtime",
            endpoint_url=runtime_url,
            region=region,
            connect_timeout_s=min(timeout_s, 2.0),
            read_timeout_s=timeout_s,
            retries=0,  # the fallback is the retry, and a caller waits for both
            pool=POOL,
        )
        self._client.meta.events.register("before-call.sagemaker-runtime.InvokeEndpoint", _stamp)

    def predict(
        self,
        document: AssignmentDocument,
        assigned: Assigned,
        features: dict[str, Any],
        *,
        unit: str | None,
        request_id: str,
    ) -> Outcome:
        """Ask the assigned variant, then the champion, then, if the endpoint knows neither, whoever answers."""
        body = orjson.dumps(features)
        shared = {
            "EndpointName": document.endpoint,
            "Body": body,
            "ContentType": "application/json",
            "Accept": "application/json",
            "InferenceId": request_id,
            "CustomAttributes": _attributes(unit, assigned.rollout, document.epoch),
        }
        failure = _Failure(_UNREACHABLE, refused=False, reason="")
        asked = assigned.variant
        for number, (target, ref) in enumerate(_attempts(document, assigned)):
            if target is None and number and not failure.refused:
                break  # the champion is there and failed: asking without a target would only ask it again
            asked = ref
            parameters = shared if target is None else shared | {"TargetVariant": target}
            answer = self._ask(parameters)
            if not isinstance(answer, _Failure):
                variant, told = answer
                version = told.get("model_version") or _version(document, variant, ref)
                return Outcome(200, variant or ref.name, number > 0, told["prediction"], str(version), "")
            failure = answer
        return Outcome(failure.status, asked.name, asked != assigned.variant, None, asked.version, failure.reason)

    def close(self) -> None:
        """Close all connections."""
        self._client.close()

    def _ask(self, parameters: dict[str, Any]) -> tuple[str, dict[str, Any]] | _Failure:
        from botocore.exceptions import BotoCoreError, ClientError, ConnectTimeoutError, ReadTimeoutError

        try:
            response = self._client.invoke_endpoint(**parameters)
            told = orjson.loads(response["Body"].read())
        except ClientError as error:
            status = int(error.response["ResponseMetadata"]["HTTPStatusCode"])
            return _Failure(status, error.response["Error"]["Code"] == "ValidationError", str(error))
        except (ReadTimeoutError, ConnectTimeoutError) as error:
            return _Failure(_TIMES_OUT, refused=False, reason=str(error))
        except BotoCoreError as error:
            return _Failure(_UNREACHABLE, refused=False, reason=str(error))
        except orjson.JSONDecodeError as error:
            return _Failure(_NO_ANSWER, refused=False, reason=f"the answer is not JSON: {error}")
        if not isinstance(told, dict) or told.get("prediction") is None:
            return _Failure(_NO_ANSWER, refused=False, reason="the answer holds no prediction")
        if not can_be_logged(told["prediction"]):
            return _Failure(_NO_ANSWER, refused=False, reason="the prediction is nested too deeply")
        return response.get("InvokedProductionVariant", ""), told


@contextmanager
def at_simulated_time(text: str | None) -> Iterator[None]:
    """Pass a simulated time on to the endpoint, for the calls inside."""
    token = _simulated_time.set(text)
    try:
        yield
    finally:
        _simulated_time.reset(token)


def _stamp(params: dict[str, Any], **_: Any) -> None:
    text = _simulated_time.get()
    if text is not None:
        params["headers"][HEADER] = text


def _attempts(document: AssignmentDocument, assigned: Assigned) -> list[tuple[str | None, VariantRef]]:
    """Who is asked, in order: (TargetVariant, the variant that is expected to answer)."""
    champion = document.champion
    if not assigned.target:
        return [(None, champion)]
    attempts: list[tuple[str | None, VariantRef]] = [(assigned.variant.name, assigned.variant)]
    if assigned.variant != champion:
        attempts.append((champion.name, champion))
    attempts.append((None, champion))
    return attempts


def _version(document: AssignmentDocument, variant: str, asked: VariantRef) -> str:
    known = {ref.name: ref.version for ref in (document.champion, document.candidate) if ref is not None}
    return known.get(variant, asked.version)


def _attributes(unit: str | None, rollout: str | None, epoch: int) -> str:
    return f"unit={quote(unit or '', safe='')};rollout={rollout or ''};epoch={epoch}"

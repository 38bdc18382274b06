"""The router as an AWS Lambda function behind API Gateway: `staged_rollout.servers.router.lambda_handler.handler`.

The same assignment, fallback and log as the router that is a process. What differs: documents are read from S3 when a
request finds its own too old, and each row is an object on S3 before its caller is answered.

Set in the function's environment:

STAGED_ROLLOUT_ENDPOINT     the endpoint; the function asks no other
STAGED_ROLLOUT_ASSIGNMENTS  where documents are published, `s3://BUCKET/PREFIX`
STAGED_ROLLOUT_LOGS         where rows are written, `s3://BUCKET/PREFIX`
STAGED_ROLLOUT_KMS_KEY      what rows are encrypted with; left out: as the bucket does by itself
STAGED_ROLLOUT_POLL_S       seconds for which a document is used, 5 by default
STAGED_ROLLOUT_TIMEOUT_S    seconds for each attempt at the endpoint, 5 by default; at most three are made
"""

from __future__ import annotations

import logging
import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from staged_rollout.adapters.assignments_s3 import S3Assignments
from staged_rollout.adapters.aws_client import make_client
from staged_rollout.adapters.resource_names import checked_name
from staged_rollout.adapters.s3_place import S3Place
from staged_rollout.errors import PlatformError, StagedRolloutError
from staged_rollout.servers.router.calls import EndpointCalls
from staged_rollout.servers.router.documents import DocumentsOnDemand
from staged_rollout.servers.router.lambda_events import BadEventError, HttpCall, answer_event, read_event
from staged_rollout.servers.router.prediction_log_s3 import S3PredictionLog
from staged_rollout.servers.router.requests import BadRequestError, read_request
from staged_rollout.servers.router.routing import Answer, Routing
from staged_rollout.servers.router.tallies import Tallies

_LOG = logging.getLogger(__name__)
_PREFIX = "STAGED_ROLLOUT_"
_S3_TIMEOUT_S = 2.0
_S3_RETRIES = 2


@dataclass(frozen=True)
class LambdaSettings:
    """What the function's environment says.

    Attributes:
        endpoint: The endpoint that is asked.
        assignments: Where documents are published, `s3://BUCKET/PREFIX`.
        logs: Where rows are written, `s3://BUCKET/PREFIX`.
        kms_key: What rows are encrypted with, or None.
        poll_s: Seconds for which a document is used.
        timeout_s: Seconds for each attempt at the endpoint.
    """

    endpoint: str
    assignments: str
    logs: str
    kms_key: str | None = None
    poll_s: float = 5.0
    timeout_s: float = 5.0

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> LambdaSettings:
        """Read them.

        Raises:
            PlatformError: one is missing or not a number; all such are named.
            RefusedError: the endpoint's name is not one.
        """
        missing = [
            f"{_PREFIX}{name}" for name in ("ENDPOINT", "ASSIGNMENTS", "LOGS") if not environment.get(_PREFIX + name)
        ]
        if missing:
            raise PlatformError(f"{', '.join(missing)}: not set in the function's environment", missing=missing)
        return cls(
            endpoint=checked_name(environment[f"{_PREFIX}ENDPOINT"], "endpoint"),
            assignments=environment[f"{_PREFIX}ASSIGNMENTS"],
            logs=environment[f"{_PREFIX}LOGS"],
            kms_key=environment.get(f"{_PREFIX}KMS_KEY") or None,
            poll_s=_seconds(environment, "POLL_S"),
            timeout_s=_seconds(environment, "TIMEOUT_S"),
        )


class LambdaRouter:
    """Answers events. Everything in it is made once per container.

    Args:
        settings: The function's.
    """

    def __init__(self, settings: LambdaSettings) -> None:
        self._endpoint = settings.endpoint
        s3 = make_client(
            "s3", connect_timeout_s=_S3_TIMEOUT_S, read_timeout_s=_S3_TIMEOUT_S, retries=_S3_RETRIES, pool=4
        )
        documents = DocumentsOnDemand(S3Assignments(S3Place.at(s3, settings.assignments)), settings.poll_s)
        log = S3PredictionLog(S3Place.at(s3, settings.logs, settings.kms_key))
        # Calls are counted by CloudWatch: a container's own counts end with it.
        self._tallies = Tallies(None, f"lambda-{uuid.uuid4().hex[:8]}")
        self._calls = EndpointCalls(None, timeout_s=settings.timeout_s)
        self._s3 = s3
        self._routing = Routing(documents, self._calls, log, self._tallies)

    def answer(self, event: Any) -> dict[str, Any]:
        """The answer to one event; whatever is wrong with it is answered too."""
        try:
            told = self._answered(read_event(event))
        except BadEventError as error:
            told = Answer(error.status, {"error": str(error)})
        except BadRequestError as error:
            told = Answer(400, {"error": str(error)})
        return answer_event(told.status, told.body)

    def close(self) -> None:
        """Close all connections."""
        self._calls.close()
        self._s3.close()

    def _answered(self, call: HttpCall) -> Answer:
        if call.endpoint not in {None, self._endpoint}:
            raise BadEventError(404, "this function serves another endpoint")
        if call.action == "healthz":
            return Answer(200, {"status": "ok", "log_failures": self._tallies.log_failures})
        if call.action == "status":
            return Answer(200, {"endpoints": self._routing.status()})
        return self._routing.predict(read_request(self._endpoint, call.body), None)


def handler(event: Any, context: Any = None) -> dict[str, Any]:  # noqa: ARG001 - Lambda gives it
    """What Lambda calls.

    Args:
        event: Of API Gateway's payload format 1.0 or 2.0.
        context: Lambda's; not needed.
    """
    try:
        router = _router()
    except StagedRolloutError:
        _LOG.exception("the function's environment is not complete")
        return answer_event(500, {"error": "the router is not configured; its log says what is missing"})
    return router.answer(event)


@cache
def _router() -> LambdaRouter:
    return LambdaRouter(LambdaSettings.of(os.environ))


def _seconds(environment: Mapping[str, str], name: str, default: float = 5.0) -> float:
    text = environment.get(_PREFIX + name, "")
    try:
        seconds = float(text) if text else default
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 3600:
        raise PlatformError(f"{_PREFIX}{name} == {text!r}, must be seconds above 0, to 3600", name=name)
    return seconds

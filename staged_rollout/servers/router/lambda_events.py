"""What API Gateway and function URLs hand to a Lambda handler, and what they take back.

Payload format 2.0 (HTTP APIs, function URLs) and 1.0 (REST APIs, and HTTP APIs that ask for it).
Source: AWS, "Working with AWS Lambda proxy integrations for HTTP APIs" and "Input format of a Lambda function for proxy
integration", Amazon API Gateway Developer Guide.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

BODY_LIMIT = 6_291_456
"""Bytes. Source: the Body member of InvokeEndpointInput in botocore's model of `sagemaker-runtime`."""
_BASE64_LIMIT = (BODY_LIMIT + 2) // 3 * 4
_PATH = re.compile(r"(?:.*?/)?(?:endpoints/(?P<endpoint>[^/]+)/)?(?P<action>predict|status|healthz)/?")


class BadEventError(Exception):
    """The event is no HTTP request that is served; the status says why.

    Args:
        status: 400, 404, 405 or 413.
        message: What is wrong, for the caller.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class HttpCall:
    """One HTTP request.

    Attributes:
        action: `predict`, `status` or `healthz`.
        endpoint: The endpoint that the path names, or None.
        body: The decoded body.
    """

    action: str
    endpoint: str | None
    body: bytes


def read_event(event: Any) -> HttpCall:
    """The request in an event. A stage or a mapped base path before our own path is passed over.

    Raises:
        BadEventError: it is none, its path or method is not served, or its body is too large.
    """
    if not isinstance(event, Mapping):
        raise BadEventError(400, "the event is not an object")
    method, path = _method_and_path(event)
    match = _PATH.fullmatch(path)
    if match is None:
        raise BadEventError(404, "POST /predict, POST /endpoints/NAME/predict, GET /status or GET /healthz")
    action = match["action"]
    wanted = "POST" if action == "predict" else "GET"
    if method != wanted:
        raise BadEventError(405, f"{action} must be asked with {wanted}")
    return HttpCall(action, match["endpoint"], _body(event))


def answer_event(status: int, body: Mapping[str, Any]) -> dict[str, Any]:
    """What both payload formats take for an answer."""
    return {
        "statusCode": status,
        "headers": {"content-type": "application/json"},
        "body": orjson.dumps(body).decode(),
        "isBase64Encoded": False,
    }


def _method_and_path(event: Mapping[str, Any]) -> tuple[str, str]:
    if event.get("version") == "2.0":
        context = event.get("requestContext")
        http = context.get("http") if isinstance(context, Mapping) else None
        method = http.get("method") if isinstance(http, Mapping) else None
        path = event.get("rawPath")
    else:
        method, path = event.get("httpMethod"), event.get("path")
    if not isinstance(method, str) or not isinstance(path, str):
        raise BadEventError(400, "the event is not of API Gateway's payload format 1.0 or 2.0")
    return method, path


def _body(event: Mapping[str, Any]) -> bytes:
    text = event.get("body")
    if text is None:
        return b""
    if not isinstance(text, str):
        raise BadEventError(400, "the event's body is not text")
    encoded = event.get("isBase64Encoded") is True
    if len(text) > (_BASE64_LIMIT if encoded else BODY_LIMIT):
        raise _too_large()
    try:
        body = base64.b64decode(text, validate=True) if encoded else text.encode()
    except (binascii.Error, ValueError) as error:  # also text that UTF-8 cannot write
        raise BadEventError(400, f"the event's body cannot be decoded: {error}") from error
    if len(body) > BODY_LIMIT:
        raise _too_large()
    return body


def _too_large() -> BadEventError:
    return BadEventError(413, f"the body is larger than {BODY_LIMIT} bytes")

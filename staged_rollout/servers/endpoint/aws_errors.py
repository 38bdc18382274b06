"""Errors in the shapes and words of AWS, so that an unmodified client tells them apart."""

from __future__ import annotations

import json
from typing import Any, Literal

from starlette.responses import Response

ACCOUNT = "000000000000"
REGION = "local"

ResourceKind = Literal["endpoint", "endpoint-config", "model"]
_SPOKEN: dict[ResourceKind, str] = {
    "endpoint": "endpoint",
    "endpoint-config": "endpoint configuration",
    "model": "model",
}


def arn(kind: ResourceKind, name: str) -> str:
    """The resource's ARN in the account that does not exist."""
    return f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:{kind}/{name}"


class ControlError(Exception):
    """An error of the control plane.

    Args:
        message: What the caller reads.
        code: AWS's name for the kind of error.
    """

    def __init__(self, message: str, code: str = "ValidationException") -> None:
        super().__init__(message)
        self.code = code

    def response(self) -> Response:
        """The answer by the AWS JSON 1.1 protocol."""
        body = json.dumps({"__type": self.code, "message": str(self)})
        return Response(body, 400, {"x-amzn-errortype": self.code}, "application/x-amz-json-1.1")


def not_found(kind: ResourceKind, name: str) -> ControlError:
    """AWS's words for a resource that does not exist."""
    return ControlError(f'Could not find {_SPOKEN[kind]} "{arn(kind, name)}".')


def already_exists(kind: ResourceKind, name: str) -> ControlError:
    """AWS's words for a name that is taken."""
    return ControlError(f'Cannot create already existing {_SPOKEN[kind]} "{arn(kind, name)}".')


class InvokeError(Exception):
    """An error of the runtime.

    Args:
        status: The HTTP status.
        code: AWS's name for the kind of error, or "" where it answers with a bare status.
        message: What the caller reads.
        **members: Further members of the error's shape (`OriginalStatusCode`).
    """

    def __init__(self, status: int, code: str, message: str, **members: Any) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.members = members

    def response(self, request_id: str) -> Response:
        """The answer by the REST JSON protocol."""
        headers = {"x-amzn-RequestId": request_id}
        if self.code:
            headers["x-amzn-ErrorType"] = self.code
        key = "Message" if self.code else "message"
        return Response(json.dumps({key: str(self), **self.members}), self.status, headers, "application/json")


def validation(message: str) -> InvokeError:
    """A request that the runtime refuses."""
    return InvokeError(400, "ValidationError", message)


def model_failure(variant: str, status: int, reason: str) -> InvokeError:
    """What the runtime answers when the model does not.

    Args:
        variant: Whose model it was.
        status: What the model's server answered: 4xx for a request that does not fit, 5xx for a defect.
        reason: The model's own message.
    """
    side = "client" if status < 500 else "server"
    return InvokeError(
        424,
        "ModelError",
        f'Received {side} error ({status}) from {variant} with message "{reason}".',
        OriginalStatusCode=status,
        OriginalMessage=reason,
        LogStreamArn="",
    )

"""The AWS JSON 1.1 protocol: one address, the operation in a header, shapes in the body."""

from __future__ import annotations

import json
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

from pydantic import ValidationError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from staged_rollout.servers.endpoint import (
    control_configs,
    control_endpoints,
    control_models,
    control_tags,
    shapes,
)
from staged_rollout.servers.endpoint.aws_errors import ControlError
from staged_rollout.servers.endpoint.control_plane import ControlPlane
from staged_rollout.servers.endpoint.describe_endpoint import describe_endpoint
from staged_rollout.servers.request_body import BodyTooLargeError, TooManyBodiesError, read_body

_TARGET = "SageMaker."
_BODY_LIMIT = 1_000_000

Operation = tuple[type[shapes.Shape], Callable[[ControlPlane, Any], Awaitable[dict[str, Any]]]]

OPERATIONS: dict[str, Operation] = {
    "CreateModel": (shapes.CreateModelRequest, control_models.create_model),
    "DescribeModel": (shapes.ModelRequest, control_models.describe_model),
    "DeleteModel": (shapes.ModelRequest, control_models.delete_model),
    "ListModels": (shapes.ListRequest, control_models.list_models),
    "CreateEndpointConfig": (shapes.CreateEndpointConfigRequest, control_configs.create_endpoint_config),
    "DescribeEndpointConfig": (shapes.EndpointConfigRequest, control_configs.describe_endpoint_config),
    "DeleteEndpointConfig": (shapes.EndpointConfigRequest, control_configs.delete_endpoint_config),
    "ListEndpointConfigs": (shapes.ListRequest, control_configs.list_endpoint_configs),
    "CreateEndpoint": (shapes.CreateEndpointRequest, control_endpoints.create_endpoint),
    "DescribeEndpoint": (shapes.EndpointRequest, describe_endpoint),
    "UpdateEndpoint": (shapes.UpdateEndpointRequest, control_endpoints.update_endpoint),
    "UpdateEndpointWeightsAndCapacities": (shapes.UpdateWeightsRequest, control_endpoints.update_weights),
    "DeleteEndpoint": (shapes.EndpointRequest, control_endpoints.delete_endpoint),
    "ListEndpoints": (shapes.ListRequest, control_endpoints.list_endpoints),
    "AddTags": (shapes.AddTagsRequest, control_tags.add_tags),
    "ListTags": (shapes.ListTagsRequest, control_tags.list_tags),
}
"""Every operation that is spoken here: the shape of its request, and what does it."""


async def control(plane: ControlPlane, request: Request) -> Response:
    """POST / with the operation's name in X-Amz-Target."""
    try:
        answer = await _operate(plane, request)
    except ControlError as error:
        return error.response()
    except ClientDisconnect:
        return Response(status_code=400)  # nobody reads it
    # Control calls are rare, and their clients are often dropped without being closed.
    headers = {"x-amzn-RequestId": str(uuid.uuid4()), "Connection": "close"}
    return Response(json.dumps(answer), 200, headers, "application/x-amz-json-1.1")


async def _operate(plane: ControlPlane, request: Request) -> dict[str, Any]:
    target = request.headers.get("x-amz-target", "")
    name = target.removeprefix(_TARGET)
    if not target.startswith(_TARGET) or name not in OPERATIONS:
        raise ControlError(f"{target[:100]!r} is not an operation of this endpoint.", "UnknownOperationException")
    shape, operation = OPERATIONS[name]
    try:
        body = await read_body(request, _BODY_LIMIT)
    except BodyTooLargeError as error:
        raise ControlError(f"The request is larger than {_BODY_LIMIT} bytes.") from error
    except TooManyBodiesError as error:
        raise ControlError("Too many requests are being read at once.", "ThrottlingException") from error
    try:
        asked = shape.model_validate_json(body or b"{}")
    except ValidationError as error:
        raise ControlError(_constraints(error)) from error
    return await operation(plane, asked)


def _constraints(error: ValidationError) -> str:
    told = [
        f"Value at '{'.'.join(str(part) for part in finding['loc'])}' failed to satisfy constraint: {finding['msg']}"
        for finding in error.errors(include_url=False, include_input=False)
    ]
    return f"{len(told)} validation error{'s' if len(told) > 1 else ''} detected: {'; '.join(told)}"

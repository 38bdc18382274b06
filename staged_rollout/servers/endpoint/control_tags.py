"""AddTags, ListTags."""

from __future__ import annotations

from typing import Any

from staged_rollout.adapters.resource_names import is_resource_name
from staged_rollout.servers.endpoint.aws_errors import ControlError, ResourceKind, arn
from staged_rollout.servers.endpoint.control_plane import ControlPlane
from staged_rollout.servers.endpoint.shapes import AddTagsRequest, ListTagsRequest, Tag

_LIMIT = 50
_KINDS: tuple[ResourceKind, ...] = ("endpoint", "endpoint-config", "model")


async def add_tags(plane: ControlPlane, request: AddTagsRequest) -> dict[str, Any]:
    """Label a resource; a key that it has already gets the new value."""
    kind, name = _place(request.resource_arn)
    merged = {tag.key: tag for tag in (*_tags(plane, kind, name), *request.tags)}
    if len(merged) > _LIMIT:
        raise ControlError(f"{len(merged)} tags, must be at most {_LIMIT}.")
    update = {"tags": tuple(merged.values())}
    match kind:
        case "endpoint":
            plane.put_endpoint(name, plane.endpoint(name).model_copy(update=update))
        case "endpoint-config":
            plane.put_config(name, plane.config(name).model_copy(update=update))
        case _:
            plane.put_model(name, plane.model(name).model_copy(update=update))
    return {"Tags": [tag.model_dump(by_alias=True) for tag in merged.values()]}


async def list_tags(plane: ControlPlane, request: ListTagsRequest) -> dict[str, Any]:
    """A resource's labels; there are never more than one page of them."""
    kind, name = _place(request.resource_arn)
    return {"Tags": [tag.model_dump(by_alias=True) for tag in _tags(plane, kind, name)]}


def _place(resource_arn: str) -> tuple[ResourceKind, str]:
    told, _, name = resource_arn.rpartition(":")[2].partition("/")
    for kind in _KINDS:
        if kind == told and resource_arn == arn(kind, name) and is_resource_name(name):
            return kind, name
    raise ControlError(f"{resource_arn!r} is not the ARN of an endpoint, endpoint configuration or model here.")


def _tags(plane: ControlPlane, kind: ResourceKind, name: str) -> tuple[Tag, ...]:
    match kind:
        case "endpoint":
            return plane.endpoint(name).tags
        case "endpoint-config":
            return plane.config(name).tags
        case _:
            return plane.model(name).tags

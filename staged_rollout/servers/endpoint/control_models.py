"""CreateModel, DescribeModel, DeleteModel, ListModels."""

from __future__ import annotations

import asyncio
from typing import Any

from staged_rollout.errors import StagedRolloutError
from staged_rollout.servers.endpoint.aws_errors import ControlError, already_exists, arn
from staged_rollout.servers.endpoint.control_plane import ControlPlane
from staged_rollout.servers.endpoint.listing import page
from staged_rollout.servers.endpoint.shapes import CreateModelRequest, ListRequest, ModelRequest
from staged_rollout.servers.endpoint.state import StoredModel


async def create_model(plane: ControlPlane, request: CreateModelRequest) -> dict[str, Any]:
    """Name a registry version so that variants can run it; only an approved one."""
    package = request.primary_container.model_package_name
    try:
        version = await asyncio.to_thread(plane.shelf.find, package)
    except StagedRolloutError as error:
        raise ControlError(f"Could not find model package {package}: {error}") from error
    if version.status != "approved":
        raise ControlError(f"Model package {package} is {version.status}, must be approved.")
    if request.model_name in plane.state.models:
        raise already_exists("model", request.model_name)
    plane.put_model(
        request.model_name,
        StoredModel(
            name=request.model_name,
            container=request.primary_container,
            role=request.execution_role_arn,
            isolated=request.enable_network_isolation,
            tags=request.tags,
            created=plane.wall(),
        ),
    )
    return {"ModelArn": arn("model", request.model_name)}


async def describe_model(plane: ControlPlane, request: ModelRequest) -> dict[str, Any]:
    """What a model runs."""
    model = plane.model(request.model_name)
    told: dict[str, Any] = {
        "ModelName": model.name,
        "ModelArn": arn("model", model.name),
        "PrimaryContainer": model.container.model_dump(by_alias=True),
        "CreationTime": model.created,
        "EnableNetworkIsolation": model.isolated,
    }
    if model.role is not None:
        told["ExecutionRoleArn"] = model.role
    return told


async def delete_model(plane: ControlPlane, request: ModelRequest) -> dict[str, Any]:
    """Forget a model. As on AWS, endpoints that run it go on."""
    plane.model(request.model_name)
    plane.put_model(request.model_name, None)
    return {}


async def list_models(plane: ControlPlane, request: ListRequest) -> dict[str, Any]:
    """Models by name."""
    rows = {
        name: {"ModelName": name, "ModelArn": arn("model", name), "CreationTime": model.created}
        for name, model in plane.state.models.items()
    }
    return page("Models", rows, request)

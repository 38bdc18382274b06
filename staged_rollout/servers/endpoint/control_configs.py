"""CreateEndpointConfig, DescribeEndpointConfig, DeleteEndpointConfig, ListEndpointConfigs."""

from __future__ import annotations

from typing import Any

from staged_rollout.servers.endpoint.aws_errors import ControlError, already_exists, arn
from staged_rollout.servers.endpoint.control_plane import ControlPlane
from staged_rollout.servers.endpoint.listing import page
from staged_rollout.servers.endpoint.shapes import (
    CreateEndpointConfigRequest,
    EndpointConfigRequest,
    ListRequest,
)
from staged_rollout.servers.endpoint.state import StoredConfig


async def create_endpoint_config(plane: ControlPlane, request: CreateEndpointConfigRequest) -> dict[str, Any]:
    """Keep a recipe."""
    name = request.endpoint_config_name
    if name in plane.state.configs:
        raise already_exists("endpoint-config", name)
    production, shadows = request.production_variants, request.shadow_production_variants
    if shadows and (len(shadows) != 1 or len(production) != 1):
        raise ControlError(
            f"{len(shadows)} shadow variants beside {len(production)} production variants: "
            "one shadow variant is allowed, beside exactly one production variant."
        )
    names = [variant.variant_name for variant in (*production, *shadows)]
    if len(set(names)) != len(names):
        raise ControlError(f"Variant names must be unique, found {names}.")
    if sum(variant.initial_variant_weight for variant in production) <= 0:
        raise ControlError("The sum of the production variants' weights must be above 0.")
    for variant in (*production, *shadows):
        plane.model(variant.model_name)
    plane.put_config(name, StoredConfig(request=request, tags=request.tags, created=plane.wall()))
    return {"EndpointConfigArn": arn("endpoint-config", name)}


async def describe_endpoint_config(plane: ControlPlane, request: EndpointConfigRequest) -> dict[str, Any]:
    """The recipe, as it was given."""
    name = request.endpoint_config_name
    config = plane.config(name)
    told = config.request.model_dump(by_alias=True, mode="json", exclude_none=True, exclude={"tags"})
    if not told["ShadowProductionVariants"]:
        del told["ShadowProductionVariants"]
    header = told.get("DataCaptureConfig", {}).get("CaptureContentTypeHeader", {})
    for key in [key for key, types in header.items() if not types]:
        del header[key]
    return told | {"EndpointConfigArn": arn("endpoint-config", name), "CreationTime": config.created}


async def delete_endpoint_config(plane: ControlPlane, request: EndpointConfigRequest) -> dict[str, Any]:
    """Forget a recipe. AWS documents that one in use must not be deleted, and lets it happen; here it is refused."""
    name = request.endpoint_config_name
    plane.config(name)
    for endpoint in plane.state.endpoints.values():
        fleets = (endpoint.fleet, endpoint.change.fleet if endpoint.change else None)
        if any(fleet is not None and fleet.config == name for fleet in fleets):
            raise ControlError(
                f'Cannot delete endpoint configuration "{arn("endpoint-config", name)}": '
                f'endpoint "{arn("endpoint", endpoint.name)}" uses it.'
            )
    plane.put_config(name, None)
    return {}


async def list_endpoint_configs(plane: ControlPlane, request: ListRequest) -> dict[str, Any]:
    """Recipes by name."""
    rows = {
        name: {
            "EndpointConfigName": name,
            "EndpointConfigArn": arn("endpoint-config", name),
            "CreationTime": config.created,
        }
        for name, config in plane.state.configs.items()
    }
    return page("EndpointConfigs", rows, request)

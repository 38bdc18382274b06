"""CreateEndpoint, UpdateEndpoint, UpdateEndpointWeightsAndCapacities, DeleteEndpoint, ListEndpoints."""

from __future__ import annotations

from typing import Any

from staged_rollout.servers.endpoint.aws_errors import ControlError, already_exists, arn
from staged_rollout.servers.endpoint.control_plane import ControlPlane
from staged_rollout.servers.endpoint.listing import page
from staged_rollout.servers.endpoint.shapes import (
    CreateEndpointRequest,
    DesiredWeightAndCapacity,
    EndpointRequest,
    ListRequest,
    ProductionVariant,
    UpdateEndpointRequest,
    UpdateWeightsRequest,
)
from staged_rollout.servers.endpoint.state import Fleet, FleetVariant, StoredEndpoint


async def create_endpoint(plane: ControlPlane, request: CreateEndpointRequest) -> dict[str, Any]:
    """Begin to serve a config."""
    name = request.endpoint_name
    if name in plane.state.endpoints:
        raise already_exists("endpoint", name)
    fleet = _fleet(plane, request.endpoint_config_name)
    now = plane.wall()
    endpoint = StoredEndpoint(
        name=name,
        config=fleet.config,
        status="Creating",
        fleet=None,
        change=None,
        failure="",
        tags=request.tags,
        created=now,
        modified=now,
    )
    plane.start(endpoint, "create", fleet)
    return {"EndpointArn": arn("endpoint", name)}


async def update_endpoint(plane: ControlPlane, request: UpdateEndpointRequest) -> dict[str, Any]:
    """Begin to serve another config; the old one answers until it is ready."""
    endpoint = plane.endpoint(request.endpoint_name)
    fleet = _fleet(plane, request.endpoint_config_name)
    if request.retain_all_variant_properties and endpoint.fleet is not None:
        fleet = _retained(fleet, endpoint.fleet)
    plane.start(endpoint, "config", fleet)
    return {"EndpointArn": arn("endpoint", endpoint.name)}


async def update_weights(plane: ControlPlane, request: UpdateWeightsRequest) -> dict[str, Any]:
    """Begin to weigh variants anew. Weights are relative; a variant that is left out keeps its own."""
    endpoint = plane.endpoint(request.endpoint_name)
    fleet = endpoint.fleet
    if fleet is not None:
        fleet = _weighed(endpoint.name, fleet, request.desired_weights_and_capacities)
    plane.start(endpoint, "weights", fleet)
    return {"EndpointArn": arn("endpoint", endpoint.name)}


async def delete_endpoint(plane: ControlPlane, request: EndpointRequest) -> dict[str, Any]:
    """Stop serving at once, and forget the endpoint a little later."""
    plane.start(plane.endpoint(request.endpoint_name), "delete", None)
    return {}


async def list_endpoints(plane: ControlPlane, request: ListRequest) -> dict[str, Any]:
    """Endpoints by name."""
    rows = {
        name: {
            "EndpointName": name,
            "EndpointArn": arn("endpoint", name),
            "EndpointStatus": endpoint.status,
            "CreationTime": endpoint.created,
            "LastModifiedTime": endpoint.modified,
        }
        for name, endpoint in plane.state.endpoints.items()
    }
    return page("Endpoints", rows, request)


def _fleet(plane: ControlPlane, config_name: str) -> Fleet:
    request = plane.config(config_name).request

    def variant(told: ProductionVariant) -> FleetVariant:
        return FleetVariant(
            name=told.variant_name,
            package=plane.model(told.model_name).container.model_package_name,
            weight=told.initial_variant_weight,
            instance_count=told.initial_instance_count,
            instance_type=told.instance_type,
        )

    shadows = [variant(told) for told in request.shadow_production_variants]
    return Fleet(
        config=config_name,
        production=tuple(variant(told) for told in request.production_variants),
        shadow=shadows[0] if shadows else None,
        capture=request.data_capture_config,
    )


def _retained(fleet: Fleet, old: Fleet) -> Fleet:
    kept = {variant.name: variant for variant in (*old.production, *((old.shadow,) if old.shadow else ()))}

    def retain(variant: FleetVariant) -> FleetVariant:
        if variant.name not in kept:
            return variant
        before = kept[variant.name]
        return variant.model_copy(update={"weight": before.weight, "instance_count": before.instance_count})

    return fleet.model_copy(
        update={
            "production": tuple(retain(variant) for variant in fleet.production),
            "shadow": retain(fleet.shadow) if fleet.shadow else None,
        }
    )


def _weighed(name: str, fleet: Fleet, wanted: tuple[DesiredWeightAndCapacity, ...]) -> Fleet:
    changes = {change.variant_name: change for change in wanted}
    known = {variant.name for variant in fleet.production} | ({fleet.shadow.name} if fleet.shadow else set())
    if unknown := sorted(set(changes) - known):
        raise ControlError(f'The requested variants {unknown} are not found in endpoint "{arn("endpoint", name)}".')
    if len(changes) != len(wanted):
        raise ControlError("DesiredWeightsAndCapacities names a variant more than once.")

    def weigh(variant: FleetVariant) -> FleetVariant:
        change = changes.get(variant.name)
        if change is None:
            return variant
        update: dict[str, Any] = {}
        if change.desired_weight is not None:
            update["weight"] = change.desired_weight
        if change.desired_instance_count is not None:
            update["instance_count"] = change.desired_instance_count
        return variant.model_copy(update=update)

    production = tuple(weigh(variant) for variant in fleet.production)
    if sum(variant.weight for variant in production) <= 0:
        raise ControlError("The sum of the production variants' weights must be above 0.")
    return fleet.model_copy(update={"production": production, "shadow": weigh(fleet.shadow) if fleet.shadow else None})

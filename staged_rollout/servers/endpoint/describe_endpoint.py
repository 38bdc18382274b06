"""DescribeEndpoint: what runs, what shall run, and what is on its way."""

from __future__ import annotations

from typing import Any

from staged_rollout.servers.endpoint.aws_errors import arn
from staged_rollout.servers.endpoint.control_plane import ControlPlane
from staged_rollout.servers.endpoint.shapes import DataCaptureConfig, EndpointRequest
from staged_rollout.servers.endpoint.state import Fleet, FleetVariant, StoredEndpoint


async def describe_endpoint(plane: ControlPlane, request: EndpointRequest) -> dict[str, Any]:
    """The endpoint now. While it changes, Current and Desired figures differ, or the next config is told as pending."""
    endpoint = plane.endpoint(request.endpoint_name)
    told: dict[str, Any] = {
        "EndpointName": endpoint.name,
        "EndpointArn": arn("endpoint", endpoint.name),
        "EndpointConfigName": endpoint.config,
        "EndpointStatus": endpoint.status,
        "CreationTime": endpoint.created,
        "LastModifiedTime": endpoint.modified,
    }
    if endpoint.failure:
        told["FailureReason"] = endpoint.failure
    if endpoint.fleet is not None:
        told |= _variants(endpoint.fleet, _desired(endpoint))
        if endpoint.fleet.capture is not None:
            told["DataCaptureConfig"] = _capture(endpoint.fleet.capture)
    change = endpoint.change
    if change is not None and change.kind == "config" and change.fleet is not None:
        told["PendingDeploymentSummary"] = {
            "EndpointConfigName": change.fleet.config,
            "StartTime": change.started,
            **_variants(change.fleet, change.fleet),
        }
    return told


def _desired(endpoint: StoredEndpoint) -> Fleet | None:
    change = endpoint.change
    return change.fleet if change is not None and change.kind == "weights" else endpoint.fleet


def _variants(fleet: Fleet, desired: Fleet | None) -> dict[str, Any]:
    wanted = {} if desired is None else {variant.name: variant for variant in _all(desired)}

    def summary(variant: FleetVariant) -> dict[str, Any]:
        want = wanted.get(variant.name, variant)
        return {
            "VariantName": variant.name,
            "CurrentWeight": variant.weight,
            "DesiredWeight": want.weight,
            "CurrentInstanceCount": variant.instance_count,
            "DesiredInstanceCount": want.instance_count,
        }

    told: dict[str, Any] = {"ProductionVariants": [summary(variant) for variant in fleet.production]}
    if fleet.shadow is not None:
        told["ShadowProductionVariants"] = [summary(fleet.shadow)]
    return told


def _all(fleet: Fleet) -> tuple[FleetVariant, ...]:
    return (*fleet.production, *((fleet.shadow,) if fleet.shadow else ()))


def _capture(config: DataCaptureConfig) -> dict[str, Any]:
    return {
        "EnableCapture": config.enable_capture,
        "CaptureStatus": "Started" if config.enable_capture else "Stopped",
        "CurrentSamplingPercentage": config.initial_sampling_percentage,
        "DestinationS3Uri": config.destination_s3_uri,
        "KmsKeyId": "",
    }

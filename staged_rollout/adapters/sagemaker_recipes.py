"""What a target looks like to SageMaker: recipes of models and endpoint configs, and the names that they hash to.

`sr-ENDPOINT-HASH8-CONTENT12` for a model, `sr-ENDPOINT-HASH8-CONTENT12-WEIGHTS8` for a config: readable, at most 63
characters, and the hash of the endpoint's name keeps `churn` and `churn-prod` apart where one is the beginning of the
other. A name is the hash of its content, so that making one twice makes it once, and seeing a name tells the content.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from staged_rollout.adapters.resource_names import checked_name, digest_of, slug
from staged_rollout.errors import RefusedError
from staged_rollout.ports.serving import EndpointTarget, VariantTarget

_PRODUCTION_LIMIT = 10
_INSTANCE_TYPE = re.compile(r"ml\.[a-z0-9-]+\.[a-z0-9-]+")
_LOCAL_STORAGE = re.compile(r"ml\.([a-z]+[0-9]+[a-z]*d[a-z]*|g4dn|g5|g6e?|gr6|p4de?|p5e?n?|inf1|trn1n?|trn2)\.")
"""Instances that encrypt their own disks by hardware: SageMaker refuses a config that names a key for them too.

Source: KmsKeyId of CreateEndpointConfig in the SageMaker API reference.
"""


@dataclass(frozen=True)
class CapturePlace:
    """Where Data Capture is written, and with which key."""

    uri: str
    kms_key: str | None = None


@dataclass(frozen=True)
class Recipe:
    """An endpoint config as it will be made.

    Attributes:
        name: The config's.
        structure: The beginning of the name, which all configs share that differ in weights alone.
        members: Of CreateEndpointConfig, but for name and tags.
        models: Of CreateModel, by the model's name; those that the endpoint serves already are not among them.
    """

    name: str
    structure: str
    members: dict[str, Any]
    models: dict[str, dict[str, Any]]


def recipe_of(
    target: EndpointTarget, role_arn: str | None, capture: CapturePlace, serving: Mapping[str, str] | None = None
) -> Recipe:
    """The recipe of a target.

    Args:
        target: What shall be served.
        role_arn: The role that models run with; None for the local endpoint.
        capture: Where calls are captured.
        serving: Models of variants that are served as wanted already, by variant: they are kept as they are.
    """
    models: dict[str, dict[str, Any]] = {}

    def entry(variant: VariantTarget) -> dict[str, Any]:
        model = (serving or {}).get(variant.name)
        if model is None:
            model, made = _model(target.endpoint, variant.reference, role_arn)
            models[model] = made
        return {
            "VariantName": variant.name,
            "ModelName": model,
            "InstanceType": variant.instance_type,
            "InitialInstanceCount": variant.instance_count,
            "InitialVariantWeight": variant.weight,
        }

    members: dict[str, Any] = {
        "ProductionVariants": [entry(variant) for variant in target.production],
        "DataCaptureConfig": _capture(capture),
    }
    if target.shadow is not None:
        members["ShadowProductionVariants"] = [entry(target.shadow)]
    if capture.kms_key is not None and not any(_LOCAL_STORAGE.match(one.instance_type) for one in variants_of(target)):
        members["KmsKeyId"] = capture.kms_key
    structure = prefix(target.endpoint) + digest_of(_text(_without_weights(members)), 12) + "-"
    weights = [variant.weight for variant in variants_of(target)]
    return Recipe(structure + digest_of(_text(weights), 8), structure, members, models)


def _without_weights(members: dict[str, Any]) -> dict[str, Any]:
    keys = ("ProductionVariants", "ShadowProductionVariants")
    bare = {
        key: [{name: value for name, value in one.items() if name != "InitialVariantWeight"} for one in members[key]]
        for key in keys
        if key in members
    }
    return members | bare


def _model(endpoint: str, reference: str, role_arn: str | None) -> tuple[str, dict[str, Any]]:
    recipe: dict[str, Any] = {"PrimaryContainer": {"ModelPackageName": reference}}
    if role_arn is not None:
        recipe["ExecutionRoleArn"] = role_arn
    return prefix(endpoint) + digest_of(_text(recipe), 12), recipe


def _capture(place: CapturePlace) -> dict[str, Any]:
    config: dict[str, Any] = {
        "EnableCapture": True,
        "InitialSamplingPercentage": 100,
        "DestinationS3Uri": place.uri,
        "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
        "CaptureContentTypeHeader": {
            "JsonContentTypes": ["application/json"],
            "CsvContentTypes": ["text/csv"],
        },
    }
    if place.kms_key is not None:
        config["KmsKeyId"] = place.kms_key
    return config


def _text(content: Any) -> str:
    return json.dumps(content, sort_keys=True)


def prefix(endpoint: str) -> str:
    """How the names of an endpoint's models and configs begin, at most 41 characters."""
    return f"sr-{slug(endpoint, 28)}-{digest_of(endpoint, 8)}-"


def variants_of(target: EndpointTarget) -> tuple[VariantTarget, ...]:
    """Production variants, then the shadow."""
    return (*target.production, *((target.shadow,) if target.shadow else ()))


def check_target(target: EndpointTarget) -> None:
    """Refuse what SageMaker would refuse, before anything is made.

    Raises:
        RefusedError: with what is wrong and what would be accepted.
    """
    checked_name(target.endpoint, "endpoint")
    variants = variants_of(target)
    for variant in variants:
        checked_name(variant.name, "variant")
        if not 0 <= variant.weight < float("inf"):
            raise RefusedError(f"variant {variant.name}: weight == {variant.weight}, must be >= 0 and finite")
        if variant.instance_count < 1:
            raise RefusedError(f"variant {variant.name}: instance_count == {variant.instance_count}, must be >= 1")
        if _INSTANCE_TYPE.fullmatch(variant.instance_type) is None:
            raise RefusedError(
                f"variant {variant.name}: instance_type == {variant.instance_type[:63]!r}, must be like ml.m5.xlarge"
            )
    names = [variant.name for variant in variants]
    if len(set(names)) != len(names):
        raise RefusedError(f"endpoint {target.endpoint}: variants {names}, must have distinct names")
    if not 1 <= len(target.production) <= _PRODUCTION_LIMIT:
        raise RefusedError(
            f"endpoint {target.endpoint}: {len(target.production)} production variants, "
            f"must be 1 to {_PRODUCTION_LIMIT}"
        )
    if target.shadow is not None and len(target.production) != 1:
        raise RefusedError(
            f"endpoint {target.endpoint}: a shadow beside {len(target.production)} production variants, must be 1"
        )
    if sum(variant.weight for variant in target.production) <= 0:
        raise RefusedError(f"endpoint {target.endpoint}: production weights sum to 0, must be above")

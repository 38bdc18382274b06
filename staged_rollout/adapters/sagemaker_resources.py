"""Models and endpoint configs of one endpoint: named after what they hold, so that making one twice makes it once.

`sr-ENDPOINT-HASH8-CONTENT12`: readable, at most 63 characters, and the hash of the endpoint's name keeps `churn` and
`churn-prod` apart where one is the beginning of the other.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from staged_rollout.adapters.aws_client import told_as_ours
from staged_rollout.adapters.resource_names import digest_of, slug
from staged_rollout.errors import PlatformError
from staged_rollout.ports.serving import EndpointTarget, VariantTarget

TAG_KEY = "staged-rollout"
TAG_VALUE = "managed"
TAGS = [{"Key": TAG_KEY, "Value": TAG_VALUE}]

_MISSING = "could not find"
_TAKEN = "already existing"


@dataclass(frozen=True)
class CapturePlace:
    """Where Data Capture is written, and with which key."""

    uri: str
    kms_key: str | None = None


class SageMakerResources:
    """Makes, finds and deletes models and endpoint configs.

    Args:
        client: A boto3 `sagemaker` client.
        role_arn: The role that models run with; None for the local endpoint.
        capture: Where calls are captured.
    """

    def __init__(self, client: Any, role_arn: str | None, capture: CapturePlace) -> None:
        self._client = client
        self._role_arn = role_arn
        self._capture = capture

    def ensure_config(self, target: EndpointTarget) -> str:
        """Make the target's models and config, if they are not there yet.

        Returns:
            The config's name.

        Raises:
            PlatformError: SageMaker refused.
        """
        production = [self._variant(target.endpoint, variant) for variant in target.production]
        recipe: dict[str, Any] = {"ProductionVariants": production, "DataCaptureConfig": self._capture_config()}
        if target.shadow is not None:
            recipe["ShadowProductionVariants"] = [self._variant(target.endpoint, target.shadow)]
        if self._capture.kms_key is not None:
            recipe["KmsKeyId"] = self._capture.kms_key
        name = prefix(target.endpoint) + digest_of(json.dumps(recipe, sort_keys=True), 12)
        self._create("create_endpoint_config", EndpointConfigName=name, Tags=TAGS, **recipe)
        return name

    def describe_config(self, name: str) -> dict[str, Any] | None:
        """DescribeEndpointConfig, or None when there is none."""
        return self._found("describe_endpoint_config", EndpointConfigName=name)

    def reference(self, model: str) -> str:
        """The model package that a model runs; "" when the model is gone or was not made from a package."""
        told = self._found("describe_model", ModelName=model)
        return "" if told is None else str(told.get("PrimaryContainer", {}).get("ModelPackageName", ""))

    def is_managed(self, arn: str) -> bool | None:
        """Whether a resource carries our tag; None when it has gone since it was seen."""
        try:
            with told_as_ours(f"list tags of {arn}"):
                pages = self._client.get_paginator("list_tags").paginate(ResourceArn=arn)
                return any(tag == TAGS[0] for page in pages for tag in page["Tags"])
        except PlatformError as error:
            if is_missing(error):
                return None
            raise

    def delete_unused(self, endpoint: str, in_use: str | None) -> int:
        """Delete the endpoint's configs and models, but for one config and its models.

        Args:
            endpoint: Whose.
            in_use: The config that serves; None: the endpoint is gone, and nothing is in use.

        Returns:
            How many were deleted.
        """
        kept_models: set[str] = set()
        if in_use is not None:
            config = self.describe_config(in_use) or {}
            variants = (*config.get("ProductionVariants", ()), *config.get("ShadowProductionVariants", ()))
            kept_models = {variant["ModelName"] for variant in variants}
        deleted = 0
        for name, arn in self._ours("list_endpoint_configs", "EndpointConfigs", "EndpointConfig", endpoint):
            if name != in_use and self.is_managed(arn):
                deleted += self._delete("delete_endpoint_config", EndpointConfigName=name)
        for name, arn in self._ours("list_models", "Models", "Model", endpoint):
            if name not in kept_models and self.is_managed(arn):
                deleted += self._delete("delete_model", ModelName=name)
        return deleted

    def _variant(self, endpoint: str, variant: VariantTarget) -> dict[str, Any]:
        return {
            "VariantName": variant.name,
            "ModelName": self._ensure_model(endpoint, variant),
            "InstanceType": variant.instance_type,
            "InitialInstanceCount": variant.instance_count,
            "InitialVariantWeight": variant.weight,
        }

    def _ensure_model(self, endpoint: str, variant: VariantTarget) -> str:
        recipe: dict[str, Any] = {"PrimaryContainer": {"ModelPackageName": variant.reference}}
        if self._role_arn is not None:
            recipe["ExecutionRoleArn"] = self._role_arn
        name = prefix(endpoint) + digest_of(json.dumps(recipe, sort_keys=True), 12)
        self._create("create_model", ModelName=name, Tags=TAGS, **recipe)
        return name

    def _capture_config(self) -> dict[str, Any]:
        config: dict[str, Any] = {
            "EnableCapture": True,
            "InitialSamplingPercentage": 100,
            "DestinationS3Uri": self._capture.uri,
            "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
            "CaptureContentTypeHeader": {
                "JsonContentTypes": ["application/json"],
                "CsvContentTypes": ["text/csv"],
            },
        }
        if self._capture.kms_key is not None:
            config["KmsKeyId"] = self._capture.kms_key
        return config

    def _create(self, operation: str, **parameters: Any) -> None:
        try:
            with told_as_ours(operation):
                getattr(self._client, operation)(**parameters)
        except PlatformError as error:
            if _TAKEN not in str(error).lower():  # the name is the content's hash: what is there already is the same
                raise

    def _delete(self, operation: str, **parameters: Any) -> int:
        try:
            with told_as_ours(operation):
                getattr(self._client, operation)(**parameters)
        except PlatformError as error:
            if not is_missing(error):
                raise
            return 0
        return 1

    def _found(self, operation: str, **parameters: Any) -> dict[str, Any] | None:
        try:
            with told_as_ours(operation):
                found: dict[str, Any] = getattr(self._client, operation)(**parameters)
                return found
        except PlatformError as error:
            if is_missing(error):
                return None
            raise

    def _ours(self, operation: str, rows: str, member: str, endpoint: str) -> Iterator[tuple[str, str]]:
        start = prefix(endpoint)
        with told_as_ours(operation):
            pages = self._client.get_paginator(operation).paginate(NameContains=start)
            found = [(row[f"{member}Name"], row[f"{member}Arn"]) for page in pages for row in page[rows]]
        yield from (pair for pair in found if pair[0].startswith(start))


def prefix(endpoint: str) -> str:
    """How the names of an endpoint's models and configs begin, at most 41 characters."""
    return f"sr-{slug(endpoint, 28)}-{digest_of(endpoint, 8)}-"


def is_missing(error: PlatformError) -> bool:
    """Whether SageMaker said that the resource does not exist."""
    return error.facts.get("code") == "ValidationException" and _MISSING in str(error).lower()

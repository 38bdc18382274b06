"""Makes, finds, tags and deletes SageMaker's resources."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from staged_rollout.adapters.aws_client import told_as_ours
from staged_rollout.adapters.sagemaker_recipes import Recipe, prefix
from staged_rollout.errors import PlatformError

TAG_KEY = "staged-rollout"
TAG_VALUE = "managed"
TAGS = [{"Key": TAG_KEY, "Value": TAG_VALUE}]

_MISSING = "could not find"
_TAKEN = "already existing"
_PAGE = {"PageSize": 100}


class SageMakerResources:
    """Models and endpoint configs, and the tags of everything.

    Args:
        client: A boto3 `sagemaker` client.
    """

    def __init__(self, client: Any) -> None:
        self._client = client

    def ensure_config(self, recipe: Recipe) -> None:
        """Make a recipe's models and config, as far as they are not there yet.

        Raises:
            PlatformError: SageMaker refused.
        """
        for name, members in recipe.models.items():
            self._create("create_model", ModelName=name, Tags=TAGS, **members)
        self._create("create_endpoint_config", EndpointConfigName=recipe.name, Tags=TAGS, **recipe.members)

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

    def tag(self, arn: str, tags: dict[str, str]) -> None:
        """Add tags, or change those that are there.

        Raises:
            PlatformError: SageMaker refused.
        """
        with told_as_ours(f"tag {arn}"):
            self._client.add_tags(ResourceArn=arn, Tags=[{"Key": key, "Value": value} for key, value in tags.items()])

    def delete_unused(self, endpoint: str, in_use: str | None) -> int:
        """Delete the endpoint's configs and models, but for one config and its models.

        Args:
            endpoint: Whose.
            in_use: The config that serves; None: the endpoint is gone, and nothing is in use.

        Returns:
            How many were deleted.
        """
        configs = [
            pair for pair in self._ours("list_endpoint_configs", "EndpointConfig", endpoint) if pair[0] != in_use
        ]
        models = list(self._ours("list_models", "Model", endpoint))
        if models and in_use is not None:
            config = self.describe_config(in_use) or {}
            variants = (*config.get("ProductionVariants", ()), *config.get("ShadowProductionVariants", ()))
            kept = {variant["ModelName"] for variant in variants}
            models = [pair for pair in models if pair[0] not in kept]
        deleted = 0
        for name, arn in configs:
            if self.is_managed(arn):
                deleted += self._delete("delete_endpoint_config", EndpointConfigName=name)
        for name, arn in models:
            if self.is_managed(arn):
                deleted += self._delete("delete_model", ModelName=name)
        return deleted

    def _create(self, operation: str, **parameters: Any) -> None:
        try:
            with told_as_ours(operation):
                getattr(self._client, operation)(**parameters)
        except PlatformError as error:
            if not is_taken(error):  # the name is the content's hash: what is there already is the same
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

    def _ours(self, operation: str, kind: str, endpoint: str) -> Iterator[tuple[str, str]]:
        start = prefix(endpoint)
        with told_as_ours(operation):
            pages = self._client.get_paginator(operation).paginate(NameContains=start, PaginationConfig=_PAGE)
            found = [(row[f"{kind}Name"], row[f"{kind}Arn"]) for page in pages for row in page[f"{kind}s"]]
        yield from (pair for pair in found if pair[0].startswith(start))


def is_missing(error: PlatformError) -> bool:
    """Whether SageMaker said that the resource does not exist."""
    return error.facts.get("code") == "ValidationException" and _MISSING in str(error).lower()


def is_taken(error: PlatformError) -> bool:
    """Whether SageMaker said that the name is taken."""
    return _TAKEN in str(error).lower()

"""Reads endpoints with as few calls as it takes: one, when the config's name is that of what is expected."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from staged_rollout.adapters.aws_client import told_as_ours
from staged_rollout.adapters.resource_names import checked_name
from staged_rollout.adapters.sagemaker_recipes import Recipe, prefix
from staged_rollout.adapters.sagemaker_resources import SageMakerResources, is_missing
from staged_rollout.errors import PlatformError
from staged_rollout.ports.serving import (
    EndpointStatus,
    EndpointTarget,
    ObservedEndpoint,
    ObservedVariant,
    VariantTarget,
)


class EndpointReader:
    """Describes endpoints.

    Args:
        client: A boto3 `sagemaker` client.
        resources: Finds configs and models.
        recipe: What a target would be made of.
    """

    def __init__(self, client: Any, resources: SageMakerResources, recipe: Callable[[EndpointTarget], Recipe]) -> None:
        self._client = client
        self._resources = resources
        self._recipe = recipe
        self._configs: dict[str, dict[str, Any]] = {}

    def told(self, endpoint: str) -> dict[str, Any] | None:
        """DescribeEndpoint, or None when there is none.

        Raises:
            RefusedError: the name is not one.
            PlatformError: the service failed.
        """
        checked_name(endpoint, "endpoint")
        try:
            with told_as_ours(f"describe endpoint {endpoint}"):
                told: dict[str, Any] = self._client.describe_endpoint(EndpointName=endpoint)
                return told
        except PlatformError as error:
            if is_missing(error):
                return None
            raise

    def observed(self, told: dict[str, Any], expected: EndpointTarget | None) -> ObservedEndpoint:
        """What DescribeEndpoint told, with what its config and models tell; asked for only where names do not.

        Args:
            told: Its answer.
            expected: What is probably served.
        """
        name = told.get("EndpointConfigName", "")
        now = {
            variant["VariantName"]: variant
            for variant in (*told.get("ProductionVariants", ()), *told.get("ShadowProductionVariants", ()))
        }
        recipe = None if expected is None else self._recipe(expected)
        if expected is not None and recipe is not None and name.startswith(recipe.structure):
            production = tuple(_expected(variant, now) for variant in expected.production)
            shadow = _expected(expected.shadow, now) if expected.shadow else None
        else:
            known = (
                {model: made["PrimaryContainer"]["ModelPackageName"] for model, made in recipe.models.items()}
                if recipe
                else {}
            )
            config = self.config(told["EndpointName"], name)
            production = tuple(self._variant(one, now, known) for one in config.get("ProductionVariants", ()))
            shadows = config.get("ShadowProductionVariants", ())
            shadow = self._variant(shadows[0], now, known) if shadows else None
        return ObservedEndpoint(
            endpoint=told["EndpointName"],
            status=EndpointStatus(told["EndpointStatus"]),
            production=production,
            shadow=shadow,
            config=name,
            failure=told.get("FailureReason", ""),
        )

    def config(self, endpoint: str, name: str) -> dict[str, Any]:
        """A config; ours are looked up once, because their names are the hashes of what they hold."""
        if name in self._configs:
            return self._configs[name]
        config = (self._resources.describe_config(name) if name else None) or {}
        if config and name.startswith(prefix(endpoint)):
            self._configs[name] = config
        return config

    def _variant(
        self, recipe: dict[str, Any], now: dict[str, dict[str, Any]], known: dict[str, str]
    ) -> ObservedVariant:
        # While the endpoint is created its variants are not told yet: then the recipe is the best answer.
        current = now.get(recipe["VariantName"]) or {
            "CurrentWeight": recipe.get("InitialVariantWeight", 0.0),
            "CurrentInstanceCount": recipe.get("InitialInstanceCount", 0),
        }
        model = recipe["ModelName"]
        return ObservedVariant(
            name=recipe["VariantName"],
            reference=known.get(model) or self._resources.reference(model),
            weight=float(current.get("CurrentWeight", 0.0)),
            instance_type=recipe.get("InstanceType", ""),
            instance_count=int(current.get("CurrentInstanceCount", 0)),
        )


def _expected(variant: VariantTarget, now: dict[str, dict[str, Any]]) -> ObservedVariant:
    current = now.get(variant.name) or {
        "CurrentWeight": variant.weight,
        "CurrentInstanceCount": variant.instance_count,
    }
    return ObservedVariant(
        name=variant.name,
        reference=variant.reference,
        weight=float(current.get("CurrentWeight", 0.0)),
        instance_type=variant.instance_type,
        instance_count=int(current.get("CurrentInstanceCount", 0)),
    )

"""Endpoints through boto3 `sagemaker`: the same code for AWS and for the local endpoint."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from staged_rollout.adapters.aws_client import make_client, told_as_ours
from staged_rollout.adapters.resource_names import checked_name
from staged_rollout.adapters.sagemaker_resources import (
    TAG_KEY,
    TAG_VALUE,
    TAGS,
    CapturePlace,
    SageMakerResources,
    is_missing,
)
from staged_rollout.errors import EndpointNotOursError, PlatformError, RefusedError
from staged_rollout.ports.serving import (
    WEIGHT_TOLERANCE,
    Applied,
    EndpointStatus,
    EndpointTarget,
    ObservedEndpoint,
    ObservedVariant,
    VariantTarget,
)

_IN_PROGRESS = "cannot update in-progress"
_BROKEN = {EndpointStatus.FAILED, EndpointStatus.OUT_OF_SERVICE, EndpointStatus.UPDATE_ROLLBACK_FAILED}
_PRODUCTION_LIMIT = 10


class SageMakerServing:
    """Implements `ports.Serving`.

    Args:
        endpoint_url: The local endpoint's address; None for AWS.
        region: AWS region; None: as the environment says.
        role_arn: The role that models run with; None for the local endpoint.
        capture_uri: Where Data Capture is written (`s3://bucket/prefix`).
        kms_key: Key that encrypts volumes and capture.
        client: A boto3 `sagemaker` client to use instead, e.g. of an assumed role.
    """

    def __init__(
        self,
        *,
        endpoint_url: str | None = None,
        region: str | None = None,
        role_arn: str | None = None,
        capture_uri: str = "s3://local/capture",
        kms_key: str | None = None,
        client: Any = None,
    ) -> None:
        self._endpoint_url = endpoint_url
        self._region = region
        self._role_arn = role_arn
        self._capture = CapturePlace(capture_uri, kms_key)
        self._given = client

    def describe(self, endpoint: str) -> ObservedEndpoint | None:
        """The endpoint as it is, or None when there is none.

        Raises:
            RefusedError: the name is not one.
            PlatformError: the service failed.
        """
        told = self._told(endpoint)
        return None if told is None else self._observed(told)

    def apply(self, target: EndpointTarget) -> Applied:
        """Move the endpoint one step towards the target; never waits.

        Old configs and models are deleted by the call that finds the endpoint in service as wanted.

        Raises:
            EndpointNotOursError: an endpoint of this name exists and does not carry our tag.
            RefusedError: the target breaks SageMaker's rules for variants.
            PlatformError: the service refused, or the endpoint is in a state that only an operator can mend.
        """
        _check(target)
        told = self._told(target.endpoint)
        if told is None:
            return self._create(target)
        if not self._is_ours(told):
            return Applied.BUSY
        found = self._observed(told)
        if found.status in _BROKEN:
            raise PlatformError(
                f"endpoint {target.endpoint} is {found.status}: {found.failure or 'no reason given'}",
                hint="find out why, tear the endpoint down, and run again: it is never deleted by itself",
                endpoint=target.endpoint,
                status=str(found.status),
            )
        if found.status is not EndpointStatus.IN_SERVICE:
            return Applied.BUSY
        if found.satisfies(target) and _same_copies(found, target):
            self._resources.delete_unused(target.endpoint, found.config)
            return Applied.UNCHANGED
        if _same_variants(found, target):
            return self._weigh(target)
        return self._update(target)

    def teardown(self, endpoint: str) -> bool:
        """Delete the endpoint, its configs and models; True once nothing is left.

        Raises:
            EndpointNotOursError: the endpoint does not carry our tag.
            PlatformError: the service refused.
        """
        told = self._told(endpoint)
        if told is not None:
            status = EndpointStatus(told["EndpointStatus"])
            if self._is_ours(told) and (status is EndpointStatus.IN_SERVICE or status in _BROKEN):
                self._busy_or(lambda: self._client.delete_endpoint(EndpointName=endpoint), f"delete {endpoint}")
            return False
        self._resources.delete_unused(endpoint, None)
        return True

    def close(self) -> None:
        """Close connections; a client that was passed in is its owner's to close."""
        if self._given is None and "_client" in self.__dict__:
            self._client.close()

    @cached_property
    def _client(self) -> Any:
        if self._given is not None:
            return self._given
        return make_client("sagemaker", endpoint_url=self._endpoint_url, region=self._region)

    @cached_property
    def _resources(self) -> SageMakerResources:
        return SageMakerResources(self._client, self._role_arn, self._capture)

    def _told(self, endpoint: str) -> dict[str, Any] | None:
        checked_name(endpoint, "endpoint")
        try:
            with told_as_ours(f"describe endpoint {endpoint}"):
                told: dict[str, Any] = self._client.describe_endpoint(EndpointName=endpoint)
                return told
        except PlatformError as error:
            if is_missing(error):
                return None
            raise

    def _observed(self, told: dict[str, Any]) -> ObservedEndpoint:
        name = told.get("EndpointConfigName", "")
        config = (self._resources.describe_config(name) if name else None) or {}
        production = config.get("ProductionVariants", [])
        shadows = config.get("ShadowProductionVariants", [])
        now = {
            variant["VariantName"]: variant
            for variant in (*told.get("ProductionVariants", ()), *told.get("ShadowProductionVariants", ()))
        }
        return ObservedEndpoint(
            endpoint=told["EndpointName"],
            status=EndpointStatus(told["EndpointStatus"]),
            production=tuple(self._variant(recipe, now) for recipe in production),
            shadow=self._variant(shadows[0], now) if shadows else None,
            config=name,
            failure=told.get("FailureReason", ""),
        )

    def _variant(self, recipe: dict[str, Any], now: dict[str, Any]) -> ObservedVariant:
        # While the endpoint is created its variants are not told yet: then the recipe is the best answer.
        current = now.get(recipe["VariantName"]) or {
            "CurrentWeight": recipe.get("InitialVariantWeight", 0.0),
            "CurrentInstanceCount": recipe.get("InitialInstanceCount", 0),
        }
        return ObservedVariant(
            name=recipe["VariantName"],
            reference=self._resources.reference(recipe["ModelName"]),
            weight=float(current.get("CurrentWeight", 0.0)),
            instance_type=recipe.get("InstanceType", ""),
            instance_count=int(current.get("CurrentInstanceCount", 0)),
        )

    def _is_ours(self, told: dict[str, Any]) -> bool:
        """True; False when the endpoint has gone since it was described, and somebody else's is an error."""
        managed = self._resources.is_managed(told["EndpointArn"])
        if managed is False:
            raise EndpointNotOursError(
                f"endpoint {told['EndpointName']} exists without the tag {TAG_KEY}={TAG_VALUE}",
                hint="add the tag to hand the endpoint over, or choose another name",
                endpoint=told["EndpointName"],
            )
        return managed is True

    def _create(self, target: EndpointTarget) -> Applied:
        config = self._resources.ensure_config(target)
        with told_as_ours(f"create endpoint {target.endpoint}"):
            self._client.create_endpoint(EndpointName=target.endpoint, EndpointConfigName=config, Tags=TAGS)
        return Applied.STARTED

    def _update(self, target: EndpointTarget) -> Applied:
        config = self._resources.ensure_config(target)
        return self._busy_or(
            lambda: self._client.update_endpoint(EndpointName=target.endpoint, EndpointConfigName=config),
            f"update endpoint {target.endpoint}",
        )

    def _weigh(self, target: EndpointTarget) -> Applied:
        # Always all of them: a weight that is left out stays, and shares would come out wrong.
        weights = [{"VariantName": variant.name, "DesiredWeight": variant.weight} for variant in _variants(target)]
        return self._busy_or(
            lambda: self._client.update_endpoint_weights_and_capacities(
                EndpointName=target.endpoint, DesiredWeightsAndCapacities=weights
            ),
            f"weigh endpoint {target.endpoint}",
        )

    @staticmethod
    def _busy_or(call: Any, what: str) -> Applied:
        try:
            with told_as_ours(what):
                call()
        except PlatformError as error:
            if _IN_PROGRESS in str(error).lower():  # somebody began between our look and our call
                return Applied.BUSY
            raise
        return Applied.STARTED


def _variants(target: EndpointTarget) -> tuple[VariantTarget, ...]:
    return (*target.production, *((target.shadow,) if target.shadow else ()))


def _check(target: EndpointTarget) -> None:
    checked_name(target.endpoint, "endpoint")
    variants = _variants(target)
    for variant in variants:
        checked_name(variant.name, "variant")
        if not 0 <= variant.weight < float("inf"):
            raise RefusedError(f"variant {variant.name}: weight == {variant.weight}, must be >= 0 and finite")
        if variant.instance_count < 1:
            raise RefusedError(f"variant {variant.name}: instance_count == {variant.instance_count}, must be >= 1")
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


def _same_variants(found: ObservedEndpoint, target: EndpointTarget) -> bool:
    def facts(variant: ObservedVariant | VariantTarget) -> tuple[str, str, str, int]:
        return variant.name, variant.reference, variant.instance_type, variant.instance_count

    shadows = (found.shadow and facts(found.shadow)) == (target.shadow and facts(target.shadow))
    return shadows and {facts(one) for one in found.production} == {facts(one) for one in target.production}


def _same_copies(found: ObservedEndpoint, target: EndpointTarget) -> bool:
    # The share of requests that the shadow sees is its weight over production's.
    if found.shadow is None or target.shadow is None:
        return found.shadow is None and target.shadow is None
    total = sum(variant.weight for variant in found.production) or 1.0
    wanted = sum(variant.weight for variant in target.production)
    return abs(found.shadow.weight / total - target.shadow.weight / wanted) <= WEIGHT_TOLERANCE

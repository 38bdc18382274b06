"""Endpoints through boto3 `sagemaker`: the same code for AWS and for the local endpoint."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cached_property
from typing import Any

from staged_rollout.adapters.aws_client import make_client, told_as_ours
from staged_rollout.adapters.sagemaker_observed import EndpointReader
from staged_rollout.adapters.sagemaker_quotas import InstanceQuotas
from staged_rollout.adapters.sagemaker_recipes import CapturePlace, Recipe, check_target, recipe_of, variants_of
from staged_rollout.adapters.sagemaker_resources import (
    TAG_KEY,
    TAG_VALUE,
    TAGS,
    SageMakerResources,
    is_missing,
    is_taken,
)
from staged_rollout.errors import EndpointNotOursError, NotFoundError, PlatformError
from staged_rollout.ports.serving import (
    Applied,
    EndpointStatus,
    EndpointTarget,
    ObservedEndpoint,
    ObservedVariant,
    VariantTarget,
)

_IN_PROGRESS = "cannot update in-progress"


class SageMakerServing:
    """Implements `ports.Serving`.

    Args:
        endpoint_url: The local endpoint's address; None for AWS.
        region: AWS region; None: as the environment says.
        role_arn: The role that models run with; None for the local endpoint.
        capture_uri: Where Data Capture is written (`s3://bucket/prefix`).
        kms_key: Key that encrypts volumes and capture.
        client: A boto3 `sagemaker` client to use instead, e.g. of an assumed role.
        quotas: Asked before instances are; None: they are not counted.
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
        quotas: InstanceQuotas | None = None,
    ) -> None:
        self._endpoint_url = endpoint_url
        self._region = region
        self._role_arn = role_arn
        self._capture = CapturePlace(capture_uri, kms_key)
        self._given = client
        self._quotas = quotas

    def describe(self, endpoint: str, *, expected: EndpointTarget | None = None) -> ObservedEndpoint | None:
        """The endpoint as it is, or None when there is none.

        Args:
            endpoint: Its name.
            expected: What it probably serves. If so, this is one call: a config's name tells its content.

        Raises:
            RefusedError: the name is not one.
            PlatformError: the service failed.
        """
        told = self._reader.told(endpoint)
        return None if told is None else self._reader.observed(told, expected)

    def apply(self, target: EndpointTarget) -> Applied:
        """Move the endpoint one step towards the target; never waits.

        Old configs and models are deleted by the call that finds the endpoint in service as wanted.

        Raises:
            EndpointNotOursError: an endpoint of this name exists and does not carry our tag.
            RefusedError: the target breaks SageMaker's rules for variants, or exceeds the account's quotas.
            PlatformError: the service refused, or the endpoint is in a state that only an operator can mend.
        """
        check_target(target)
        told = self._reader.told(target.endpoint)
        if told is None:
            return self._create(target)
        if not self._is_ours(told):
            return Applied.BUSY
        found = self._reader.observed(told, target)
        if found.status.broken:
            raise PlatformError(
                f"endpoint {target.endpoint} is {found.status}: {found.failure or 'no reason given'}",
                hint="find out why, tear the endpoint down, and run again: it is never deleted by itself",
                endpoint=target.endpoint,
                status=str(found.status),
            )
        if found.status is not EndpointStatus.IN_SERVICE:
            return Applied.BUSY
        if found.satisfies(target):
            self._resources.delete_unused(target.endpoint, found.config)
            return Applied.UNCHANGED
        if _same_variants(found, target):
            return self._weigh(target, found)
        return self._update(target, found)

    def adopt(self, endpoint: str, note: str) -> ObservedEndpoint:
        """Tag an endpoint that somebody else made, so that rollouts may change it; nothing else is changed.

        Args:
            endpoint: Its name.
            note: Who took it over and why; kept in a tag of the endpoint, as far as tags can say it.

        Raises:
            NotFoundError: there is no such endpoint.
            PlatformError: the service failed.
        """
        told = self._reader.told(endpoint)
        if told is None:
            raise NotFoundError(f"endpoint {endpoint} does not exist", endpoint=endpoint)
        self._resources.tag(told["EndpointArn"], {TAG_KEY: TAG_VALUE, f"{TAG_KEY}-adopted": tag_text(note)})
        return self._reader.observed(told, None)

    def teardown(self, endpoint: str) -> bool:
        """Delete the endpoint, its configs and models; True once nothing is left.

        Raises:
            EndpointNotOursError: the endpoint does not carry our tag.
            PlatformError: the service refused.
        """
        told = self._reader.told(endpoint)
        if told is not None:
            status = EndpointStatus(told["EndpointStatus"])
            if self._is_ours(told) and (status is EndpointStatus.IN_SERVICE or status.broken):
                self._accepted(lambda: self._client.delete_endpoint(EndpointName=endpoint), f"delete {endpoint}")
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
        return SageMakerResources(self._client)

    @cached_property
    def _reader(self) -> EndpointReader:
        return EndpointReader(self._client, self._resources, self._recipe)

    def _recipe(self, target: EndpointTarget, serving: dict[str, str] | None = None) -> Recipe:
        return recipe_of(target, self._role_arn, self._capture, serving)

    def _is_ours(self, told: dict[str, Any]) -> bool:
        """True; False when the endpoint has gone since it was described, and somebody else's is an error."""
        managed = self._resources.is_managed(told["EndpointArn"])
        if managed is False:
            raise EndpointNotOursError(
                f"endpoint {told['EndpointName']} exists without the tag {TAG_KEY}={TAG_VALUE}",
                hint=f"staged-rollout adopt {told['EndpointName']} hands it over; or choose another name",
                endpoint=told["EndpointName"],
            )
        return managed is True

    def _create(self, target: EndpointTarget) -> Applied:
        if self._quotas is not None:
            self._quotas.check(target, None)
        recipe = self._recipe(target)
        self._resources.ensure_config(recipe)
        return self._accepted(
            lambda: self._client.create_endpoint(
                EndpointName=target.endpoint, EndpointConfigName=recipe.name, Tags=TAGS
            ),
            f"create endpoint {target.endpoint}",
        )

    def _update(self, target: EndpointTarget, found: ObservedEndpoint) -> Applied:
        if self._quotas is not None:
            self._quotas.check(target, found)
        recipe = self._ensured(target, found)
        return self._accepted(
            lambda: self._client.update_endpoint(EndpointName=target.endpoint, EndpointConfigName=recipe.name),
            f"update endpoint {target.endpoint}",
        )

    def _ensured(self, target: EndpointTarget, found: ObservedEndpoint) -> Recipe:
        """The target's config, made. A variant that stays keeps its model: an adopted one's may hold more than ours."""
        config = self._reader.config(target.endpoint, found.config)
        models = {one["VariantName"]: one["ModelName"] for one in config.get("ProductionVariants", ())}
        models |= {one["VariantName"]: one["ModelName"] for one in config.get("ShadowProductionVariants", ())}
        served = {one.name: one.reference for one in (*found.production, *((found.shadow,) if found.shadow else ()))}
        wanted = {one.name: one.reference for one in variants_of(target)}
        kept = {name: model for name, model in models.items() if name in wanted and served[name] == wanted[name]}
        recipe = self._recipe(target, kept)
        try:
            self._resources.ensure_config(recipe)
        except PlatformError as error:
            if not kept or not is_missing(error):
                raise
            recipe = self._recipe(target)  # somebody deleted a model that is being served, which AWS allows
            self._resources.ensure_config(recipe)
        return recipe

    def _weigh(self, target: EndpointTarget, found: ObservedEndpoint) -> Applied:
        # Always all of them: a weight that is left out stays, and shares would come out wrong.
        running = {
            one.name: one.instance_count for one in (*found.production, *((found.shadow,) if found.shadow else ()))
        }
        wanted = [
            {"VariantName": one.name, "DesiredWeight": one.weight}
            | ({} if running[one.name] == one.instance_count else {"DesiredInstanceCount": one.instance_count})
            for one in variants_of(target)
        ]
        return self._accepted(
            lambda: self._client.update_endpoint_weights_and_capacities(
                EndpointName=target.endpoint, DesiredWeightsAndCapacities=wanted
            ),
            f"weigh endpoint {target.endpoint}",
        )

    @staticmethod
    def _accepted(call: Callable[[], Any], what: str) -> Applied:
        try:
            with told_as_ours(what):
                call()
        except PlatformError as error:
            # Somebody began between our look and our call; or ours was heard, its answer lost, and sent once more.
            if _IN_PROGRESS in str(error).lower() or is_taken(error) or is_missing(error):
                return Applied.BUSY
            raise
        return Applied.STARTED


def tag_text(text: str) -> str:
    """As much of a text as a tag's value can hold: at most 256 of letters, digits, spaces and `_.:/=+-@`."""
    return re.sub(r"[^\w\s.:/=+\-@]", " ", text)[:256].strip()


def _same_variants(found: ObservedEndpoint, target: EndpointTarget) -> bool:
    """Whether weights and instance counts are all that differs, which need no new config."""

    def facts(variant: ObservedVariant | VariantTarget) -> tuple[str, str, str]:
        return variant.name, variant.reference, variant.instance_type

    shadows = (found.shadow and facts(found.shadow)) == (target.shadow and facts(target.shadow))
    return shadows and {facts(one) for one in found.production} == {facts(one) for one in target.production}

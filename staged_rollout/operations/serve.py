"""A version is served outside any rollout: an endpoint's first champion, or the way back from a wrong promotion."""

from __future__ import annotations

from dataclasses import replace

from staged_rollout.assignment import AssignmentDocument, VariantRef
from staged_rollout.errors import ConflictError
from staged_rollout.operations.register import variant_name
from staged_rollout.ports import (
    EndpointTarget,
    ModelVersion,
    ObservedEndpoint,
    Platform,
    PublishedAssignment,
    VariantTarget,
)
from staged_rollout.spec.model import RolloutSpec

UPDATING, IN_SERVICE = "updating", "in service"


def serve(platform: Platform, spec: RolloutSpec, version: str) -> str:
    """Serve a version as the endpoint's champion: one idempotent step, until "in service".

    Where routers follow another variant of the endpoint, that one stays beside the new one until they have been told
    and had time to drain: no request meets a variant that is not there.

    Args:
        platform: Where.
        spec: The rollout file that names endpoint, model and instances.
        version: The registry's.

    Returns:
        "updating", or "in service".

    Raises:
        NotFoundError: the registry has no such version.
        ConflictError: a rollout owns the endpoint.
    """
    claim = platform.ledger.claim_of(spec.endpoint)
    if claim is not None:
        raise ConflictError(
            f"{spec.endpoint} belongs to {claim.rollout}",
            hint="a running rollout decides what is served",
            endpoint=spec.endpoint,
        )
    model = platform.registry.version(spec.registry, version)
    instance = spec.instance
    variant = VariantTarget(
        variant_name(version),
        version,
        model.reference,
        1.0,
        instance_type=instance.type,
        instance_count=instance.count,
    )
    alone = EndpointTarget(spec.endpoint, (variant,))
    endpoint = platform.serving.describe(spec.endpoint, expected=alone)
    current = platform.assignments.read(spec.endpoint)
    routed = current is not None and current.document.same_content(_document(platform, variant, spec.endpoint, 0))
    served = endpoint is not None and endpoint.satisfies(alone)
    if not routed:
        beside = None if served else _beside(endpoint, current, variant)
        if beside is not None and endpoint is not None and not endpoint.satisfies(beside):
            platform.serving.apply(beside)
            return UPDATING
        if beside is None and not served:
            platform.serving.apply(alone)
            return UPDATING
        epoch = current.document.epoch if current else None
        document = _document(platform, variant, spec.endpoint, (epoch or 0) + 1)
        platform.assignments.publish(document, expected_epoch=epoch)
        if not served:
            return UPDATING
    elif not served:
        if current is not None and current.age_s >= platform.environment.drain_s:
            platform.serving.apply(alone)
        return UPDATING
    platform.serving.apply(alone)  # unchanged: it deletes what the changes have left behind
    _write_back(platform, spec, model)
    return IN_SERVICE


def _write_back(platform: Platform, spec: RolloutSpec, model: ModelVersion) -> None:
    """Registry: who is the champion, and what became of a version that a rollout had promoted.

    Idempotent: the champion moves last, so that a step that was killed knows the former one when it is repeated.
    """
    former = platform.registry.champion(spec.registry)
    if former is not None and former.version != model.version and "rollout" in former.tags:
        platform.registry.set_lifecycle(spec.registry, former.version, "rolled_back", former.tags["rollout"])
    if model.tags.get("lifecycle", "champion") != "champion":
        platform.registry.set_lifecycle(spec.registry, model.version, "champion", model.tags["rollout"])
    platform.registry.set_champion(spec.registry, model.version)


def _document(platform: Platform, variant: VariantTarget, endpoint: str, epoch: int) -> AssignmentDocument:
    return AssignmentDocument(
        endpoint=endpoint,
        epoch=epoch,
        champion=VariantRef(name=variant.name, version=variant.version),
        published_at=platform.clock.now(),
    )


def _beside(
    endpoint: ObservedEndpoint | None, current: PublishedAssignment | None, variant: VariantTarget
) -> EndpointTarget | None:
    """The endpoint with the variant that routers follow and the new one; None: they follow none that is there."""
    if endpoint is None or current is None:
        return None
    followed = current.document.champion
    for found in endpoint.production:
        if found.name == followed.name and found.name != variant.name:
            kept = VariantTarget(
                found.name,
                followed.version,
                found.reference,
                1.0,
                instance_type=found.instance_type,
                instance_count=found.instance_count,
            )
            return EndpointTarget(endpoint.endpoint, (kept, replace(variant, weight=0.0)))
    return None

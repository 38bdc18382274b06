"""An endpoint that somebody else made becomes one that rollouts may change: by a person, on request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from staged_rollout.assignment import AssignmentDocument, VariantRef
from staged_rollout.errors import ConflictError, NotFoundError, RefusedError
from staged_rollout.ports import EndpointStatus, ModelVersion, ObservedEndpoint, ObservedVariant, Platform
from staged_rollout.spec.model import RolloutSpec
from staged_rollout.state import Actor


@dataclass(frozen=True)
class Adopted:
    """What was taken over.

    Attributes:
        endpoint: Its name.
        variant: The champion's variant, whose name, model and capacity stay as they are.
        version: The champion's version in the registry.
    """

    endpoint: str
    variant: str
    version: str


def adopt(platform: Platform, endpoint: str, specs: Sequence[RolloutSpec], actor: Actor, reason: str) -> Adopted:
    """Tag an endpoint as ours, and record what it serves as the champion. The endpoint itself is not changed.

    Everything is checked before anything is written; doing it again changes nothing more.

    Args:
        platform: Where.
        endpoint: Its name.
        specs: The rollout files; the endpoint must be named by at least one, all of the same registered model.
        actor: Who hands it over.
        reason: Why; kept in a tag of the endpoint.

    Raises:
        NotFoundError: there is no such endpoint, or no rollout file names it.
        ConflictError: a rollout owns the endpoint.
        RefusedError: a rollout could not begin on it as it is; with what would have to be otherwise.
    """
    claim = platform.ledger.claim_of(endpoint)
    if claim is not None:
        raise ConflictError(f"{endpoint} belongs to {claim.rollout} already", endpoint=endpoint, rollout=claim.rollout)
    models = sorted({spec.registry for spec in specs if spec.endpoint == endpoint})
    if not models:
        raise NotFoundError(
            f"no rollout file names endpoint {endpoint}",
            hint="write one first: its registry says which versions belong to the endpoint",
            endpoint=endpoint,
        )
    if len(models) > 1:
        raise RefusedError(f"rollout files of {endpoint} name {', '.join(models)}, must be one registered model")
    found = platform.serving.describe(endpoint)
    if found is None:
        raise NotFoundError(f"endpoint {endpoint} does not exist", endpoint=endpoint)
    variant = _only(found)
    version = _served(platform, endpoint, models[0], variant)
    platform.serving.adopt(endpoint, f"by {actor.name}: {reason}")
    current = platform.assignments.read(endpoint)
    document = AssignmentDocument(
        endpoint=endpoint,
        epoch=current.document.epoch + 1 if current else 1,
        champion=VariantRef(name=variant.name, version=version.version),
        published_at=platform.clock.now(),
    )
    if current is None or not current.document.same_content(document):
        platform.assignments.publish(document, expected_epoch=current.document.epoch if current else None)
    platform.registry.set_champion(models[0], version.version)
    return Adopted(endpoint, variant.name, version.version)


def _only(found: ObservedEndpoint) -> ObservedVariant:
    """The one variant that serves, which a rollout would put its candidate beside."""
    if found.status is not EndpointStatus.IN_SERVICE:
        raise RefusedError(f"endpoint {found.endpoint} is {found.status}, must be InService")
    if len(found.production) != 1 or found.shadow is not None:
        names = [*found.names(), *([f"{found.shadow.name} (shadow)"] if found.shadow else [])]
        raise RefusedError(
            f"endpoint {found.endpoint} has the variants {', '.join(names)}, must be one production variant",
            hint="a rollout would remove the others; remove them yourself, if they may go",
        )
    (variant,) = found.production
    if not variant.instance_type:
        raise RefusedError(
            f"variant {variant.name} of {found.endpoint} has no instance type: it is serverless or has inference "
            "components, which rollouts do not support"
        )
    return variant


def _served(platform: Platform, endpoint: str, model: str, variant: ObservedVariant) -> ModelVersion:
    known = platform.registry.versions_after(model, 0)
    version = next((one for one in known if one.reference == variant.reference and variant.reference), None)
    if version is None:
        runs = variant.reference or "a model that was not made from a model package"
        raise RefusedError(
            f"variant {variant.name} of {endpoint} runs {runs}, which is no version of {model}",
            hint=f"register what it runs as a version of {model}, and serve that version",
        )
    if version.status != "approved":
        raise RefusedError(
            f"variant {variant.name} of {endpoint} runs {model} version {version.version}, which is {version.status}",
            hint="approve it in the registry: it serves already",
        )
    return version

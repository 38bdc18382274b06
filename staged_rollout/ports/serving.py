"""Endpoints and the assignment documents of the routers in front of them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from staged_rollout.assignment import AssignmentDocument

WEIGHT_TOLERANCE = 1e-6
"""SageMaker's weights are float32: .05 reads .05000000074505806."""


class EndpointStatus(StrEnum):
    """SageMaker's endpoint statuses, by their own names."""

    OUT_OF_SERVICE = "OutOfService"
    CREATING = "Creating"
    UPDATING = "Updating"
    SYSTEM_UPDATING = "SystemUpdating"
    ROLLING_BACK = "RollingBack"
    IN_SERVICE = "InService"
    DELETING = "Deleting"
    FAILED = "Failed"
    UPDATE_ROLLBACK_FAILED = "UpdateRollbackFailed"

    @property
    def in_flight(self) -> bool:
        """Whether a change is under way, so that another one would be refused."""
        return self in _IN_FLIGHT

    @property
    def broken(self) -> bool:
        """Whether only an operator can mend the endpoint."""
        return self in _BROKEN


_IN_FLIGHT = frozenset(
    {
        EndpointStatus.CREATING,
        EndpointStatus.UPDATING,
        EndpointStatus.SYSTEM_UPDATING,
        EndpointStatus.ROLLING_BACK,
        EndpointStatus.DELETING,
    }
)
_BROKEN = frozenset({EndpointStatus.OUT_OF_SERVICE, EndpointStatus.FAILED, EndpointStatus.UPDATE_ROLLBACK_FAILED})


@dataclass(frozen=True)
class VariantTarget:
    """A variant as it should be.

    Attributes:
        name: The variant's name, after its version (`v2`); a champion's existing name is kept.
        version: The registry version.
        reference: What the endpoint loads (`ModelVersion.reference`).
        weight: Relative weight, in [0, 1]; all production weights are always sent together.
        instance_type: e.g. `ml.m5.xlarge`.
        instance_count: At least 1.
    """

    name: str
    version: str
    reference: str
    weight: float
    instance_type: str = "ml.m5.xlarge"
    instance_count: int = 1


@dataclass(frozen=True)
class EndpointTarget:
    """An endpoint as it should be: one to ten production variants, and a shadow only beside exactly one of them."""

    endpoint: str
    production: tuple[VariantTarget, ...]
    shadow: VariantTarget | None = None


@dataclass(frozen=True)
class ObservedVariant:
    """A variant as it is; `reference` is what its model loads."""

    name: str
    reference: str
    weight: float
    instance_type: str
    instance_count: int


@dataclass(frozen=True)
class ObservedEndpoint:
    """An endpoint as it is.

    Attributes:
        endpoint: Its name.
        status: As AWS names it.
        production: Its production variants with their *current* weights.
        shadow: Its shadow variant, if any.
        config: The name of its endpoint config.
        failure: The reason of a failed update, or "".
    """

    endpoint: str
    status: EndpointStatus
    production: tuple[ObservedVariant, ...]
    shadow: ObservedVariant | None
    config: str
    failure: str = ""

    def names(self) -> tuple[str, ...]:
        """The production variants' names, in order."""
        return tuple(variant.name for variant in self.production)

    def satisfies(self, target: EndpointTarget) -> bool:
        """Whether it is in service exactly as the target says; weights compared as shares within 1e-6."""
        if self.status is not EndpointStatus.IN_SERVICE:
            return False
        if (self.shadow is None) != (target.shadow is None):
            return False
        wanted = {variant.name: variant for variant in target.production}
        found = {variant.name: variant for variant in self.production}
        if wanted.keys() != found.keys():
            return False
        wanted_sum = sum(variant.weight for variant in target.production) or 1.0
        found_sum = sum(variant.weight for variant in self.production) or 1.0
        if self.shadow and target.shadow:
            copied = self.shadow.weight / found_sum - target.shadow.weight / wanted_sum
            if not _same_variant(self.shadow, target.shadow) or abs(copied) > WEIGHT_TOLERANCE:
                return False
        return all(
            _same_variant(found[name], wanted[name])
            and abs(found[name].weight / found_sum - wanted[name].weight / wanted_sum) <= WEIGHT_TOLERANCE
            for name in wanted
        )


def _same_variant(found: ObservedVariant, wanted: VariantTarget) -> bool:
    return (
        found.name == wanted.name
        and found.reference == wanted.reference
        and found.instance_type == wanted.instance_type
        and found.instance_count == wanted.instance_count
    )


class Applied(StrEnum):
    """What one call of apply() did."""

    UNCHANGED = "unchanged"
    """The endpoint is in service exactly as wanted; nothing was called."""
    STARTED = "started"
    """A change was accepted; the endpoint is not in service until it is done."""
    BUSY = "busy"
    """The endpoint is updating; nothing was sent."""


class Serving(Protocol):
    """Endpoints. Idempotent; refuses while updating; sends all weights; leaves nothing behind on teardown."""

    def describe(self, endpoint: str, *, expected: EndpointTarget | None = None) -> ObservedEndpoint | None:
        """The endpoint as it is, or None when there is none.

        Args:
            endpoint: Its name.
            expected: What it probably serves: an adapter may save calls by it, and never trusts it.
        """
        ...

    def apply(self, target: EndpointTarget) -> Applied:
        """Move the endpoint one step towards the target; never waits.

        Raises:
            EndpointNotOursError: an endpoint of this name exists and is not managed by us.
            PlatformError: the service refused, with its reason.
        """
        ...

    def adopt(self, endpoint: str, note: str) -> ObservedEndpoint:
        """Mark an endpoint that somebody else made as ours, with who did it and why; nothing else is changed.

        Raises:
            NotFoundError: there is no such endpoint.
        """
        ...

    def teardown(self, endpoint: str) -> bool:
        """Delete the endpoint, its configs and models; True once nothing is left."""
        ...


@dataclass(frozen=True)
class PublishedAssignment:
    """The document in force, and how long it has been (wall seconds; routers need a drain to pick it up)."""

    document: AssignmentDocument
    age_s: float


class Assignments(Protocol):
    """One document per endpoint: compare-and-set."""

    def read(self, endpoint: str) -> PublishedAssignment | None:
        """The document in force, or None before the first."""
        ...

    def publish(self, document: AssignmentDocument, *, expected_epoch: int | None) -> None:
        """Replace the document whose epoch is `expected_epoch` (None: there is none yet).

        Raises:
            StaleEpochError: another epoch is in force.
        """
        ...

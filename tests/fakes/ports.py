"""In-memory parts that honour the contracts of their ports: what is tested is the operation, not the port."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from staged_rollout.errors import NotFoundError, PlatformError
from staged_rollout.ports import (
    Applied,
    Batch,
    EndpointStatus,
    EndpointTarget,
    HealthReading,
    ModelVersion,
    ObservedEndpoint,
    ObservedVariant,
    Rows,
    VariantHealth,
    VariantTarget,
)

START = datetime(2026, 3, 2, tzinfo=UTC)


def _observed(variant: VariantTarget) -> ObservedVariant:
    return ObservedVariant(
        variant.name, variant.reference, variant.weight, variant.instance_type, variant.instance_count
    )


@dataclass
class MemoryServing:
    """Endpoints as SageMaker keeps them: one change at a time, which is done after `patience` further looks at it.

    Attributes:
        started: Every accepted target, with the status that the endpoint had.
        busy: Calls that came while a change was under way.
        failures: Reasons for which the next changes fail: the endpoint is then InService on its old config.
        on_apply: Called with each target before anything happens.
        adopted: Endpoints that were taken over, with who did it and why.
    """

    patience: int = 0
    endpoints: dict[str, ObservedEndpoint] = field(default_factory=dict)
    started: list[tuple[EndpointTarget, EndpointStatus | None]] = field(default_factory=list)
    busy: int = 0
    failures: list[str] = field(default_factory=list)
    on_apply: Callable[[EndpointTarget], None] | None = None
    adopted: dict[str, str] = field(default_factory=dict)
    _pending: dict[str, tuple[EndpointTarget, int]] = field(default_factory=dict)

    def describe(self, endpoint: str, *, expected: EndpointTarget | None = None) -> ObservedEndpoint | None:
        if endpoint in self._pending:
            target, left = self._pending[endpoint]
            self._pending[endpoint] = (target, left - 1)
            if left <= 0:
                self.finish(endpoint)
        return self.endpoints.get(endpoint)

    def apply(self, target: EndpointTarget) -> Applied:
        if self.on_apply is not None:
            self.on_apply(target)
        current = self.endpoints.get(target.endpoint)
        if current is not None and current.status.in_flight:
            self.busy += 1
            return Applied.BUSY
        if current is not None and current.satisfies(target):
            return Applied.UNCHANGED
        if target.shadow is not None and len(target.production) != 1:
            raise PlatformError(f"a shadow beside {len(target.production)} production variants, must be 1")
        if not target.production or sum(variant.weight for variant in target.production) <= 0:
            raise PlatformError("no production variant with a weight")
        self.started.append((target, current.status if current else None))
        self._pending[target.endpoint] = (target, self.patience)
        begun = current or ObservedEndpoint(target.endpoint, EndpointStatus.CREATING, (), None, "")
        status = EndpointStatus.UPDATING if current else EndpointStatus.CREATING
        self.endpoints[target.endpoint] = replace(begun, status=status, failure="")
        return Applied.STARTED

    def finish(self, endpoint: str) -> None:
        """The change under way ends now."""
        target, _ = self._pending.pop(endpoint)
        before = self.endpoints[endpoint]
        if self.failures:
            back = EndpointStatus.IN_SERVICE if before.production else EndpointStatus.FAILED
            self.endpoints[endpoint] = replace(before, status=back, failure=self.failures.pop(0))
            return
        self.endpoints[endpoint] = ObservedEndpoint(
            endpoint,
            EndpointStatus.IN_SERVICE,
            tuple(_observed(variant) for variant in target.production),
            _observed(target.shadow) if target.shadow else None,
            f"config-{len(self.started)}",
        )

    def adopt(self, endpoint: str, note: str) -> ObservedEndpoint:
        self.adopted[endpoint] = note
        return self.endpoints[endpoint]

    def teardown(self, endpoint: str) -> bool:
        self.endpoints.pop(endpoint, None)
        self._pending.pop(endpoint, None)
        return True

    def weights(self, endpoint: str) -> dict[str, float]:
        """Production weights by variant."""
        return {variant.name: variant.weight for variant in self.endpoints[endpoint].production}


@dataclass
class MemoryRegistry:
    """Versions of models, their lifecycles, and each model's champion."""

    versions: dict[tuple[str, str], ModelVersion] = field(default_factory=dict)
    champions: dict[str, str] = field(default_factory=dict)
    moves: list[tuple[str, str]] = field(default_factory=list)

    def add(self, model: str, version: str, status: str = "approved") -> None:
        self.versions[model, version] = ModelVersion(
            model, version, status, f"models:/{model}/{version}", f"digest-{version}", START, {}
        )

    def versions_after(self, model: str, cursor: int) -> list[ModelVersion]:
        found = [known for (name, _), known in self.versions.items() if name == model and int(known.version) > cursor]
        return sorted(found, key=lambda known: int(known.version))

    def version(self, model: str, version: str) -> ModelVersion:
        if (model, version) not in self.versions:
            raise NotFoundError(f"{model} has no version {version}")
        return self.versions[model, version]

    def champion(self, model: str) -> ModelVersion | None:
        return self.versions[model, self.champions[model]] if model in self.champions else None

    def set_champion(self, model: str, version: str) -> None:
        self.champions[model] = self.version(model, version).version
        self.moves.append((model, version))

    def set_lifecycle(self, model: str, version: str, lifecycle: str, rollout: str) -> None:
        known = self.version(model, version)
        tags = {**known.tags, "lifecycle": lifecycle, "rollout": rollout}
        self.versions[model, version] = replace(known, tags=tags)

    def lifecycle(self, model: str, version: str) -> str | None:
        return self.versions[model, version].tags.get("lifecycle")


EMPTY: dict[str, Rows] = {
    "freshness": [{"newest": None}],
    "contradictions": [{"units": 0}],
    "baseline": [{"units": 0, "correct": 0}],
    "shadow_agreement": [{"requests": 0, "captured": 0, "agreed": 0, "units": 0, "units_disagreeing": 0}],
}
"""What the statements answer over an empty lake, where that is a row."""


@dataclass
class MemoryLake:
    """One sealed batch whose answers are given by statement; an empty lake's answers otherwise."""

    answers: dict[str, Rows] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    number: int = 1

    def head(self) -> Batch:
        return Batch(self.number, {}, START)

    def batch(self, number: int) -> Batch:
        if not 0 <= number <= self.number:
            raise NotFoundError(f"batch {number} was never sealed")
        return Batch(number, {}, START)

    def query(self, name: str, parameters: Mapping[str, Any], *, batch: Batch) -> Rows:
        self.asked.append((name, {**parameters, "batch": batch.number}))
        return self.answers.get(name, EMPTY.get(name, []))


@dataclass
class MemoryHealth:
    """The routers' counters and what the platform measured, as set."""

    calls: int = 0
    last_call_at: datetime | None = None
    variants: tuple[VariantHealth, ...] = ()

    def read(self, endpoint: str) -> HealthReading:
        return HealthReading(self.calls, self.last_call_at, self.variants)

"""A world in memory that can be begun from any events: what a model check needs by the thousand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import SimpleNamespace
from typing import Any

from staged_rollout.assignment import AssignmentDocument, VariantRef
from staged_rollout.errors import ConflictError, StaleEpochError, StaleSequenceError
from staged_rollout.ports import Claim, EndpointStatus, ObservedEndpoint, ObservedVariant, PublishedAssignment
from staged_rollout.state import GENESIS, Actor, Event, NewEvent, event_hash
from tests.fakes.ports import START, MemoryRegistry, MemoryServing


@dataclass
class MemoryLedger:
    """One rollout's events; refuses a stale sequence number and a second owner."""

    log: list[Event]
    claim: Claim | None = None

    def append(
        self,
        rollout: str,
        events: Sequence[NewEvent],
        *,
        expected_seq: int,
        at: datetime,
        actor: Actor,
        claim: str | None = None,
        release: str | None = None,
    ) -> list[Event]:
        if expected_seq != len(self.log):
            raise StaleSequenceError(f"{rollout} is at {len(self.log)}, expected {expected_seq}")
        if claim is not None:
            if self.claim is not None and self.claim.rollout != rollout:
                raise ConflictError(f"{claim} belongs to {self.claim.rollout}")
            self.claim = Claim(claim, rollout, "", 0.0)
        if release is not None:
            self.claim = None
        written = []
        for new in events:
            link: dict[str, Any] = {
                "rollout": rollout,
                "seq": len(self.log) + 1,
                "version": new.version,
                "at": at,
                "actor": actor,
                "payload": dict(new.payload),
                "prev_hash": self.log[-1].hash if self.log else GENESIS,
            }
            written.append(Event(type=new.type, hash=event_hash(type_=new.type, **link), **link))
            self.log.append(written[-1])
        return written

    def events(self, rollout: str, *, after: int = 0) -> list[Event]:
        return self.log[after:]

    def head(self, rollout: str) -> int:
        return len(self.log)

    def rollouts(self) -> list[str]:
        return [self.log[0].rollout] if self.log else []

    def claim_of(self, endpoint: str) -> Claim | None:
        return self.claim


@dataclass
class MemoryAssignments:
    """One document, compare-and-set."""

    document: AssignmentDocument | None = None
    published: list[AssignmentDocument] = field(default_factory=list)

    def read(self, endpoint: str) -> PublishedAssignment | None:
        return None if self.document is None else PublishedAssignment(self.document, 60.0)

    def publish(self, document: AssignmentDocument, *, expected_epoch: int | None) -> None:
        found = None if self.document is None else self.document.epoch
        if found != expected_epoch:
            raise StaleEpochError(f"epoch {found} is in force, expected {expected_epoch}")
        self.document = document
        self.published.append(document)


def world(events: Sequence[Event], now: datetime, document: AssignmentDocument | None = None) -> Any:
    """A platform whose ledger holds these events and whose champion v2 serves."""
    registry = MemoryRegistry(champions={"churn": "2"})
    registry.add("churn", "2")
    registry.add("churn", "3")
    champion = ObservedVariant("v2", "models:/churn/2", 1.0, "ml.m5.xlarge", 1)
    served = ObservedEndpoint("churn-prod", EndpointStatus.IN_SERVICE, (champion,), None, "config-0")
    alone = AssignmentDocument(
        endpoint="churn-prod", epoch=1, champion=VariantRef(name="v2", version="2"), published_at=START
    )
    return SimpleNamespace(
        clock=SimpleNamespace(now=lambda: now, wall=lambda: 0.0, simulated=True),
        ledger=MemoryLedger(list(events)),
        assignments=MemoryAssignments(document or alone),
        serving=MemoryServing(endpoints={"churn-prod": served}),
        registry=registry,
        environment=SimpleNamespace(approvers={"growth-ml": ()}),
    )

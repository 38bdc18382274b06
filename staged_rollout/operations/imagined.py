"""A world in memory around a lake's log: for a rollout that is only imagined. Nothing outside is read or changed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NoReturn, cast

from staged_rollout.errors import RefusedError, StaleSequenceError
from staged_rollout.operations.reconcile import endpoint_target
from staged_rollout.ports import (
    Checks,
    Claim,
    EndpointStatus,
    EndpointTarget,
    HealthReading,
    ObservedEndpoint,
    ObservedVariant,
    Platform,
    VariantTarget,
)
from staged_rollout.spec.environment import EnvironmentSpec
from staged_rollout.spec.home import Home
from staged_rollout.state import GENESIS, Actor, Event, NewEvent, canonical, event_hash, fold


@dataclass
class ImaginedClock:
    """Stands still until it is set."""

    at: datetime

    @property
    def simulated(self) -> bool:
        """It is no wall clock."""
        return True

    def now(self) -> datetime:
        """The moment that was set."""
        return self.at

    def wall(self) -> float:
        """The same, in seconds since the epoch: nothing waits for it."""
        return self.at.timestamp()


@dataclass
class ImaginedLedger:
    """One rollout's events, chained as the real ledger chains them."""

    log: list[Event] = field(default_factory=list)

    def append(
        self,
        rollout: str,
        events: Sequence[NewEvent],
        *,
        expected_seq: int,
        at: datetime,
        actor: Actor,
        claim: str | None = None,  # noqa: ARG002 - nobody else is there to claim it
        release: str | None = None,  # noqa: ARG002 - likewise
    ) -> list[Event]:
        """Append events, numbered from `expected_seq + 1`.

        Raises:
            StaleSequenceError: another number is due.
        """
        if expected_seq != len(self.log):
            raise StaleSequenceError(f"{rollout} is at event {len(self.log)}, expected {expected_seq}")
        for new in events:
            previous, seq, moment = self.log[-1].hash if self.log else GENESIS, len(self.log) + 1, at.astimezone(UTC)
            payload = json.loads(canonical(dict(new.payload)))
            link = event_hash(
                rollout=rollout,
                seq=seq,
                type_=new.type,
                version=new.version,
                at=moment,
                actor=actor,
                payload=payload,
                prev_hash=previous,
            )
            self.log.append(Event(rollout, seq, new.type, new.version, moment, actor, payload, previous, link))
        return self.log[expected_seq:]

    def events(self, rollout: str, *, after: int = 0) -> list[Event]:
        """The events of the one rollout."""
        return self.log[after:] if rollout in self.rollouts() else []

    def head(self, rollout: str) -> int:
        """The last number."""
        return len(self.events(rollout))

    def rollouts(self) -> list[str]:
        """The one rollout."""
        return [self.log[0].rollout] if self.log else []

    def claim_of(self, endpoint: str) -> Claim | None:
        """The endpoint is the rollout's own."""
        return Claim(endpoint, self.log[0].rollout, "", 0.0) if self.log else None

    def __getattr__(self, name: str) -> NoReturn:
        """What only real ledgers do."""
        raise RefusedError(f"an imagined ledger has no {name}")


@dataclass
class ImaginedServing:
    """An endpoint that is always as the rollout wants it."""

    ledger: ImaginedLedger

    def describe(
        self,
        endpoint: str,
        *,
        expected: EndpointTarget | None = None,  # noqa: ARG002 - the port's signature
    ) -> ObservedEndpoint:
        """The endpoint as desired."""
        target = endpoint_target(fold(self.ledger.log))
        shadow = _observed(target.shadow) if target.shadow else None
        production = tuple(_observed(variant) for variant in target.production)
        return ObservedEndpoint(endpoint, EndpointStatus.IN_SERVICE, production, shadow, "imagined")


def _observed(target: VariantTarget) -> ObservedVariant:
    return ObservedVariant(target.name, target.reference, target.weight, target.instance_type, target.instance_count)


class ImaginedAssignments:
    """Routers' documents: there are none, and nobody asks for them in LIVE."""

    def read(self, endpoint: str) -> None:  # noqa: ARG002 - the port's signature
        """No document was published."""
        return


@dataclass
class ImaginedHealth:
    """Routers' counters: a call at this very moment, since a log that has ended says nothing about traffic."""

    clock: ImaginedClock

    def read(self, endpoint: str) -> HealthReading:  # noqa: ARG002 - the port's signature
        """As if the last call were now."""
        return HealthReading(calls=0, last_call_at=self.clock.at)


@dataclass
class ImaginedPlatform:
    """A platform for `gather`, `act_on` and `validate`: lake and checks are real, the rest is imagined.

    Attributes:
        clock: Stands where the analysis sets it.
        lake: The real one, seen through a lens.
        checks: The real ones.
        environment: Where the rollout would have run.
        home: A folder for what operations leave behind; it is thrown away.
        ledger: The imagined events.
        assignments: None.
    """

    clock: ImaginedClock
    lake: Any
    checks: Checks
    environment: EnvironmentSpec
    home: Home
    ledger: ImaginedLedger = field(default_factory=ImaginedLedger)
    assignments: ImaginedAssignments = field(default_factory=ImaginedAssignments)

    @property
    def ports(self) -> Platform:
        """As operations take it; what it does not have, none of those that an analysis calls asks for."""
        return cast("Platform", self)

    @property
    def serving(self) -> ImaginedServing:
        """As desired."""
        return ImaginedServing(self.ledger)

    @property
    def health(self) -> ImaginedHealth:
        """As desired."""
        return ImaginedHealth(self.clock)

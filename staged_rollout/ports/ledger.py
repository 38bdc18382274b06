"""The ledger: numbered events per rollout, the endpoint claims, and cursors of what was sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from staged_rollout.state import Actor, Event, NewEvent


@dataclass(frozen=True)
class Claim:
    """Who owns an endpoint, and who may act on it now.

    Attributes:
        endpoint: The endpoint (primary key: one rollout at a time).
        rollout: The rollout that owns it until it has ended and is cleaned up.
        token: The process that acts, as `HOST:PID:RANDOM`, or "" when none does.
        lease_until: Wall seconds since the epoch until which the token is exclusive.
    """

    endpoint: str
    rollout: str
    token: str
    lease_until: float


class Ledger(Protocol):
    """Append-only, hash-chained; two writers cannot both win. SQLite here, PostgreSQL for a team."""

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
        """Append events in one transaction, numbered from `expected_seq + 1`.

        Args:
            rollout: The rollout's id.
            events: One or more.
            expected_seq: The last sequence number that the caller has read; 0 for a new rollout.
            at: The clock's time.
            actor: Who acts, and whether that was verified.
            claim: An endpoint to claim for this rollout in the same transaction.
            release: An endpoint whose claim by this rollout ends in the same transaction.

        Raises:
            StaleSequenceError: the ledger moved on; nothing was written.
            ConflictError: the endpoint belongs to another rollout; nothing was written.
        """
        ...

    def events(self, rollout: str, *, after: int = 0) -> list[Event]:
        """Events with a sequence number above `after`, in order; [] for an unknown rollout.

        Raises:
            LedgerCorruptError: the chain of hashes or numbers is broken.
        """
        ...

    def head(self, rollout: str) -> int:
        """The last sequence number, 0 for an unknown rollout."""
        ...

    def rollouts(self) -> list[str]:
        """All rollouts, in the order of their first event; of the same moment, churn-v2 before churn-v10."""
        ...

    def registrations(self) -> list[Event]:
        """The first event of each rollout that is not settled, its own hash checked; broken ones are left out.

        What a rollout was registered with, at the cost of one row each: for what must not read every history.
        """
        ...

    def claim_of(self, endpoint: str) -> Claim | None:
        """Who owns the endpoint."""
        ...

    def claims(self) -> list[Claim]:
        """Every claim, by endpoint."""
        ...

    def lease(self, endpoint: str, rollout: str, *, token: str, now: float, until: float, seize: str = "") -> bool:
        """Make `token` the acting process of a claimed endpoint until the wall time `until`; renew if it is already.

        Args:
            endpoint: Claimed by `rollout`.
            rollout: The owner.
            token: Who asks.
            now: Wall seconds; a lease that ended before is free.
            until: Wall seconds.
            seize: A token whose holder is known to be dead: its lease is taken over.

        Returns:
            False when another token holds an unexpired lease, or another rollout the endpoint.
        """
        ...

    def unlease(self, endpoint: str, *, token: str) -> None:
        """End this token's lease; nothing happens when it is not the holder."""
        ...

    def cursor(self, name: str) -> int:
        """How far a reader has come (0 at first): notifications sent, registry versions seen."""
        ...

    def cursors(self) -> dict[str, int]:
        """Every cursor, by name."""
        ...

    def move_cursor(self, name: str, *, expected: int, value: int) -> bool:
        """Compare-and-set a cursor; False when another process moved it."""
        ...

    def watched(self, rollout: str, at: datetime) -> None:
        """Note that a guard looked at an exposed rollout: one overwritten row, never earlier than the last.

        A row that lies ahead of `at` by more than five minutes is overwritten too: the clock was set back.
        """
        ...

    def last_watched(self, rollout: str) -> datetime | None:
        """When a guard last looked, or None."""
        ...

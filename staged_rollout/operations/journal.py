"""Reading a rollout from the ledger and writing to it: the only way in which operations change a rollout."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import staged_rollout
from staged_rollout.errors import LedgerCorruptError, NotFoundError
from staged_rollout.ports import Platform
from staged_rollout.state import (
    Actor,
    Event,
    EventType,
    NewEvent,
    RolloutState,
    State,
    apply,
    canonical,
    event_hash,
    fold,
    to_payload,
)
from staged_rollout.state.model import Champion

_LOG = logging.getLogger(__name__)


def code_version() -> str:
    """The version that decides: part of what makes a decision reproducible."""
    return staged_rollout.__version__


def load(platform: Platform, rollout: str) -> RolloutState:
    """A rollout's present state.

    Raises:
        NotFoundError: the ledger knows no such rollout.
    """
    events = platform.ledger.events(rollout)
    if not events:
        known = ", ".join(platform.ledger.rollouts()) or "none"
        raise NotFoundError(
            f"no rollout {rollout!r} in the ledger; known: {known}",
            hint="staged-rollout status lists all rollouts",
            rollout=rollout,
        )
    return fold(events)


def active(platform: Platform) -> list[RolloutState]:
    """All rollouts that have not ended, or have ended and are not cleaned up; oldest first.

    One that cannot be read is logged and left out: a broken chain must not stop the guard of all others.
    """
    states: list[RolloutState] = []
    for rollout in platform.ledger.rollouts():
        try:
            states.append(load(platform, rollout))
        except LedgerCorruptError:
            _LOG.exception("%s is left alone", rollout)
    return [state for state in states if not state.settled]


def write(
    platform: Platform,
    state: RolloutState,
    events: Sequence[NewEvent],
    actor: Actor,
    *,
    claim: str | None = None,
    release: str | None = None,
) -> RolloutState:
    """Append events to what was read, and return the state after them.

    The fold runs on the new events before they are stored: what no rollout can have is never written.

    Raises:
        StaleSequenceError: the ledger moved on since `state` was read; nothing was written.
        ValueError: an event that the rollout cannot have; nothing was written.
    """
    if not events:
        return state
    at = platform.clock.now()
    after = state
    for draft in events:
        after = apply(after, _drafted(after, draft, at, actor))
    written = platform.ledger.append(
        state.rollout, events, expected_seq=state.seq, at=at, actor=actor, claim=claim, release=release
    )
    if written[-1].hash != after.prefix_hash:
        raise LedgerCorruptError(
            f"{state.rollout}: event {written[-1].seq} was stored with another hash than it was folded with",
            hint="staged-rollout ledger verify",
            rollout=state.rollout,
        )
    return after


def _drafted(state: RolloutState, draft: NewEvent, at: datetime, actor: Actor) -> Event:
    """An event as the ledger will store it: its payload through JSON, its place in the chain."""
    payload = json.loads(canonical(dict(draft.payload)))
    seq, moment = state.seq + 1, at.astimezone(UTC)
    link = event_hash(
        rollout=state.rollout,
        seq=seq,
        type_=draft.type,
        version=draft.version,
        at=moment,
        actor=actor,
        payload=payload,
        prev_hash=state.prefix_hash,
    )
    return Event(state.rollout, seq, draft.type, draft.version, moment, actor, payload, state.prefix_hash, link)


def entering(
    state: State,
    reason: str,
    *,
    step: int = 0,
    ending: State | None = None,
    champion: Champion | None = None,
) -> NewEvent:
    """The event of entering a state."""
    payload: dict[str, Any] = {
        "state": str(state),
        "step": step,
        "ending": str(ending) if ending else None,
        "reason": reason,
    }
    if champion is not None:
        payload["champion"] = to_payload(champion)
    return NewEvent(EventType.STAGE_ENTERED, payload)


def observed(effect: str, key: str, result: Mapping[str, Any]) -> NewEvent:
    """The event of an outside effect's result."""
    return NewEvent(EventType.OBSERVED, {"effect": effect, "key": key, "result": dict(result)})


def intended(effect: str, key: str, target: Mapping[str, Any]) -> NewEvent:
    """The event that announces an outside effect."""
    return NewEvent(EventType.INTENDED, {"effect": effect, "key": key, "target": dict(target)})

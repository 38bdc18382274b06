"""Reading a rollout from the ledger and writing to it: the only way in which operations change a rollout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import staged_rollout
from staged_rollout.errors import NotFoundError
from staged_rollout.ports import Platform
from staged_rollout.state import (
    Actor,
    EventType,
    NewEvent,
    RolloutState,
    State,
    apply,
    fold,
    to_payload,
)
from staged_rollout.state.model import Champion


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
    """All rollouts that have not ended, or have ended and are not cleaned up; oldest first."""
    states = [load(platform, rollout) for rollout in platform.ledger.rollouts()]
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
    """
    if not events:
        return state
    written = platform.ledger.append(
        state.rollout,
        events,
        expected_seq=state.seq,
        at=platform.clock.now(),
        actor=actor,
        claim=claim,
        release=release,
    )
    after = state
    for event in written:
        after = apply(after, event)
    return after


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

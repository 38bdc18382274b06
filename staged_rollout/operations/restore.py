"""Back to the champion: needs nothing but the ledger, the assignments and the endpoint."""

from __future__ import annotations

from staged_rollout.errors import StaleSequenceError
from staged_rollout.operations.journal import active, load
from staged_rollout.operations.operate import ATTEMPTS, roll_back
from staged_rollout.ports import Platform
from staged_rollout.spec.grammar import render_duration
from staged_rollout.state import Actor, RolloutState, State


def restore_champion(platform: Platform, rollout: str, reason: str, actor: Actor) -> RolloutState:
    """Roll back, whatever else is written meanwhile; one that has ended or not begun stays. Again changes nothing.

    Raises:
        NotFoundError: no such rollout.
        ConflictError: other processes were first at every attempt.
    """
    for attempt in range(ATTEMPTS):
        state = load(platform, rollout)
        if state.terminal or state.state is State.REGISTERED:
            return state
        try:
            return roll_back(platform, state, reason, actor)
        except StaleSequenceError:
            if attempt == ATTEMPTS - 1:
                raise
    raise AssertionError("unreachable")


def blind(platform: Platform) -> list[tuple[RolloutState, str]]:
    """Exposed rollouts that nobody has watched for `blind_after`, each with the sentence that says so."""
    now = platform.clock.now()
    found: list[tuple[RolloutState, str]] = []
    for state in active(platform):
        if not state.exposed:
            continue
        since = platform.ledger.last_watched(state.rollout) or state.stage.entered_at
        limit = state.spec.blind_after
        if now - since > limit:
            reason = f"blind: nobody has watched since {since:%Y-%m-%d %H:%M}, limit {render_duration(limit)}"
            found.append((state, reason))
    return found

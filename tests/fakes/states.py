"""Folded states for laws about decisions: every state, step and overlay, made once."""

from __future__ import annotations

from functools import cache
from typing import Any

from staged_rollout.state import EXPOSED, EventType, HoldReason, RolloutState, State
from tests.fakes.figures import PLAN

ASK = {"decide": {"win": {"action": "ask", "who": "growth-ml", "within": "3d"}}}
STAYS: tuple[tuple[State, int], ...] = (
    (State.REGISTERED, 0),
    (State.SHADOW, 0),
    (State.CANARY, 1),
    (State.CANARY, 2),
    (State.CANARY, 3),
    (State.LIVE, 0),
    (State.AWAITING_APPROVAL, 0),
    (State.PROMOTING, 1),
    (State.PROMOTING, 2),
    (State.BAKING, 0),
    (State.ROLLING_BACK, 0),
    (State.PROMOTED, 0),
    (State.ROLLED_BACK, 0),
    (State.KEPT_CHAMPION, 0),
    (State.CANCELLED, 0),
)
"""Every state with every step that the churn example has."""
RUNNING = tuple(stay for stay in STAYS if stay[0] in {*EXPOSED, State.SHADOW})
_PLANNED = {State.LIVE, State.AWAITING_APPROVAL}


def built_at(rollouts: Any, churn: dict[str, Any], stay: tuple[State, int], *, ask: bool = False) -> Any:
    """A builder at a stay; LIVE has its plan, and AWAITING_APPROVAL the decision that asked."""
    state, step = stay
    built = rollouts(churn | ASK if ask or state is State.AWAITING_APPROVAL else churn)
    if state in _PLANNED:
        built.at(State.LIVE).add(EventType.PLAN_FROZEN, **PLAN)
        if state is State.AWAITING_APPROVAL:
            built.decide("promote", State.AWAITING_APPROVAL).enter(State.AWAITING_APPROVAL).publish()
        return built
    built.at(state)
    for more in range(2, step + 1):
        built.enter(state, more).publish()
    return built


@cache
def _folded(rollouts: Any, stay: tuple[State, int], holds: frozenset[HoldReason], answer: str, ask: bool) -> Any:
    from tests.conftest import CHURN

    built = built_at(rollouts, CHURN, stay, ask=ask)
    for reason in sorted(holds):
        built.hold(str(reason))
    if answer and stay[0] is State.AWAITING_APPROVAL:
        asking = next(d.seq for d in reversed(built.state.decisions) if d.to is State.AWAITING_APPROVAL)
        kind = EventType.REJECTED if answer == "rejected" else EventType.APPROVED
        built.add(kind, decision_seq=asking - (answer == "another"), reason="as discussed")
    return tuple(built.events), built.state


def folded(
    rollouts: Any,
    stay: tuple[State, int],
    holds: frozenset[HoldReason] = frozenset(),
    answer: str = "",
    *,
    ask: bool = False,
) -> tuple[tuple[Any, ...], RolloutState]:
    """Events and state; `answer` is "", "approved", "rejected", or "another" (an approval of another decision)."""
    return _folded(rollouts, stay, holds, answer, ask)

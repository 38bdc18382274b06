"""The guard between looks: errors, latency and missing data of exposed variants. It may stop; it never promotes."""

from __future__ import annotations

from staged_rollout.operations.decide import act_on, decide_on
from staged_rollout.operations.journal import load
from staged_rollout.operations.look import gather
from staged_rollout.policy import Action, Decision
from staged_rollout.ports import Platform
from staged_rollout.state import Actor


def watch(platform: Platform, rollout: str, actor: Actor) -> Decision | None:
    """Read the guards of one rollout; roll back or hold when they say so.

    Moving forward is left to the next advance.

    Returns:
        The decision, or None when the rollout is not exposed.
    """
    state = load(platform, rollout)
    if not state.exposed:
        return None
    state, evidence = gather(platform, rollout, actor, looks=False)
    decision = decide_on(state, evidence)
    new_hold = any(reason not in state.holds for reason, _ in decision.holds)
    if decision.action is Action.ROLL_BACK or (decision.action is Action.HOLD and new_hold):
        act_on(platform, state, evidence, decision, actor)
    platform.ledger.watched(rollout, platform.clock.now())
    return decision

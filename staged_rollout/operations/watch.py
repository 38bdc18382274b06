"""The guard between looks: errors, latency and missing data of exposed variants. It may stop; it never promotes."""

from __future__ import annotations

from staged_rollout.errors import StaleSequenceError
from staged_rollout.operations.decide import act_on, decide_on
from staged_rollout.operations.journal import load
from staged_rollout.operations.look import gather
from staged_rollout.policy import Action, Decision
from staged_rollout.ports import Platform
from staged_rollout.state import Actor

ATTEMPTS = 3
"""How often a guard looks again when the ledger moved on meanwhile."""


def watch(platform: Platform, rollout: str, actor: Actor) -> Decision | None:
    """Read the guards of one rollout; roll back or hold when they say so.

    Moving forward is left to the next advance.

    Returns:
        The decision, or None when the rollout is not exposed.
    """
    state = load(platform, rollout)
    if not state.exposed:
        return None
    for left in reversed(range(ATTEMPTS)):
        state, evidence = gather(platform, rollout, actor, looks=False)
        decision = decide_on(state, evidence)
        new_hold = any(reason not in state.holds for reason, _ in decision.holds)
        if decision.action is not Action.ROLL_BACK and not (decision.action is Action.HOLD and new_hold):
            break
        try:
            act_on(platform, state, evidence, decision, actor)
            break
        except StaleSequenceError:  # a note in between must not cost a rollback its tick
            if not left:
                raise
    platform.ledger.watched(rollout, platform.clock.now())
    return decision

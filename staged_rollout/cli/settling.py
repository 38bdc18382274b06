"""Waiting for the endpoint to follow the routers; what cannot be done now is said, not raised."""

from __future__ import annotations

import time
from dataclasses import dataclass

from staged_rollout.errors import ConflictError, StagedRolloutError
from staged_rollout.ports import Platform
from staged_rollout.state import Actor

PAUSE_S = 0.2
"""Least time between two steps that found somebody else at work, in seconds."""


@dataclass(frozen=True)
class Settled:
    """How far the endpoint is.

    Attributes:
        done: It is as the ledger wants it.
        did: The last step in words.
        left: What is still to be done, and how; "" when nothing.
    """

    done: bool
    did: str
    left: str


def settle(platform: Platform, rollout: str, actor: Actor, timeout_s: float) -> Settled:
    """Reconcile step by step until observed equals desired, or until the time is up.

    Args:
        platform: Where the rollout lives.
        rollout: Its id.
        actor: Who acts.
        timeout_s: Wall seconds; 0 takes one step and does not wait.
    """
    from staged_rollout.operations.reconcile import reconcile

    again = f"staged-rollout advance {rollout} goes on, and so does the next tick"
    deadline = platform.clock.wall() + timeout_s
    while True:
        try:
            step = reconcile(platform, rollout, actor)
        except ConflictError as error:
            did, wait = f"not yet: {error.message}", PAUSE_S
        except StagedRolloutError as error:
            return Settled(
                done=False, did=f"out of reach: {error.message}", left=f"the endpoint; {error.hint or again}"
            )
        else:
            if step.done:
                return Settled(done=True, did=step.did, left="")
            did, wait = step.did, step.wait_s
        if platform.clock.wall() + wait > deadline:
            return Settled(done=False, did=did, left=f"the endpoint, not done within {timeout_s:g} s; {again}")
        time.sleep(wait)

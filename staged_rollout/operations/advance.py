"""One tick of one rollout without Prefect: ingest, validate, look, decide, act, reconcile. The command line's way."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass

from staged_rollout.errors import StagedRolloutError
from staged_rollout.operations.amend import amend_from_file
from staged_rollout.operations.decide import act_on, decide_on
from staged_rollout.operations.ingest import IngestReport
from staged_rollout.operations.journal import load
from staged_rollout.operations.look import gather
from staged_rollout.operations.look_tables import write_look_tables
from staged_rollout.operations.new_logs import ingest_new
from staged_rollout.operations.reconcile import Step, reconcile
from staged_rollout.operations.validate import validate
from staged_rollout.policy import Decision
from staged_rollout.ports import Platform
from staged_rollout.state import Actor, RolloutState

MAX_ROUNDS = 4
"""Decisions in one tick: entering a stage, or ending a step that a killed tick began, may open the next at once."""


@dataclass(frozen=True)
class Advanced:
    """What one tick did. `decision` is the last one that moved the rollout, else the last one."""

    rollout: str
    decision: Decision
    ingest: IngestReport
    state: RolloutState

    @property
    def headline(self) -> str:
        """One line."""
        return self.decision.headline


def advance(platform: Platform, rollout: str, actor: Actor, *, ingested: IngestReport | None = None) -> Advanced:
    """One tick.

    Args:
        platform: Where the rollout lives.
        rollout: Its id.
        actor: Who acts.
        ingested: What was read from the logs just before, for all rollouts; None: this tick reads them.

    Raises:
        ConflictError: another process was first; the next tick tries again.
    """
    ingested = ingested or ingest_new(platform)
    amend_from_file(platform, rollout, actor)
    validate(platform, load(platform, rollout), actor)
    moved: Decision | None = None
    looked = False
    for _ in range(MAX_ROUNDS):
        state, evidence = gather(platform, rollout, actor)
        decision = decide_on(state, evidence)
        looked = looked or evidence.look is not None
        after = act_on(platform, state, evidence, decision, actor)
        settle(platform, rollout, actor)
        if decision.to is not None:
            moved = decision
        elif load(platform, rollout).seq == after.seq:  # else an earlier tick's unfinished step was done: decide again
            break
    if looked:
        # No decision reads them, so nothing about them may fail a tick: the next look goes on from the cursor.
        with suppress(StagedRolloutError):
            write_look_tables(platform, rollout)
    state = load(platform, rollout)
    if state.exposed:
        platform.ledger.watched(rollout, platform.clock.now())
    return Advanced(rollout, moved or decision, ingested, state)


def settle(platform: Platform, rollout: str, actor: Actor, *, timeout_s: float | None = None) -> Step:
    """Reconcile step by step until observed equals desired, waiting in wall time.

    Args:
        platform: Where the rollout lives.
        rollout: Its id.
        actor: Who acts.
        timeout_s: Wall seconds, by default the environment's `settle_s`. Running out is no error: a later tick goes on.

    Returns:
        The last step; `done` tells whether it is settled.
    """
    limit = platform.environment.settle_s if timeout_s is None else timeout_s
    deadline = platform.clock.wall() + limit
    while True:
        step = reconcile(platform, rollout, actor)
        if step.done or platform.clock.wall() + step.wait_s > deadline:
            return step
        time.sleep(step.wait_s)

"""What the tests of the invariants share: a world at a state, and its end."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from staged_rollout.operations.journal import load
from staged_rollout.state import (
    Actor,
    State,
)
from tests.fakes.platform import (
    ROLLOUT,
    FakePlatform,
    Killed,
    Mortal,
    reached,
)

LEADER = Actor("growth-ml")
ASK = {"decide": {"win": {"action": "ask", "who": "growth-ml", "within": "3d"}}}
DAY = timedelta(days=1)
CONFIG = Path(__file__).parents[2] / "configs" / "rollouts" / "churn.yaml"


def world(folder, churn, state, step=0, **changes):
    ask = ASK if state is State.AWAITING_APPROVAL else {}
    return reached(Path(folder), churn, state, step, **(ask | changes))


def end(platform):
    """Let whatever was begun end: ticks and settling on good evidence, until nothing moves."""
    for _ in range(4):
        platform.settle(ROLLOUT)
        state = load(platform, ROLLOUT)
        if state.state is not State.ROLLING_BACK:
            return state
        platform.tick(ROLLOUT)
    return load(platform, ROLLOUT)


def with_death(platform: FakePlatform, dies_at: int, after: bool, run) -> bool:
    """Run in a process that dies at its n-th outside effect; whether it died. Its lease is left behind."""
    process = Mortal(dies_at, after=after)
    try:
        run(platform.mortal(process))
    except Killed:
        platform.restarted()
        return True
    return False

"""A process killed at any line and started again ends in the same place."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path

import pytest

from staged_rollout.operations.register import register
from staged_rollout.spec.load import load_rollout
from staged_rollout.spec.prices import load_prices
from staged_rollout.state import Actor, Event, EventType, State
from tests.e2e.conftest import begin_better
from tests.e2e.small_world import ENVIRONMENT, SmallWorld

pytestmark = pytest.mark.slow
KILLED = -9
MOST_EFFECTS = 60
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def mortal(tmp_path_factory: pytest.TempPathFactory, promoted) -> Iterator[SmallWorld]:
    """A home of its own, on the first day of the `promoted` story."""
    world = SmallWorld(tmp_path_factory.mktemp("mortal"))
    world.clock.set(promoted.began)
    with world.servers:
        yield world


class Killer:
    """Ticks of one rollout by `advance_and_die`, killed now and then."""

    def __init__(self, world: SmallWorld, rollout: str) -> None:
        self._rollout = rollout
        self._random = random.Random(7)
        self._effects = cycle((1, 2, 1, 3, 1, 4, 5))  # goes on from tick to tick, so that each tick dies elsewhere
        self.kills = {"effects": 0, "seconds": 0}
        with world.variables() as named:
            self._process = subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("advance_and_die.py")), ENVIRONMENT],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, **named, "PYTHONPATH": str(ROOT)},
            )

    def tick(self) -> None:
        """Killed at any moment, then after its first to fifth effect, until nothing is left to do.

        More than one, because a tick that dies after announcing an effect can only announce it again.
        """
        self._once("seconds", round(self._random.uniform(0.02, 0.8), 3))
        for effects in islice(self._effects, MOST_EFFECTS):
            if self._once("effects", effects) == 0:
                return
        raise AssertionError(f"the tick was not over after {MOST_EFFECTS} kills")

    def _once(self, kind: str, amount: float) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{self._rollout} {kind} {amount}\n")
        self._process.stdin.flush()
        code = int(self._process.stdout.readline())
        assert code in {0, KILLED}, "advance failed: see standard error"
        self.kills[kind] += code == KILLED
        return code

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        assert 0 == self._process.wait(30)


def told(events: list[Event]) -> list[tuple[object, ...]]:
    """What a rollout's events say, but for the outside effects: a kill between intent and result announces again."""
    facts = ("state", "step", "reason", "slot", "kind", "cut_off", "z", "information", "day", "passed", "action", "to")
    return [
        (event.at, event.type, *(event.payload.get(name) for name in facts))
        for event in events
        if event.type not in {EventType.INTENDED, EventType.OBSERVED}
    ]


def test_killed_after_every_effect_it_ends_as_the_undisturbed_run_did(mortal, small, promoted):
    """The same rollout, customers and days as the `promoted` story, advanced by processes that keep being killed."""
    story = begin_better(mortal)
    spec = load_rollout(mortal.configs / "rollouts" / "better.yaml", environment=mortal.platform.environment)
    rollout = story.rollout(2)
    register(mortal.platform, spec, "2", Actor("register_candidate"), load_prices(mortal.configs / "prices.yaml"))
    killer = Killer(mortal, rollout)
    killer.tick()
    for _ in range(12):
        if mortal.state(rollout).settled:
            break
        mortal.day(killer.tick, story)
    killer.close()

    assert killer.kills["effects"] > 15
    assert killer.kills["seconds"] > 3
    undisturbed = small.events(rollout)
    disturbed = mortal.events(rollout)
    assert told(undisturbed) == told(disturbed)
    ends = {small.state(rollout).state, mortal.state(rollout).state}
    assert {State.PROMOTED} == ends
    for kind in (EventType.INTENDED, EventType.OBSERVED):
        keys = [{event.payload["key"] for event in events if event.type is kind} for events in (undisturbed, disturbed)]
        assert keys[0] == keys[1]
    assert small.served(promoted).production == mortal.served(story).production
    assert "2" == mortal.platform.registry.champion("better").version
    assert mortal.platform.ledger.claim_of(story.endpoint) is None
    names = ("lines", "accepted", "duplicates", "quarantined", "late", "blank")
    lines, *parts = (sum(getattr(book, name) for book in mortal.platform.lake.books()) for name in names)
    assert lines == sum(parts) == mortal.lines_on_disk()

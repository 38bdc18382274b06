"""A platform for operations: real ledger, assignments and clock on a folder, the rest in memory; and sudden death."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from staged_rollout.adapters.assignments_file import FileAssignments
from staged_rollout.adapters.clocks import SimulatedClock
from staged_rollout.adapters.ledger_sql import SqlLedger, open_ledger
from staged_rollout.assignment import AssignmentDocument
from staged_rollout.evidence import Evidence
from staged_rollout.operations.decide import act_on, decide_on
from staged_rollout.operations.journal import load
from staged_rollout.operations.lease import LEASE_S
from staged_rollout.operations.reconcile import Step, reconcile
from staged_rollout.operations.register import register
from staged_rollout.operations.serve import serve
from staged_rollout.policy import Decision
from staged_rollout.spec.environment import EnvironmentSpec
from staged_rollout.spec.home import Home
from staged_rollout.spec.model import RolloutSpec
from staged_rollout.spec.prices import PriceTable
from staged_rollout.state import Actor, RolloutState, State
from tests.fakes.figures import good, look
from tests.fakes.ports import START, MemoryHealth, MemoryLake, MemoryRegistry, MemoryServing

TICK = Actor("advance_rollout")
PERSON = Actor("ana")
ENDPOINT = "churn-prod"
PRICES = PriceTable(
    region="us-east-1",
    as_of=START.date(),
    source="tests",
    instances={"ml.m5.xlarge": 0.23},
    per_million_requests=0.0,
)
STEPS = 60
"""More steps than any settling needs; a loop that takes more never ends."""


class SkippingClock(SimulatedClock):
    """A simulated clock whose wall can be moved on as well, so that leases and drains end at once."""

    skipped = 0.0

    def wall(self) -> float:
        return time.time() + self.skipped

    def skip(self, seconds: float) -> None:
        self.skipped += seconds


@cache
def _empty_ledger() -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.db"
        open_ledger(f"sqlite:///{path}").close()
        return path.read_bytes()


def new_ledger(path: Path) -> SqlLedger:
    """A new SQLite ledger; its tables are made once for all tests."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_empty_ledger())
    return open_ledger(f"sqlite:///{path}")


class Killed(BaseException):
    """The process is dead: not an Exception, so that nothing but the end of the test's run catches it."""


class Mortal:
    """A process that dies at its n-th outside effect, before or after it; afterwards it does nothing any more.

    Args:
        dies_at: The number of the effect, from 1; 0 lives for ever.
        after: Whether the effect happens.
    """

    EFFECTS = frozenset({"append", "publish", "apply", "set_champion", "set_lifecycle", "lease", "unlease"})

    def __init__(self, dies_at: int = 0, *, after: bool = False) -> None:
        self.dies_at, self.after = dies_at, after
        self.effects: list[str] = []
        self.dead = False

    def wrap(self, part: Any) -> Any:
        return _Part(part, self)

    def run(self, name: str, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if self.dead:
            raise Killed
        self.effects.append(name)
        if len(self.effects) != self.dies_at:
            return call(*args, **kwargs)
        self.dead = True
        if self.after:
            call(*args, **kwargs)
        raise Killed


class _Part:
    def __init__(self, part: Any, process: Mortal) -> None:
        self._part, self._process = part, process

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._part, name)
        if name not in Mortal.EFFECTS:
            return found
        return lambda *args, **kwargs: self._process.run(name, found, *args, **kwargs)


@dataclass
class FakePlatform:
    """Satisfies `ports.Platform` as far as the operations under test go."""

    home: Home
    environment: EnvironmentSpec
    clock: SkippingClock
    ledger: Any
    assignments: Any
    serving: Any
    registry: Any
    lake: MemoryLake
    health: MemoryHealth

    @classmethod
    def at(cls, root: Path, **environment: Any) -> FakePlatform:
        """A new platform whose endpoint serves version 2 of `churn`, its champion; version 3 is approved."""
        home = Home(root)
        clock = SkippingClock(home.clock_file)
        clock.set(START)
        settings = {"name": "tests", "local": True, "clock": "simulated", "drain_s": 0.0, "poll_s": 0.001}
        platform = cls(
            home,
            EnvironmentSpec.model_validate(settings | environment),
            clock,
            new_ledger(root / "ledger.db"),
            FileAssignments(home.assignments, wall=clock.wall),
            MemoryServing(),
            MemoryRegistry(),
            MemoryLake(),
            MemoryHealth(),
        )
        platform.registry.add("churn", "2")
        platform.registry.add("churn", "3")
        return platform

    def mortal(self, process: Mortal) -> FakePlatform:
        """The same world as one process sees it that will die."""
        parts = {name: process.wrap(getattr(self, name)) for name in ("ledger", "assignments", "serving", "registry")}
        return FakePlatform(self.home, self.environment, self.clock, lake=self.lake, health=self.health, **parts)

    def restarted(self) -> None:
        """Time passes after a process has died: its lease ends."""
        self.clock.skip(LEASE_S + 1)

    def begin(self, spec: RolloutSpec, version: str = "3") -> str:
        """Serve the champion, and register a candidate."""
        for _ in range(STEPS):
            if self.ledger.claim_of(spec.endpoint) or serve(self, spec, "2") == "in service":
                break
        return register(self, spec, version, TICK, PRICES).rollout

    def settle(self, rollout: str, actor: Actor = TICK) -> Step:
        """Reconcile until observed equals desired; a drain passes at once."""
        for _ in range(STEPS):
            step = reconcile(self, rollout, actor)
            if step.done:
                return step
            self.clock.skip(step.wait_s)
        raise AssertionError(f"{rollout} did not settle within {STEPS} steps, the last: {step.did}")

    def tick(self, rollout: str, **figures: Any) -> Decision:
        """One decision on good evidence (but for what is named), acted on. Reconcile is left to the test."""
        state = load(self, rollout)
        return self.act(state, good(state, self.clock.now(), **figures))

    def act(self, state: RolloutState, evidence: Evidence) -> Decision:
        decision = decide_on(state, evidence)
        act_on(self, state, evidence, decision, TICK)
        return decision

    def reach(self, rollout: str, goal: State, step: int = 0) -> RolloutState:
        """Move forward on good evidence, each state settled, until the goal is entered and settled."""
        for _ in range(STEPS):
            self.settle(rollout)
            state = load(self, rollout)
            if state.state is goal and state.step >= step:
                return state
            self.clock.advance(timedelta(days=3))
            self.tick(rollout, look=self.win(rollout) if state.state is State.LIVE else None)
        raise AssertionError(f"{goal} was not reached: {load(self, rollout).state}")

    def win(self, rollout: str, **figures: Any) -> Any:
        """A look that crosses, planned first as `gather` would."""
        from staged_rollout.operations.journal import write
        from staged_rollout.state import EventType, NewEvent

        state = load(self, rollout)
        slot = state.looks[-1].slot + 1 if state.looks else 1
        taken = look(slot=slot, cut_off=self.clock.now(), **figures)
        payload = {"slot": slot, "kind": taken.kind, "cut_off": taken.cut_off.isoformat(), "batch": 1}
        write(self, state, [NewEvent(EventType.LOOK_PLANNED, payload)], TICK)
        return taken

    def copy(self, root: Path) -> FakePlatform:
        """The same world on another folder; neither knows of the other."""
        self.ledger.close()  # so that the file is whole without its write-ahead log
        shutil.copytree(self.home.root, root, dirs_exist_ok=True)
        home = Home(root)
        clock = SkippingClock(home.clock_file)
        return FakePlatform(
            home,
            self.environment,
            clock,
            open_ledger(f"sqlite:///{root / 'ledger.db'}"),
            FileAssignments(home.assignments, wall=clock.wall),
            deepcopy(self.serving),
            deepcopy(self.registry),
            MemoryLake(),
            MemoryHealth(),
        )

    def document(self, endpoint: str = ENDPOINT) -> AssignmentDocument:
        """The document in force."""
        published = self.assignments.read(endpoint)
        assert published is not None
        return published.document


ROLLOUT = "churn-v3"


@cache
def _world(state: State, step: int, spec: str) -> tuple[FakePlatform, TemporaryDirectory[str]]:
    folder = TemporaryDirectory()  # kept with its world until the tests end
    platform = FakePlatform.at(Path(folder.name) / "world", approvers={"growth-ml": {}})
    rollout = platform.begin(RolloutSpec.model_validate_json(spec))
    assert rollout == ROLLOUT
    if state is not State.REGISTERED:
        platform.reach(rollout, state, step)
    return platform, folder


def reached(root: Path, churn: dict[str, Any], state: State, step: int = 0, **changes: Any) -> FakePlatform:
    """A platform on which `churn-v3` is in a state and settled; each is made once and copied."""
    return _world(state, step, json.dumps(churn | changes, sort_keys=True))[0].copy(root)

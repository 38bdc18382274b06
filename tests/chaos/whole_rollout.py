"""One rollout from its registration to its end, undisturbed or with everything around it being killed."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from demo import models
from demo.traffic import THREADS, TIME_HEADER
from demo.world import Call
from staged_rollout.assignment import request_id
from staged_rollout.operations.register import register
from staged_rollout.operations.restore import blind
from staged_rollout.spec.load import load_rollout
from staged_rollout.spec.prices import load_prices
from staged_rollout.state import Actor
from tests.chaos.mortal_servers import MortalServers
from tests.chaos.prefect_side import ENDED, PrefectSide
from tests.chaos.witness import Witness
from tests.e2e.small_world import ENVIRONMENT, FIRST_DAY, ROUTER_POLL_S, SmallWorld, Story

ROOT = Path(__file__).parents[2]
KILLED = -9
MOST_DAYS = 12
KINDS = ("effect", "moment", "flow effect", "flow moment", "endpoint", "router", "server", "worker")
WITHOUT_PREFECT = ("effect", "moment", "endpoint", "router")


@dataclass(frozen=True)
class Plan:
    """What is killed in one rollout.

    Attributes:
        story: `better`, which is promoted, or `worse`, which does harm.
        seed: Of the moments.
        kinds: The rounds, each one kill, in an order that the seed shuffles; spread over the days.
        per_tick: Rounds in each tick; what is left at the end of the rollout is not played.
    """

    story: str
    seed: int
    kinds: tuple[str, ...] = ()
    per_tick: int = 7


@dataclass
class Told:
    """What one round did."""

    kind: str
    where: str
    died: bool
    seconds: float


@dataclass
class WholeRollout:
    """One home with its servers, its customers, its rollout, and whoever kills them.

    Args:
        folder: Empty.
        plan: What is killed.
    """

    folder: Path
    plan: Plan
    rounds: list[Told] = field(default_factory=list)
    refused: int = 0
    violations: list[str] = field(default_factory=list)
    seen: Counter[str] = field(default_factory=Counter)
    excused: int = 0
    production: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._random = random.Random(self.plan.seed)
        self._left = list(self.plan.kinds)
        self._random.shuffle(self._left)
        self.world = SmallWorld(self.folder)
        self.servers = MortalServers(
            self.world.home,
            simulated_time=True,
            router_poll_s=ROUTER_POLL_S,
            router_timeout_s=30.0,
            update_seconds=0.3,
            start_timeout_s=180.0,
        )
        self.world.servers = self.servers
        self.world._send = self._send
        self.world.clock.set(FIRST_DAY)
        self.story = Story(self.plan.story, callers=330 if self.plan.story == "better" else 220)
        self.rollout = self.story.rollout(2)

    def run(self) -> WholeRollout:
        """Live through the rollout."""
        with self.servers, self.world.variables() as named, self._prefect(named) as prefect:
            self._prefect_side = prefect
            self._begin()
            variables = prefect.variables if prefect else {**os.environ, **named, "PYTHONPATH": str(ROOT)}
            if prefect is None:
                variables.pop("PREFECT_API_URL", None)
            with self._nursery(variables), self._witness():
                self._tick()
                for _ in range(MOST_DAYS):
                    if self.world.state(self.rollout).settled:
                        break
                    self.world.day(self._tick, self.story, noon=self._noon)
                # Asked now: a home whose servers have stopped has no endpoint to describe.
                self.production = {one.name: one.weight for one in self.world.served(self.story).production}
        return self

    # -- its life ---------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        world, customers = self.world, self.world.customers
        better = self.plan.story == "better"
        corrupted, good = models.candidate_v3(customers, 7), models.candidate_v2(customers)
        written = {"mde": "10pp", "baseline": "80%"} if better else {}
        world.begin(self.story, corrupted if better else good, **written)
        world.submit(self.story, good if better else corrupted)
        spec = load_rollout(
            world.configs / "rollouts" / f"{self.story.name}.yaml", environment=world.platform.environment
        )
        register(world.platform, spec, "2", Actor("register_candidate"), load_prices(world.configs / "prices.yaml"))

    def _tick(self) -> None:
        """A tick that is killed again and again, and then one that comes to its end."""
        for _ in range(self.plan.per_tick):
            kind = self._next(
                ("effect", "moment", "flow effect", "flow moment", "server", "worker", "endpoint", "router")
            )
            if kind is None or self.world.state(self.rollout).settled:
                break
            self._round(kind, "tick")
        self._undisturbed("operation")
        self.violations += [f"blind after a tick: {reason}" for _, reason in blind(self.world.platform)]

    def _noon(self) -> None:
        if self._prefect_side is not None and self.plan.kinds:
            kind = self._next(("flow moment", "flow effect"))
            if kind is not None:
                self._round(kind, "watch")

    def _next(self, accepted: tuple[str, ...]) -> str | None:
        for number, kind in enumerate(self._left):
            if kind in accepted:
                return self._left.pop(number)
        return None

    def _undisturbed(self, way: str) -> None:
        deadline = time.monotonic() + 180
        while (code := self._child(way)) != 0:  # an endpoint that is still updating is another's lease or patience
            assert time.monotonic() < deadline, f"a tick that nobody disturbs ends with {code}"

    # -- its deaths -------------------------------------------------------------------------------------------------

    def _round(self, kind: str, where: str) -> None:
        begun = time.monotonic()
        way = "watch" if where == "watch" else ("flow" if kind.startswith("flow") else "operation")
        died = True
        match kind:
            case "effect" | "flow effect":
                n, before = self._random.choice((1, 2, 3, 4, 5, 7, 9, 12, 16)), self._random.random() < 0.5
                died = self._child(way, effects=n, before=before) == KILLED
            case "moment" | "flow moment":
                died = self._child(way, after=self._random.uniform(0.02, 2.0 if way == "operation" else 5.0)) == KILLED
            case "endpoint" | "router":
                self._child("operation", meanwhile=lambda: self._bounce(kind))
            case "server":
                self._child("flow", meanwhile=self._bounce_prefect)
            case "worker":
                self._worker_round()
        self.rounds.append(Told(kind, where, died, time.monotonic() - begun))

    def _bounce(self, name: str) -> None:
        time.sleep(self._random.uniform(0.0, 1.5))
        self.servers.kill(name)
        self.servers.revive(name)

    def _bounce_prefect(self) -> None:
        time.sleep(self._random.uniform(0.0, 4.0))
        self._prefect_side.kill_server()
        self._prefect_side.start_server()

    def _worker_round(self) -> None:
        """A worker dies while its run runs, with it or without it; another worker takes the next run to its end."""
        side = self._prefect_side
        side.start_worker()
        first = side.request(self.rollout, ENVIRONMENT)
        side.await_state(first, {"PENDING", "RUNNING", *ENDED})
        time.sleep(self._random.uniform(0.0, 8.0))
        alone = self._random.random() < 0.5
        side.kill_worker(children=not alone)
        side.start_worker()
        second = side.request(self.rollout, ENVIRONMENT)
        # It may meet the first run, which lives on and holds the lease: then it fails, as the next tick will not.
        if side.await_state(second, ENDED) != "COMPLETED":
            third = side.request(self.rollout, ENVIRONMENT)
            state = side.await_state(third, ENDED)
            if state != "COMPLETED":
                self.violations.append(f"the run after a worker's death ended {state}")
        if alone:
            self._await_orphans(first)
        side.kill_worker(children=True)

    def _await_orphans(self, run: str) -> None:
        """A flow process that outlived its worker comes to its end by itself."""
        with suppress(AssertionError):  # one that was not begun stays PENDING
            self._prefect_side.await_state(run, ENDED, 60)

    # -- its people -------------------------------------------------------------------------------------------------

    def _send(self, story: Story, calls: list[Call]) -> None:
        """Every call until it is answered; a call may fail only while endpoint or router is down."""
        self.world._await_router(story.endpoint)
        doomed = {}
        for kind in ("endpoint", "router"):
            if kind in self._left and self._random.random() < 0.6:
                self._left.remove(kind)
                doomed[self._random.randrange(len(calls))] = kind
        at = 0
        for until in [*sorted(doomed), len(calls)]:
            kind, begun = doomed.get(until), time.monotonic()
            with (
                httpx.Client(base_url=self.servers.router_url, timeout=60.0, trust_env=False) as client,
                ThreadPoolExecutor(THREADS) as pool,
            ):
                answers = [pool.submit(self._call, client, story, call) for call in calls[at : until + 40]]
                if kind is not None:
                    time.sleep(0.1)
                    self.servers.kill(kind)
                    self.servers.revive(kind)
                    self.rounds.append(Told(kind, "traffic", died=True, seconds=time.monotonic() - begun))
                for answer in answers:
                    answer.result()
            at = until + 40
        story.sent.extend(calls)

    def _call(self, client: httpx.Client, story: Story, call: Call) -> None:
        identifier, deadline = call.request_id, time.monotonic() + 180
        for attempt in range(100_000):
            begun = time.monotonic()
            try:
                response = client.post(
                    f"/endpoints/{story.endpoint}/predict",
                    json={"request_id": identifier, "unit_id": call.unit_id, "features": call.features},
                    headers={TIME_HEADER: call.at.isoformat()},
                )
            except httpx.HTTPError as error:  # not known whether it was logged: sent again as the same request
                wrong = f"{type(error).__name__}: {error}"
            else:
                if response.status_code == httpx.codes.OK:
                    return
                # Logged as failed: what is sent now is another request of the same customer.
                wrong = f"{response.status_code} {response.text[:200]}"
                identifier = request_id(story.name, call.unit_id, f"{call.request_id}:{attempt}")
            if self.servers.out(begun, time.monotonic()):
                self.refused += 1
            else:
                self.violations.append(f"a request failed while endpoint and router were up: {wrong}")
            assert time.monotonic() < deadline, wrong
            time.sleep(0.05)

    # -- its processes ----------------------------------------------------------------------------------------------

    @contextmanager
    def _prefect(self, named: Mapping[str, str]) -> Iterator[PrefectSide | None]:
        if set(self.plan.kinds) <= set(WITHOUT_PREFECT):
            yield None
            return
        side = PrefectSide(self.folder / "prefect", named)
        try:
            side.start_server()
            if "worker" in self.plan.kinds:
                side.deploy()
            yield side
        finally:
            side.stop()

    @contextmanager
    def _nursery(self, variables: Mapping[str, str]) -> Iterator[None]:
        with (self.folder / "nursery.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("nursery.py")), ENVIRONMENT],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=dict(variables),
            )
        self._process = process
        try:
            yield
        finally:
            process.stdin.close()
            process.stdout.close()
            process.wait(60)

    @contextmanager
    def _witness(self) -> Iterator[None]:
        features = self.world.customers.rows[0]
        witness = Witness(self.world, self.servers, self.story, self.rollout, features)
        witness.start()
        try:
            yield
        finally:
            witness.stop()
            self.seen, self.excused = witness.seen, witness.excused
            self.violations += witness.violations

    def _child(
        self, way: str, *, effects: int = 0, before: bool = False, after: float = 0.0, meanwhile: Any = None
    ) -> int:
        told = {"rollout": self.rollout, "way": way, "effects": effects, "before": before}
        self._process.stdin.write(json.dumps(told) + "\n")
        self._process.stdin.flush()
        word, pid = self._process.stdout.readline().split()
        assert word == "pid"
        if after:
            time.sleep(after)
            with suppress(ProcessLookupError):  # it has ended, and its parent knows
                os.kill(int(pid), 9)
        if meanwhile is not None:
            meanwhile()
        word, code = self._process.stdout.readline().split()
        assert word == "exit"
        return int(code)

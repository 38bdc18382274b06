"""The demo's days: calls, the guard at noon, outcomes and the sweep at night, until every candidate has an answer."""

from __future__ import annotations

import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx

from demo import models, progress, traffic, world
from demo.candidates import CANDIDATES, Candidate, Fitted, candidate_after
from demo.reports import where, write_report
from demo.rules import write_rules
from demo.screen import Ending, Screen, ending_of
from demo.stopwatch import Stopwatch
from flows.poll_registry import poll_registry
from flows.sweep_rollouts import sweep_rollouts
from flows.watch_guardrails import watch_guardrails
from staged_rollout.adapters.clocks import SimulatedClock
from staged_rollout.adapters.local_servers import LocalServers
from staged_rollout.adapters.registry_mlflow import MlflowRegistry
from staged_rollout.errors import PlatformError, RefusedError
from staged_rollout.operations.journal import load
from staged_rollout.operations.serve import serve
from staged_rollout.ports import Platform
from staged_rollout.spec.model import RolloutSpec
from staged_rollout.state import RolloutState, State

ENVIRONMENT = "demo"
FIRST_DAY = datetime(2026, 3, 2, tzinfo=UTC)
"""A Monday."""
MAX_DAYS = 150
CONFIGS = Path(__file__).parent.parent / "configs"
APPROVAL = "the same answers for nearly everybody, and legal has cleared both columns"


class Story:
    """One demo from the first champion to the last ending."""

    def __init__(
        self,
        platform: Platform,
        servers: LocalServers,
        screen: Screen,
        spec: RolloutSpec,
        seed: int,
        *,
        last: int = CANDIDATES[-1].version,
    ) -> None:
        self._platform = platform
        self._servers = servers
        self._screen = screen
        self._seed = seed
        self._customers = models.load_customers(seed)
        self._spec = spec
        self._last = last
        self.stopwatch = Stopwatch()
        self._progress_file = platform.home.root / "demo.json"

    def begin(self) -> None:
        """The first champion is registered and served; the clock starts."""
        self._clock.set(FIRST_DAY)
        self._submit(models.champion_v1(self._customers))
        self._screen.say("v1 (plan and account columns) is registered; its endpoint is being created")
        deadline = self._clock.wall() + 60
        while serve(self._platform, self._spec, "1") != "in service":
            if self._clock.wall() > deadline:
                raise PlatformError("the endpoint did not come into service within 60 s")
            time.sleep(self._platform.environment.poll_s)
        self._screen.say("v1 serves")
        self._propose(CANDIDATES[0], 0)

    def run(self, start: progress.Progress | None) -> list[Ending]:
        """Live through the days until no rollout is active and no candidate is left."""
        day, phase = (start.day, start.phase) if start else (0, 0)
        while day < MAX_DAYS:
            state = self._newest()
            if state is not None and state.settled and phase == 0:
                candidate = candidate_after(int(state.candidate.version), self._last)
                if candidate is None:
                    break
                self._propose(candidate, day)
            elif state is not None and state.state is State.REGISTERED:
                self._polled(day)  # killed between its registration and the first sweep
            self._live(day, phase)
            day, phase = day + 1, 0
        return self._endings()

    @property
    def _clock(self) -> SimulatedClock:
        clock = self._platform.clock
        if not isinstance(clock, SimulatedClock):
            raise RefusedError("the demo moves a simulated clock", hint="--environment demo")
        return clock

    def _submit(self, fitted: Fitted) -> str:
        registry = self._platform.registry
        if not isinstance(registry, MlflowRegistry):
            raise RefusedError("the demo registers models with MLflow", hint="--environment demo")
        estimator, features = fitted
        encodings = {name: codes for name, codes in self._customers.encodings.items() if name in features}
        return registry.register(self._spec.registry, estimator, features=features, encodings=encodings).version

    def _propose(self, candidate: Candidate, day: int) -> None:
        """Register the next version, under the rules that its owner wants for it."""
        write_rules(CONFIGS, self._platform.home.root / "configs", candidate.rules)
        if not self._platform.registry.versions_after(self._spec.registry, candidate.version - 1):
            if candidate.told:
                self._screen.say(candidate.told)
            self._submit(candidate.fit(self._customers, self._seed))
            self._screen.say(f"v{candidate.version} ({candidate.words}) is registered")
        self._polled(day)

    def _polled(self, day: int) -> None:
        with self.stopwatch.running("Prefect"):
            poll_registry(environment=ENVIRONMENT)
            sweep_rollouts(environment=ENVIRONMENT, start="inline")
        self._mark(day, 0)

    def _live(self, number: int, phase: int) -> None:
        """One day, from a phase on."""
        midnight = FIRST_DAY + timedelta(days=number)
        noon, night = midnight + timedelta(hours=12), midnight + timedelta(days=1)
        state = self._serving(midnight)
        calls = world.calls_of_day(self._customers, state, midnight, self._seed, self._live_day(state, midnight))
        steps: tuple[Callable[[], None], ...] = (
            lambda: self._call(midnight, [call for call in calls if call.at < noon]),
            lambda: self._guard(noon),
            lambda: self._call(midnight, [call for call in calls if call.at >= noon]),
            lambda: self._night(night, calls),
        )
        for index in range(phase, len(steps)):
            steps[index]()
            self._mark(number if index + 1 < len(steps) else number + 1, (index + 1) % len(steps))
        now = self._newest()
        self._screen.day(number + 1, midnight, state, len(calls), now)
        if state is not None and now is not None and now.settled:
            self._screen.say(f"{'':16}   report: {where(write_report(self._platform, now.rollout))}")

    def _call(self, midnight: datetime, calls: list[world.Call]) -> None:
        """Make the calls that the router has not logged yet, once it follows the published assignment."""
        folder = self._platform.home.logs / "predictions" / self._spec.endpoint / f"{midnight.date()}"
        with self.stopwatch.running("traffic"):
            self._await_routers()
            logged = traffic.already_logged(folder)
            self._send([call for call in calls if call.request_id not in logged])

    def _send(self, open_calls: list[world.Call]) -> None:
        with self._screen.bar(len(open_calls)) as bar:
            traffic.send(self._servers.router_url, open_calls, lambda made: bar.advance(bar.task_ids[0], made))

    def _await_routers(self) -> None:
        """Wait until the router follows the published assignment: a poll, in real time."""
        published = self._platform.assignments.read(self._spec.endpoint)
        deadline = self._clock.wall() + 30
        while published is not None:
            status = httpx.get(f"{self._servers.router_url}/status", timeout=10).json()
            if status["endpoints"].get(self._spec.endpoint, {}).get("epoch") == published.document.epoch:
                return
            if self._clock.wall() > deadline:
                raise PlatformError(f"the router does not follow epoch {published.document.epoch}: {status}")
            time.sleep(0.05)

    def _guard(self, noon: datetime) -> None:
        self._clock.set(noon)
        self._approve()
        with self.stopwatch.running("Prefect"):
            watch_guardrails(environment=ENVIRONMENT)

    def _approve(self) -> None:
        """Who is asked answers on the next day, in a process of their own: the command line, as at any desk."""
        state = self._newest()
        if state is None or state.state is not State.AWAITING_APPROVAL or state.approval is not None:
            return
        who = state.spec.decide.win.who or ""
        typed = ["approve", state.rollout, "--as", who, "--reason", APPROVAL]
        self._screen.say(f"{'':16}$ staged-rollout {shlex.join(typed)}")
        options = ("--home", str(self._platform.home.root), "--environment", ENVIRONMENT)
        answer = subprocess.run(  # noqa: S603 - our own command line
            [sys.executable, "-m", "staged_rollout.cli", *options, *typed], capture_output=True, text=True, check=False
        )
        if answer.returncode:
            raise PlatformError(f"the approval ended with exit code {answer.returncode}: {answer.stderr.strip()}")
        for line in answer.stdout.splitlines():
            self._screen.say(f"{'':16}{line}")

    def _night(self, night: datetime, calls: list[world.Call]) -> None:
        """Yesterday's outcomes arrive, then the sweep runs."""
        self._clock.set(night)
        folder = self._platform.home.logs / "outcomes" / self._spec.endpoint
        waiting = self._platform.home.root / "outcomes-due"
        traffic.deliver(waiting, f"{night.date()}", world.outcomes_of(calls, self._customers))
        due = waiting / f"{night.date() - timedelta(days=1)}.jsonl"
        if due.exists():
            folder.mkdir(parents=True, exist_ok=True)
            due.rename(folder / due.name)
        with self.stopwatch.running("Prefect"):
            sweep_rollouts(environment=ENVIRONMENT, start="inline")

    def _mark(self, day: int, phase: int) -> None:
        heads = progress.heads_of(self._platform.ledger)
        progress.save(self._progress_file, progress.Progress(self._seed, day, phase, heads))

    def _newest(self) -> RolloutState | None:
        rollouts = self._platform.ledger.rollouts()
        return load(self._platform, rollouts[-1]) if rollouts else None

    def _serving(self, midnight: datetime) -> RolloutState | None:
        """The newest rollout as it was at midnight: a resumed day must see the callers that the killed one saw."""
        state = self._newest()
        if state is None or (state.terminal and state.stage.entered_at <= midnight):
            return None
        before = [stay for stay in state.stages if stay.entered_at <= midnight]
        stay = before[-1] if before else state.stages[0]
        looks = tuple(look for look in state.looks if look.cut_off <= midnight)
        return replace(state, state=stay.state, step=stay.step, looks=looks)

    def _live_day(self, state: RolloutState | None, midnight: datetime) -> int:
        began = state.effective_at(State.LIVE) if state else None
        return (midnight - began).days if began else 0

    def _endings(self) -> list[Ending]:
        endings: list[Ending] = []
        platform = self._platform
        for rollout in platform.ledger.rollouts():
            state = load(platform, rollout)
            rows = platform.lake.query("rollout_requests", {"rollout": rollout}, batch=platform.lake.head())
            endings.append(ending_of(state, platform.ledger.events(rollout), int(rows[0]["requests"])))
        return endings

"""A small world: short rollouts on one home, real models and real HTTP, with a calendar that a test moves.

Every story has a rollout file, an endpoint and a registered model of its own, all named after it, so that several can
share one home and one pair of servers.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx
import numpy as np

from demo import models, traffic, world
from staged_rollout.adapters.local_servers import LocalServers
from staged_rollout.adapters.platform import open_platform
from staged_rollout.assignment import request_id
from staged_rollout.operations.journal import load
from staged_rollout.operations.serve import serve
from staged_rollout.ports import ObservedEndpoint, Platform
from staged_rollout.spec.environment import load_environment
from staged_rollout.spec.home import Home
from staged_rollout.spec.load import load_rollout
from staged_rollout.state import Event, EventType, RolloutState, State

CONFIGS = Path(__file__).parents[2] / "configs"
SEED = 7
FIRST_DAY = datetime(2026, 3, 2, tzinfo=UTC)
ENVIRONMENT = "small"
ROUTER_POLL_S = 0.1
CALLERS = 220
REPEAT = 0.2
NOON = timedelta(hours=12)
DAY = timedelta(days=1)

_ENVIRONMENT_FILE = """\
name: small
local: true
clock: simulated
drain_s: 0.4
poll_s: 0.1
settle_s: 60
"""

_ROLLOUT_FILE = """\
rollout: {name}
hypothesis: "The candidate is right about more customers"
owner: tests
endpoint: {name}-prod
registry: {name}
unit: customer_id
stages:
  shadow: {{sample: 100%, for: 1d, min_requests: 100, agreement: ">= 60%"}}
  canary: [{canary}]
  live: {{split: 50/50, looks: daily, min: 1d, max: 4d}}
  promote: [95%]
  bake: {{for: 2d, holdback: 5%}}
traffic: {{units_per_day: 200}}
success: {{metric: correct, better: higher, mde: {mde}, matures_after: 1d, baseline: {baseline}}}
guardrails:
  error_rate: {{worse_by: 5pp}}
  latency_p95: {{worse_by: 50ms, action: {latency}}}
notify: null
capture_delay: 30h
blind_after: 36h
"""

_WRITTEN = {"canary": "50% 1d", "latency": "watch", "mde": "8pp", "baseline": "86%"}


@dataclass
class Story:
    """One rollout file and the people who come to its endpoint.

    Attributes:
        name: The rollout file, its model, and with `-prod` its endpoint.
        callers: Customers a day; a fifth of them come twice.
        morning_only: Whether all calls are made before noon.
        began: Midnight of its first day.
        sent: Every call that was answered, in order.
    """

    name: str
    callers: int = CALLERS
    morning_only: bool = False
    began: datetime | None = None
    sent: list[world.Call] = field(default_factory=list)

    @property
    def endpoint(self) -> str:
        return f"{self.name}-prod"

    def rollout(self, version: int) -> str:
        return f"{self.name}-v{version}"


class SmallWorld:
    """One home with its two servers, its calendar and its customers.

    Args:
        folder: Empty; configs/ and home/ are made in it.
        slow: Delays by model package, as `{"churn/2": "80ms"}`.
    """

    def __init__(self, folder: Path, slow: dict[str, str] | None = None) -> None:
        self.configs, self.home = folder / "configs", Home(folder / "home")
        (self.configs / "environments").mkdir(parents=True)
        (self.configs / "rollouts").mkdir()
        self.environment_file = self.configs / "environments" / f"{ENVIRONMENT}.yaml"
        self.environment_file.write_text(_ENVIRONMENT_FILE)
        shutil.copy(CONFIGS / "prices.yaml", self.configs)
        self.servers = LocalServers(
            self.home,
            simulated_time=True,
            router_poll_s=ROUTER_POLL_S,
            router_timeout_s=30.0,
            update_seconds=0.3,
            slow=slow or {},
        )
        self.customers = models.load_customers(SEED)
        self.platform: Platform = open_platform(load_environment(ENVIRONMENT, self.configs), self.home)
        self.clock: Any = self.platform.clock

    @contextmanager
    def variables(self) -> Iterator[dict[str, str]]:
        """The environment variables that name this world, for as long as the context lasts."""
        named = {"STAGED_ROLLOUT_HOME": str(self.home.root), "STAGED_ROLLOUT_CONFIGS": str(self.configs)}
        with patch.dict(os.environ, named):
            yield named

    def run(self, flow: Callable[..., Any], **parameters: Any) -> Any:
        """Run a flow in this world."""
        with self.variables():
            return flow(**parameters, environment=ENVIRONMENT)

    def begin(self, story: Story, champion: Any, **written: str) -> Story:
        """Write a story's rollout file; register its version 1, and serve it as the champion."""
        file = self.configs / "rollouts" / f"{story.name}.yaml"
        file.write_text(_ROLLOUT_FILE.format(name=story.name, **{**_WRITTEN, **written}))
        spec = load_rollout(file, environment=self.platform.environment)
        story.began = self.clock.now()
        self.submit(story, champion)
        deadline = time.monotonic() + 60
        while serve(self.platform, spec, "1") != "in service":
            assert time.monotonic() < deadline, "the endpoint did not come into service"
            time.sleep(0.05)
        return story

    def submit(self, story: Story, fitted: Any, **more: Any) -> str:
        """Register the next version of a story's model."""
        estimator, features = fitted
        encodings = {name: codes for name, codes in self.customers.encodings.items() if name in features}
        registry: Any = self.platform.registry
        version: str = registry.register(story.name, estimator, features=features, encodings=encodings, **more).version
        return version

    def day(self, night: Callable[[], Any], *stories: Story, noon: Callable[[], Any] | None = None) -> Any:
        """Live through one day: calls, the guard at noon, more calls, yesterday's outcomes, the tick at midnight."""
        midnight = self.clock.now()
        today = [(story, self._calls(story, midnight)) for story in stories]
        for story, calls in today:
            self._send(story, [call for call in calls if call.at < midnight + NOON])
        self.clock.set(midnight + NOON)
        if noon is not None:
            noon()
        for story, calls in today:
            self._send(story, [call for call in calls if call.at >= midnight + NOON])
        self.clock.set(midnight + DAY)
        for story, calls in today:
            self._deliver(story, midnight, calls)
        return night()

    def _calls(self, story: Story, midnight: datetime) -> list[world.Call]:
        """New customers each day: a unit's first exposure to LIVE opens its window."""
        assert story.began is not None
        number = (midnight - story.began).days
        rng = np.random.default_rng([SEED, number])
        order = np.random.default_rng(SEED).permutation(self.customers.traffic)
        comers = order[number * story.callers : (number + 1) * story.callers]
        assert len(comers) == story.callers, "no customers are left"
        seconds = 43_000 if story.morning_only else 86_000
        calls = [
            world.Call(
                request_id=request_id(story.name, f"customer-{customer}", f"{number}:{visit}"),
                at=midnight + timedelta(seconds=float(rng.uniform(60, seconds))),
                unit_id=f"customer-{customer}",
                customer=int(customer),
                features=self.customers.rows[customer],
            )
            for customer in comers
            for visit in range(2 if rng.random() < REPEAT else 1)
        ]
        return sorted(calls, key=lambda call: (call.at, call.request_id))

    def _send(self, story: Story, calls: list[world.Call]) -> None:
        """Every call must be answered: `traffic.send` raises on anything but 200."""
        self._await_router(story.endpoint)
        traffic.send(f"{self.servers.router_url}/endpoints/{story.endpoint}", calls, lambda _: None)
        story.sent.extend(calls)

    def _await_router(self, endpoint: str) -> None:
        published = self.platform.assignments.read(endpoint)
        assert published is not None
        url, deadline = self.servers.router_url, time.monotonic() + 30
        while True:
            told = httpx.get(f"{url}/status", timeout=10).json()["endpoints"].get(endpoint)
            if told is None:  # a router follows an endpoint from its first call on
                return
            if told.get("epoch") == published.document.epoch:
                return
            assert time.monotonic() < deadline, told
            time.sleep(0.02)

    def _deliver(self, story: Story, midnight: datetime, calls: list[world.Call]) -> None:
        """Outcomes are known a day after the call: today's wait, yesterday's arrive."""
        waiting = self.home.root / "outcomes-due" / story.name
        traffic.deliver(waiting, f"{midnight.date()}", world.outcomes_of(calls, self.customers))
        due = waiting / f"{(midnight - DAY).date()}.jsonl"
        if due.exists():
            folder = self.home.logs / "outcomes" / story.endpoint
            folder.mkdir(parents=True, exist_ok=True)
            due.rename(folder / due.name)

    def state(self, rollout: str) -> RolloutState:
        return load(self.platform, rollout)

    def events(self, rollout: str) -> list[Event]:
        return self.platform.ledger.events(rollout)

    def entered(self, rollout: str) -> list[str]:
        """The states that a rollout went through, in order, each with its step."""
        stages = [event.payload for event in self.events(rollout) if event.type is EventType.STAGE_ENTERED]
        return [f"{stage['state']} {stage['step']}" if stage["step"] else stage["state"] for stage in stages]

    def until(self, rollout: str, state: State, a_day: Callable[[], Any], most: int = 9) -> RolloutState:
        """Live through days until a rollout is in a state."""
        for _ in range(most):
            if self.state(rollout).state is state:
                break
            a_day()
        found = self.state(rollout)
        assert state is found.state, f"{found.state}: {found.reason}"
        return found

    def served(self, story: Story) -> ObservedEndpoint:
        observed = self.platform.serving.describe(story.endpoint)
        assert observed is not None
        return observed

    def logged(self, story: Story) -> list[dict[str, Any]]:
        """The router's rows of a story, in order of time."""
        files = sorted((self.home.logs / "predictions" / story.endpoint).rglob("*.jsonl"))
        rows = [json.loads(line) for file in files for line in file.read_bytes().splitlines()]
        return sorted(rows, key=lambda row: (row["timestamp"], row["request_id"]))

    def lines_on_disk(self) -> int:
        """Lines of every log file that ingest reads: predictions, captures and outcomes."""
        files = [*self.home.logs.rglob("*.jsonl"), *self.home.capture.rglob("*.jsonl")]
        return sum(len(file.read_bytes().splitlines()) for file in files)

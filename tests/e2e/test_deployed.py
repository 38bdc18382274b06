"""What a team deploys: a real Prefect server that asks for its secret, one worker, every deployment and automation."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
import yaml
from prefect.client.orchestration import get_client
from prefect.events.actions import DoNothing
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings

from demo import models
from demo.prefect_servers import free_port
from demo.stack.processes import Processes
from demo.stack.setup import pool
from staged_rollout.state import EventType
from tasks.automations import TAG, ensure
from tests.e2e.small_world import ENVIRONMENT, FIRST_DAY, SmallWorld, Story

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
SECRET = "team:not-for-everybody"
NEVER = "0 0 29 2 *"
PATIENCE_S = 300.0
CREATED = "model-registry.version.created"
PAGES = {"artifacts": {"key": {"any_": ["page"]}}, "sort": "CREATED_DESC"}
HOSTILE = {
    "a path as a rollout file": ("register-candidate/register", {"rollout_file": "../../etc/passwd", "version": "2"}),
    "a path as an environment": ("register-candidate/register", {"environment": "../x"}),
    "a file as an environment": ("restore-champion/restore", {"rollout": "cup-v2", "environment": "/srv/mine.yaml"}),
    "code as a version": ("register-candidate/register", {"version": "2; import os"}),
    "an act that is none": ("operate-rollout/operate", {"act": "promote"}),
    "a path as a rollout": ("operate-rollout/operate", {"rollout": "../cup-v2"}),
}
COMPLETE: dict[str, dict[str, str]] = {
    "register-candidate/register": {"rollout_file": "cup", "version": "2"},
    "operate-rollout/operate": {"rollout": "cup-v2", "act": "note", "name": "ana", "reason": "looked"},
    "restore-champion/restore": {"rollout": "cup-v2"},
}


class Deployed:
    """One server, its worker and the world that its runs act on.

    Args:
        world: With a champion that serves, and a version that waits.
        folder: For Prefect's database and the logs.
    """

    def __init__(self, world: SmallWorld, folder: Path) -> None:
        self.world = world
        self.processes = Processes(folder / "processes")
        self.api = f"http://127.0.0.1:{free_port(0)}/api"
        self.made: dict[str, str] = {}
        self.environment = {
            **os.environ,
            "PWD": str(ROOT),
            "PYTHONPATH": str(ROOT),
            "STAGED_ROLLOUT_HOME": str(world.home.root),
            "STAGED_ROLLOUT_CONFIGS": str(world.configs),
            "STAGED_ROLLOUT_ENVIRONMENT": ENVIRONMENT,
            **{f"STAGED_ROLLOUT_{tick}": NEVER for tick in ("SWEEP", "WATCH", "POLL")},
            "PREFECT_HOME": str(folder / "prefect"),
            "PREFECT_API_URL": self.api,
            "PREFECT_API_AUTH_STRING": SECRET,
            "PREFECT_SERVER_API_AUTH_STRING": SECRET,
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_SERVER_DATABASE_TIMEOUT": "60",
            "PREFECT_WORKER_QUERY_SECONDS": "1",
            "DO_NOT_TRACK": "1",
        }

    def serve(self) -> None:
        """Start the server; it comes up while models are trained."""
        port = self.api.rpartition(":")[2].partition("/")[0]
        command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", port]
        self.processes.start("server", command, self.environment)

    def deploy(self) -> None:
        """As docs/operations.md says: work pool, deployments, automations, worker."""
        self.until("Prefect's server", self._healthy)
        self.client(pool)
        self.run("-m", "prefect", "--no-prompt", "deploy", "--all")
        self.made = self.client(lambda: ensure(ENVIRONMENT))
        worker = ["-m", "prefect", "worker", "start", "--pool", "rollouts", "--type", "process", "--limit", "2"]
        self.processes.start("worker", [sys.executable, *worker], self.environment)

    def run(self, *arguments: str) -> str:
        """A program with the team's variables."""
        done = subprocess.run(
            [sys.executable, *arguments], env=self.environment, cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def client(self, work: Callable[[], Any]) -> Any:
        """Something that uses Prefect's client, in this process."""
        with temporary_settings({PREFECT_API_URL: self.api, PREFECT_API_AUTH_STRING: SECRET}):
            return asyncio.run(work())

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """One request to the API, as anybody can make it who has the secret."""
        answer = self.answer(method, path, body)
        assert answer.status_code < 300, answer.text
        return answer.json() if answer.content else None

    def answer(self, method: str, path: str, body: Any = None) -> httpx.Response:
        user, _, word = SECRET.partition(":")
        return httpx.request(method, f"{self.api}{path}", json=body, auth=(user, word), timeout=60, trust_env=False)

    def runs(self, flow: str | None = None) -> list[dict[str, Any]]:
        """Flow runs, of one flow or all, oldest first."""
        chosen = {"flows": {"name": {"any_": [flow]}}} if flow else {}
        found: list[dict[str, Any]] = self.ask(
            "POST", "/flow_runs/filter", {**chosen, "sort": "EXPECTED_START_TIME_ASC"}
        )
        return [run for run in found if run["state_type"] != "SCHEDULED" or not run["auto_scheduled"]]

    def emit(self, payload: dict[str, Any], event_id: str | None = None) -> None:
        """An event from outside, over plain HTTP."""
        event = {
            "occurred": "2026-03-02T12:00:00Z",
            "event": CREATED,
            "resource": {"prefect.resource.id": "model-registry.cup.2", "prefect.resource.name": "cup version 2"},
            "payload": payload,
            "id": event_id or str(uuid4()),
        }
        self.ask("POST", "/events", [event])

    def until(self, what: str, ready: Callable[[], Any]) -> Any:
        """Wait; a process that ended says why."""
        deadline = time.monotonic() + PATIENCE_S
        while not (found := ready()):
            for name in self.processes.names():
                self.processes.must_live(name)
            assert time.monotonic() < deadline, f"{what} did not come: {self.words()}"
            time.sleep(0.3)
        return found

    def words(self) -> str:
        """The last lines of every log."""
        logs = [self.processes.log(name) for name in self.processes.names()]
        return "\n".join(log.read_text(errors="replace")[-2000:] for log in logs)

    def stop(self) -> None:
        for name in ("worker", "server"):
            self.processes.stop(name)

    def _healthy(self) -> bool:
        try:
            return httpx.get(f"{self.api}/health", timeout=5, trust_env=False).status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    folder = tmp_path_factory.mktemp("deployed")
    world = SmallWorld(folder / "world")
    world.clock.set(FIRST_DAY)
    team = Deployed(world, folder)
    try:
        team.serve()
        with world.servers:
            story = world.begin(Story("cup"), models.champion_v1(world.customers))
            world.submit(story, models.candidate_v2(world.customers))
            team.deploy()
            yield team
    finally:
        team.stop()


def test_every_deployment_of_the_file_is_on_the_server(deployed):
    listed = yaml.safe_load((ROOT / "prefect.yaml").read_text(encoding="utf-8"))["deployments"]
    found = {one["name"]: one for one in deployed.ask("POST", "/deployments/filter", {})}
    assert {entry["name"] for entry in listed} == set(found)
    assert {ENVIRONMENT} == {one["parameters"]["environment"] for one in found.values()}
    assert {str(ROOT)} == {one["pull_steps"][0]["prefect.deployments.steps.set_working_directory"]["directory"]
                           for one in found.values()}  # fmt: skip


def test_who_does_not_know_the_secret_is_refused(deployed):
    for headers in ({}, {"Authorization": "Basic dGVhbTp3cm9uZw=="}):
        answer = httpx.post(f"{deployed.api}/deployments/filter", json={}, headers=headers, trust_env=False)
        assert httpx.codes.UNAUTHORIZED == answer.status_code


def test_automations_made_twice_are_the_same_set(deployed):
    """Ours are kept, mended or deleted; a neighbour's is none of our business."""
    idle = EventTrigger(expect={"nothing.ever"}, posture=Posture.Reactive, threshold=1)

    async def others() -> None:
        async with get_client() as client:
            for name, tags in (("ours of last year", [TAG]), ("a neighbour's", ["theirs"])):
                await client.create_automation(
                    AutomationCore(name=name, tags=tags, trigger=idle, actions=[DoNothing()])
                )

    def names() -> list[str]:
        return sorted(one["name"] for one in deployed.ask("POST", "/automations/filter", {}))

    assert {"made"} == set(deployed.made.values())
    before = names()
    assert dict.fromkeys(deployed.made, "kept") == deployed.client(lambda: ensure(ENVIRONMENT))
    deployed.client(others)
    changed = deployed.client(lambda: ensure(ENVIRONMENT, timedelta(minutes=45)))
    (blind,) = [name for name in deployed.made if "nobody watches" in name]
    expected = {**dict.fromkeys(deployed.made, "kept"), blind: "replaced", "ours of last year": "deleted"}
    assert expected == changed
    assert sorted([*before, "a neighbour's"]) == names()
    assert "replaced" == deployed.client(lambda: ensure(ENVIRONMENT))[blind]


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_form_is_refused_before_a_run_exists(deployed, what):
    """Refused by the server, whatever page or program sends it; nothing is written anywhere."""
    deployment, hostile = HOSTILE[what]
    found = deployed.ask("GET", f"/deployments/name/{deployment}")
    runs, ledger = len(deployed.runs()), deployed.world.platform.ledger.rollouts()
    body = {"parameters": {**COMPLETE[deployment], **hostile}, "state": {"type": "SCHEDULED"}}
    answer = deployed.answer("POST", f"/deployments/{found['id']}/create_flow_run", body)
    assert httpx.codes.CONFLICT == answer.status_code, answer.text
    assert "alidation failed" in answer.text
    assert (runs, ledger) == (len(deployed.runs()), deployed.world.platform.ledger.rollouts())


def test_an_event_from_outside_starts_one_rollout_however_often_it_comes(deployed):
    """The program that docs/operations.md shows registers a version; four more events about it change nothing."""
    shown = re.findall(r"^```python\n(.*?)^```$", (ROOT / "docs/operations.md").read_text(), re.MULTILINE | re.DOTALL)
    (program,) = [body for body in shown if "emit_event" in body]
    assert 'tell("churn", "3", rollout_file="churn")' in program
    deployed.run(
        "-c", program.replace('tell("churn", "3", rollout_file="churn")', 'tell("cup", "2", rollout_file="cup")')
    )
    ledger, payload = deployed.world.platform.ledger, {"rollout_file": "cup", "version": "2"}
    deployed.until("the rollout", lambda: ledger.head("cup-v2"))
    (told,) = [event for event in _events(deployed) if event["payload"] == payload]
    for event_id in (told["id"], told["id"], None, None):
        deployed.emit(payload, event_id)
    runs = deployed.until("runs for all events", lambda: _ended(deployed, "register-candidate", 3))
    assert {"COMPLETED"} == {run["state_type"] for run in runs}
    assert ["cup-v2"] == list(ledger.rollouts())
    registered = [event for event in ledger.events("cup-v2") if event.type is EventType.REGISTERED]
    assert 1 == len(registered)
    assert 1 == len([event for event in _events(deployed) if event["id"] == told["id"]])


@pytest.mark.parametrize(
    ("payload", "reason"),
    [({"rollout_file": "cup"}, "version"), ({"rollout_file": "../../etc/passwd", "version": "2"}, "rollout_file")],
)
def test_an_event_that_starts_nothing_pages_someone(deployed, payload, reason):
    """A key is missing, or holds a path: no run, no rollout, and a person knows."""
    pages = len(deployed.ask("POST", "/artifacts/filter", PAGES))
    register = len(deployed.runs("register-candidate"))
    deployed.emit(payload)
    told = deployed.until("a page", lambda: deployed.ask("POST", "/artifacts/filter", PAGES)[: -pages or None])
    assert ["an event started nothing"] == [page["description"] for page in told]
    assert reason in told[0]["data"]
    assert register == len(deployed.runs("register-candidate"))
    assert ["cup-v2"] == list(deployed.world.platform.ledger.rollouts())
    sent = (deployed.world.home.root / "notifications.jsonl").read_text().splitlines()
    assert "an event started nothing" in json.dumps(json.loads(sent[-1]))


def test_the_secret_stands_in_no_log(deployed):
    """Nor in what Prefect stores: runs inherit it, and do not tell it."""
    logs = deployed.ask("POST", "/logs/filter", {"limit": 200})
    assert logs
    assert SECRET not in json.dumps(logs) + deployed.words()


def _events(team: Deployed) -> list[dict[str, Any]]:
    chosen = {"filter": {"event": {"name": [CREATED]}, "occurred": {"since": "2026-01-01T00:00:00Z"}}, "limit": 50}
    found: list[dict[str, Any]] = team.ask("POST", "/events/filter", chosen)["events"]
    return found


def _ended(team: Deployed, flow: str, least: int) -> list[dict[str, Any]]:
    """The runs of a flow, once there are enough and all have ended."""
    runs = team.runs(flow)
    ended = [run for run in runs if run["state_type"] in {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}]
    return runs if len(ended) == len(runs) >= least else []

"""A real Prefect server and a real worker on this machine, both of which can be killed and started again."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import httpx

ROOT = Path(__file__).parents[2]
READY_S = 180.0
POOL = "chaos"
DEPLOYMENT = "chaos-advance"
ENDED = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}


class PrefectSide:
    """`prefect server start` on SQLite, and `prefect worker start` on a process pool with one deployment.

    Args:
        folder: PREFECT_HOME, and the logs of both.
        named: The variables of the world that flows run in.
    """

    def __init__(self, folder: Path, named: Mapping[str, str]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}/api"
        self._folder = folder
        self.variables = {
            **os.environ,
            **named,
            "PYTHONPATH": str(ROOT),
            "PREFECT_HOME": str(folder),
            "PREFECT_API_URL": self.url,
            "PREFECT_API_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{folder / 'prefect.db'}",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_LOGGING_TO_API_ENABLED": "false",
            "PREFECT_LOGGING_LEVEL": "ERROR",
            "DO_NOT_TRACK": "1",
        }
        self._server: subprocess.Popen[bytes] | None = None
        self._worker: subprocess.Popen[bytes] | None = None

    def start_server(self) -> None:
        """Start it, and wait until it is healthy."""
        command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1"]
        self._server = self._spawn("server", [*command, "--port", str(self._port)])
        deadline = time.monotonic() + READY_S
        while True:
            assert self._server.poll() is None, (self._folder / "server.log").read_text()[-2000:]
            with suppress(httpx.HTTPError):
                if httpx.get(f"{self.url}/health", timeout=5, trust_env=False).status_code == httpx.codes.OK:
                    return
            assert time.monotonic() < deadline, "Prefect's server did not come up"
            time.sleep(0.2)

    def kill_server(self) -> None:
        """SIGKILL, with all that it started."""
        self._server = self._kill(self._server)

    def deploy(self) -> None:
        """A process pool, and advance_rollout as a deployment on it."""
        program = (
            "from prefect import flow\n"
            f"flow.from_source({str(ROOT)!r}, 'flows/advance_rollout.py:advance_rollout').deploy("
            f"name={DEPLOYMENT!r}, work_pool_name={POOL!r}, print_next_steps=False, ignore_warnings=True)\n"
        )
        for command in (
            [sys.executable, "-m", "prefect", "work-pool", "create", POOL, "--type", "process"],
            [sys.executable, "-c", program],
        ):
            subprocess.run(command, env=self.variables, cwd=ROOT, check=True, capture_output=True, timeout=READY_S)

    def start_worker(self) -> None:
        """Start it; it polls at once."""
        command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", POOL, "--type", "process"]
        self._worker = self._spawn("worker", [*command, "--prefetch-seconds", "2"])

    def kill_worker(self, *, children: bool) -> None:
        """SIGKILL: the worker alone, whose run goes on without it, or the worker with its run."""
        if children:
            self._worker = self._kill(self._worker)
        else:
            self._worker.kill()
            self._worker.wait()
            self._worker = None

    def request(self, rollout: str, environment: str) -> str:
        """Ask for a run of the deployment; its id."""
        with httpx.Client(base_url=self.url, timeout=60, trust_env=False) as api:
            found = api.get(f"/deployments/name/advance-rollout/{DEPLOYMENT}").raise_for_status().json()
            parameters = {"rollout": rollout, "environment": environment}
            asked = {"parameters": parameters, "state": {"type": "SCHEDULED"}}
            run = api.post(f"/deployments/{found['id']}/create_flow_run", json=asked).raise_for_status().json()
        return str(run["id"])

    def state_of(self, run: str) -> str:
        """A run's state type."""
        told = httpx.get(f"{self.url}/flow_runs/{run}", timeout=60, trust_env=False).raise_for_status().json()
        return str(told["state"]["type"])

    def await_state(self, run: str, states: set[str], within_s: float = READY_S) -> str:
        """Wait until a run is in one of some states."""
        deadline = time.monotonic() + within_s
        while (state := self.state_of(run)) not in states:
            assert time.monotonic() < deadline, f"the run is {state}, not one of {json.dumps(sorted(states))}"
            time.sleep(0.1)
        return state

    def stop(self) -> None:
        """End both."""
        self._worker = self._kill(self._worker)
        self._server = self._kill(self._server)

    def _spawn(self, name: str, command: list[str]) -> subprocess.Popen[bytes]:
        with (self._folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                command, env=self.variables, cwd=ROOT, stdout=log, stderr=log, start_new_session=True
            )

    def _kill(self, process: subprocess.Popen[bytes] | None) -> None:
        if process is not None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

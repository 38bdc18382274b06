"""The local endpoint and router as child processes: on free ports, ended with their parent, found by run.json."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from staged_rollout.adapters.atomic_file import replace_file
from staged_rollout.errors import PlatformError
from staged_rollout.spec.home import Home

_ENDPOINT = "staged_rollout.servers.endpoint"
_ROUTER = "staged_rollout.servers.router"
_PACKAGE_PARENT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class RunFile:
    """What run.json tells: where the servers of a home listen, and who they are.

    Attributes:
        endpoint_url: The SageMaker control plane and runtime.
        router_url: `/predict`, `/status`, `/metrics`.
        pids: Process ids by `endpoint` and `router`.
    """

    endpoint_url: str
    router_url: str
    pids: Mapping[str, int]

    @classmethod
    def read(cls, home: Home) -> Self | None:
        """The file of a home, or None when there is none that can be read."""
        try:
            told = json.loads(home.run_file.read_bytes())
            pids = {str(name): int(pid) for name, pid in told["pids"].items()}
            return cls(str(told["endpoint_url"]), str(told["router_url"]), pids)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def write(self, home: Home) -> None:
        """Replace the file."""
        told = {"endpoint_url": self.endpoint_url, "router_url": self.router_url, "pids": dict(self.pids)}
        replace_file(home.run_file, json.dumps(told, indent=1).encode() + b"\n", durable=False)


@dataclass
class LocalServers:
    """Both processes for as long as the context lasts; killing this process, even with SIGKILL, ends them too.

    Attributes:
        home: Registry, state, assignments, logs and run.json lie below it.
        endpoint: What the router's `/predict` asks, or None.
        simulated_time: Whether loopback callers may say what time it is.
        router_poll_s: Seconds between the router's reads of the assignment document.
        router_timeout_s: Seconds that the router waits for each attempt at the endpoint.
        update_seconds: How long the endpoint's changes last at least.
        slow: Delays by model package name, as `{"churn/2": "80ms"}`.
        start_timeout_s: Seconds that both may take to become ready.
        stop_timeout_s: Seconds that each may take to stop before it is killed.
    """

    home: Home
    endpoint: str | None = None
    simulated_time: bool = False
    router_poll_s: float = 5.0
    router_timeout_s: float = 5.0
    update_seconds: float = 1.0
    slow: Mapping[str, str] = field(default_factory=dict)
    start_timeout_s: float = 60.0
    stop_timeout_s: float = 15.0
    endpoint_url: str = field(default="", init=False)
    router_url: str = field(default="", init=False)
    _running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict, init=False)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pids(self) -> dict[str, int]:
        """Process ids by `endpoint` and `router`."""
        return {name: process.pid for name, process in self._running.items()}

    @property
    def alive(self) -> bool:
        """Whether both were started and neither has ended."""
        return len(self._running) == 2 and all(process.poll() is None for process in self._running.values())

    def start(self) -> None:
        """Stop what an earlier run left, start both, and wait until they answer.

        Raises:
            PlatformError: one did not become ready in time; both are stopped again.
        """
        stop_stale(self.home, self.stop_timeout_s)
        self.home.root.mkdir(parents=True, exist_ok=True)
        deadline = time.monotonic() + self.start_timeout_s
        try:
            self.endpoint_url = self._launch("endpoint", _ENDPOINT, self._endpoint_arguments(), deadline)
            self.router_url = self._launch("router", _ROUTER, self._router_arguments(), deadline)
            RunFile(self.endpoint_url, self.router_url, self.pids).write(self.home)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the router, then the endpoint, each gracefully; remove run.json if it is this run's."""
        told = RunFile.read(self.home)
        if told is not None and told.pids == self.pids:
            self.home.run_file.unlink(missing_ok=True)
        for name in ("router", "endpoint"):
            process = self._running.pop(name, None)
            if process is not None:
                _end(process, self.stop_timeout_s)

    def _launch(self, name: str, module: str, arguments: Sequence[str], deadline: float) -> str:
        command = [sys.executable, "-m", module, "--home", str(self.home.root), "--parent-pipe", *arguments]
        if self.simulated_time:
            command.append("--simulated-time")
        path = os.pathsep.join(filter(None, (str(_PACKAGE_PARENT), os.environ.get("PYTHONPATH"))))
        process = subprocess.Popen(  # noqa: S603 - our own modules by this interpreter, no shell
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
            start_new_session=True,  # Ctrl-C reaches the parent alone, which then stops them in order
        )
        self._running[name] = process
        line = _first_line(process, deadline - time.monotonic())
        try:
            port = int(json.loads(line)["port"])
        except (ValueError, KeyError, TypeError) as error:
            code = process.poll()
            state = "still starting" if code is None else f"ended with exit code {code}"
            raise PlatformError(
                f"the local {name} was not ready within {self.start_timeout_s:g} s: {state}",
                hint="its reason is on standard error",
                server=name,
                exit_code=code,
            ) from error
        return f"http://127.0.0.1:{port}"

    def _endpoint_arguments(self) -> list[str]:
        delays = [part for package, delay in self.slow.items() for part in ("--slow", f"{package}={delay}")]
        return ["--update-seconds", str(self.update_seconds), *delays]

    def _router_arguments(self) -> list[str]:
        arguments = ["--runtime-url", self.endpoint_url, "--poll", str(self.router_poll_s)]
        arguments += ["--timeout", str(self.router_timeout_s)]
        return arguments if self.endpoint is None else [*arguments, "--endpoint", self.endpoint]


def stop_stale(home: Home, timeout_s: float = 15.0) -> list[int]:
    """Stop the servers that run.json names, if they are this home's, and remove the file.

    A process id may be somebody else's by now: a process is stopped only if its command line, or where there is no
    /proc its own answer to GET /ping, says that it serves this home.

    Returns:
        The ids of the processes that were stopped.
    """
    told = RunFile.read(home)
    if told is None:
        return []
    urls = {"endpoint": told.endpoint_url, "router": told.router_url}
    stopped: list[int] = []
    for name in ("router", "endpoint"):
        pid = told.pids.get(name)
        if pid is not None and _is_ours(pid, home, urls[name]):
            _end_pid(pid, timeout_s)
            stopped.append(pid)
    home.run_file.unlink(missing_ok=True)
    return stopped


def running_servers(home: Home) -> RunFile:
    """Where the servers of a home listen.

    Raises:
        PlatformError: none are running.
    """
    told = RunFile.read(home)
    if told is None or not all(_is_alive(pid) for pid in told.pids.values()):
        raise PlatformError(
            f"no local servers are running for {home.root}",
            hint="start them with `staged-rollout servers ROLLOUT_FILE`, or watch `make demo`",
            home=str(home.root),
        )
    return told


def _first_line(process: subprocess.Popen[bytes], timeout_s: float) -> bytes:
    """The first line of standard output, or nothing when it does not come in time. The rest is read and dropped."""
    lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def read() -> None:
        if process.stdout is None:
            return
        with process.stdout as output:
            lines.put(output.readline())
            while output.read(4096):
                pass

    threading.Thread(target=read, name="server-output", daemon=True).start()
    try:
        return lines.get(timeout=max(0.0, timeout_s))
    except queue.Empty:
        return b""


def _end(process: subprocess.Popen[bytes], timeout_s: float) -> None:
    if process.stdin is not None:
        with suppress(OSError):
            process.stdin.close()  # the parent pipe's end: stop gracefully
    try:
        process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _end_pid(pid: int, timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
        while time.monotonic() < deadline:
            time.sleep(0.05)
            if not _is_alive(pid):
                return
        os.kill(pid, signal.SIGKILL)


def _is_alive(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    if status.exists():  # a zombie has a process id and no life
        with suppress(OSError, IndexError):
            return status.read_text().rpartition(")")[2].split()[0] != "Z"
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _is_ours(pid: int, home: Home, url: str) -> bool:
    if not _is_alive(pid):
        return False
    command = Path(f"/proc/{pid}/cmdline")
    if command.exists():
        with suppress(OSError):
            words = command.read_bytes().decode(errors="replace").split("\0")
            return any(word in {_ENDPOINT, _ROUTER} for word in words) and str(home.root) in words
        return False
    told = _identity(url)
    return told.get("pid") == pid and told.get("home") == str(home.root)


def _identity(url: str) -> dict[str, Any]:
    import httpx

    try:
        told = httpx.get(f"{url}/ping", timeout=2.0).json()
    except (httpx.HTTPError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}

"""`make demo UI=1`: the Prefect server that it starts answers, stays, and goes with the demo, however that ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from demo.prefect_servers import ui_server
from staged_rollout.errors import PlatformError

ROOT = Path(__file__).parents[2]
SOURCE = """
import sys
from pathlib import Path
from demo.prefect_servers import ui_server
from prefect import flow

@flow
def told() -> str:
    return "told"

with ui_server(Path(sys.argv[1]), int(sys.argv[2])) as ui:
    told()
    ui.stay(lambda line: print(line, flush=True))
print("ended", flush=True)
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def staying(home: Path, port: int) -> Iterator[subprocess.Popen[str]]:
    """A process that has run a flow against its server, and stays."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")},
        "PREFECT_HOME": str(home / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_LOGGING_LEVEL": "ERROR",
        "DO_NOT_TRACK": "1",
    }
    process = subprocess.Popen(
        [sys.executable, "-c", SOURCE, str(home), str(port)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def answers(port: int) -> bool:
    with suppress(httpx.HTTPError):
        return httpx.get(f"http://127.0.0.1:{port}/api/health", timeout=5).status_code == httpx.codes.OK
    return False


def goes(port: int) -> bool:
    """Whether the server is gone within 20 s."""
    deadline = time.monotonic() + 20
    while answers(port):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True


@pytest.mark.parametrize("ended_by", [signal.SIGINT, signal.SIGKILL])
def test_the_server_holds_the_runs_and_goes_with_the_demo(tmp_path, ended_by):
    """While it stays, its pages and the run are there; Ctrl-C ends both with exit code 0; a kill ends both, too."""
    port = free_port()
    with staying(tmp_path, port) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert f"http://127.0.0.1:{port} " in line
        assert answers(port)
        page = httpx.get(f"http://127.0.0.1:{port}/", headers={"accept": "text/html"}, follow_redirects=True)
        assert "<title>prefect" in page.text.lower()
        runs = httpx.post(f"http://127.0.0.1:{port}/api/flow_runs/filter", json={}).json()
        assert ["COMPLETED"] == [run["state_type"] for run in runs]
        process.send_signal(ended_by)
        code = process.wait(40)
        assert (0 if ended_by == signal.SIGINT else -ended_by) == code
        assert ("ended\n" if ended_by == signal.SIGINT else "") == process.stdout.read()
        assert goes(port)


def test_a_taken_port_is_refused_and_another_is_asked_for(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PlatformError, match=rf"port {port} cannot be had") as refused, ui_server(tmp_path, port):
            pass
        assert "PORT=n" in str(refused.value.hint)

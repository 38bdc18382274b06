"""The Prefect server that the demo runs against: a temporary one, or one with pages that stays until Ctrl-C."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx

from demo.orphans import ended_with_us, prefect_server_pids
from staged_rollout.errors import PlatformError

PORT = 4200
"""Prefect's own."""
READY_WITHIN_S = 120.0


@contextmanager
def temporary_prefect() -> Iterator[None]:
    """Start Prefect's temporary server, and end it with us."""
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True), ended_with_us(prefect_server_pids()):
        yield


@dataclass(frozen=True)
class UiServer:
    """A running server.

    Attributes:
        url: Where its pages are.
    """

    url: str

    def stay(self, say: Callable[[str], None]) -> None:
        """Leave the server running until Ctrl-C."""
        say(f"look at runs, artifacts and events: {self.url} (Ctrl-C ends the server; make demo UI=1 makes them anew)")
        with suppress(KeyboardInterrupt):
            while True:
                time.sleep(3600)


@contextmanager
def ui_server(home: Path, port: int | None) -> Iterator[UiServer]:
    """Start `prefect server start` on this machine's loopback alone, and let flows of this process use it.

    Args:
        home: The demo's folder; the server's output goes to `prefect-server.log` in it.
        port: Its port; None: Prefect's own, or any that is free.

    Raises:
        PlatformError: the port is taken, or the server did not come up.
    """
    from prefect.settings import PREFECT_API_URL, temporary_settings

    chosen = free_port(port)
    url = f"http://127.0.0.1:{chosen}"
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(chosen)]
    environment = {**os.environ, "PREFECT_API_URL": f"{url}/api", "PREFECT_UI_API_URL": f"{url}/api"}
    log = home / "prefect-server.log"
    with log.open("wb") as output:
        server = subprocess.Popen(  # noqa: S603 - our own command line
            command, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        with ended_with_us([server.pid]):
            _await(url, server, log)
            with temporary_settings({PREFECT_API_URL: f"{url}/api"}):
                yield UiServer(url)
    finally:
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def free_port(wanted: int | None) -> int:
    """The port that is wanted; None: Prefect's own, or any that is free.

    Raises:
        PlatformError: the wanted port is taken.
    """
    for port in (PORT, 0) if wanted is None else (wanted,):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except (OSError, OverflowError):
                continue
            return int(probe.getsockname()[1])
    raise PlatformError(f"port {wanted} cannot be had on 127.0.0.1", hint="make demo UI=1 PORT=n names another")


def _await(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + READY_WITHIN_S
    while server.poll() is None and time.monotonic() < deadline:
        with suppress(httpx.HTTPError):
            if httpx.get(f"{url}/api/health", timeout=5).status_code == httpx.codes.OK:
                return
        time.sleep(0.2)
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    raise PlatformError(f"Prefect's server did not come up: {lines[-1] if lines else 'it said nothing'}", hint=f"{log}")

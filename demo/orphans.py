"""Prefect's temporary server must not outlive a demo that was killed: a small process waits for that, and ends it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_WAIT = """
import os, signal, sys
sys.stdin.readline()  # ends when the demo does, however it ends
for pid in map(int, sys.argv[1:]):
    try:
        os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:
        pass
"""


@contextmanager
def ended_with_us(pids: list[int]) -> Iterator[None]:
    """For as long as the context lasts, see to it that these processes end when this one does, also by SIGKILL."""
    waiter = subprocess.Popen(  # noqa: S603 - our own text, our own process ids
        [sys.executable, "-S", "-c", _WAIT, *map(str, pids)], stdin=subprocess.PIPE, start_new_session=True
    )
    try:
        yield
    finally:
        waiter.kill()  # we end by ourselves: Prefect stops its server
        waiter.wait()
        if waiter.stdin is not None:
            waiter.stdin.close()


def prefect_server_pids() -> list[int]:
    """The process ids of the temporary servers that Prefect has started for this process."""
    from prefect.server.api.server import SubprocessASGIServer

    servers = SubprocessASGIServer._instances.values()  # noqa: SLF001 - Prefect tells it nowhere else
    return [server.server_process.pid for server in servers if server.server_process is not None]

"""The local endpoint and router, killed and started again on their old ports; and when each of them was down."""

from __future__ import annotations

import signal
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from staged_rollout.adapters.local_servers import _ENDPOINT, _ROUTER, LocalServers, RunFile


@dataclass
class MortalServers(LocalServers):
    """As a supervisor keeps them: whoever dies is started again where it listened.

    Attributes:
        outages: (who, from, to) in seconds of `time.monotonic`; `to` is infinite while it lasts.
    """

    outages: list[tuple[str, float, float]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def kill(self, name: str) -> None:
        """SIGKILL."""
        process = self._running[name]
        with self._lock:
            self.outages.append((name, time.monotonic(), float("inf")))
        process.send_signal(signal.SIGKILL)
        process.wait()
        with suppress(OSError):
            process.stdin.close()

    def revive(self, name: str) -> None:
        """Start it on its old port, and wait until it answers."""
        url = self.endpoint_url if name == "endpoint" else self.router_url
        module, arguments = (
            (_ENDPOINT, self._endpoint_arguments()) if name == "endpoint" else (_ROUTER, self._router_arguments())
        )
        port = str(urlsplit(url).port)
        told = self._launch(name, module, [*arguments, "--port", port], time.monotonic() + self.start_timeout_s)
        assert told == url
        RunFile(self.endpoint_url, self.router_url, self.pids).write(self.home)
        with self._lock:
            who, begun, _ = self.outages[-1]
            self.outages[-1] = (who, begun, time.monotonic())

    def out(self, begun: float, ended: float) -> bool:
        """Whether either was down at some time in an interval."""
        with self._lock:
            return any(begun <= to and since <= ended for _, since, to in self.outages)

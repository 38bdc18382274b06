"""What a router counts by itself: for its health file, `/status` and `/metrics`."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from datetime import datetime

from staged_rollout.adapters.health_files import FileHealth
from staged_rollout.ports.health import HealthReading

_LOG = logging.getLogger(__name__)


class Tallies:
    """Counters since this router started. Thread-safe.

    Args:
        health: Where calls per endpoint are reported; None: nowhere, as where CloudWatch counts them.
        router: This router's id.
    """

    def __init__(self, health: FileHealth | None, router: str) -> None:
        self._health = health
        self._router = router
        self._lock = threading.Lock()
        self._requests: Counter[tuple[str, str]] = Counter()
        self._errors: Counter[tuple[str, str]] = Counter()
        self._fallbacks: Counter[tuple[str, str]] = Counter()
        self._log_failures = 0
        self._readings: dict[str, HealthReading] = {}
        self._unwritten: set[str] = set()

    def count(self, endpoint: str, variant: str, at: datetime, *, failed: bool, fallback: bool) -> None:
        """Count one call.

        Args:
            endpoint: Where.
            variant: Who answered, or was asked last.
            at: When, in the clock's time.
            failed: Whether the caller got no prediction.
            fallback: Whether another variant than the assigned one was asked.
        """
        key = (endpoint, variant)
        with self._lock:
            self._requests[key] += 1
            self._errors[key] += failed
            self._fallbacks[key] += fallback
            before = self._readings.get(endpoint, HealthReading(0, None))
            last = at if before.last_call_at is None else max(at, before.last_call_at)
            self._readings[endpoint] = HealthReading(before.calls + 1, last)
            self._unwritten.add(endpoint)

    def count_log_failure(self) -> None:
        """Count a row that could not be written."""
        with self._lock:
            self._log_failures += 1

    @property
    def log_failures(self) -> int:
        """Rows that could not be written."""
        return self._log_failures

    def calls(self, endpoint: str) -> int:
        """Calls of an endpoint."""
        with self._lock:
            return self._readings.get(endpoint, HealthReading(0, None)).calls

    def flush(self) -> None:
        """Report what was counted since the last time."""
        if self._health is None:
            return
        with self._lock:
            due = {endpoint: self._readings[endpoint] for endpoint in self._unwritten}
            self._unwritten.clear()
        for endpoint, reading in due.items():
            try:
                self._health.write(endpoint, self._router, reading)
            except OSError:
                _LOG.exception("counters of endpoint %s were not written", endpoint)
                with self._lock:
                    self._unwritten.add(endpoint)

    def exposition(self) -> str:
        """The counters in Prometheus's text format, version 0.0.4."""
        with self._lock:
            families = (
                ("requests", "Requests by the variant that answered or was asked last.", dict(self._requests)),
                ("errors", "Requests without a prediction.", dict(self._errors)),
                ("fallbacks", "Requests that another variant than the assigned one answered.", dict(self._fallbacks)),
            )
            failures = self._log_failures
        lines: list[str] = []
        for family, help_text, counts in families:
            name = f"staged_rollout_router_{family}_total"
            lines += [f"# HELP {name} {help_text}", f"# TYPE {name} counter"]
            lines += [
                f'{name}{{endpoint="{endpoint}",variant="{variant}"}} {count}'
                for (endpoint, variant), count in sorted(counts.items())
            ]
        name = "staged_rollout_router_log_failures_total"
        lines += [f"# HELP {name} Rows that could not be logged.", f"# TYPE {name} counter", f"{name} {failures}"]
        return "\n".join(lines) + "\n"

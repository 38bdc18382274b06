"""Router counters as files: `ENDPOINT/ROUTER.json`, one writer each, so that several routers need no lock."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from staged_rollout.adapters.atomic_file import replace_file
from staged_rollout.adapters.resource_names import checked_name
from staged_rollout.errors import PlatformError
from staged_rollout.ports.health import HealthReading


class FileHealth:
    """Implements `ports.Health` on a folder, and writes one router's part of it.

    Args:
        folder: Where the counters lie (`Home.health`).
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, endpoint: str) -> HealthReading:
        """Calls summed over all routers that ever counted this endpoint, and the latest of their last calls.

        Raises:
            RefusedError: the endpoint's name is not one.
            PlatformError: a counter file is not one.
        """
        calls = 0
        last: datetime | None = None
        for path in sorted((self._folder / checked_name(endpoint, "endpoint")).glob("*.json")):
            reading = self._one(path)
            calls += reading.calls
            if reading.last_call_at is not None:
                last = max(last or reading.last_call_at, reading.last_call_at)
        return HealthReading(calls, last)

    def write(self, endpoint: str, router: str, reading: HealthReading) -> None:
        """Replace one router's counters; a lost write costs at most what was counted since the one before.

        Raises:
            RefusedError: the endpoint's or router's name is not one.
        """
        path = self._folder / checked_name(endpoint, "endpoint") / f"{checked_name(router, 'router')}.json"
        last = reading.last_call_at
        row = {"router": router, "calls": reading.calls, "last_call_at": last.isoformat() if last else None}
        replace_file(path, json.dumps(row).encode() + b"\n", durable=False)

    @staticmethod
    def _one(path: Path) -> HealthReading:
        try:
            row = json.loads(path.read_bytes())
            last = row["last_call_at"]
            return HealthReading(
                int(row["calls"]), None if last is None else datetime.fromisoformat(last).astimezone(UTC)
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise PlatformError(f"router counters {path} cannot be read: {error}", path=str(path)) from error

"""The flat prediction log: one row per request, failed ones too, written before the caller is answered."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any, TypedDict

import orjson

from staged_rollout.servers.line_files import LineFiles


class PredictionRow(TypedDict):
    """A row; the members are the columns, in this order.

    `timestamp` is ISO 8601 in UTC with microseconds; `rollout` and `assigned_variant` are null where no rollout counts
    the row, `unit_id` where none was sent, `prediction` for a failed call; `latency_ms` is what the caller waited for.
    """

    request_id: str
    timestamp: str
    rollout: str | None
    unit_id: str | None
    assigned_variant: str | None
    variant: str
    fallback: bool
    epoch: int
    model_version: str
    prediction: Any
    latency_ms: float
    status: int
    features: dict[str, Any]


class PredictionLog:
    """Appends rows to `ENDPOINT/yyyy-mm-dd/ROUTER.jsonl`, by event day.

    Args:
        folder: `Home.logs / "predictions"`.
        router: This router's id.
    """

    def __init__(self, folder: Path, router: str) -> None:
        self._folder = folder
        self._name = f"{router}.jsonl"
        self._files = LineFiles()

    def write(self, endpoint: str, at: datetime, row: PredictionRow) -> None:
        """Append a row.

        Raises:
            OSError: it could not be written.
        """
        self._files.append(self._folder / endpoint / f"{at:%Y-%m-%d}" / self._name, orjson.dumps(row))

    def close(self) -> None:
        """Close all files."""
        self._files.close()


def timestamp(at: datetime) -> str:
    """A time in UTC as the log has it: `2026-02-14T17:25:49.000123Z`."""
    return f"{at:%Y-%m-%dT%H:%M:%S.%f}Z"

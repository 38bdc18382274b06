"""Copies that the shadow did not answer: SageMaker captures no line for them, so they are counted beside it."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from staged_rollout.adapters.atomic_file import replace_file


class ShadowFailures:
    """Counts per endpoint and variant since the process started, and the last reason.

    Args:
        path: Where the counts are written, as JSON.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._counts: dict[str, dict[str, Any]] = {}
        self._written = True

    def add(self, endpoint: str, variant: str, reason: str, at: datetime) -> None:
        """Count one."""
        row = self._counts.setdefault(f"{endpoint}/{variant}", {"failures": 0})
        row.update(failures=row["failures"] + 1, last_at=at.isoformat(), last_reason=reason[:500])
        self._written = False

    def flush(self) -> None:
        """Write what was counted since the last time."""
        if not self._written:
            self._written = True
            replace_file(self._path, json.dumps(self._counts, indent=1).encode(), durable=False)

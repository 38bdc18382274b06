"""Experiment tracking: the figures of each look, for people who live in their tracker."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class Tracker(Protocol):
    """Records each look once per (rollout, look): MLflow on SQLite here, SageMaker-managed MLflow there."""

    def record(self, rollout: str, look: str, metrics: Mapping[str, float], tags: Mapping[str, str]) -> None:
        """Write one look's metrics; writing the same look again changes nothing."""
        ...

"""Closes moto's gaps that matter to a rollout, in the process that serves it; each file's first lines say which."""

from __future__ import annotations

import copy
import threading
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class _Values:
    update_seconds: float = 0.1
    """How long an endpoint is Creating, Updating or Deleting."""
    failing_updates: list[dict[str, Any]] = field(default_factory=list)
    """`{"endpoint", "reason", "ends": "InService" | "Failed" | "UpdateRollbackFailed", "times"}`: updates that fail."""
    quotas: dict[str, float] = field(default_factory=dict)
    """Endpoint instances per instance type; a type that is not named has no quota to be found."""
    events: bool = True
    """Whether a change of a model package puts an event on the bus; off: it is lost."""
    event_copies: int = 1
    """Events per change: AWS sends several."""
    models_home: str = ""
    """A registry folder (`Home.registry`) with the models that endpoints answer with; "": none."""


class Settings:
    """What tests set; `/_tests/settings` changes it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values = _Values()

    def reset(self) -> None:
        """As at the start."""
        with self._lock:
            self._values = _Values()

    def change(self, changes: dict[str, Any]) -> dict[str, Any]:
        """Set some; all of them as they are then."""
        with self._lock:
            for name, value in changes.items():
                if name not in _Values.__dataclass_fields__:
                    raise KeyError(name)
                setattr(self._values, name, value)
            return asdict(self._values)

    @property
    def now(self) -> _Values:
        """A copy."""
        with self._lock:
            return copy.deepcopy(self._values)

    def failure_of(self, endpoint: str) -> dict[str, Any] | None:
        """The failure that the next update of an endpoint takes; counts it."""
        with self._lock:
            for failure in self._values.failing_updates:
                if failure["endpoint"] == endpoint and failure.setdefault("times", 1) > 0:
                    failure["times"] -= 1
                    return dict(failure)
            return None


SETTINGS = Settings()


def close_gaps() -> None:
    """Change moto's classes; before its server starts."""
    from tests import moto_gaps_quotas, moto_gaps_registry, moto_gaps_runtime, moto_gaps_serving, moto_gaps_stack

    for gap in (moto_gaps_serving, moto_gaps_registry, moto_gaps_quotas, moto_gaps_runtime, moto_gaps_stack):
        gap.close()

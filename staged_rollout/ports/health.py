"""What routers count by themselves, apart from their logs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True)
class HealthReading:
    """One endpoint's calls as its routers count them.

    Attributes:
        calls: Calls since the routers first started; never decreases.
        last_call_at: The time of the last one (in the clock's time), or None before the first.
    """

    calls: int
    last_call_at: datetime | None


class Health(Protocol):
    """Reads counters: router files here, CloudWatch on AWS."""

    def read(self, endpoint: str) -> HealthReading:
        """The counters now; zero calls when no router has reported."""
        ...

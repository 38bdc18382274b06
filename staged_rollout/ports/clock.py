"""The only source of now."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """Tells the time: real, or simulated for the demo and tests."""

    @property
    def simulated(self) -> bool:
        """Whether the time is not the wall clock's."""
        ...

    def now(self) -> datetime:
        """The present, with time zone UTC."""
        ...

    def wall(self) -> float:
        """Seconds since the epoch by the machine's clock: for leases and drains, which real processes wait for."""
        ...

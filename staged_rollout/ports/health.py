"""What routers and CloudWatch count by themselves, apart from the logs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True)
class VariantHealth:
    """One variant over the last day, as its endpoint's platform measured it; None: nothing was measured.

    Attributes:
        name: The variant.
        invocations: Calls, whoever made them.
        errors_4xx: Answers of the 4xx kind.
        errors_5xx: Answers of the 5xx kind.
        latency_ms: Mean time of the model, in milliseconds.
        latency_max_ms: Longest time of the model, in milliseconds.
        cpu: Greatest CPU utilisation, in percent; above 100 on several cores.
        memory: Greatest memory utilisation, in percent.
        disk: Greatest disk utilisation, in percent.
    """

    name: str
    invocations: int = 0
    errors_4xx: int = 0
    errors_5xx: int = 0
    latency_ms: float | None = None
    latency_max_ms: float | None = None
    cpu: float | None = None
    memory: float | None = None
    disk: float | None = None


@dataclass(frozen=True)
class HealthReading:
    """One endpoint's calls.

    Attributes:
        calls: Since the routers first started, as they count; or over the last day, as CloudWatch does.
        last_call_at: The time of the last one (in the clock's time), or None before the first.
        variants: What the platform measured of each variant; () where it measures nothing.
    """

    calls: int
    last_call_at: datetime | None
    variants: tuple[VariantHealth, ...] = ()


class Health(Protocol):
    """Reads counters: router files here, CloudWatch on AWS."""

    def read(self, endpoint: str) -> HealthReading:
        """The counters now; zero calls when nobody has reported."""
        ...

"""Latencies as additive counts: per unit, requests slower than each threshold of a frozen log grid."""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from staged_rollout.errors import StatisticsError
from staged_rollout.stats.inputs import count, positive
from staged_rollout.stats.moments import RatioMoments, whole

_STEPS_PER_DOUBLING = 36  # 2^(1/36) = 1.0194: steps of less than 2%
_DOUBLINGS_BELOW, _DOUBLINGS_ABOVE = 2, 3


def threshold_grid(p95_ms: float) -> tuple[float, ...]:
    """The frozen log grid: from a quarter to eight times the champion's 95th percentile, in steps of 1.94%.

    Args:
        p95_ms: The champion's 95th percentile when the plan is frozen, in ms, > 0.

    Returns:
        181 ascending thresholds in ms, to nine significant digits so that every platform has the same; `p95_ms` is
        the 73rd.

    Raises:
        StatisticsError: p95_ms is not a positive number.

    >>> grid = threshold_grid(100)
    >>> len(grid), grid[0], grid[72], grid[-1]
    (181, 25.0, 100.0, 800.0)
    """
    p95 = positive("p95_ms", p95_ms, "the champion's 95th percentile in ms, measured before the plan is frozen")
    first, last = -_DOUBLINGS_BELOW * _STEPS_PER_DOUBLING, _DOUBLINGS_ABOVE * _STEPS_PER_DOUBLING
    return tuple(float(f"{p95 * 2 ** (step / _STEPS_PER_DOUBLING):.9g}") for step in range(first, last + 1))


@dataclass(frozen=True)
class ExceedanceMoments:
    """Sums over the units of one variant: requests, and per threshold the requests slower than it.

    A request exceeds a threshold when its latency is *above* it; a timeout or failed call is +inf and exceeds them all.

    Args:
        n: Units.
        requests: Sum of requests d.
        requests_squared: Sum of d^2.
        exceed: Sum of exceedances y, one per threshold, never rising along the grid.
        exceed_squared: Sum of y^2, one per threshold.
        exceed_requests: Sum of y d, one per threshold.
    """

    n: int
    requests: int
    requests_squared: int
    exceed: tuple[int, ...]
    exceed_squared: tuple[int, ...]
    exceed_requests: tuple[int, ...]

    def __post_init__(self) -> None:
        # As Python integers, which never overflow.
        for name in ("n", "requests", "requests_squared"):
            object.__setattr__(self, name, whole(name, getattr(self, name)))
        for name in ("exceed", "exceed_squared", "exceed_requests"):
            object.__setattr__(self, name, tuple(whole(name, total) for total in getattr(self, name)))
        count("n", self.n)
        if not len(self.exceed) == len(self.exceed_squared) == len(self.exceed_requests):
            raise StatisticsError(
                f"{len(self.exceed)}, {len(self.exceed_squared)} and {len(self.exceed_requests)} sums, must be equal",
                hint="build all sums from the same grid",
            )
        steps = zip((self.requests, *self.exceed), (*self.exceed, 0), strict=True)
        if any(later > earlier for earlier, later in steps):
            message = "exceedances rise along the grid, or are more than the requests"
            raise StatisticsError(
                message, hint="count requests above each threshold, thresholds ascending", exceed=self.exceed
            )

    @classmethod
    def empty(cls, thresholds: int) -> ExceedanceMoments:
        """The sums over no units."""
        zeros = (0,) * thresholds
        return cls(0, 0, 0, zeros, zeros, zeros)

    @classmethod
    def from_units(cls, units: Iterable[tuple[int, Sequence[int]]], thresholds: int) -> ExceedanceMoments:
        """Sums from each unit's number of requests and its exceedances per threshold.

        Raises:
            StatisticsError: A unit has not one count per threshold.
        """
        n = requests = squared = 0
        y, yy, yd = [0] * thresholds, [0] * thresholds, [0] * thresholds
        for d, exceed in units:
            if len(exceed) != thresholds:
                message = f"{len(exceed)} exceedances of a unit, must be {thresholds}"
                raise StatisticsError(message, hint="one count per threshold of the grid", exceed=tuple(exceed))
            n, requests, squared = n + 1, requests + d, squared + d * d
            for j, above in enumerate(exceed):
                y[j] += above
                yy[j] += above * above
                yd[j] += above * d
        return cls(n, requests, squared, tuple(y), tuple(yy), tuple(yd))

    @classmethod
    def from_latencies(cls, units: Iterable[Sequence[float]], grid: Sequence[float]) -> ExceedanceMoments:
        """Sums from each unit's latencies in ms; +inf is a timeout.

        Raises:
            StatisticsError: A latency is nan.
        """
        return cls.from_units(((len(values), exceedances(values, grid)) for values in units), len(grid))

    def merge(self, other: ExceedanceMoments) -> ExceedanceMoments:
        """Sums over the units of both; associative, commutative and exact.

        Raises:
            StatisticsError: The grids have different lengths.
        """
        if len(self.exceed) != len(other.exceed):
            message = f"{len(self.exceed)} and {len(other.exceed)} thresholds, must be the same grid"
            raise StatisticsError(message, hint="the grid is frozen for the rollout")
        return ExceedanceMoments(
            self.n + other.n,
            self.requests + other.requests,
            self.requests_squared + other.requests_squared,
            tuple(a + b for a, b in zip(self.exceed, other.exceed, strict=True)),
            tuple(a + b for a, b in zip(self.exceed_squared, other.exceed_squared, strict=True)),
            tuple(a + b for a, b in zip(self.exceed_requests, other.exceed_requests, strict=True)),
        )

    def at(self, j: int) -> RatioMoments:
        """The share of requests above threshold `j`, as a ratio of unit totals."""
        return RatioMoments(
            self.n,
            self.exceed[j],
            self.exceed_squared[j],
            self.requests,
            self.requests_squared,
            self.exceed_requests[j],
        )


def exceedances(latencies: Sequence[float], grid: Sequence[float]) -> tuple[int, ...]:
    """How many of one unit's latencies lie above each threshold.

    >>> exceedances([10.0, 20.0, float("inf")], (5.0, 10.0, 50.0))
    (3, 2, 1)
    """
    for value in latencies:
        if math.isnan(value):
            raise StatisticsError(
                "latency == nan, must be a number or +inf", hint="a failed call is +inf", latency=value
            )
    ordered = sorted(latencies)
    return tuple(len(ordered) - bisect.bisect_right(ordered, threshold) for threshold in grid)

"""Winsorised means: values beyond a cap count as the cap, so that a few extreme units cannot drown the rest.

The cap is frozen from data before the start. One taken from the data of the look would move with them, and with the
treatment.

Source: Tukey (1962), "The future of data analysis", Annals of Mathematical Statistics 33, section 14.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from staged_rollout.errors import StatisticsError
from staged_rollout.stats.inputs import count, finite, inside
from staged_rollout.stats.moments import Moments, exact


@dataclass(frozen=True)
class Cap:
    """Where values end: lower ones count as `low`, higher ones as `high`; None does not limit.

    Args:
        low: In the metric's unit.
        high: In the metric's unit, above `low`.

    Raises:
        StatisticsError: A limit is not finite, or low >= high.

    >>> Cap(high=100.0).apply(250.0), Cap(-1.0, 1.0).apply(-3.0)
    (100.0, -1.0)
    """

    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        for name, limit in (("low", self.low), ("high", self.high)):
            if limit is not None:
                finite(name, limit, "leave out the side that has no cap")
        if self.low is not None and self.high is not None and self.low >= self.high:
            message = f"low == {self.low}, must be < high == {self.high}"
            raise StatisticsError(message, hint="a cap leaves room for values", low=self.low, high=self.high)

    @classmethod
    def from_past(cls, values: Sequence[float], *, share_above: float = 0.01, share_below: float = 0.0) -> Cap:
        """The cap that at most these shares of past values lie beyond.

        Args:
            values: One per unit, of the same window length, all from before the start; in the metric's unit.
            share_above: In [0, 0.5); 0 for no upper cap.
            share_below: In [0, 0.5); 0 for no lower cap. Equal shares cap symmetrically.

        Returns:
            The cap: `high` is the smallest past value with at most `share_above` of them above it, `low` the mirror
            image.

        Raises:
            StatisticsError: No values, one that is not finite, a share out of bounds, or limits that meet.

        >>> Cap.from_past(range(1, 101), share_above=0.01, share_below=0.05)
        Cap(low=6.0, high=99.0)
        """
        inside("values", len(values), 0, math.inf, "a cap needs values from before the start")
        ordered = sorted(values)
        for value in ordered:
            finite("past value", value, "leave out units without a number")
        hint = "the share of past values beyond the cap, such as 0.01"
        beyond = []
        for name, share in (("share_below", share_below), ("share_above", share_above)):
            if share != 0:
                inside(name, share, 0.0, 0.5, hint)
            beyond.append(math.floor(exact(share) * len(ordered)))
        low = float(ordered[beyond[0]]) if share_below else None
        high = float(ordered[-1 - beyond[1]]) if share_above else None
        return cls(low, high)

    def apply(self, value: float) -> float:
        """The value, or the limit that it lies beyond; infinite values are capped too, nan stays nan."""
        if self.low is not None and value < self.low:
            return self.low
        if self.high is not None and value > self.high:
            return self.high
        return value


@dataclass(frozen=True)
class WinsorisedMoments(Moments):
    """Sums over capped values: moments as any other, which remember how many values the cap touched.

    Args:
        n: Units.
        s: Sum of q.
        ss: Sum of q^2.
        capped_below: Units raised to the lower limit.
        capped_above: Units lowered to the upper limit.
    """

    capped_below: int = 0
    capped_above: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        capped = count("capped_below", self.capped_below) + count("capped_above", self.capped_above)
        if capped > self.n:
            message = f"{capped} capped units, must be <= n == {self.n}"
            raise StatisticsError(message, hint="each unit is capped once at most", capped=capped, n=self.n)


def winsorise(values: Iterable[float], cap: Cap, resolution: float = 1.0) -> WinsorisedMoments:
    """Sums of values, each capped and then quantised.

    Args:
        values: One per unit, in the metric's unit; infinite only where the cap limits that side.
        cap: Frozen before the start, the same for all variants and looks.
        resolution: Step of the metric, in its unit.

    Returns:
        Moments for `difference`; they merge with others of the same cap.

    Raises:
        QuantisationError: A value that is nan, or too large after capping.
        StatisticsError: The resolution is out of bounds.

    >>> capped = winsorise([1.0, 2.0, 900.0], Cap(high=10.0))
    >>> capped.mean(), capped.capped_above
    (4.333333333333333, 1)
    """
    units = list(values)
    capped = [cap.apply(value) for value in units]
    sums = Moments.from_values(capped, resolution)
    return WinsorisedMoments(
        n=sums.n,
        s=sums.s,
        ss=sums.ss,
        capped_below=sum(after > before for before, after in zip(units, capped, strict=True)),
        capped_above=sum(after < before for before, after in zip(units, capped, strict=True)),
    )

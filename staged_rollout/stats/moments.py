"""Exact sufficient statistics of one variant: integer sums that add up to the same bytes in every order.

Float sums depend on their order; integer sums do not. So each event is quantised to an integer at its metric's
resolution, sums are Python integers, centring is done in integers, and there is one division at the end.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

from staged_rollout.errors import QuantisationError, StatisticsError
from staged_rollout.stats.inputs import count, positive

#: Largest |q| of one event or unit total, so that products of 2^46 units fit in 128 bits in any engine.
LARGEST_QUANTUM = 2**40


def exact(value: float) -> Fraction:
    """The number as it is written: the shortest decimal that names the float, so that 0.1 is one tenth."""
    return Fraction(repr(float(value))) if isinstance(value, float) else Fraction(value)


def quantise(value: float, resolution: float) -> int:
    """The multiple of `resolution` nearest to `value`, ties to even.

    Both numbers are read as the shortest decimals that name them, as they stand in a log or a rollout file, and are
    divided exactly: 2.675 at 0.01 is a tie and gives 268, though the nearest floats would give 267.

    Args:
        value: In the metric's unit.
        resolution: Smallest step that counts, in the same unit, > 0.

    Returns:
        The integer q with |q| <= 2^40.

    Raises:
        QuantisationError: The value is not finite, or |q| > 2^40.
        StatisticsError: The resolution is not positive.

    >>> quantise(2.675, 0.01), quantise(2.5, 1), quantise(-0.1, 0.001)
    (268, 2, -100)
    """
    positive("resolution", resolution, "the smallest step of the metric that counts, such as 0.001")
    if not math.isfinite(value):
        message = f"value == {value}, must be finite"
        raise QuantisationError(
            message, hint="leave out or reject rows without a number", value=value, resolution=resolution
        )
    quantum = round(exact(value) / exact(resolution))
    if abs(quantum) > LARGEST_QUANTUM:
        raise QuantisationError(
            f"value == {value} is {abs(quantum):.3g} steps of {resolution}, must be <= 2^40",
            hint="declare a coarser resolution, or reject the row",
            value=value,
            resolution=resolution,
        )
    return quantum


@dataclass(frozen=True)
class Moments:
    """Sums over the units of one variant, in steps of the metric's resolution.

    Args:
        n: Units.
        s: Sum of q.
        ss: Sum of q^2.
    """

    n: int = 0
    s: int = 0
    ss: int = 0

    def __post_init__(self) -> None:
        count("n", self.n)
        _check_squares(self.n, self.s, self.ss, "ss")

    @classmethod
    def from_values(cls, values: Iterable[float], resolution: float = 1.0) -> Moments:
        """Sums of values, each quantised at `resolution`."""
        quanta = [quantise(value, resolution) for value in values]
        return cls(len(quanta), sum(quanta), sum(q * q for q in quanta))

    def merge(self, other: Moments) -> Moments:
        """Sums over the units of both; associative, commutative and exact."""
        return Moments(self.n + other.n, self.s + other.s, self.ss + other.ss)

    def mean(self, resolution: float = 1.0) -> float:
        """Mean in the metric's unit.

        Raises:
            StatisticsError: No units.
        """
        _check_units(self.n, 1)
        return float(Fraction(self.s, self.n) * exact(resolution))

    def variance(self, resolution: float = 1.0) -> float:
        """Variance of one unit, with n - 1, in the metric's unit squared.

        Raises:
            StatisticsError: Fewer than two units.
        """
        _check_units(self.n, 2)
        centred = self.n * self.ss - self.s * self.s
        return float(Fraction(centred, self.n * (self.n - 1)) * exact(resolution) ** 2)


@dataclass(frozen=True)
class RatioMoments:
    """Sums over the units of one variant for a ratio metric, such as errors (y) per request (d).

    Args:
        n: Units.
        sy: Sum of unit totals y.
        syy: Sum of y^2.
        sd: Sum of unit totals d.
        sdd: Sum of d^2.
        syd: Sum of y d.
    """

    n: int = 0
    sy: int = 0
    syy: int = 0
    sd: int = 0
    sdd: int = 0
    syd: int = 0

    def __post_init__(self) -> None:
        count("n", self.n)
        _check_squares(self.n, self.sy, self.syy, "syy")
        _check_squares(self.n, self.sd, self.sdd, "sdd")

    @classmethod
    def from_values(
        cls,
        numerators: Iterable[float],
        denominators: Iterable[float],
        resolution: float = 1.0,
        denominator_resolution: float = 1.0,
    ) -> RatioMoments:
        """Sums of unit totals, each quantised at its resolution.

        Raises:
            StatisticsError: Not one denominator per numerator.
        """
        ys = [quantise(y, resolution) for y in numerators]
        ds = [quantise(d, denominator_resolution) for d in denominators]
        if len(ys) != len(ds):
            message = f"{len(ys)} numerators and {len(ds)} denominators, must be the same number"
            raise StatisticsError(message, hint="one of each per unit", numerators=len(ys), denominators=len(ds))
        products = sum(y * d for y, d in zip(ys, ds, strict=True))
        return cls(len(ys), sum(ys), sum(y * y for y in ys), sum(ds), sum(d * d for d in ds), products)

    def merge(self, other: RatioMoments) -> RatioMoments:
        """Sums over the units of both; associative, commutative and exact."""
        return RatioMoments(
            self.n + other.n,
            self.sy + other.sy,
            self.syy + other.syy,
            self.sd + other.sd,
            self.sdd + other.sdd,
            self.syd + other.syd,
        )

    def squared_residuals(self, ratio: Fraction) -> Fraction:
        """Sum over units of (y - ratio d)^2, exact."""
        return self.syy - 2 * ratio * self.syd + ratio * ratio * self.sdd


def ratio_estimate(moments: RatioMoments, resolution: float = 1.0) -> tuple[float, float] | None:
    """The ratio of sums, and the delta-method variance of that estimate over unit totals.

    var = (s_y^2 - 2 R s_yd + s_d^2 R^2) / (n dbar^2), with s from n - 1.

    Source: Deng, Knoblich and Lu (2018), "Applying the delta method in metric analytics", KDD.

    Args:
        moments: Sums over units.
        resolution: Step of y per step of d, in the metric's unit.

    Returns:
        (ratio, variance of the ratio), or None ("insufficient") with fewer than two units or no denominator.

    >>> ratio_estimate(RatioMoments.from_values([1, 0, 2], [10, 10, 10]))
    (0.1, 0.0033333333333333335)
    """
    m = moments
    if m.n < 2 or m.sd <= 0:
        return None
    step = exact(resolution)
    ratio = Fraction(m.sy, m.sd)
    # The residuals y - R d sum to zero, so their raw sum of squares is the centred one.
    variance = m.squared_residuals(ratio) * m.n / ((m.n - 1) * m.sd * m.sd)
    return float(ratio * step), float(variance * step**2)


def _check_squares(n: int, s: int, ss: int, name: str) -> None:
    if n * ss < s * s:
        raise StatisticsError(
            f"{name} == {ss} with n == {n} and sum == {s}, must be >= sum^2 / n",
            hint="the sums do not come from the same units",
            n=n,
            sum=s,
            squares=ss,
        )


def _check_units(n: int, least: int) -> None:
    if n < least:
        raise StatisticsError(f"n == {n}, must be >= {least}", hint="wait for more units", n=n)

"""Exact sufficient statistics of one variant: integer sums that add up to the same bytes in every order.

Float sums depend on their order; integer sums do not. So each event is quantised to an integer at its metric's
resolution, sums are Python integers, centring is done in integers, and there is one division at the end.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields
from fractions import Fraction
from typing import Any, Self

from staged_rollout.errors import QuantisationError, StatisticsError
from staged_rollout.stats.inputs import count, inside

#: Largest |q| of one event or unit total, so that products of 2^46 units fit in 128 bits in any engine.
LARGEST_QUANTUM = 2**40


def exact(value: float) -> Fraction:
    """The number as it is written: the shortest decimal that names the float, so that 0.1 is one tenth."""
    return Fraction(repr(float(value))) if isinstance(value, float) else Fraction(value)


def step(resolution: float) -> Fraction:
    """The resolution as an exact number.

    Raises:
        StatisticsError: Not between 1e-100 and 1e100, where floats hold the squares of all that it can multiply.
    """
    inside("resolution", resolution, 1e-100, 1e100, "the smallest step of the metric that counts, such as 0.001")
    return exact(resolution)


def whole(name: str, value: Any) -> int:
    """A sum as a Python integer, which never overflows as numpy's do.

    Raises:
        StatisticsError: Not a whole number, or a float too large to tell it from its neighbours.
    """
    try:
        found = int(value)
    except (TypeError, ValueError, OverflowError):
        found = None
    if found is None or found != value or (isinstance(value, float) and abs(found) > 2**53):
        message = f"{name} == {value}, must be a whole number, and an integer above 2^53"
        raise StatisticsError(message, hint="add quantised values as integers", name=name, value=value)
    return found


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
        StatisticsError: The resolution is out of bounds.

    >>> quantise(2.675, 0.01), quantise(2.5, 1), quantise(-0.1, 0.001)
    (268, 2, -100)
    """
    width = step(resolution)
    if not math.isfinite(value):
        message = f"value == {value}, must be finite"
        raise QuantisationError(
            message, hint="leave out or reject rows without a number", value=value, resolution=resolution
        )
    quantum = round(exact(value) / width)
    if abs(quantum) > LARGEST_QUANTUM:
        raise QuantisationError(
            f"value == {value} is {abs(quantum):.3g} steps of {resolution}, must be <= 2^40",
            hint="declare a coarser resolution, or reject the row",
            value=value,
            resolution=resolution,
        )
    return quantum


class AdditiveSums:
    """Mixin of frozen dataclasses of integers that add up: whole numbers only, and `merge`."""

    def make_whole(self) -> None:
        """Turn every sum into a Python integer.

        Raises:
            StatisticsError: A sum is not a whole number.
        """
        for field in fields(self):  # type: ignore[arg-type]
            object.__setattr__(self, field.name, whole(field.name, getattr(self, field.name)))

    def merge(self, other: Self) -> Self:
        """Sums over the units of both; associative, commutative and exact.

        Raises:
            StatisticsError: Sums of another kind.
        """
        if type(other) is not type(self):
            message = f"{type(self).__name__} and {type(other).__name__}, must be the same"
            raise StatisticsError(message, hint="merge sums that were built alike")
        names = [field.name for field in fields(self)]  # type: ignore[arg-type]
        return type(self)(*(getattr(self, name) + getattr(other, name) for name in names))


@dataclass(frozen=True)
class Moments(AdditiveSums):
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
        self.make_whole()
        count("n", self.n)
        check_squares(self.n, self.s, self.ss, "ss")

    @classmethod
    def from_values(cls, values: Iterable[float], resolution: float = 1.0) -> Moments:
        """Sums of values, each quantised at `resolution`."""
        quanta = [quantise(value, resolution) for value in values]
        return cls(len(quanta), sum(quanta), sum(q * q for q in quanta))

    def mean(self, resolution: float = 1.0) -> float:
        """Mean in the metric's unit.

        Raises:
            StatisticsError: No units.
        """
        _check_units(self.n, 1)
        return float(Fraction(self.s, self.n) * step(resolution))

    def variance(self, resolution: float = 1.0) -> float:
        """Variance of one unit, with n - 1, in the metric's unit squared.

        Raises:
            StatisticsError: Fewer than two units.
        """
        return float(self.exact_variance() * step(resolution) ** 2)

    def exact_variance(self) -> Fraction:
        """Variance of one unit, with n - 1, in steps squared: centred in integers, divided once.

        Raises:
            StatisticsError: Fewer than two units.
        """
        _check_units(self.n, 2)
        return Fraction(self.n * self.ss - self.s * self.s, self.n * (self.n - 1))


@dataclass(frozen=True)
class RatioMoments(AdditiveSums):
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
        self.make_whole()
        check_pair(self.n, self.sy, self.syy, self.sd, self.sdd, self.syd, ("syy", "sdd", "syd"))

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
        return cls(*pair_sums(ys, ds, ("numerators", "denominators")))

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
    width = step(resolution)
    found = exact_ratio(moments)
    return None if found is None else (float(found[0] * width), float(found[1] * width**2))


def exact_ratio(moments: RatioMoments) -> tuple[Fraction, Fraction] | None:
    """What `ratio_estimate` answers, exact, in steps."""
    m = moments
    if m.n < 2 or m.sd <= 0:
        return None
    ratio = Fraction(m.sy, m.sd)
    # The residuals y - R d sum to zero, so their raw sum of squares is the centred one.
    return ratio, m.squared_residuals(ratio) * m.n / ((m.n - 1) * m.sd * m.sd)


def pair_sums(ys: list[int], xs: list[int], names: tuple[str, str]) -> tuple[int, int, int, int, int, int]:
    """(n, sum y, sum y^2, sum x, sum x^2, sum y x) over units with one of each.

    Raises:
        StatisticsError: Not one x per y.
    """
    if len(ys) != len(xs):
        message = f"{len(ys)} {names[0]} and {len(xs)} {names[1]}, must be the same number"
        raise StatisticsError(message, hint="one of each per unit", ys=len(ys), xs=len(xs))
    products = sum(y * x for y, x in zip(ys, xs, strict=True))
    return len(ys), sum(ys), sum(y * y for y in ys), sum(xs), sum(x * x for x in xs), products


def check_squares(n: int, s: int, ss: int, name: str) -> None:
    """Refuse sums that no n numbers have.

    Raises:
        StatisticsError: The sum of squares is below sum^2 / n.
    """
    if n * ss < s * s:
        raise StatisticsError(
            f"{name} == {ss} with n == {n} and sum == {s}, must be >= sum^2 / n",
            hint="the sums do not come from the same units",
            n=n,
            sum=s,
            squares=ss,
        )


def check_pair(n: int, sy: int, syy: int, sx: int, sxx: int, syx: int, names: tuple[str, str, str]) -> None:
    """Refuse sums that no n pairs of numbers have (Cauchy and Schwarz); names are those of the last three kinds.

    Raises:
        StatisticsError: n is negative, or a sum of squares or of products is impossible.
    """
    count("n", n)
    check_squares(n, sy, syy, names[0])
    check_squares(n, sx, sxx, names[1])
    covariance = n * syx - sy * sx
    if covariance * covariance > (n * syy - sy * sy) * (n * sxx - sx * sx):
        raise StatisticsError(
            f"{names[2]} == {syx}, must not correlate beyond 1",
            hint="the sums do not come from the same units",
            n=n,
            products=syx,
        )


def _check_units(n: int, least: int) -> None:
    if n < least:
        raise StatisticsError(f"n == {n}, must be >= {least}", hint="wait for more units", n=n)

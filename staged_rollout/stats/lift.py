"""Relative lift, treatment / control - 1, with the interval that inverts the test of treatment = r * control.

An interval that divides the difference's limits by the control's mean takes that mean as known, and is too short. Here
the control's error counts, and the price is honest: where the control's mean is itself not told from 0, no finite
interval holds its level (Gleser and Hwang 1987, Annals of Statistics 15, 1351-1362), and none is given.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy.optimize import brentq

from staged_rollout.stats.inputs import events_and_units, inside
from staged_rollout.stats.means import Difference
from staged_rollout.stats.results import Result

_EDGE = 1e-12


def _checked(z_crit: float) -> float:
    # Its square must not overflow, nor vanish beside 1.
    return inside("z_crit", z_crit, 1e-6, 1e6, "the bound of the look, or 1.96")


@dataclass(frozen=True)
class RelativeLift(Result):
    """All lifts that the data do not reject.

    Three shapes: from `low` to `high`; no limit on a side that is None; and, where the control's mean is not told from
    0, both None, with `excluded` as the gap that is rejected, or None where nothing is.

    Args:
        estimate: Treatment / control - 1; 0.1 is 10% more.
        low: Lower limit; None: none.
        high: Upper limit; None: none.
        excluded: (a, b): all lifts but those between a and b are possible.
        z_crit: What the test was compared with.
    """

    estimate: float
    low: float | None
    high: float | None
    excluded: tuple[float, float] | None
    z_crit: float

    @property
    def bounded(self) -> bool:
        """Whether it is an interval with two limits."""
        return self.low is not None and self.high is not None

    def contains(self, lift: float) -> bool:
        """Whether the data do not reject this lift."""
        if self.excluded is not None:
            return not self.excluded[0] < lift < self.excluded[1]
        return (self.low is None or self.low <= lift) and (self.high is None or lift <= self.high)


def relative_lift(found: Difference, z_crit: float) -> RelativeLift | None:
    """Lift of means, ratios, adjusted or stratified means, with Fieller's set.

    r = 1 + lift belongs to the set exactly if |T - r C| <= z_crit sd(T - r C), with the variances of `found`. So 0
    belongs to it exactly if |z| <= z_crit: with a look's bound, set and boundary never disagree.

    Source: Fieller (1954), "Some problems in interval estimation", JRSS B 16, 175-185.

    Args:
        found: A difference.
        z_crit: Critical value > 0, used on both sides: the look's bound, or 1.96.

    Returns:
        The lift, or None ("insufficient") when the control's mean is 0.

    Raises:
        StatisticsError: z_crit out of bounds.

    >>> from staged_rollout.stats.means import rate_difference
    >>> lift = relative_lift(rate_difference(1200, 10_000, 1000, 10_000), 1.96)
    >>> round(lift.estimate, 4), round(lift.low, 4), round(lift.high, 4)
    (0.2, 0.1089, 0.2995)
    """
    z = _checked(z_crit)
    # In units of the control's mean, so that nothing depends on the metric's unit.
    if found.control == 0:
        return None
    t = found.treatment / found.control
    v_t, v_c = (found.se_treatment / found.control) ** 2, (found.se_control / found.control) ** 2
    v_tc = found.covariance / found.control**2
    # a r^2 - 2 b r + c <= 0, and its discriminant multiplied out, where b^2 - a c would cancel.
    a, b, c = 1 - z * z * v_c, t - z * z * v_tc, t * t - z * z * v_t
    discriminant = z * z * (v_t + v_c * t * t - 2 * v_tc * t - z * z * (v_t * v_c - v_tc * v_tc))
    low, high, excluded = _solutions(a, b, c, discriminant)
    return RelativeLift(t - 1, low, high, excluded, z)


_Solutions = tuple[float | None, float | None, tuple[float, float] | None]


def _solutions(a: float, b: float, c: float, discriminant: float) -> _Solutions:
    """Where a r^2 - 2 b r + c <= 0, as (low, high, excluded), less 1."""
    if a < 0 and discriminant <= 0:
        return None, None, None
    # The root of larger size first, the other one by Vieta: neither subtracts what is nearly equal.
    larger = b + math.copysign(math.sqrt(max(discriminant, 0.0)), b)
    if a == 0:
        if b == 0:
            return None, None, None
        limit = c / (2 * b) - 1
        return (limit, None, None) if b > 0 else (None, limit, None)
    roots = (larger / a - 1, (c / larger if larger else 0.0) - 1)
    first, last = min(roots), max(roots)
    return (first, last, None) if a > 0 else (None, None, (first, last))


def rate_lift(x_treatment: int, n_treatment: int, x_control: int, n_control: int, z_crit: float) -> RelativeLift | None:
    """Lift of a rate with one 0/1 per unit, with the interval that inverts the score test.

    The variance is that of the rates that are likeliest when rate_T = r rate_C. At lift 0 that is the pooled rate, so
    0 belongs to the interval exactly if |score_z| <= z_crit: it never disagrees with `score_test` at margin 0.

    Source: Koopman (1984), "Confidence intervals for the ratio of two binomial proportions", Biometrics 40, 513-517.

    Args:
        x_treatment: Treatment units with the event.
        n_treatment: Treatment units.
        x_control: Control units with the event.
        n_control: Control units.
        z_crit: Critical value > 0, used on both sides: the look's bound, or 1.96.

    Returns:
        The lift, always with both limits, or None ("insufficient") without units in both variants or without an event
        in the control.

    Raises:
        StatisticsError: Counts or z_crit out of bounds.

    >>> lift = rate_lift(1200, 10_000, 1000, 10_000, 1.96)
    >>> round(lift.estimate, 4), round(lift.low, 4), round(lift.high, 4)
    (0.2, 0.1087, 0.2989)
    """
    z = _checked(z_crit)
    x_t, n_t = events_and_units(x_treatment, n_treatment, "treatment")
    x_c, n_c = events_and_units(x_control, n_control, "control")
    if not n_t or not n_c or not x_c:
        return None
    low = _lowest_ratio(x_t, n_t, x_c, n_c, z)
    # The upper limit is the lower limit of control / treatment; with x_c > 0 the set has one.
    high = 1 / _lowest_ratio(x_c, n_c, x_t, n_t, z)
    return RelativeLift(x_t * n_c / (n_t * x_c) - 1, low - 1, high - 1, None, z)


def _lowest_ratio(x_t: int, n_t: int, x_c: int, n_c: int, z: float) -> float:
    """The smallest r = rate_T / rate_C >= 0 that the score test does not reject."""
    if not x_t:
        return 0.0

    def excess(r: float) -> float:
        # Multiplied out, so that zero variance is no special case.
        p_c = _restricted_control_rate(x_t, n_t, x_c, n_c, r)
        p_t = min(1.0, r * p_c)
        return x_t / n_t - r * x_c / n_c - z * math.sqrt(p_t * (1 - p_t) / n_t + r * r * p_c * (1 - p_c) / n_c)

    if not x_c:
        high = 1.0
        while excess(high) > 0:
            high *= 2
    else:
        high = x_t * n_c / (n_t * x_c) * (1 - _EDGE)
        if excess(high) >= 0:
            return high
    return float(brentq(excess, 0.0, high, xtol=1e-300, rtol=1e-15, maxiter=300))


def _restricted_control_rate(x_t: int, n_t: int, x_c: int, n_c: int, r: float) -> float:
    """Maximum-likelihood rate of the control when rate_T = r rate_C: the smaller root of a quadratic."""
    b = r * (n_t + x_c) + (x_t + n_c)
    # b^2 - 4 a c, as a sum of what is never negative, so that nothing cancels.
    root = math.hypot(r * (n_t + x_c) - (x_t + n_c), 2 * math.sqrt(r * (n_t - x_t) * (n_c - x_c)))
    return min(1.0, 2 * (x_t + x_c) / (b + root))

"""Confidence sequences of means: intervals that hold at all looks at once, however many and whenever they are taken.

Each limit errs with probability at most alpha, ever; both together with at most 2 alpha. A limit alone is a one-sided
statement at alpha. Both come from `log_normal_mixture`: the lower limit is the smallest value against which the
e-value stays below 1 / alpha.

Asymptotic in units, because the variance is estimated: below `LEAST_UNITS` units in a variant there is no answer. What
skewness costs, simulated from there to 2,000 units with limits tuned at 500, alpha .025: exponential values leave the
mean out in 4.3% of all runs (5% allowed), but on one side in 3.7%, where 2.5% are allowed; log-normal ones in 8.3%. So
cap heavy tails (winsorise) before. In a difference at an equal split skewness cancels. Exact limits, for rates and
bounded values, are in `bounded_sequence`. Units are independent, each enters once, and the clock is units, or effective
units 1 / (1 / n_T + 1 / n_C) at a split that does not change.

Source: Robbins (1970), Annals of Mathematical Statistics 41, 1397-1409; Howard, Ramdas, McAuliffe and Sekhon (2021),
Annals of Statistics 49, 1055-1080; Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas (2024), Annals of Statistics 52,
"Time-uniform central limit theory and asymptotic confidence sequences".
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

from scipy.optimize import brentq
from scipy.special import lambertw

from staged_rollout.stats.guard import bounded, log_normal_mixture
from staged_rollout.stats.inputs import finite, per_side_alpha, positive
from staged_rollout.stats.means import difference
from staged_rollout.stats.moments import Moments
from staged_rollout.stats.planning import effective_units
from staged_rollout.stats.results import Result

LEAST_UNITS = 100
"""Units in a variant below which a mean has no limits: the looks' own minimum. From 10 units on, exponential values
leave the mean out in 6.8% of all runs where 5% are allowed."""


@dataclass(frozen=True)
class ConfidenceSequence(Result):
    """One look at a confidence sequence.

    Args:
        estimate: Mean, rate or difference.
        low: Lower limit; above the true value with probability at most alpha at any look ever.
        high: Upper limit; below the true value with probability at most alpha at any look ever.
        alpha: Error probability of one limit, over all looks.
        units: Units, or effective units of a difference.
        mixture_units: Effective units n0 of the mixture; smaller is tighter early.
        method: "normal-mixture" is asymptotic, "bounded" is exact for values within their bounds.
        null: Value that the e-values and p-values speak against; None without one.
        log_e_larger: Natural logarithm of the e-value against "at most null"; None without null.
        log_e_smaller: The same against "at least null".
        p_larger: Always-valid p-value min(1, 1 / e) against "at most null".
        p_smaller: The same against "at least null".
    """

    estimate: float
    low: float
    high: float
    alpha: float
    units: float
    mixture_units: float
    method: Literal["normal-mixture", "bounded"]
    null: float | None = None
    log_e_larger: float | None = None
    log_e_smaller: float | None = None
    p_larger: float | None = None
    p_smaller: float | None = None

    def running(self, earlier: ConfidenceSequence) -> ConfidenceSequence:
        """This look narrowed by what `earlier` looks have excluded already, and with the smaller p-values.

        Valid while the quantity stays the same over time. Limits that cross (low > high) say that it did not, or that
        an error of probability 2 alpha has happened.
        """
        return replace(
            self,
            low=max(self.low, earlier.low),
            high=min(self.high, earlier.high),
            p_larger=_smaller(self.p_larger, earlier.p_larger),
            p_smaller=_smaller(self.p_smaller, earlier.p_smaller),
        )


def mixture_units(tuned_at: float, alpha: float) -> float:
    """Effective units n0 of the mixture whose limits are tightest at a stated sample size.

    n0 = n / r with r - log(1 + r) = 2 log(1 / (2 alpha)), solved by Lambert's W.

    Source: Waudby-Smith et al. (2024), appendix on the choice of rho; Howard et al. (2021), proposition 3.

    Args:
        tuned_at: Units (effective units of a difference) at which the limits are to be tightest, > 0.
        alpha: Error probability of one limit.

    Returns:
        n0 in the same units.

    Raises:
        StatisticsError: A number is out of bounds.

    >>> round(mixture_units(1000, 0.025), 1)
    121.8
    """
    positive("tuned_at", tuned_at, "units at which the limits are to be tightest, such as the planned number")
    log_square = 2 * math.log(2 * per_side_alpha(alpha))
    return tuned_at / (-float(lambertw(-math.exp(log_square - 1), -1).real) - 1)


def normal_mixture_bound(units: float, alpha: float, n0: float) -> float:
    """Standard errors from the estimate to a limit: the z at which the one-sided mixture's e-value is 1 / alpha.

    Args:
        units: Units, or effective units of a difference, > 0.
        alpha: Error probability of this limit, over all looks.
        n0: Effective units of the mixture, from `mixture_units`.

    Returns:
        z > 0.

    Raises:
        StatisticsError: A number is out of bounds.

    >>> n0 = mixture_units(1000, 0.025)
    >>> [round(normal_mixture_bound(n, 0.025, n0), 2) for n in (10, 100, 1000, 10_000, 100_000)]
    [8.95, 3.83, 3.04, 3.25, 3.57]
    """
    positive("units", units, "units seen so far")
    positive("n0", n0, "effective units of the mixture, from mixture_units()")
    log_threshold = -math.log(per_side_alpha(alpha))
    # The mixture is 2 Phi(.) times the two-sided one, and Phi(.) lies between 1/2 and 1.
    shrink = units / (units + n0)
    low, high = (
        math.sqrt((2 * (log_threshold - factor) + math.log1p(units / n0)) / shrink) for factor in (math.log(2), 0.0)
    )
    return float(
        brentq(lambda z: log_normal_mixture(z, units, n0) - log_threshold, 0.999 * low, 1.001 * high, xtol=1e-13)
    )


def mean_sequence(
    moments: Moments, *, alpha: float = 0.025, tuned_at: float, null: float | None = None, resolution: float = 1.0
) -> ConfidenceSequence | None:
    """Confidence sequence of a mean.

    Args:
        moments: Sums over all units so far.
        alpha: Error probability of one limit, over all looks.
        tuned_at: Units at which the limits are to be tightest; chosen before the first look.
        null: Mean that the e-values and p-values speak against, in the metric's unit.
        resolution: Step that the sums count in, in the metric's unit.

    Returns:
        The look, or None ("insufficient") below 100 units or without variance.

    Raises:
        StatisticsError: A number is out of bounds.

    >>> moments = Moments.from_values([3, 5, 4, 6, 2, 5, 4, 4, 3, 4] * 20)
    >>> look = mean_sequence(moments, tuned_at=200, null=3.8)
    >>> round(look.low, 2), look.estimate, round(look.high, 2), round(look.p_larger, 3)
    (3.76, 4.0, 4.24, 0.08)
    """
    n0 = mixture_units(tuned_at, alpha)
    if moments.n < LEAST_UNITS:
        return None
    se = math.sqrt(moments.variance(resolution) / moments.n)
    return _normal(moments.mean(resolution), se, float(moments.n), alpha, n0, null)


def difference_sequence(
    treatment: Moments,
    control: Moments,
    *,
    alpha: float = 0.025,
    tuned_at: float,
    null: float = 0.0,
    resolution: float = 1.0,
) -> ConfidenceSequence | None:
    """Confidence sequence of the difference of two means, treatment minus control, variances unequal.

    Args:
        treatment: Sums over the treatment's units so far.
        control: Sums over the control's units so far.
        alpha: Error probability of one limit, over all looks.
        tuned_at: Effective units 1 / (1 / n_T + 1 / n_C) at which the limits are to be tightest.
        null: Difference that the e-values and p-values speak against, in the metric's unit.
        resolution: Step that the sums count in, in the metric's unit.

    Returns:
        The look, or None ("insufficient") below 100 units in a variant or without variance.

    Raises:
        StatisticsError: A number is out of bounds.
    """
    n0 = mixture_units(tuned_at, alpha)
    found = difference(treatment, control, resolution)
    if found is None or min(treatment.n, control.n) < LEAST_UNITS:
        return None
    return _normal(found.estimate, found.se, effective_units(treatment.n, control.n), alpha, n0, null)


def _normal(
    estimate: float, se: float, units: float, alpha: float, n0: float, null: float | None
) -> ConfidenceSequence | None:
    if null is not None:
        finite("null", null, "the value under the null hypothesis")
    if se <= 0:
        return None
    half = normal_mixture_bound(units, alpha, n0) * se
    z = None if null is None else (estimate - null) / se
    logs = (None, None) if z is None else (log_normal_mixture(z, units, n0), log_normal_mixture(-z, units, n0))
    return look_at((estimate, estimate - half, estimate + half), alpha, units, n0, "normal-mixture", null, logs)


def look_at(
    limits: tuple[float, float, float],
    alpha: float,
    units: float,
    n0: float,
    method: Literal["normal-mixture", "bounded"],
    null: float | None,
    log_e: tuple[float | None, float | None],
) -> ConfidenceSequence:
    """A look from (estimate, low, high) and the log e-values (larger, smaller) against `null`, with p-values."""
    larger, smaller = (None if value is None else bounded(value) for value in log_e)
    return ConfidenceSequence(*limits, alpha, units, n0, method, null, larger, smaller, _p(larger), _p(smaller))


def _p(log_e: float | None) -> float | None:
    """1 / e, at most 1; the smallest e^-700 keeps it a number that is not 0."""
    return None if log_e is None else math.exp(-min(max(log_e, 0.0), 700.0))


def _smaller(now: float | None, earlier: float | None) -> float | None:
    return now if earlier is None else earlier if now is None else min(now, earlier)

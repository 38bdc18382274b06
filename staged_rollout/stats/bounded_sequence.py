"""Confidence sequences of rates and of means of bounded values: exact at any number of units, from the first.

The e-process against "rate <= p" averages the likelihood ratio of a larger rate q to p over q > p, with a beta density
that is centred on p and worth n0 units. Each ratio is a nonnegative supermartingale when each unit's expected value,
given those before, is at most p; for values in [0, 1] too, because the ratio is a convex function of the value and so
at most its chord. The limits invert it.

Two variants are compared in `sequence_difference`.

Source: Robbins (1970), Annals of Mathematical Statistics 41, 1397-1409; Howard, Ramdas, McAuliffe and Sekhon (2021),
Annals of Statistics 49, section 3 (sub-Bernoulli, beta-binomial mixture); convexity: Hoeffding (1963), JASA 58, 13-30.
"""

from __future__ import annotations

import math

from scipy.optimize import brentq
from scipy.special import betaincc, betaln

from staged_rollout.errors import StatisticsError
from staged_rollout.stats.confidence_sequence import ConfidenceSequence, look_at, mixture_units
from staged_rollout.stats.inputs import count, finite, inside, positive
from staged_rollout.stats.moments import Moments, exact

_EDGE = 1e-12
_UNDERFLOW = 1e-280


def log_e_rate(total: float, n: int, rate: float, n0: float) -> float:
    """Log e-value against "the rate is at most `rate`", exact at any number of units.

    Args:
        total: Units with the event, or the sum of values in [0, 1]; 0 to n.
        n: Units.
        rate: Largest rate under the null hypothesis, in (0, 1).
        n0: Weight in units of the beta density of larger rates, > 0.

    Returns:
        log e, finite; 0 without units.

    Raises:
        StatisticsError: A number is out of bounds.

    >>> round(log_e_rate(60, 100, 0.4, 25), 3), round(log_e_rate(60, 100, 0.6, 25), 3)
    (6.383, -0.825)
    """
    units = count("n", n)
    inside("rate", rate, 0.0, 1.0, "rates are shares, 10% is 0.1")
    positive("n0", n0, "weight of the mixture in units, from mixture_units()")
    if not 0 <= total <= units:
        message = f"total == {total}, must be >= 0 and <= n == {units}"
        raise StatisticsError(message, hint="events are among the units", total=total, n=units)
    return mixture_log_e(total, units, rate, n0) if units else 0.0


def rate_sequence(
    events: int, n: int, *, alpha: float = 0.025, tuned_at: float, null: float | None = None
) -> ConfidenceSequence | None:
    """Confidence sequence of a rate, exact from the first unit.

    Args:
        events: Units with the event so far.
        n: Units so far.
        alpha: Error probability of one limit, over all looks.
        tuned_at: Units at which the limits are to be about tightest; chosen before the first look.
        null: Rate that the e-values and p-values speak against, in (0, 1).

    Returns:
        The look, or None ("insufficient") without units.

    Raises:
        StatisticsError: A number is out of bounds.

    >>> look = rate_sequence(30, 100, tuned_at=100, null=0.5)
    >>> round(look.low, 3), look.estimate, round(look.high, 3), round(look.p_smaller, 4)
    (0.175, 0.3, 0.448, 0.001)
    """
    n0 = mixture_units(tuned_at, alpha)
    x, units = count("events", events), count("n", n)
    inside("events", x, -1, units + 1, "events are among the units")
    if null is not None:
        inside("null", null, 0.0, 1.0, "rates are shares, 10% is 0.1")
    if not units:
        return None
    logs = (
        (None, None)
        if null is None
        else (mixture_log_e(x, units, null, n0), mixture_log_e(units - x, units, 1 - null, n0))
    )
    limits = (x / units, _lower(x, units, alpha, n0), 1 - _lower(units - x, units, alpha, n0))
    return look_at(limits, alpha, float(units), n0, "bounded", null, logs)


def bounded_mean_sequence(
    moments: Moments,
    *,
    smallest: float,
    largest: float,
    alpha: float = 0.025,
    tuned_at: float,
    null: float | None = None,
    resolution: float = 1.0,
) -> ConfidenceSequence | None:
    """Confidence sequence of the mean of values in [smallest, largest], exact from the first unit.

    Its width is that of a rate on the same range: values that vary much less are served better by `mean_sequence`.

    Args:
        moments: Sums over all units so far.
        smallest: No value can be smaller, whatever the data; in the metric's unit.
        largest: No value can be larger.
        alpha: Error probability of one limit, over all looks.
        tuned_at: Units at which the limits are to be about tightest.
        null: Mean that the e-values and p-values speak against, between the bounds.
        resolution: Step that the sums count in, in the metric's unit.

    Returns:
        The look, or None ("insufficient") without units.

    Raises:
        StatisticsError: A number is out of bounds, or the mean lies outside [smallest, largest].

    >>> look = bounded_mean_sequence(Moments.from_values([1, 2, 5, 3, 4] * 20), smallest=0, largest=5, tuned_at=100)
    >>> round(look.low, 2), look.estimate, round(look.high, 2)
    (2.24, 3.0, 3.7)
    """
    n0 = mixture_units(tuned_at, alpha)
    low, high = checked_bounds(smallest, largest)
    if null is not None:
        inside("null", null, low, high, "a mean lies between the bounds of the values")
    if not moments.n:
        return None
    n, (x, y) = moments.n, distances(moments, low, high, resolution)
    rate = None if null is None else (null - low) / (high - low)
    logs = (None, None) if rate is None else (mixture_log_e(x, n, rate, n0), mixture_log_e(y, n, 1 - rate, n0))
    limits = (
        moments.mean(resolution),
        low + (high - low) * _lower(x, n, alpha, n0),
        high - (high - low) * _lower(y, n, alpha, n0),
    )
    return look_at(limits, alpha, float(n), n0, "bounded", null, logs)


def checked_bounds(smallest: float, largest: float) -> tuple[float, float]:
    """Return both if they are finite and smallest < largest."""
    high = finite("largest", largest, "the largest value that a unit can have")
    low = finite("smallest", smallest, "the smallest value that a unit can have")
    return inside("smallest", low, -math.inf, high, "values lie between smallest and largest"), high


def distances(moments: Moments, low: float, high: float, resolution: float) -> tuple[float, float]:
    """Sums over units of (value - low) and of (high - value), both in units of high - low; exact, divided once.

    Raises:
        StatisticsError: The mean lies outside [low, high].
    """
    width = exact(high) - exact(low)
    above = (moments.s * exact(resolution) - moments.n * exact(low)) / width
    if not 0 <= above <= moments.n:
        message = f"mean == {moments.mean(resolution)}, must be >= {low} and <= {high}"
        raise StatisticsError(message, hint="the bounds hold for every value", smallest=low, largest=high)
    return float(above), float(moments.n - above)


def _lower(x: float, n: int, alpha: float, n0: float) -> float:
    """Smallest rate that is not excluded from below; 0 without events."""
    log_threshold = -math.log(alpha)

    def excess(rate: float) -> float:
        return mixture_log_e(x, n, rate, n0) - log_threshold

    low, high = _EDGE, min(x / n, 1 - _EDGE)
    if high <= low or excess(low) <= 0:
        return 0.0
    return float(brentq(excess, low, high, xtol=1e-15, rtol=1e-13))


def mixture_log_e(x: float, n: int, rate: float, n0: float) -> float:
    """`log_e_rate` of checked numbers."""
    a, b = n0 * rate, n0 * (1 - rate)
    log_mixture = float(betaln(a + x, b + n - x) - betaln(a, b)) - x * math.log(rate) - (n - x) * math.log1p(-rate)
    return log_mixture + _log_beta_tail(a + x, b + n - x, rate) - _log_beta_tail(a, b, rate)


def _log_beta_tail(a: float, b: float, p: float) -> float:
    """Natural logarithm of P(Beta(a, b) > p), also where the probability is below the smallest float.

    Source: NIST Digital Library of Mathematical Functions, 8.17.22 (continued fraction).
    """
    tail = float(betaincc(a, b, p))
    if tail > _UNDERFLOW:
        return math.log(tail)
    q, fraction = 1 - p, 1.0
    for m in range(100, 0, -1):
        odd = -(b + m) * (a + b + m) * q / ((b + 2 * m) * (b + 2 * m + 1))
        even = m * (a - m) * q / ((b + 2 * m - 1) * (b + 2 * m))
        fraction = 1 + even / (1 + odd / fraction)
    fraction = 1 - (a + b) * q / (b + 1) / fraction
    return b * math.log(q) + a * math.log(p) - math.log(b) - float(betaln(a, b)) - math.log(fraction)

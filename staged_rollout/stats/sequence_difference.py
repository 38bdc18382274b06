"""Confidence sequences of a difference of two rates, or of two means of bounded values.

Exact: the product of two e-values, one against "the treatment's rate <= p + delta" and one against "the control's rate
>= p", at the p that speaks least. Units of both variants may arrive in any order and at any split; for the true p the
product is a supermartingale, and at the least p it is smaller still. It pays for two mixtures: limits some 5% wider
than the asymptotic ones.

Source: as `bounded_sequence`; the least favourable member of a composite null hypothesis: Wasserman, Ramdas and
Balakrishnan (2020), PNAS 117, "Universal inference".
"""

from __future__ import annotations

import math

from scipy.optimize import brentq, minimize_scalar

from staged_rollout.stats.bounded_sequence import checked_bounds, distances, mixture_log_e
from staged_rollout.stats.confidence_sequence import (
    ConfidenceSequence,
    look_at,
    mixture_units,
    normal_mixture_bound,
)
from staged_rollout.stats.guard import FEW_UNITS, log_normal_mixture
from staged_rollout.stats.inputs import inside
from staged_rollout.stats.moments import Moments
from staged_rollout.stats.planning import effective_units
from staged_rollout.stats.proportions import score_interval, score_z

_EDGE = 1e-12

Variant = tuple[float, int, float]
"""Units with the event (or the sum of values in [0, 1]), units, and the mixture's weight in units."""


def rate_difference_sequence(
    x_treatment: int,
    n_treatment: int,
    x_control: int,
    n_control: int,
    *,
    alpha: float = 0.025,
    tuned_at: float,
    null: float = 0.0,
    treatment_share: float | None = None,
) -> ConfidenceSequence | None:
    """Confidence sequence of a difference of two rates, treatment minus control: asymptotic, or exact.

    Asymptotic (no `treatment_share`): the score interval at the normal mixture's bound, so that interval and e-value
    are the same test. Exact: the product of the variants' e-values, at any counts.

    Args:
        x_treatment: Treatment units with the event.
        n_treatment: Treatment units.
        x_control: Control units with the event.
        n_control: Control units.
        alpha: Error probability of one limit, over all looks.
        tuned_at: Effective units 1 / (1 / n_T + 1 / n_C) at which the limits are to be about tightest.
        null: Difference that the e-values and p-values speak against, in (-1, 1).
        treatment_share: Planned share of the treatment in (0, 1), which shares the tuning between the variants; given,
            the answer is exact. A split that comes out otherwise costs width, not validity.

    Returns:
        The look, or None ("insufficient"): asymptotic below 10 units, or without an event and a non-event; exact
        without units in a variant.

    Raises:
        StatisticsError: A number is out of bounds.

    >>> look = rate_difference_sequence(130, 1000, 100, 1000, tuned_at=500)
    >>> round(look.low, 4), round(look.high, 4)
    (-0.0135, 0.074)
    >>> look = rate_difference_sequence(130, 1000, 100, 1000, tuned_at=500, treatment_share=0.5)
    >>> round(look.low, 4), round(look.high, 4)
    (-0.0156, 0.0761)
    """
    n0 = mixture_units(tuned_at, alpha)
    z = score_z(x_treatment, n_treatment, x_control, n_control, delta0=null)
    n_eff = effective_units(n_treatment, n_control)
    if treatment_share is not None:
        weights = _shared(n0, treatment_share)
        if not n_eff:
            return None
        t, c = (x_treatment, n_treatment, weights[0]), (x_control, n_control, weights[1])
        return _apart(t, c, alpha, n0, null)
    few = min(n_treatment, n_control) < FEW_UNITS
    if few or not 0 < x_treatment + x_control < n_treatment + n_control:
        return None
    limits = score_interval(
        x_treatment, n_treatment, x_control, n_control, z_crit=normal_mixture_bound(n_eff, alpha, n0)
    )
    if limits is None or z is None:
        return None
    estimate = x_treatment / n_treatment - x_control / n_control
    logs = (log_normal_mixture(z, n_eff, n0), log_normal_mixture(-z, n_eff, n0))
    return look_at((estimate, *limits), alpha, n_eff, n0, "normal-mixture", null, logs)


def bounded_difference_sequence(
    treatment: Moments,
    control: Moments,
    *,
    smallest: float,
    largest: float,
    alpha: float = 0.025,
    tuned_at: float,
    null: float = 0.0,
    treatment_share: float = 0.5,
    resolution: float = 1.0,
) -> ConfidenceSequence | None:
    """Confidence sequence of the difference of two means of values in [smallest, largest], exact.

    Args:
        treatment: Sums over the treatment's units so far.
        control: Sums over the control's units so far.
        smallest: No value can be smaller, whatever the data; in the metric's unit.
        largest: No value can be larger.
        alpha: Error probability of one limit, over all looks.
        tuned_at: Effective units 1 / (1 / n_T + 1 / n_C) at which the limits are to be about tightest.
        null: Difference that the e-values and p-values speak against, in the metric's unit.
        treatment_share: Planned share of the treatment in (0, 1), which shares the tuning between the variants.
        resolution: Step that the sums count in, in the metric's unit.

    Returns:
        The look, or None ("insufficient") without units in a variant.

    Raises:
        StatisticsError: A number is out of bounds, or a mean lies outside [smallest, largest].

    >>> good, bad = Moments.from_values([4, 5, 5, 4] * 50), Moments.from_values([2, 3, 3, 2] * 50)
    >>> look = bounded_difference_sequence(good, bad, smallest=0, largest=5, tuned_at=100)
    >>> round(look.low, 2), look.estimate, round(look.high, 2)
    (1.14, 2.0, 2.64)
    """
    n0 = mixture_units(tuned_at, alpha)
    weights = _shared(n0, treatment_share)
    low, high = checked_bounds(smallest, largest)
    width = high - low
    inside("null", null, -width, width, "a difference of means is smaller than that of the bounds")
    if not treatment.n or not control.n:
        return None
    t = (distances(treatment, low, high, resolution)[0], treatment.n, weights[0])
    c = (distances(control, low, high, resolution)[0], control.n, weights[1])
    return _apart(t, c, alpha, n0, null / width, width)


def _shared(n0: float, treatment_share: float) -> tuple[float, float]:
    """Each variant's mixture: at the planned split it is as far into its own as the difference is into n0."""
    share = inside("treatment_share", treatment_share, 0.0, 1.0, "the treatment's planned share of units")
    return n0 / (1 - share), n0 / share


def _apart(t: Variant, c: Variant, alpha: float, n0: float, null: float, width: float = 1.0) -> ConfidenceSequence:
    """Exact limits of the difference times `width`, and e-values against `null`; the upper side swaps the variants."""
    logs = (_log_e_difference(t, c, null), _log_e_difference(c, t, -null))
    limits = (
        width * (t[0] / t[1] - c[0] / c[1]),
        width * _lower_difference(t, c, alpha),
        -width * _lower_difference(c, t, alpha),
    )
    return look_at(limits, alpha, effective_units(t[1], c[1]), n0, "bounded", width * null, logs)


def _log_e_difference(t: Variant, c: Variant, delta: float) -> float:
    """Log e-value against "rate of t - rate of c <= delta", at the rate of c that speaks least."""

    def log_e(p: float) -> float:
        treatment = mixture_log_e(t[0], t[1], min(max(p + delta, _EDGE), 1 - _EDGE), t[2])
        return treatment + mixture_log_e(c[1] - c[0], c[1], 1 - p, c[2])

    # The sum of a falling and a rising function of p, which is convex but for its flat ends.
    low, high = max(_EDGE, -delta), min(1 - _EDGE, 1 - delta)
    if low >= high:
        return log_e(0.5 * (low + high))
    best = minimize_scalar(log_e, bounds=(low, high), method="bounded", options={"xatol": 1e-11})
    return min(float(best.fun), log_e(low), log_e(high))


def _lower_difference(t: Variant, c: Variant, alpha: float) -> float:
    log_threshold = -math.log(alpha)
    low, high = -1 + 2 * _EDGE, t[0] / t[1] - c[0] / c[1]

    def excess(delta: float) -> float:
        return _log_e_difference(t, c, delta) - log_threshold

    if high <= low or excess(low) <= 0:
        return -1.0
    return float(brentq(excess, low, min(high, 1 - 2 * _EDGE), xtol=1e-10))

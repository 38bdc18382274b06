"""Effects without a unit: Cohen's h of two rates, Cohen's d of two means."""

from __future__ import annotations

import math
from fractions import Fraction

from staged_rollout.errors import StatisticsError
from staged_rollout.stats.moments import Moments


def cohens_h(rate_treatment: float, rate_control: float) -> float:
    """Cohen's h = 2 asin sqrt(p_T) - 2 asin sqrt(p_C): rates on a scale where the variance does not depend on them.

    Source: Cohen (1988), Statistical Power Analysis for the Behavioral Sciences, 2nd edition, eq. 6.2.1.

    Args:
        rate_treatment: Events per unit, in [0, 1].
        rate_control: Events per unit, in [0, 1].

    Returns:
        h, from -pi to pi, positive when the treatment's rate is larger. Cohen calls 0.2 small.

    Raises:
        StatisticsError: A rate out of bounds.

    >>> round(cohens_h(0.12, 0.10), 6)
    0.063982
    """
    for name, rate in (("rate_treatment", rate_treatment), ("rate_control", rate_control)):
        if not 0 <= rate <= 1:
            message = f"{name} == {rate}, must be >= 0 and <= 1"
            raise StatisticsError(message, hint="events per unit: 10% is 0.1", name=name, value=rate)
    return 2 * (math.asin(math.sqrt(rate_treatment)) - math.asin(math.sqrt(rate_control)))


def cohens_d(treatment: Moments, control: Moments) -> float | None:
    """Cohen's d = (mean_T - mean_C) / s, with s^2 the variance pooled within variants (n_T + n_C - 2).

    Source: Cohen (1988), Statistical Power Analysis for the Behavioral Sciences, 2nd edition, eqs. 2.5.1 and 2.5.2.

    Args:
        treatment: Sums of the treatment.
        control: Sums of the control, in the same steps, which cancel.

    Returns:
        d, positive when the treatment's mean is larger, or None ("insufficient") with fewer than two units in a
        variant or no variance within variants. Cohen calls 0.2 small.

    >>> cohens_d(Moments.from_values([3, 5, 7]), Moments.from_values([1, 3, 5]))
    1.0
    """
    t, c = treatment, control
    if min(t.n, c.n) < 2:
        return None
    pooled = ((t.n - 1) * t.exact_variance() + (c.n - 1) * c.exact_variance()) / (t.n + c.n - 2)
    if pooled == 0:
        return None
    return float(Fraction(t.s, t.n) - Fraction(c.s, c.n)) / math.sqrt(pooled)

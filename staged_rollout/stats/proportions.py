"""Two rates with one 0/1 per unit: the score test at any margin, and the interval that inverts exactly that test.

Source: Farrington and Manning (1990), Statistics in Medicine 9, 1447-1454; pooled variance at difference 0. The
interval is that of Miettinen and Nurminen (1985) without their factor N / (N - 1), so that it and the test never
disagree.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from scipy.optimize import brentq

from staged_rollout.errors import StatisticsError
from staged_rollout.stats.inputs import events_and_units, inside, not_negative, positive
from staged_rollout.stats.results import Result

_EDGE = 1e-12


@dataclass(frozen=True)
class RateTest(Result):
    """A score test of two rates; `z` is positive when the treatment does better than the null hypothesis says.

    Args:
        estimate: Rate of the treatment minus rate of the control.
        z: Score statistic, in favour of the treatment.
        se: Standard error under the null hypothesis, the one in `z`.
        delta0: Difference under the null hypothesis, treatment minus control.
        rate_treatment: Events per unit.
        rate_control: Events per unit.
        n_treatment: Units.
        n_control: Units.
    """

    estimate: float
    z: float
    se: float
    delta0: float
    rate_treatment: float
    rate_control: float
    n_treatment: int
    n_control: int


def restricted_rate(x_t: float, n_t: float, x_c: float, n_c: float, delta0: float) -> float:
    """Maximum-likelihood rate of the control when rate_T - rate_C = delta0, to the last place.

    The log likelihood is concave, so its derivative falls; bisection needs no case for events that did not occur,
    where the closed-form cubic loses half of its digits. Only proportions matter, so that planning passes shares of
    the units in place of counts.

    Source: Farrington and Manning (1990), Statistics in Medicine 9, 1447-1454, method 3.

    Args:
        x_t: Treatment units with the event, 0 <= x_t <= n_t.
        n_t: Treatment units, > 0.
        x_c: Control units with the event, 0 <= x_c <= n_c.
        n_c: Control units, > 0.
        delta0: Difference under the null hypothesis, in (-1, 1), not 0.

    Returns:
        The control's rate; the treatment's is that plus delta0.

    >>> round(restricted_rate(470, 500, 475, 500, -0.05), 4)
    0.9625
    """
    low, high = max(0.0, -delta0), min(1.0, 1.0 - delta0)
    while True:
        p = 0.5 * (low + high)
        q = p + delta0
        if not (low < p < high and 0 < q < 1) or high - low < 1e-18:
            return p
        if x_t / q - (n_t - x_t) / (1 - q) + x_c / p - (n_c - x_c) / (1 - p) > 0:
            low = p
        else:
            high = p


def _standard_error(x_t: int, n_t: int, x_c: int, n_c: int, delta0: float) -> float:
    if 1 - abs(delta0) == 1:  # also where a float near 1 cannot tell the difference from 0
        pooled = (x_t + x_c) / (n_t + n_c)
        return math.sqrt(pooled * (1 - pooled) * (1 / n_t + 1 / n_c))
    p_c = restricted_rate(x_t, n_t, x_c, n_c, delta0)
    p_t = min(1.0, max(0.0, p_c + delta0))
    return math.sqrt(p_t * (1 - p_t) / n_t + p_c * (1 - p_c) / n_c)


def score_z(x_t: int, n_t: int, x_c: int, n_c: int, *, delta0: float = 0.0) -> float | None:
    """Score statistic of rate_T - rate_C against `delta0`; positive when the difference is larger.

    Args:
        x_t: Treatment units with the event.
        n_t: Treatment units.
        x_c: Control units with the event.
        n_c: Control units.
        delta0: Difference under the null hypothesis, in (-1, 1).

    Returns:
        z, or None ("insufficient") without units in both variants or with zero variance under the null hypothesis.

    Raises:
        StatisticsError: Counts or delta0 out of bounds.

    >>> round(score_z(60, 500, 50, 500, delta0=0.0), 6)
    1.010668
    """
    x_t, n_t = events_and_units(x_t, n_t, "treatment")
    x_c, n_c = events_and_units(x_c, n_c, "control")
    inside("delta0", delta0, -1.0, 1.0, "a difference of two rates, 1pp is 0.01")
    if not n_t or not n_c:
        return None
    se = _standard_error(x_t, n_t, x_c, n_c, delta0)
    return (x_t / n_t - x_c / n_c - delta0) / se if se > 0 else None


def score_interval(x_t: int, n_t: int, x_c: int, n_c: int, z_crit: float) -> tuple[float, float] | None:
    """All differences that the score test does not reject at `z_crit`: with a look's bound, the repeated interval.

    Source: Jennison and Turnbull (1989), JRSS B 51, 305-361, for its use at every look.

    Args:
        x_t: Treatment units with the event.
        n_t: Treatment units.
        x_c: Control units with the event.
        n_c: Control units.
        z_crit: Critical value c_k > 0, used on both sides.

    Returns:
        (low, high) such that score_z > z_crit exactly for delta0 < low and score_z < -z_crit exactly for delta0 > high;
        None without units in both variants.

    Raises:
        StatisticsError: Counts or z_crit out of bounds.
    """
    x_t, n_t = events_and_units(x_t, n_t, "treatment")
    x_c, n_c = events_and_units(x_c, n_c, "control")
    z_crit = positive("z_crit", z_crit, "the bound of the look, or 1.96")
    if not n_t or not n_c:
        return None
    # The upper limit is the lower limit with the variants swapped, mirrored.
    return _lower_limit(x_t, n_t, x_c, n_c, z_crit), -_lower_limit(x_c, n_c, x_t, n_t, z_crit)


def _lower_limit(x_t: int, n_t: int, x_c: int, n_c: int, z_crit: float) -> float:
    estimate = x_t / n_t - x_c / n_c

    def excess(delta0: float) -> float:
        # Multiplied out, so that zero variance is no special case.
        return estimate - delta0 - z_crit * _standard_error(x_t, n_t, x_c, n_c, delta0)

    low = -1.0 + _EDGE
    # Just below the estimate, because with no event at all the variance at the estimate is 0 and so is the excess.
    high = min(estimate, 1.0) - _EDGE
    if high <= low or excess(low) <= 0:
        return -1.0
    if excess(high) >= 0:
        return high
    return float(brentq(excess, low, high, xtol=1e-15, rtol=1e-15, maxiter=300))


def score_test(
    x_treatment: int,
    n_treatment: int,
    x_control: int,
    n_control: int,
    *,
    margin: float = 0.0,
    better: Literal["higher", "lower"] = "higher",
) -> RateTest | None:
    """Test that the treatment's rate is better than the control's, or not worse by more than `margin`.

    With `better="higher"` the null hypothesis is rate_T - rate_C <= -margin, with `better="lower"` it is
    rate_T - rate_C >= margin; large positive `z` rejects it in favour of the treatment either way.

    Args:
        x_treatment: Treatment units with the event.
        n_treatment: Treatment units.
        x_control: Control units with the event.
        n_control: Control units.
        margin: Largest tolerated worsening, >= 0, as a difference of rates; 0 tests superiority.
        better: Which direction is better.

    Returns:
        The test, or None ("insufficient") without units in both variants or with zero variance under the null
        hypothesis.

    Raises:
        StatisticsError: Counts, margin or direction out of bounds.
    """
    not_negative("margin", margin, "the largest tolerated worsening, 1pp is 0.01")
    if better not in ("higher", "lower"):
        raise StatisticsError(
            f"better == {better!r}, must be 'higher' or 'lower'", hint="the direction of success", better=better
        )
    sign = 1.0 if better == "higher" else -1.0
    delta0 = -sign * margin if margin else 0.0
    z = score_z(x_treatment, n_treatment, x_control, n_control, delta0=delta0)
    if z is None:
        return None
    rate_t, rate_c = x_treatment / n_treatment, x_control / n_control
    return RateTest(
        estimate=rate_t - rate_c,
        z=sign * z,
        se=_standard_error(x_treatment, n_treatment, x_control, n_control, delta0),
        delta0=delta0,
        rate_treatment=rate_t,
        rate_control=rate_c,
        n_treatment=n_treatment,
        n_control=n_control,
    )

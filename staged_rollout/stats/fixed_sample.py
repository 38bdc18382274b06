"""How many units a test with one look needs: two rates, two means, a ratio metric; superiority or non-inferiority."""

from __future__ import annotations

import math
from typing import Literal

from scipy.optimize import brentq
from scipy.special import nctdtr, ndtri, stdtrit

from staged_rollout.errors import StatisticsError
from staged_rollout.stats.inputs import finite, inside, per_side_alpha, positive
from staged_rollout.stats.moments import RatioMoments, ratio_estimate
from staged_rollout.stats.proportions import restricted_rate


def two_proportions_units(
    p_control: float, p_treatment: float, alpha: float, power: float, ratio: float = 1.0, *, delta0: float = 0.0
) -> float:
    """Total units of a fixed score test of two rates: restricted variance under H0, unrestricted under H1.

    N = ((z_alpha sd_0 + z_power sd_1) / (p_T - p_C - delta0))^2 with sd^2 = p_T (1 - p_T) / w_T + p_C (1 - p_C) / w_C,
    w the shares of all units. sd_1 has the rates planned for; sd_0 has the rates nearest to them (maximum likelihood)
    that differ by delta0, which is the pooled rate at delta0 = 0.

    Source: delta0 = 0: statsmodels `samplesize_proportions_2indep_onetail`, which takes alpha per side only with a
    one-sided alternative. Any other delta0: Farrington and Manning (1990), Statistics in Medicine 9, eq. 4, method 3;
    statsmodels 0.15 has a parameter `value` for it and raises NotImplementedError.

    Args:
        p_control: Rate of the control, in (0, 1).
        p_treatment: Rate of the treatment under the effect planned for, in (0, 1), not `p_control + delta0`.
        alpha: Type I error probability of one side.
        power: Probability to find that effect.
        ratio: Units of the treatment per unit of the control.
        delta0: Rate of the treatment minus that of the control under H0, in (-1, 1): minus the margin for
            non-inferiority where higher is better, plus the margin where lower is.

    Returns:
        Units of both variants together, not rounded.

    Raises:
        StatisticsError: A number is out of bounds, or H1 is H0.

    >>> round(two_proportions_units(0.10, 0.12, alpha=0.025, power=0.8), 2)
    7681.69
    >>> round(two_proportions_units(0.677, 0.677, alpha=0.025, power=0.9, ratio=0.5, delta0=0.07), 3)
    2056.671
    """
    _check_power(alpha, power)
    inside("p_control", p_control, 0.0, 1.0, "rates are shares, 10% is 0.1")
    inside("p_treatment", p_treatment, 0.0, 1.0, "rates are shares, 10% is 0.1")
    positive("ratio", ratio, "ratio is treatment units per control unit")
    inside("delta0", delta0, -1.0, 1.0, "a difference of two rates, 1pp is 0.01")
    difference = p_treatment - p_control
    _check_distance(difference - delta0, max(p_control, p_treatment))
    null, planned = score_deviations(p_control, p_treatment, ratio, delta0)
    missing = null * float(-ndtri(alpha)) + planned * float(ndtri(power))
    if missing <= 0:
        message = f"power == {power} at alpha == {alpha}, must be more than these rates have with a few units"
        raise StatisticsError(message, hint="plan for a power of 0.5 or more", power=power, alpha=alpha)
    if delta0 != 0:
        return (missing / (difference - delta0)) ** 2
    from statsmodels.stats.proportion import samplesize_proportions_2indep_onetail

    treatment = samplesize_proportions_2indep_onetail(
        difference,
        p_control,
        power,
        ratio=1 / ratio,
        alpha=alpha,
        alternative="larger" if difference > 0 else "smaller",
    )
    return float(treatment) * (1 + 1 / ratio)


def score_deviations(
    p_control: float, p_treatment: float, ratio: float = 1.0, delta0: float = 0.0
) -> tuple[float, float]:
    """Standard deviations in the score test of two rates, times the square root of all units.

    The one the test divides by, and the one its numerator has; they differ when the rates are not `delta0` apart.

    Source: Farrington and Manning (1990), method 3.

    Args:
        p_control: Rate of the control, in (0, 1).
        p_treatment: Rate of the treatment, in (0, 1).
        ratio: Units of the treatment per unit of the control.
        delta0: Rate of the treatment minus that of the control under H0.

    Returns:
        (sd_0, sd_1), no unit.

    >>> tuple(round(sd, 4) for sd in score_deviations(0.10, 0.12))
    (0.6258, 0.6255)
    """
    share_t, share_c = ratio / (1 + ratio), 1 / (1 + ratio)
    if delta0:
        # The estimate that the test makes from counts, at the counts that these rates would give.
        null_c = restricted_rate(p_treatment * share_t, share_t, p_control * share_c, share_c, delta0)
    else:
        null_c = p_treatment * share_t + p_control * share_c

    def sd(p_t: float, p_c: float) -> float:
        return math.sqrt(p_t * (1 - p_t) / share_t + p_c * (1 - p_c) / share_c)

    return sd(null_c + delta0, null_c), sd(p_treatment, p_control)


def two_means_units(
    sd: float,
    delta: float,
    alpha: float,
    power: float,
    ratio: float = 1.0,
    *,
    delta0: float = 0.0,
    method: Literal["z", "t"] = "z",
) -> float:
    """Total units of a fixed test of two means with a common standard deviation.

    - `z`: the standard deviation is known, N = (z_alpha + z_power)^2 sd^2 / (delta - delta0)^2 * (1 + ratio)^2 / ratio.
      Right for looks, which have hundreds of units, and for ratio metrics with the sd from `ratio_unit_sd`.
    - `t`: it is estimated; Student's test, by the noncentral t with N - 2 degrees of freedom, N not rounded. At least
      3, where a variance begins to exist.

    Source: Jennison and Turnbull (2000), ch. 2, for z; Student's is solved here and not by statsmodels'
    `TTestIndPower.solve_power`, which has the same power function but answers nan where few units are enough.

    Args:
        sd: Standard deviation of one unit's value, the same in both variants.
        delta: Difference planned for, in the same unit as `sd`, not `delta0`.
        alpha: Type I error probability of one side.
        power: Probability to find that difference.
        ratio: Units of the treatment per unit of the control.
        delta0: Difference under H0: minus the margin for non-inferiority where higher is better, plus the margin where
            lower is.
        method: Normal or Student.

    Returns:
        Units of both variants together, not rounded.

    Raises:
        StatisticsError: A number or the method is out of bounds, or H1 is H0.

    >>> round(two_means_units(sd=1, delta=0.1, alpha=0.025, power=0.9), 2)
    4202.97
    >>> round(two_means_units(sd=1, delta=0.1, alpha=0.025, power=0.8, method="t"), 2)
    3141.47
    """
    _check_power(alpha, power)
    positive("sd", sd, "the standard deviation of one unit's value")
    positive("ratio", ratio, "ratio is treatment units per control unit")
    finite("delta0", delta0, "the difference under the null hypothesis")
    _check_distance(delta - delta0, max(abs(delta), abs(delta0)))
    if method not in ("z", "t"):
        message = f"method == {method!r}, must be 'z' or 't'"
        raise StatisticsError(message, hint="'t' for a fixed test of few units", method=method)
    size = inside("delta / sd", abs(delta - delta0) / sd, 1e-6, 1e3, "a difference in standard deviations of one unit")
    effect = size * math.sqrt(ratio) / (1 + ratio)  # in standard errors, per square root of N
    normal = (float(-ndtri(alpha) + ndtri(power)) / effect) ** 2
    return normal if method == "z" else _student_units(effect, alpha, power, normal)


def _student_units(effect: float, alpha: float, power: float, normal: float) -> float:
    def missing(total: float) -> float:
        df = total - 2
        beta = float(nctdtr(df, effect * math.sqrt(total), -stdtrit(df, alpha)))
        # scipy answers nan for some noncentralities above 35, 7 times the critical value and more: beta < 1e-12 there.
        return power - 1 + (0.0 if math.isnan(beta) else beta)

    low = max(3.0, normal)
    if missing(low) <= 0:
        return low
    high = 2 * low + 10
    while missing(high) > 0:
        high *= 2
    return float(brentq(missing, low, high, xtol=1e-12, rtol=1e-14))


def ratio_unit_sd(moments: RatioMoments, resolution: float = 1.0) -> tuple[float, float] | None:
    """A ratio metric and the standard deviation of one unit for it, to plan with as if it were a mean.

    The ratio of sums R behaves like a mean of (y - R d) / dbar over units: sd^2 = n Var(R) by the delta method.

    Source: Deng, Knoblich and Lu (2018), "Applying the delta method in metric analytics", KDD.

    Args:
        moments: Sums over the units of a pilot, such as the champion's last weeks.
        resolution: Step of the numerator per step of the denominator.

    Returns:
        (ratio, standard deviation of one unit), or None ("insufficient") with fewer than two units, no denominator, or
        no variance at all.

    >>> ratio_unit_sd(RatioMoments.from_values([1, 0, 2], [10, 10, 10]))
    (0.1, 0.1)
    """
    found = ratio_estimate(moments, resolution)
    if found is None or found[1] <= 0:
        return None
    return found[0], math.sqrt(found[1] * moments.n)


def _check_distance(distance: float, rounding: float) -> None:
    """There must be more between H1 and H0 than the rounding of the numbers that tell them apart."""
    finite("delta", distance, "the smallest difference worth finding")
    if abs(distance) <= 1e-15 * rounding:
        raise StatisticsError(
            "delta == 0, must not be 0", hint="no sample is large enough to find no difference", delta=distance
        )


def _check_power(alpha: float, power: float) -> None:
    per_side_alpha(alpha)
    inside("power", power, alpha, 1.0, "power is the probability to find the effect planned for, such as 0.8")

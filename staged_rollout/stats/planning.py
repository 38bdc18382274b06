"""How many units a test needs, and how much of the planned information has been seen."""

from __future__ import annotations

from collections.abc import Sequence

from scipy.optimize import brentq
from scipy.special import ndtri

from staged_rollout.errors import StatisticsError
from staged_rollout.stats.boundary import bounds, crossing_probabilities
from staged_rollout.stats.inputs import count, finite, inside, per_side_alpha, positive
from staged_rollout.stats.spending import Spending


def _check_power(alpha: float, power: float) -> None:
    per_side_alpha(alpha)
    inside("power", power, alpha, 1.0, "power is the probability to find the effect planned for, such as 0.8")


def inflation(information: Sequence[float], spending: Spending, power: float) -> float:
    """How much larger the maximum information is than that of a fixed test of the same alpha and power.

    R = (theta / (z_alpha + z_power))^2, where theta = E[Z] at t = 1 gives the sequential test its power.

    Source: Jennison and Turnbull (2000), ch. 7 (error spending).

    Args:
        information: Planned information fractions, ascending; the last is 1.
        spending: The spending function of the efficacy side, alpha per side.
        power: Probability to cross at some look under the effect planned for.

    Returns:
        R >= 1.

    Raises:
        StatisticsError: The plan does not end at 1, or a number is out of bounds.

    >>> round(inflation((0.2, 0.4, 0.6, 0.8, 1.0), Spending("obrien-fleming", 0.025), 0.8), 6)
    1.02472
    """
    _check_power(spending.alpha, power)
    if not information or abs(information[-1] - 1) > 1e-9:
        found = information[-1] if information else None
        raise StatisticsError(
            f"last planned information fraction == {found}, must be 1",
            hint="information fractions are relative to the information at the planned end",
            last=found,
        )
    plan = bounds((*information[:-1], 1.0), spending)
    infos, zs = [bound.information for bound in plan], [bound.z for bound in plan]
    fixed = float(-ndtri(spending.alpha) + ndtri(power))
    theta = brentq(
        lambda drift: float(crossing_probabilities(infos, zs, drift).sum()) - power,
        0.999 * fixed,
        3 * fixed + 3,
        xtol=1e-13,
        rtol=1e-14,
    )
    return max(1.0, (float(theta) / fixed) ** 2)


def two_proportions_units(
    p_control: float, p_treatment: float, alpha: float, power: float, ratio: float = 1.0
) -> float:
    """Total units of a fixed test of two rates, pooled variance under H0 and unpooled under H1.

    Source: statsmodels `samplesize_proportions_2indep_onetail`, which takes alpha per side only with a one-sided
    alternative.

    Args:
        p_control: Rate of the control, in (0, 1).
        p_treatment: Rate of the treatment under the effect planned for, in (0, 1), not `p_control`.
        alpha: Type I error probability of one side.
        power: Probability to find that effect.
        ratio: Units of the treatment per unit of the control.

    Returns:
        Units of both variants together, not rounded.

    Raises:
        StatisticsError: A number is out of bounds, or the rates are the same.

    >>> round(two_proportions_units(0.10, 0.12, alpha=0.025, power=0.8), 2)
    7681.69
    """
    _check_power(alpha, power)
    inside("p_control", p_control, 0.0, 1.0, "rates are shares, 10% is 0.1")
    inside("p_treatment", p_treatment, 0.0, 1.0, "rates are shares, 10% is 0.1")
    positive("ratio", ratio, "ratio is treatment units per control unit")
    _check_delta(p_treatment - p_control)
    from statsmodels.stats.proportion import samplesize_proportions_2indep_onetail

    difference = p_treatment - p_control
    treatment = samplesize_proportions_2indep_onetail(
        difference,
        p_control,
        power,
        ratio=1 / ratio,
        alpha=alpha,
        alternative="larger" if difference > 0 else "smaller",
    )
    return float(treatment) * (1 + 1 / ratio)


def two_means_units(sd: float, delta: float, alpha: float, power: float, ratio: float = 1.0) -> float:
    """Total units of a fixed test of two means with a common, known standard deviation.

    N = (z_alpha + z_power)^2 sd^2 / delta^2 * (1 + ratio)^2 / ratio.

    Source: Jennison and Turnbull (2000), ch. 2. Normal, not Student: looks have hundreds of units.

    Args:
        sd: Standard deviation of one unit's value.
        delta: Difference planned for, in the same unit as `sd`, not 0; its sign does not matter.
        alpha: Type I error probability of one side.
        power: Probability to find that difference.
        ratio: Units of the treatment per unit of the control.

    Returns:
        Units of both variants together, not rounded.

    Raises:
        StatisticsError: A number is out of bounds.

    >>> round(two_means_units(sd=1, delta=0.1, alpha=0.025, power=0.9), 2)
    4202.97
    """
    _check_power(alpha, power)
    positive("sd", sd, "the standard deviation of one unit's value")
    positive("ratio", ratio, "ratio is treatment units per control unit")
    _check_delta(delta)
    z = float(-ndtri(alpha) + ndtri(power))
    return (z * sd / delta) ** 2 * (1 + ratio) ** 2 / ratio


def _check_delta(delta: float) -> None:
    finite("delta", delta, "the smallest difference worth finding")
    if delta == 0:
        raise StatisticsError(
            "delta == 0, must not be 0", hint="no sample is large enough to find no difference", delta=delta
        )


def maximum_information_units(fixed_units: float, inflation_factor: float, treatment_share: float = 0.5) -> float:
    """Effective units at the planned end, n_eff_max = 1 / (1 / n_T + 1 / n_C).

    Args:
        fixed_units: Total units of the fixed test, both variants.
        inflation_factor: R of the looks planned, from `inflation`; 1 for a single look.
        treatment_share: Treatment units per unit of both variants, in (0, 1).

    Returns:
        n_eff_max = R N s (1 - s), in units.

    Raises:
        StatisticsError: A number is out of bounds.

    >>> maximum_information_units(8000, 1.0)
    2000.0
    """
    positive("fixed_units", fixed_units, "the total sample size of the fixed test")
    if finite("inflation_factor", inflation_factor, "R of the looks planned") < 1:
        message = f"inflation_factor == {inflation_factor}, must be >= 1"
        raise StatisticsError(
            message, hint="R of the looks planned, from inflation()", inflation_factor=inflation_factor
        )
    share = inside("treatment_share", treatment_share, 0.0, 1.0, "the treatment's share of the units of both variants")
    return fixed_units * inflation_factor * share * (1 - share)


def effective_units(n_treatment: int, n_control: int) -> float:
    """Effective units n_eff = 1 / (1 / n_T + 1 / n_C); 0.0 while a variant has none.

    >>> effective_units(300, 100)
    75.0
    """
    n_t, n_c = count("n_treatment", n_treatment), count("n_control", n_control)
    return n_t * n_c / (n_t + n_c) if n_t and n_c else 0.0


def information_fraction(n_treatment: int, n_control: int, n_eff_max: float) -> float:
    """Information fraction t = n_eff / n_eff_max; above 1 when more units closed than planned.

    Args:
        n_treatment: Closed units of the treatment.
        n_control: Closed units of the control.
        n_eff_max: Effective units at the planned end, frozen when the plan was.

    Returns:
        t >= 0.

    Raises:
        StatisticsError: n_eff_max is not positive, or a count is negative.
    """
    n_max = positive("n_eff_max", n_eff_max, "effective units at the planned end, from maximum_information_units()")
    return effective_units(n_treatment, n_control) / n_max

"""What looks cost in units, and how much of the planned information has been seen.

The units of a test with one look are in `fixed_sample`, whole plans in `plan`.
"""

from __future__ import annotations

from collections.abc import Sequence

from staged_rollout.errors import StatisticsError
from staged_rollout.stats.fixed_sample import two_means_units, two_proportions_units
from staged_rollout.stats.inputs import count, finite, inside, positive
from staged_rollout.stats.planned_designs import design
from staged_rollout.stats.spending import Spending

__all__ = [
    "effective_units",
    "inflation",
    "information_fraction",
    "maximum_information_units",
    "two_means_units",
    "two_proportions_units",
]


def inflation(information: Sequence[float], spending: Spending, power: float) -> float:
    """How much larger the maximum information is than that of a fixed test of the same alpha and power.

    R = (theta / (z_alpha + z_power))^2, where theta = E[Z] at t = 1 gives the sequential test its power. One side, no
    futility; of any other design `design(..., power=power).inflation` is the same.

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
    if not information or abs(information[-1] - 1) > 1e-9:
        found = information[-1] if information else None
        raise StatisticsError(
            f"last planned information fraction == {found}, must be 1",
            hint="information fractions are relative to the information at the planned end",
            last=found,
        )
    factor = design((*information[:-1], 1.0), spending, power=power).inflation
    return max(1.0, factor or 1.0)  # 1 but for rounding, with a single look


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

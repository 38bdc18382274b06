"""Plan a test with looks: how many units it needs, and how long that takes.

One champion, one or more candidates; rates, means and ratio metrics; superiority or non-inferiority. The result is a
`SamplePlan`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np

from staged_rollout.errors import StatisticsError
from staged_rollout.stats.designs import Design
from staged_rollout.stats.fixed_sample import ratio_unit_sd
from staged_rollout.stats.inputs import finite, inside, not_negative, per_side_alpha, positive
from staged_rollout.stats.moments import RatioMoments
from staged_rollout.stats.planned_designs import design
from staged_rollout.stats.sample_plan import MeanOutcome, RateOutcome, SamplePlan, fixed_total, shares_of
from staged_rollout.stats.spending import Spending


def plan_rates(
    rate: float,
    mde: float,
    *,
    alpha: float = 0.025,
    power: float = 0.8,
    looks: int | Sequence[float] = 1,
    split: Sequence[float] = (0.5, 0.5),
    daily_units: float | None = None,
    matures_after_days: float = 0.0,
    margin: float | None = None,
    better: Literal["higher", "lower"] = "higher",
    efficacy: Spending | None = None,
    futility: Spending | None = None,
    binding: bool = False,
    sides: Literal[1, 2] = 1,
) -> SamplePlan:
    """Plan a test of rates, one 0/1 per unit.

    Source: as `two_proportions_units` for the fixed test; `design` for what looks cost.

    Args:
        rate: The champion's rate, in (0, 1).
        mde: Smallest improvement worth finding, absolute (2 percentage points are 0.02); > 0, or > -margin.
        alpha: Type I error probability of one side, of all candidates together.
        power: Probability to find `mde`, for each candidate that has it.
        looks: Number of equally spaced looks, or information fractions that end at 1.
        split: Shares of units, champion first, then one or more candidates: (0.4, 0.3, 0.3), or (40, 30, 30).
        daily_units: Units a day, all variants together.
        matures_after_days: Days from a unit's exposure to its outcome.
        margin: Largest tolerated worsening, absolute: plans for non-inferiority. `mde` may then be 0.
        better: Which direction is better.
        efficacy: Spending function, its alpha the one above; O'Brien-Fleming type if None.
        futility: Beta-spending function of the other side; none if None.
        binding: Whether the test must stop at a futility bound.
        sides: 1, or 2 with `alpha` on each side.

    Returns:
        The plan.

    Raises:
        StatisticsError: A number is out of bounds, or rate and mde leave (0, 1).

    >>> plan = plan_rates(0.10, 0.02, looks=5, daily_units=1000, matures_after_days=1)
    >>> plan.units_per_variant, round(plan.fixed_sample_total, 2), round(plan.inflation, 5), plan.days
    ((3936, 3936), 7681.69, 1.02472, 9)
    >>> plan_rates(0.10, 0.02, split=(0.4, 0.3, 0.3)).units_per_variant
    (5399, 4049, 4049)
    """
    inside("rate", rate, 0.0, 1.0, "rates are shares, 10% is 0.1")
    if better not in ("higher", "lower"):
        message = f"better == {better!r}, must be 'higher' or 'lower'"
        raise StatisticsError(message, hint="the direction of success", better=better)
    outcome = RateOutcome(rate, better, _margin(margin))
    chosen = _designed(looks, alpha, power, split, efficacy, futility, binding=binding, sides=sides)
    return _plan(outcome, mde, margin, alpha, power, split, chosen, daily_units, matures_after_days)


def plan_means(
    mean: float,
    sd: float,
    mde: float,
    *,
    alpha: float = 0.025,
    power: float = 0.8,
    looks: int | Sequence[float] = 1,
    split: Sequence[float] = (0.5, 0.5),
    daily_units: float | None = None,
    matures_after_days: float = 0.0,
    margin: float | None = None,
    efficacy: Spending | None = None,
    futility: Spending | None = None,
    binding: bool = False,
    sides: Literal[1, 2] = 1,
) -> SamplePlan:
    """Plan a test of means; also of ratio metrics whose standard deviation of one unit is known.

    Source: as `two_means_units` (normal) for the fixed test; `design` for what looks cost.

    Args:
        mean: The champion's mean, in the metric's unit; said in the result, the units do not depend on it.
        sd: Standard deviation of one unit's value, in the same unit, > 0.
        mde: Smallest improvement worth finding, in the same unit, whichever direction is better; > 0, or > -margin.
        alpha: Type I error probability of one side, of all candidates together.
        power: Probability to find `mde`, for each candidate that has it.
        looks: Number of equally spaced looks, or information fractions that end at 1.
        split: Shares of units, champion first, then one or more candidates: (0.4, 0.3, 0.3), or (40, 30, 30).
        daily_units: Units a day, all variants together.
        matures_after_days: Days from a unit's exposure to its outcome.
        margin: Largest tolerated worsening, in the metric's unit: plans for non-inferiority. `mde` may then be 0.
        efficacy: Spending function, its alpha the one above; O'Brien-Fleming type if None.
        futility: Beta-spending function of the other side; none if None.
        binding: Whether the test must stop at a futility bound.
        sides: 1, or 2 with `alpha` on each side.

    Returns:
        The plan.

    Raises:
        StatisticsError: A number is out of bounds.

    >>> plan_means(mean=12.0, sd=4.0, mde=0.2, looks=5, power=0.9).units_per_variant
    (8600, 8600)
    """
    finite("mean", mean, "the champion's mean, in the metric's unit")
    positive("sd", sd, "the standard deviation of one unit's value")
    outcome = MeanOutcome(mean, sd, _margin(margin))
    chosen = _designed(looks, alpha, power, split, efficacy, futility, binding=binding, sides=sides)
    return _plan(outcome, mde, margin, alpha, power, split, chosen, daily_units, matures_after_days)


def plan_ratio(
    pilot: RatioMoments,
    mde: float,
    *,
    resolution: float = 1.0,
    alpha: float = 0.025,
    power: float = 0.8,
    looks: int | Sequence[float] = 1,
    split: Sequence[float] = (0.5, 0.5),
    daily_units: float | None = None,
    matures_after_days: float = 0.0,
    margin: float | None = None,
    efficacy: Spending | None = None,
    futility: Spending | None = None,
    binding: bool = False,
    sides: Literal[1, 2] = 1,
) -> SamplePlan:
    """Plan a test of a ratio of sums, such as errors per request, from a pilot's moments over units.

    Where the ratio and the standard deviation of one unit are known, `plan_means` takes them.

    Source: as `ratio_unit_sd` for the standard deviation of one unit, then as `plan_means`.

    Args:
        pilot: Sums over the units of a pilot, such as the champion's last weeks.
        mde: Smallest improvement worth finding, in the ratio's unit, whichever direction is better; > 0, or > -margin.
        resolution: Step of the numerator per step of the denominator.
        alpha: As in `plan_means`.
        power: As in `plan_means`.
        looks: As in `plan_means`.
        split: As in `plan_means`.
        daily_units: As in `plan_means`.
        matures_after_days: As in `plan_means`.
        margin: As in `plan_means`.
        efficacy: As in `plan_means`.
        futility: As in `plan_means`.
        binding: As in `plan_means`.
        sides: As in `plan_means`.

    Returns:
        The plan.

    Raises:
        StatisticsError: A number is out of bounds, or the pilot has no variance.

    >>> pilot = RatioMoments.from_values([1, 0, 2, 0], [10, 20, 10, 20])
    >>> plan_ratio(pilot, 0.01, looks=5).units_per_variant
    (1073, 1073)
    """
    found = ratio_unit_sd(pilot, resolution)
    if found is None:
        raise StatisticsError(
            f"pilot of {pilot.n} units with denominators of {pilot.sd} steps, has no variance to plan with",
            hint="a pilot has at least two units, a denominator and values that differ",
            units=pilot.n,
            denominators=pilot.sd,
        )
    outcome = MeanOutcome(*found, _margin(margin))
    chosen = _designed(looks, alpha, power, split, efficacy, futility, binding=binding, sides=sides)
    return _plan(outcome, mde, margin, alpha, power, split, chosen, daily_units, matures_after_days)


def _margin(margin: float | None) -> float:
    return 0.0 if margin is None else not_negative("margin", margin, "the largest tolerated worsening")


def _designed(
    looks: int | Sequence[float],
    alpha: float,
    power: float,
    split: Sequence[float],
    efficacy: Spending | None,
    futility: Spending | None,
    *,
    binding: bool,
    sides: Literal[1, 2],
) -> Design:
    per_side_alpha(alpha)
    spending = Spending("obrien-fleming", alpha) if efficacy is None else efficacy
    if spending.alpha != alpha:
        raise StatisticsError(
            f"efficacy spends an alpha of {spending.alpha}, must be alpha == {alpha}",
            hint="say the same alpha twice; it is divided between several candidates here",
            efficacy=spending.alpha,
            alpha=alpha,
        )
    each = alpha / (len(shares_of(split)) - 1)
    inside("power", power, each, 1.0, "power is the probability to find the effect planned for, such as 0.8")
    return design(
        _fractions(looks), spending.with_alpha(each), sides=sides, futility=futility, binding=binding, power=power
    )


def _fractions(looks: int | Sequence[float]) -> tuple[float, ...]:
    if isinstance(looks, Sequence | np.ndarray):
        found = tuple(float(t) for t in looks)
        if not found or abs(found[-1] - 1) > 1e-9:
            message = f"last of looks == {found[-1] if found else None}, must be 1"
            raise StatisticsError(message, hint="information fractions are relative to the planned end", looks=found)
        return (*found[:-1], 1.0)
    if not looks >= 1 or looks % 1 != 0:
        message = f"looks == {looks}, must be a whole number >= 1"
        raise StatisticsError(message, hint="or information fractions that end at 1", looks=looks)
    return tuple(k / int(looks) for k in range(1, int(looks) + 1))


def _plan(
    outcome: RateOutcome | MeanOutcome,
    mde: float,
    margin: float | None,
    alpha: float,
    power: float,
    split: Sequence[float],
    chosen: Design,
    daily_units: float | None,
    matures_after_days: float,
) -> SamplePlan:
    finite("mde", mde, "the smallest improvement worth finding")
    if mde + outcome.margin <= 0:
        raise StatisticsError(
            f"mde == {mde}, must be > {0.0 - outcome.margin:g}",
            hint="an improvement; with a margin it may be 0, and worse by less than the margin",
            mde=mde,
            margin=margin,
        )
    if daily_units is not None:
        positive("daily_units", daily_units, "units a day, all variants together")
    not_negative("matures_after_days", matures_after_days, "days from a unit's exposure to its outcome")
    shares = shares_of(split)
    fixed = fixed_total(outcome, mde, chosen.alpha, power, shares)
    if chosen.drift is None or chosen.inflation is None:
        raise StatisticsError("a design without power gives no plan", hint="pass power to design()")
    units = fixed * chosen.inflation
    # Rounding errors of a product do not buy one unit more.
    per_variant = tuple(math.ceil(units * share * (1 - 1e-12)) for share in shares)
    expected = [units * chosen.expected_information(drift) for drift in (0.0, chosen.drift)]

    def days(n: float) -> float | None:
        return None if daily_units is None else n / daily_units + matures_after_days

    end = days(sum(per_variant))
    return SamplePlan(
        units_per_variant=per_variant,
        total=sum(per_variant),
        fixed_sample_total=fixed,
        inflation=chosen.inflation,
        looks=len(chosen.information),
        days=None if end is None else math.ceil(end * (1 - 1e-12)),
        expected_units_h0=expected[0],
        expected_units_h1=expected[1],
        expected_days_h0=days(expected[0]),
        expected_days_h1=days(expected[1]),
        alpha=alpha,
        power=power,
        mde=mde,
        margin=margin,
        split=shares,
        outcome=outcome,
        design=chosen,
    )

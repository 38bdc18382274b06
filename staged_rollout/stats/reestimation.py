"""Blinded re-estimation of the sample size, from the variance of all units together, without labels.

Once, and before the first efficacy look: nobody has seen an effect then, and the new maximum cannot depend on it. The
maximum may only rise, and not above a cap.

Source: Kieser and Friede (2003), Statistics in Medicine 22, 3571-3581 (the one-sample variance, and that it leaves
the type-I error where it is); rates: Gould (1992), Statistics in Medicine 11, 55-66.
"""

from __future__ import annotations

from dataclasses import dataclass

from staged_rollout.errors import StatisticsError
from staged_rollout.stats.inputs import count, finite, inside, positive
from staged_rollout.stats.moments import Moments
from staged_rollout.stats.results import Result


@dataclass(frozen=True)
class Reestimate(Result):
    """A maximum of information after its blinded re-estimation.

    Args:
        n_eff_max: Effective units at the planned end from now on; never below those planned.
        factor: n_eff_max over the planned one, >= 1.
        capped: Whether the variance asks for more than the cap allows; power then stays below the plan's.
        variance: Variance of one unit that was found, after the adjustment.
        planned_variance: Variance of one unit that the plan was made with.
        units: Units, of all variants together, that it was found on.
    """

    n_eff_max: float
    factor: float
    capped: bool
    variance: float
    planned_variance: float
    units: int


def reestimate_blinded(
    n_eff_max: float,
    planned_variance: float,
    pooled: Moments | tuple[int, int],
    *,
    largest: float,
    planned_effect: float = 0.0,
    treatment_share: float = 0.5,
    resolution: float = 1.0,
) -> Reestimate | None:
    """Raise the maximum of information in proportion to the variance that was found.

    The variance of a mixture of both variants holds the effect too: s (1 - s) effect^2, a quarter of its square at an
    equal split. Left in, it asks for slightly more units: 1% more for an effect of a fifth of a standard deviation.
    `planned_effect` takes it out, which is still blinded, because the effect is the plan's and not the data's.

    Args:
        n_eff_max: Effective units at the planned end, as frozen with the plan.
        planned_variance: Variance of one unit within a variant that the plan was made with; p (1 - p) for a rate p.
        pooled: Sums over the closed units of all variants together, or (units with the event, units) of a rate.
        largest: Cap of n_eff_max, at least the planned one.
        planned_effect: Difference planned for, in the metric's unit; 0 makes no adjustment.
        treatment_share: s, the treatment's planned share of units, in (0, 1).
        resolution: Step that the sums count in, in the metric's unit; rates have none.

    Returns:
        The new maximum, or None ("insufficient") below two units.

    Raises:
        StatisticsError: A number is out of bounds.

    >>> found = reestimate_blinded(1000, 0.10 * 0.90, (300, 2000), largest=2000)
    >>> round(found.variance, 4), round(found.factor, 3), round(found.n_eff_max), found.capped
    (0.1275, 1.417, 1417, False)
    """
    planned = positive("n_eff_max", n_eff_max, "effective units at the planned end")
    variance_then = positive("planned_variance", planned_variance, "variance of one unit, p (1 - p) for a rate")
    if finite("largest", largest, "the cap of n_eff_max") < planned:
        message = f"largest == {largest}, must be >= n_eff_max == {n_eff_max}"
        raise StatisticsError(message, hint="re-estimation only raises the maximum", largest=largest)
    effect = finite("planned_effect", planned_effect, "the difference planned for; 0 makes no adjustment")
    share = inside("treatment_share", treatment_share, 0.0, 1.0, "the treatment's planned share of units")
    units, variance = _variance(pooled, resolution)
    if variance is None:
        return None
    variance_now = max(0.0, variance - share * (1 - share) * effect**2)
    wanted = planned * variance_now / variance_then
    new = min(max(planned, wanted), float(largest))
    return Reestimate(new, new / planned, wanted > largest, variance_now, variance_then, units)


def _variance(pooled: Moments | tuple[int, int], resolution: float) -> tuple[int, float | None]:
    if isinstance(pooled, Moments):
        return pooled.n, pooled.variance(resolution) if pooled.n >= 2 else None
    events, n = count("events", pooled[0]), count("units", pooled[1])
    inside("events", events, -1, n + 1, "events are among the units")
    return n, events / n * (1 - events / n) if n >= 2 else None

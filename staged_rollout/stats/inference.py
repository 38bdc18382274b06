"""Inference on a whole series of looks: what may be said at every one of them, and what once the test has stopped.

Repeated intervals and p-values hold under any stopping rule, at all looks together; the stage-wise figures hold at the
first crossing of the bounds, or at the final look.

Source: Jennison and Turnbull (1989), JRSS B 51, 305-361, for repeated intervals and p-values.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from scipy.special import ndtr, ndtri

from staged_rollout.errors import StatisticsError
from staged_rollout.stats.boundary import exit_probabilities, next_upper
from staged_rollout.stats.designs import Design
from staged_rollout.stats.inputs import finite, positive
from staged_rollout.stats.recursion import Looks
from staged_rollout.stats.results import Result
from staged_rollout.stats.solve import root_of_line
from staged_rollout.stats.spending import Spending
from staged_rollout.stats.stage_wise import stage_wise

#: One-sided p-values are not told apart above this: there is no evidence.
LARGEST_P = 0.5
_SMALLEST_P = 1e-290
_NEARLY_HALF = 1e-9

Stop = Literal["efficacy", "futility", "final"]


@dataclass(frozen=True)
class Inference(Result):
    """A test's looks so far; effects are in the unit of `se`, positive in the good direction.

    Args:
        z: The statistic at each look.
        se: Standard error of the estimate at each look: 1 / sqrt(information).
        stopped_at: The look at which the design stopped, from 1; None while it goes on.
        stopped_for: What stopped it; None while it goes on.
        p_value: Stage-wise; None while it goes on.
        estimate: z se at the stop or the latest look; too large on average after an early win.
        median_unbiased_estimate: Stage-wise; None while it goes on.
        confidence_interval: Stage-wise, each limit with the design's alpha; None while it goes on.
        repeated_confidence_intervals: At every look, estimate +- bound se: together they hold with
            1 - 2 alpha.
        repeated_p_values: At every look, the smallest alpha whose bound z reaches: one-sided for a design of one side,
            where 0.5 stands for 0.5 or more; two-sided for one of two.
    """

    z: tuple[float, ...]
    se: tuple[float, ...]
    stopped_at: int | None
    stopped_for: Stop | None
    p_value: float | None
    estimate: float
    median_unbiased_estimate: float | None
    confidence_interval: tuple[float, float] | None
    repeated_confidence_intervals: tuple[tuple[float, float], ...]
    repeated_p_values: tuple[float, ...]

    def rows(self) -> Sequence[Mapping[str, Any]]:
        """One row per look, with the repeated figures."""
        columns = zip(self.z, self.se, self.repeated_confidence_intervals, self.repeated_p_values, strict=True)
        return [
            {"look": k, "z": z, "se": se, "estimate": z * se, "low": low, "high": high, "p": p}
            for k, (z, se, (low, high), p) in enumerate(columns, start=1)
        ]


def infer(
    design: Design,
    z: Sequence[float],
    max_information: float | None = None,
    *,
    se: Sequence[float] | None = None,
    obeyed: bool = False,
) -> Inference:
    """Inference on the looks so far.

    A win stops the test, and so does harm to the other side's efficacy bound with two sides, and binding futility. A
    non-binding futility bound stops it only if no further look follows: going on overrules it.

    Args:
        design: The design, with as many looks as there are statistics, or more.
        z: The statistic at each look, in order.
        max_information: Information at t = 1: 1 / variance of the estimate, in the effect's unit to the power of -2.
        se: Standard error of the estimate at each look, in the effect's unit, where it is measured rather than planned;
            either this or `max_information`.
        obeyed: Whether the test stops at any non-binding futility bound; see `stage_wise`.

    Returns:
        The inference; stage-wise figures only where the test has stopped.

    Raises:
        StatisticsError: A number is out of bounds, there is no statistic, or more of them than looks.

    >>> from staged_rollout.stats.planned_designs import design
    >>> found = infer(design((0.3, 0.6)), (1.91702895126808, 3.49756131519997), max_information=100)
    >>> found.stopped_at, round(found.p_value, 8), [round(p, 6) for p in found.repeated_p_values]
    (2, 0.00026809, [0.227641, 0.004384])
    """
    if not 1 <= len(z) <= len(design):
        message = f"{len(z)} statistics, must be >= 1 and <= {len(design)}, the looks of the design"
        raise StatisticsError(message, hint="one z per look, in order", statistics=len(z), looks=len(design))
    for k, value in enumerate(z, start=1):
        finite(f"z of look {k}", value, "the statistic of the look")
    errors = _standard_errors(design.information[: len(z)], max_information, se)
    stop, why = _stop(design, z)
    at = len(z) if stop is None else stop
    final = None if stop is None else stage_wise(design, z[at - 1], errors[at - 1], look=stop, obeyed=obeyed)
    return Inference(
        z=tuple(float(value) for value in z),
        se=errors,
        stopped_at=stop,
        stopped_for=why,
        p_value=final.p_value if final else None,
        estimate=z[at - 1] * errors[at - 1],
        median_unbiased_estimate=final.median_unbiased_estimate if final else None,
        confidence_interval=final.confidence_interval if final else None,
        repeated_confidence_intervals=tuple(
            ((value - c) * error, (value + c) * error)
            for value, c, error in zip(z, design.efficacy, errors, strict=False)
        ),
        repeated_p_values=tuple(repeated_p_value(design, value, k) for k, value in enumerate(z, start=1)),
    )


def _standard_errors(
    information: Sequence[float], max_information: float | None, se: Sequence[float] | None
) -> tuple[float, ...]:
    if (max_information is None) is (se is None):
        message = "max_information and se, must be either one or the other"
        raise StatisticsError(message, hint="se where it was measured at each look, else max_information")
    if se is None:
        full = positive("max_information", max_information or 0.0, "1 / variance of the estimate at the planned end")
        return tuple(1 / math.sqrt(full * t) for t in information)
    if len(se) != len(information):
        message = f"{len(se)} standard errors and {len(information)} statistics, must be the same number"
        raise StatisticsError(message, hint="one of each per look", errors=len(se), statistics=len(information))
    return tuple(positive(f"se of look {k}", value, "a standard error") for k, value in enumerate(se, start=1))


def _stop(design: Design, z: Sequence[float]) -> tuple[int | None, Stop | None]:
    for k, value in enumerate(z, start=1):
        if value >= design.efficacy[k - 1] or (design.sides == 2 and -value >= design.efficacy[k - 1]):
            return k, "efficacy"
        if design.ended and k == len(design):
            return k, "final"
        given_up = design.futility is not None and value <= design.futility[k - 1]
        if given_up and (design.binding or k == len(z)):
            return k, "futility"
    return None, None


def repeated_p_value(design: Design, z: float, look: int) -> float:
    """The smallest alpha for which a look's bound is reached, with the design's other features as they are.

    Args:
        design: The design.
        z: The statistic.
        look: At which look, from 1.

    Returns:
        p in (0, 0.5], 0.5 standing for 0.5 or more, for one side; twice that for two.
    """
    if design.sides == 2:
        z = abs(z)
    if z <= 0:
        return LARGEST_P * design.sides
    smallest = float(ndtr(-z))  # alpha is at least what this look alone spends
    if smallest < _SMALLEST_P:
        return 0.0
    if design.rule.classic:
        return min(LARGEST_P, _classic_level(design, z, look)) * design.sides

    def short(quantile: float) -> float:
        """How much the statistic falls short of the bound for alpha = 1 - Phi(quantile); rising."""
        inside = max(quantile, _NEARLY_HALF)
        return _bound_at(design, float(ndtr(-inside)), look) - z + (quantile - inside)

    # The bound is nearly proportional to the quantile, and known at the design's own alpha.
    bound, fixed = design.efficacy[look - 1], design.rule.fixed_z
    guess = max(min(z * fixed / bound, -float(ndtri(smallest))), _NEARLY_HALF)
    quantile = root_of_line(short, guess, (fixed, bound - z))
    return float(ndtr(-max(quantile, 0.0))) * design.sides


def _bound_at(design: Design, alpha: float, look: int) -> float:
    """The bound of a look for another alpha; lower bounds that the alpha counts on stay as they are."""
    spending: Spending = design.rule.efficacy.with_alpha(alpha)
    kept = None if design.sides == 2 else design.stopping
    looks, spent, z = Looks(), 0.0, math.inf
    for k, t in enumerate(design.information[:look], start=1):
        bound = next_upper(looks, spent, t, spending, final=design.ended and k == len(design))
        z, spent = bound.z, bound.alpha_spent
        low = -z if design.sides == 2 else (min(kept[k - 1], z) if kept else -math.inf)
        looks = looks.and_one(t, z, low)
    return z


def _classic_level(design: Design, z: float, look: int) -> float:
    """Alpha of the classic bounds that pass through z at a look."""
    factor = z / design.efficacy[look - 1]
    upper = [c * factor for c in design.efficacy]
    lower = [-c for c in upper] if design.sides == 2 else None
    if design.sides == 1 and design.stopping:
        lower = [min(low, c) for low, c in zip(design.stopping, upper, strict=True)]
    return float(exit_probabilities(design.information, upper, lower).upper.sum())

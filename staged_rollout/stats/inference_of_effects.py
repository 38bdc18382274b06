"""Inference on the looks of a difference of means, of ratios, or of rates, in the metric's own unit.

The information is what each look measured, 1 / se^2, on the scale of the difference itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from staged_rollout.errors import StatisticsError
from staged_rollout.stats.designs import Design
from staged_rollout.stats.inference import Inference, infer
from staged_rollout.stats.inputs import finite
from staged_rollout.stats.means import Difference
from staged_rollout.stats.proportions import score_interval, score_test

Better = Literal["higher", "lower"]


def infer_differences(
    design: Design, looks: Sequence[Difference], *, delta0: float = 0.0, better: Better = "higher"
) -> Inference:
    """Inference on differences of means or ratios, treatment minus control.

    Args:
        design: The design, with as many looks as there are differences, or more.
        looks: The difference at each look, on all units so far.
        delta0: Difference under the null hypothesis, in the metric's unit: minus the margin for non-inferiority of a
            metric that should be higher.
        better: Which direction is better; z is positive there.

    Returns:
        The inference; estimates and intervals are of treatment minus control, in the metric's unit.

    Raises:
        StatisticsError: As `infer`, or an unknown direction.
    """
    sign = _sign(better)
    finite("delta0", delta0, "the difference under the null hypothesis")
    z = [sign * look.z(delta0) for look in looks]
    return _in_unit(infer(design, z, se=[look.se for look in looks]), sign, delta0)


def infer_rates(
    design: Design, looks: Sequence[tuple[int, int, int, int]], *, margin: float = 0.0, better: Better = "higher"
) -> Inference:
    """Inference on two rates with one 0/1 per unit, by the score test.

    The repeated intervals invert the score test, so that an interval excludes the null hypothesis exactly where z
    crosses the bound. The stage-wise figures use the test's own standard error, so that they agree with its p-value.

    Args:
        design: The design, with as many looks as there are counts, or more.
        looks: (treatment events, treatment units, control events, control units) at each look, on all units so far.
        margin: Largest tolerated worsening, >= 0; 0 tests superiority.
        better: Which direction is better; z is positive there.

    Returns:
        The inference; estimates and intervals are of treatment minus control.

    Raises:
        StatisticsError: As `infer` and `score_test`, or a look without a statistic.

    >>> from staged_rollout.stats.planned_designs import design
    >>> found = infer_rates(design((0.5, 1.0)), [(60, 500, 50, 500), (140, 1000, 100, 1000)])
    >>> found.stopped_at, round(found.p_value, 5), [round(limit, 4) for limit in found.confidence_interval]
    (2, 0.00408, [0.0105, 0.0682])
    """
    sign = _sign(better)
    tests = [score_test(*counts, margin=margin, better=better) for counts in looks]
    found = [test for test in tests if test is not None]
    if len(found) < len(tests):
        k = tests.index(None) + 1
        message = f"look {k} has no statistic: counts == {tuple(looks[k - 1])}, must have events in a variant"
        raise StatisticsError(message, hint="leave out a look without information", look=k)
    inference = infer(design, [test.z for test in found], se=[test.se for test in found])
    delta0 = found[0].delta0 if found else 0.0
    inverted = [score_interval(*counts, z_crit=c) for counts, c in zip(looks, design.efficacy, strict=False)]
    return replace(
        _in_unit(inference, sign, delta0),
        repeated_confidence_intervals=tuple(interval for interval in inverted if interval is not None),
    )


def _in_unit(found: Inference, sign: float, delta0: float) -> Inference:
    """From distances to the null hypothesis in the good direction to differences of treatment minus control."""

    def moved(interval: tuple[float, float]) -> tuple[float, float]:
        low, high = sorted(delta0 + sign * limit for limit in interval)
        return low, high

    estimate = found.median_unbiased_estimate
    return replace(
        found,
        estimate=delta0 + sign * found.estimate,
        median_unbiased_estimate=None if estimate is None else delta0 + sign * estimate,
        confidence_interval=None if found.confidence_interval is None else moved(found.confidence_interval),
        repeated_confidence_intervals=tuple(map(moved, found.repeated_confidence_intervals)),
    )


def _sign(better: Better) -> float:
    if better not in ("higher", "lower"):
        message = f"better == {better!r}, must be 'higher' or 'lower'"
        raise StatisticsError(message, hint="the direction of success", better=better)
    return 1.0 if better == "higher" else -1.0

"""Inference after stopping, by the stage-wise ordering: p-value, median-unbiased estimate, confidence interval.

An earlier win is stronger evidence than a later one, an earlier loss weaker than a later one; within a look, a larger z
is stronger. So no plan for looks that were never taken is needed, and p <= alpha exactly when the test wins.

Source: Armitage (1957), Biometrika 44, 9-26, and Tsiatis, Rosner and Mehta (1984), Biometrics 40, 797-803, for the
ordering; Jennison and Turnbull (2000), sections 8.2-8.5.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy.special import ndtri, ndtri_exp

from staged_rollout.errors import StatisticsError
from staged_rollout.stats.designs import Design
from staged_rollout.stats.inputs import finite, positive
from staged_rollout.stats.recursion import LOWER, UPPER, Looks, Side, log_exit
from staged_rollout.stats.results import Result
from staged_rollout.stats.solve import root_of_line


@dataclass(frozen=True)
class StageWise(Result):
    """What may be said once the test has stopped; valid at its first crossing or final look only.

    Args:
        look: The look at which it stopped, from 1.
        p_value: One-sided for a design of one side, two-sided for one of two.
        median_unbiased_estimate: Effect, in the unit of `se`: too large as often as too small.
        confidence_interval: Limits of the effect, each with error probability `alpha`.
        alpha: That of one side.
    """

    look: int
    p_value: float
    median_unbiased_estimate: float
    confidence_interval: tuple[float, float]
    alpha: float


def stage_wise(design: Design, z: float, se: float, *, look: int | None = None, obeyed: bool = False) -> StageWise:
    """Inference at the look where a test stopped.

    The other side's efficacy bounds count as stops, and so does binding futility. Non-binding futility does not, so
    that p-value and lower limit agree with the efficacy bounds and hold when it is overruled. Where it is always
    obeyed, say so: the upper limit, which else is missed up to twice as often as alpha says, and the estimate then
    count on it.

    Args:
        design: The design, with its looks up to the stop at least.
        z: The statistic at the stop.
        se: Standard error of the estimate at the stop, in the effect's unit: 1 / sqrt(information).
        look: The look at which it stopped, from 1; None: the last one.
        obeyed: Whether the test would have stopped at any non-binding futility bound.

    Returns:
        p-value, estimate and interval.

    Raises:
        StatisticsError: A number is out of bounds, or there is no such look.

    >>> from staged_rollout.stats.planned_designs import design
    >>> stopped = stage_wise(design((0.3, 0.6)), z=3.49756131519997, se=0.45 / 3.49756131519997)
    >>> round(stopped.p_value, 8), round(stopped.median_unbiased_estimate, 6)
    (0.00026809, 0.449144)
    """
    finite("z", z, "the statistic of the look")
    positive("se", se, "the standard error of the estimate at the stop")
    k = len(design) if look is None else look
    if not 1 <= k <= len(design):
        message = f"look == {k}, must be >= 1 and <= {len(design)}"
        raise StatisticsError(message, hint="the design has so many looks", look=k)
    t = design.information[k - 1]
    kept, stopped = _looks(design, k, design.stopping), _looks(design, k, design.lower if obeyed else design.stopping)
    log_above, log_below = _log_tail(kept, t, z, 0.0, UPPER), _log_tail(kept, t, z, 0.0, LOWER)
    p = math.exp(min(log_above, 0.0 if design.sides == 1 else log_below))
    unit = se * math.sqrt(t)  # E[Z] = drift sqrt(t) = effect / se

    def effect(looks: Looks, probability: float) -> float:
        """The effect under which something as large as this has the probability."""
        target = float(ndtri(probability))
        at_null = _probit(looks, t, z, 0.0) - target
        guess = (z + target) / math.sqrt(t)
        return unit * root_of_line(lambda drift: _probit(looks, t, z, drift) - target, guess, (0.0, at_null))

    return StageWise(
        look=k,
        p_value=min(1.0, p * design.sides),
        median_unbiased_estimate=effect(stopped, 0.5),
        confidence_interval=(effect(kept, design.alpha), effect(stopped, 1.0 - design.alpha)),
        alpha=design.alpha,
    )


def _looks(design: Design, k: int, lower: tuple[float, ...] | None) -> Looks:
    """The looks before the k-th, with what stops them below."""
    return Looks(design.information, design.efficacy, lower or (-math.inf,) * len(design)).first(k - 1)


def _log_tail(looks: Looks, t: float, z: float, drift: float, side: Side) -> float:
    """Log probability of something at least as far to one side as stopping at `t` with `z`; both sides sum to 1."""
    bounds = looks.upper if side == UPPER else looks.lower
    logs = [
        log_exit(looks.first(j), looks.information[j], bound, drift, side)[0]
        for j, bound in enumerate(bounds)
        if math.isfinite(bound)
    ]
    logs.append(log_exit(looks, t, z, drift, side)[0])
    top = max(logs)
    return top + math.log(math.fsum(math.exp(value - top) for value in logs)) if math.isfinite(top) else -math.inf


def _probit(looks: Looks, t: float, z: float, drift: float) -> float:
    """Probit of the upper tail, from whichever tail is smaller: rising in the drift, and almost a straight line."""
    above = _log_tail(looks, t, z, drift, UPPER)
    if above <= -math.log(2):
        return float(ndtri_exp(above))
    return -float(ndtri_exp(min(0.0, _log_tail(looks, t, z, drift, LOWER))))

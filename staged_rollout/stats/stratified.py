"""A difference within strata, such as days, combined: what the strata differ by cannot pass for an effect.

While a split ramps up, late days weigh more in the treatment than in the control; whatever late days are like then
looks like an effect when days are pooled. Within a day both variants meet the same day.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from staged_rollout.errors import StatisticsError
from staged_rollout.stats.means import Difference, exact_mean
from staged_rollout.stats.moments import Moments, RatioMoments, ratio_estimate, step


@dataclass(frozen=True)
class StratifiedDifference(Difference):
    """A weighted mean of the strata's differences.

    Args:
        strata: Strata that count.
        strata_left_out: Strata with fewer than two units (or no denominator) in a variant.
        units_left_out: Units in those, of both variants.
    """

    strata: int
    strata_left_out: int
    units_left_out: int


def stratified_difference(
    strata: Sequence[tuple[Moments, Moments]] | Sequence[tuple[RatioMoments, RatioMoments]],
    resolution: float = 1.0,
    *,
    weights: Literal["precision", "size"] = "precision",
) -> StratifiedDifference | None:
    """Difference of two means or ratios, sum w_s (T_s - C_s) / sum w_s over strata s.

    - `precision`: w_s = n_T n_C / (n_T + n_C), the weights of Cochran, Mantel and Haenszel; the smallest variance when
      strata have the same variance and the same effect, and for means the estimate of a regression with one intercept
      per stratum.
    - `size`: w_s = n_T + n_C, post-stratification: the effect on the units as they came, also where it differs between
      strata; small strata with a lopsided split make it less precise.

    Weights depend on numbers of units only, so that they do not move with the outcome. Variances are those within
    each stratum and variant. The order of strata does not matter, to the last digit.

    Source: Cochran (1954), Biometrics 10, section 6; Miratrix, Sekhon and Yu (2013), JRSS B 75, 369-396, for size.

    Args:
        strata: (treatment, control) sums of each stratum; a unit belongs to one, fixed before its outcome.
        resolution: Step that the sums count in, in the metric's unit.
        weights: What strata weigh.

    Returns:
        The difference, or None ("insufficient") without a stratum that has two units in each variant, or without any
        variance.

    Raises:
        StatisticsError: The resolution is out of bounds, or weights of another name.

    >>> quiet, busy = Moments.from_values([1, 2, 3]), Moments.from_values([11, 12, 13, 12])
    >>> found = stratified_difference([(quiet, quiet), (busy, Moments.from_values([10, 11]))])
    >>> found.estimate, found.strata, round(found.se, 4)
    (0.7058823529411765, 2, 0.5283)
    """
    step(resolution)
    if weights not in ("precision", "size"):
        message = f"weights == {weights!r}, must be 'precision' or 'size'"
        raise StatisticsError(message, hint="precision, unless effects differ between strata", weights=weights)
    ws: list[float] = []
    ts: list[tuple[float, float]] = []
    cs: list[tuple[float, float]] = []
    units = [0, 0]
    left_out = 0
    for treatment, control in strata:
        t, c = _estimate(treatment, resolution), _estimate(control, resolution)
        if t is None or c is None:
            left_out += treatment.n + control.n
            continue
        n_t, n_c = treatment.n, control.n
        ws.append(n_t * n_c / (n_t + n_c) if weights == "precision" else float(n_t + n_c))
        ts.append(t)
        cs.append(c)
        units = [units[0] + n_t, units[1] + n_c]
    variance_t, variance_c = _mean_variance(ws, ts), _mean_variance(ws, cs)
    se = math.sqrt(variance_t + variance_c)
    if se <= 0:
        return None
    total = math.fsum(ws)
    return StratifiedDifference(
        estimate=math.fsum(w * (t[0] - c[0]) for w, t, c in zip(ws, ts, cs, strict=True)) / total,
        se=se,
        treatment=math.fsum(w * t[0] for w, t in zip(ws, ts, strict=True)) / total,
        control=math.fsum(w * c[0] for w, c in zip(ws, cs, strict=True)) / total,
        n_treatment=units[0],
        n_control=units[1],
        se_treatment=math.sqrt(variance_t),
        se_control=math.sqrt(variance_c),
        covariance=0.0,
        strata=len(ws),
        strata_left_out=len(strata) - len(ws),
        units_left_out=left_out,
    )


def _estimate(moments: Moments | RatioMoments, resolution: float) -> tuple[float, float] | None:
    """(estimate, its variance) in the metric's unit."""
    if isinstance(moments, RatioMoments):
        return ratio_estimate(moments, resolution)
    found, width = exact_mean(moments), step(resolution)
    return None if found is None else (float(found[0] * width), float(found[1] * width**2))


def _mean_variance(weights: Sequence[float], estimates: Sequence[tuple[float, float]]) -> float:
    total = math.fsum(weights)
    # fsum rounds once, so that the order of strata leaves no trace.
    return math.fsum((w / total) ** 2 * variance for w, (_, variance) in zip(weights, estimates, strict=True))

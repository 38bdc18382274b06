"""A percentile of latency, the 95th or any other, as a guardrail: from counts above the thresholds of a frozen grid.

Source: Deng, Knoblich and Lu (2018), KDD (percentiles under cluster randomisation, from the confidence
interval of the share below it).
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from staged_rollout.errors import StatisticsError
from staged_rollout.stats.exceedance import ExceedanceMoments
from staged_rollout.stats.guard import GuardResult, Method, bounded, log_normal_mixture
from staged_rollout.stats.inputs import inside, not_negative, positive
from staged_rollout.stats.moments import exact, ratio_estimate
from staged_rollout.stats.non_inferiority import z_non_inferiority
from staged_rollout.stats.planning import effective_units
from staged_rollout.stats.results import Result

#: The guard does not speak before both variants have this many units.
_GUARD_UNITS = 20
#: Nor before this many requests are expected above a percentile in both variants.
_GUARD_EXCEEDANCES = 10


@dataclass(frozen=True)
class QuantileTest(Result):
    """A percentile of both variants, compared.

    Args:
        q_treatment: The treatment's percentile in ms.
        q_control: The control's percentile in ms.
        worsening_ms: Treatment minus control.
        se: Its standard error in ms.
        se_treatment: Standard error of `q_treatment`.
        se_control: Standard error of `q_control`.
        margin_ms: Largest tolerated worsening.
        z_non_inferiority: (margin - worsening) / se.
        level: Which percentile, 0.95.
    """

    q_treatment: float
    q_control: float
    worsening_ms: float
    se: float
    se_treatment: float
    se_control: float
    margin_ms: float
    z_non_inferiority: float
    level: float

    def interval(self, z_crit: float) -> tuple[float, float]:
        """Worsening +- z_crit se in ms; its upper end lies below the margin exactly if z_non_inferiority > z_crit.

        Raises:
            StatisticsError: z_crit is not a positive number.
        """
        half = positive("z_crit", z_crit, "the bound of the look, or 1.96") * self.se
        return self.worsening_ms - half, self.worsening_ms + half


def quantile_worsening(
    treatment: ExceedanceMoments,
    control: ExceedanceMoments,
    grid: Sequence[float],
    *,
    margin_ms: float,
    level: float = 0.95,
) -> QuantileTest | None:
    """Compare the request-weighted percentiles of two variants.

    d_v = unit-clustered delta-method sd of the share of requests above Q_v;
    s_v = [Q_v(level + d_v) - Q_v(level - d_v)] / 2; z = (margin - (Q_T - Q_C)) / sqrt(s_T^2 + s_C^2).
    Where a step of the grid holds much of the tail, the percentile is known to that step only: s_v is at least half
    the step times the share of the tail that it holds.

    Args:
        treatment: Exceedance sums of the treatment.
        control: Exceedance sums of the control.
        grid: Thresholds in ms that the sums were built with.
        margin_ms: Largest tolerated worsening in ms, >= 0.
        level: Which percentile.

    Returns:
        The comparison, or None ("insufficient") with fewer than two units, or a percentile (or its error) off the grid.

    Raises:
        StatisticsError: The grid and the sums do not fit, or a number is out of bounds.
    """
    not_negative("margin_ms", margin_ms, "the largest tolerated worsening in ms")
    inside("level", level, 0.0, 1.0, "the 95th percentile is 0.95")
    _check_grid(treatment, grid)
    _check_grid(control, grid)
    t, c = _percentile(treatment, grid, level), _percentile(control, grid, level)
    if t is None or c is None:
        return None
    worsening, se = t[0] - c[0], math.hypot(t[1], c[1])
    z = z_non_inferiority(worsening, se, margin_ms)
    if z is None:
        return None
    return QuantileTest(t[0], c[0], worsening, se, t[1], c[1], margin_ms, z, level)


def guard_quantile(
    treatment: ExceedanceMoments,
    control: ExceedanceMoments,
    grid: Sequence[float],
    *,
    margin_ms: float,
    alpha: float,
    level: float = 0.95,
) -> GuardResult:
    """The always-valid guard: may be looked at after every unit, and alarms falsely with probability alpha, ever.

    H0: Q_T - Q_C <= margin. It is tested on the scale of shares, where the null hypothesis says what to expect: let x
    be the first threshold at or above Q_C + margin; under H0 at most 1 - level of the treatment's requests exceed x.
    The score z = (share above x - (1 - level)) / sqrt(v), where v adds the unit-clustered variance *under H0* and
    what the error of Q_C does to that share, goes into the same normal mixture as `guard_worsening`. Rounding x up
    errs towards no alarm. Unlike the difference of percentiles it needs no percentile of the treatment, so a
    candidate that is slow beyond the grid, or times out, alarms too.

    Args:
        treatment: Exceedance sums of the treatment.
        control: Exceedance sums of the control.
        grid: Thresholds in ms that the sums were built with.
        margin_ms: Largest tolerated worsening in ms, >= 0.
        alpha: Probability of a false alarm given to this guard for all of its looks.
        level: Which percentile.

    Returns:
        The guard's word; "insufficient" and no alarm below 20 units or 10 expected exceedances in a variant, or with
        Q_C + margin off the grid.

    Raises:
        StatisticsError: The grid and the sums do not fit, or a number is out of bounds.
    """
    inside("alpha", alpha, 0.0, 1.0, "probability of a false alarm given to this guard")
    test = quantile_worsening(treatment, control, grid, margin_ms=margin_ms, level=level)
    z = _guard_z(treatment, control, grid, margin_ms, level)
    method: Method = "insufficient" if z is None else "normal-mixture"
    log_e = 0.0 if z is None else bounded(log_normal_mixture(z, effective_units(treatment.n, control.n)))
    threshold = -math.log(alpha)
    return GuardResult(
        worsening=test.worsening_ms if test else None,
        se=test.se if test else None,
        margin=margin_ms,
        log_e=log_e,
        threshold_log=threshold,
        alarm=log_e >= threshold,
        method=method,
        z_non_inferiority=test.z_non_inferiority if test else None,
    )


def _guard_z(
    treatment: ExceedanceMoments, control: ExceedanceMoments, grid: Sequence[float], margin_ms: float, level: float
) -> float | None:
    share = Fraction(1) - exact(level)
    if (
        min(treatment.n, control.n) < _GUARD_UNITS
        or share * min(treatment.requests, control.requests) < _GUARD_EXCEEDANCES
    ):
        return None
    champion = _percentile(control, grid, level)
    if champion is None:
        return None
    j = bisect.bisect_left(grid, champion[0] + margin_ms)
    if j == len(grid):
        return None
    moments = treatment.at(j)
    variance = float(moments.squared_residuals(share) / (moments.sd * moments.sd))
    slope = _share_above(treatment, grid, grid[j] - champion[1]) - _share_above(treatment, grid, grid[j] + champion[1])
    excess = float(Fraction(moments.sy, moments.sd) - share)
    return excess / math.sqrt(variance + (slope / 2) ** 2)


def _check_grid(moments: ExceedanceMoments, grid: Sequence[float]) -> None:
    ascending = all(a < b for a, b in pairwise(grid))
    if len(grid) != len(moments.exceed) or len(grid) < 2 or not ascending or grid[0] <= 0:
        message = f"{len(grid)} thresholds and {len(moments.exceed)} sums, must be the same ascending grid above 0"
        raise StatisticsError(message, hint="use the grid frozen in the plan", thresholds=len(grid))


def _cell(moments: ExceedanceMoments, share: float) -> int | None:
    """The first threshold that at most `share` of the requests exceed; None when the percentile lies off the grid."""
    allowed = share * moments.requests
    if moments.exceed[0] <= allowed or moments.exceed[-1] > allowed:
        return None
    return bisect.bisect_left(moments.exceed, -allowed, key=lambda above: -above)


def _quantile(moments: ExceedanceMoments, grid: Sequence[float], share: float) -> float | None:
    """Latency that `share` of the requests exceed, log-linear within a step of the grid."""
    j = _cell(moments, share)
    if j is None:
        return None
    above, below = moments.exceed[j - 1], moments.exceed[j]
    part = (above - share * moments.requests) / (above - below)
    return float(grid[j - 1] * (grid[j] / grid[j - 1]) ** part)


def _share_above(moments: ExceedanceMoments, grid: Sequence[float], latency: float) -> float:
    """Share of requests above a latency, linear in its logarithm within a step; beyond the grid, that at its end."""
    if latency <= grid[0]:
        return moments.exceed[0] / moments.requests
    j = bisect.bisect_left(grid, latency)
    if j == len(grid):
        return moments.exceed[-1] / moments.requests
    part = math.log(latency / grid[j - 1]) / math.log(grid[j] / grid[j - 1])
    return (moments.exceed[j - 1] + part * (moments.exceed[j] - moments.exceed[j - 1])) / moments.requests


def _percentile(moments: ExceedanceMoments, grid: Sequence[float], level: float) -> tuple[float, float] | None:
    """The percentile and its standard error, both in ms."""
    share = float(1 - exact(level))
    q = _quantile(moments, grid, share)
    j = _cell(moments, share)
    if q is None or j is None:
        return None
    # Q lies between two thresholds: the larger variance of the two.
    estimates = ratio_estimate(moments.at(j - 1)), ratio_estimate(moments.at(j))
    if estimates[0] is None or estimates[1] is None:
        return None
    d = math.sqrt(max(estimates[0][1], estimates[1][1]))
    if d >= min(share, level):
        return None
    upper, lower = _quantile(moments, grid, share - d), _quantile(moments, grid, share + d)
    if upper is None or lower is None:
        return None
    held = (moments.exceed[j - 1] - moments.exceed[j]) / (share * moments.requests)
    resolution = 0.5 * (grid[j] - grid[j - 1]) * min(1.0, held)
    return q, max(0.5 * (upper - lower), resolution)

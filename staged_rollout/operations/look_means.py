"""The success metric of a look where it is a mean or a ratio: exact sums in, figures and a guard out."""

from __future__ import annotations

from staged_rollout.evidence import HarmGuardFigures, MeanFigures, MomentFigures, SuccessFigures
from staged_rollout.operations.look_moments import (
    MetricSums,
    harm_margin,
    harm_moments,
    metric_difference,
    value_of,
)
from staged_rollout.spec.metric import Metric
from staged_rollout.stats import guard_worsening

MIN_UNITS = 100
"""Units per variant below which a guard of means is silent: a normal approximation, whatever the distribution."""


def mean_figures(
    metric: Metric, champion: MetricSums, candidate: MetricSums, margin: float | None, *, better: str
) -> SuccessFigures:
    """The success figures of a mean or a ratio.

    z counts from 0, or from the margin, in the good direction; its standard error is of unit totals, each variant's own
    (Welch; the delta method for a ratio), and does not depend on the null hypothesis.

    Source: Deng, Knoblich and Lu (2018), "Applying the delta method in metric analytics", KDD; Welch (1947), Biometrika
    34, 28-35.

    Args:
        metric: The metric.
        champion: The champion's sums.
        candidate: The candidate's.
        margin: Largest tolerated worsening, in the metric's unit; None: superiority.
        better: `higher` or `lower`.
    """
    found = metric_difference(metric, candidate, champion)
    sign = 1.0 if better == "higher" else -1.0
    value_champion, value_candidate = value_of(metric, champion), value_of(metric, candidate)
    apart = None if value_champion is None or value_candidate is None else value_candidate - value_champion
    return SuccessFigures(
        closed_champion=champion.closed,
        closed_candidate=candidate.closed,
        n_champion=champion.n,
        n_candidate=candidate.n,
        x_champion=0,
        x_candidate=0,
        estimate=found.estimate if found else apart,
        z=sign * found.z(-sign * (margin or 0.0)) if found else None,
        se=found.se if found else None,
        margin=margin,
        mean=MeanFigures(
            kind="ratio" if metric.kind == "ratio" else "mean",
            resolution=metric.step,
            champion=_moments(champion),
            candidate=_moments(candidate),
            value_champion=value_champion,
            value_candidate=value_candidate,
        ),
    )


def mean_guard(
    metric: Metric,
    champion: MetricSums,
    candidate: MetricSums,
    margin: float,
    *,
    better: str,
    alpha: float,
    design_share: float,
) -> HarmGuardFigures:
    """The always-valid harm guard of a mean or a ratio, over unit totals; silent below `MIN_UNITS` units a variant.

    Args:
        metric: The metric.
        champion: The champion's sums, of the holdback.
        candidate: The candidate's.
        margin: Largest tolerated worsening, in the metric's unit; 0: none.
        better: `higher` or `lower`.
        alpha: Of the guard, for all of its looks.
        design_share: The candidate's designed share of both variants' units, in (0, 1).
    """
    enough = min(champion.n, candidate.n) >= MIN_UNITS
    nothing = MetricSums()
    # Every unit has a total, so that the guard's exact branch for rare events is never taken for the means of many.
    result = guard_worsening(
        harm_moments(metric, candidate if enough else nothing, better=better),
        harm_moments(metric, champion if enough else nothing, better=better),
        margin=harm_margin(metric, margin),
        alpha=alpha,
        error_units=(candidate.n, champion.n) if enough else (0, 0),
        design_share=design_share,
    )
    return HarmGuardFigures(
        n_champion=champion.n,
        n_candidate=candidate.n,
        x_champion=0,
        x_candidate=0,
        log_e=result.log_e,
        threshold_log=result.threshold_log,
        alarm=result.alarm,
    )


def _moments(sums: MetricSums) -> MomentFigures:
    m = sums.moments
    return MomentFigures(n=m.n, sy=m.sy, syy=m.syy, sd=m.sd, sdd=m.sdd, syd=m.syd, capped=sums.capped)

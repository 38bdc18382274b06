"""The success metric of a look: units whose window has closed, counted once, under their assigned variant."""

from __future__ import annotations

from typing import Any

from staged_rollout.evidence import HarmGuardFigures, LookFigures, SuccessFigures
from staged_rollout.operations.look_bounds import (
    HARM_ALPHA_LIVE,
    MIN_INCREMENT,
    efficacy_bound,
    futility_bound,
    harm_bound,
)
from staged_rollout.operations.look_inference import at_first_stop, p_value
from staged_rollout.operations.look_means import mean_figures, mean_guard
from staged_rollout.operations.look_moments import MetricSums, query_parameters
from staged_rollout.operations.window import Window
from staged_rollout.ports import Rows
from staged_rollout.spec.metric import Metric
from staged_rollout.state import LookKind, PlannedLook, RolloutState, State
from staged_rollout.stats import (
    RatioMoments,
    guard_worsening,
    information_fraction,
    score_interval,
    score_test,
)

__all__ = [
    "HARM_ALPHA_BAKE",
    "HARM_ALPHA_LIVE",
    "MIN_CLOSED",
    "MIN_EVENTS",
    "MIN_INCREMENT",
    "bake",
    "counts",
    "take",
]

MIN_CLOSED = 100
"""Closed units with an outcome per variant below which no look is taken."""
MIN_EVENTS = 10
"""Events, and non-events, per variant."""
HARM_ALPHA_BAKE = 0.005
"""Primary harm: .025 per rollout, one-sided, split over LIVE and BAKE (docs/statistics.md, harm budget)."""
_NONE: dict[str, Any] = {"closed": 0, "with_outcome": 0, "correct": 0, "sums": MetricSums()}


def take(window: Window, planned: PlannedLook) -> LookFigures:
    """One look at its planned cut-off."""
    state = window.state
    success = _success(window)
    information = _information(success, state.n_eff_max)
    kind = LookKind.FINAL if planned.kind is LookKind.EFFICACY and information >= 1.0 else planned.kind
    last = kind is LookKind.FINAL
    insufficient = _insufficient(success)
    efficacy = harm = futility = interval = None
    if not insufficient:
        if kind is not LookKind.HARM:
            efficacy = efficacy_bound(state, information, final=last)
        if efficacy is not None:
            futility = futility_bound(state, efficacy, last=last)
        harm = harm_bound(state, _information(success, state.plan.n_eff_max if state.plan else None))
        bound = efficacy or harm
        if bound is None:
            insufficient = f"information {information:.4f} is not {MIN_INCREMENT} more than at the last test"
        else:
            interval = _interval(success, bound.z)
    return LookFigures(
        slot=planned.slot,
        kind=kind.value,
        cut_off=planned.cut_off,
        information=information,
        success=success,
        efficacy=efficacy,
        harm=harm,
        interval=interval,
        insufficient=insufficient,
        futility=futility,
        repeated_p_value=p_value(state, success, efficacy, last=last),
        stage_wise=at_first_stop(state, success, efficacy, futility, last=last),
    )


def counts(window: Window, epochs: tuple[int, ...]) -> Rows:
    """Closed units, those that count, and those with a success, by assigned variant, of some epochs.

    Rows of a declared metric also hold its `sums`. Units that count are those with an outcome, of `correct`.

    Raises:
        QuantisationError: A unit's total is too large for the metric's resolution.
    """
    spec = window.state.spec
    metric = spec.declared
    if metric is None:
        return window.ask("success_counts", epochs, matures_after=spec.success.matures_after)
    days = window.ask("moments", epochs, matures_after=spec.success.matures_after, **query_parameters(metric))
    return [
        _counted(metric, spec.success.metric, variant, [row for row in days if row["assigned_variant"] == variant])
        for variant in sorted({row["assigned_variant"] for row in days})
    ]


def _counted(metric: Metric, name: str, variant: str, rows: Rows) -> dict[str, Any]:
    sums = MetricSums.from_rows(metric, name, rows)
    return {
        "assigned_variant": variant,
        "closed": sums.closed,
        "with_outcome": sums.n,
        "correct": sums.holds if metric.kind == "rate" else 0,
        "sums": sums,
    }


def _by_variant(window: Window, epochs: tuple[int, ...]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The champion's counts and the candidate's."""
    rows = {row["assigned_variant"]: row for row in counts(window, epochs)}
    state = window.state
    return rows.get(state.champion.variant, _NONE), rows.get(state.candidate.variant, _NONE)


def _information(success: SuccessFigures, n_eff_max: float | None) -> float:
    return information_fraction(success.n_candidate, success.n_champion, n_eff_max) if n_eff_max else 0.0


def _margin(state: RolloutState) -> float | None:
    """The largest tolerated worsening, absolute, as the plan has it; None: superiority."""
    return state.plan.margin if state.plan else None


def _success(window: Window) -> SuccessFigures:
    state = window.state
    champion, candidate = _by_variant(window, state.epochs_of(State.LIVE))
    n_t, x_t = candidate["with_outcome"], candidate["correct"]
    n_c, x_c = champion["with_outcome"], champion["correct"]
    margin = _margin(state)
    metric = state.spec.declared
    if metric is not None and metric.kind != "rate":
        return mean_figures(metric, champion["sums"], candidate["sums"], margin, better=state.spec.success.better)
    test = score_test(x_t, n_t, x_c, n_c, margin=margin or 0.0, better=state.spec.success.better)
    return SuccessFigures(
        closed_champion=champion["closed"],
        closed_candidate=candidate["closed"],
        n_champion=n_c,
        n_candidate=n_t,
        x_champion=x_c,
        x_candidate=x_t,
        estimate=x_t / n_t - x_c / n_c if n_t and n_c else None,
        z=test.z if test else None,
        se=test.se if test else None,
        margin=margin,
    )


def _interval(success: SuccessFigures, z_crit: float) -> tuple[float, float] | None:
    """The repeated confidence interval of the difference; of a rate the score test inverted, else estimate +- c se.

    Source: Jennison and Turnbull (1989), JRSS B 51, 305-361.
    """
    if success.mean is None:
        return score_interval(success.x_candidate, success.n_candidate, success.x_champion, success.n_champion, z_crit)
    if success.estimate is None or success.se is None:
        return None
    return success.estimate - z_crit * success.se, success.estimate + z_crit * success.se


def _insufficient(success: SuccessFigures) -> str:
    """Why no test is made, or ""."""
    smallest = min(success.n_champion, success.n_candidate)
    if smallest < MIN_CLOSED:
        return f"{smallest:,} of {MIN_CLOSED:,} closed units with an outcome in the smaller variant"
    if success.mean is not None:
        return "" if success.z is not None else "no variance, or no denominator, in either variant"
    events = min(success.x_champion, success.x_candidate)
    others = min(success.n_champion - success.x_champion, success.n_candidate - success.x_candidate)
    if min(events, others) < MIN_EVENTS:
        return f"{events:,} events and {others:,} non-events in a variant, asked {MIN_EVENTS} of each"
    return ""


def bake(window: Window) -> HarmGuardFigures:
    """Always-valid harm guard of the success metric against the holdback, on units first met while baking.

    Harm is to be worse at all, and with `better_or_equal` to be worse by more than its margin.
    """
    state = window.state
    spec = state.spec.success
    champion, candidate = _by_variant(window, window.present)
    metric = state.spec.declared
    share = 1.0 - state.spec.stages.bake.holdback
    margin = _margin(state) or 0.0
    if metric is not None and metric.kind != "rate":
        return mean_guard(
            metric,
            champion["sums"],
            candidate["sums"],
            margin,
            better=spec.better,
            alpha=HARM_ALPHA_BAKE,
            design_share=share,
        )

    def losses(row: dict[str, Any]) -> int:
        wins = int(row["correct"])
        return int(row["with_outcome"]) - wins if spec.better == "higher" else wins

    def moments(row: dict[str, Any]) -> RatioMoments:
        n, y = int(row["with_outcome"]), losses(row)
        return RatioMoments(n=n, sy=y, syy=y, sd=n, sdd=n, syd=y)

    result = guard_worsening(
        moments(candidate),
        moments(champion),
        margin=margin,
        alpha=HARM_ALPHA_BAKE,
        error_units=(losses(candidate), losses(champion)),
        design_share=share,
    )
    return HarmGuardFigures(
        n_champion=champion["with_outcome"],
        n_candidate=candidate["with_outcome"],
        x_champion=champion["correct"],
        x_candidate=candidate["correct"],
        log_e=result.log_e,
        threshold_log=result.threshold_log,
        alarm=result.alarm,
    )

"""Guardrails: an always-valid guard that may roll back at any time, and non-inferiority that a promotion must show."""

from __future__ import annotations

from typing import Any

from staged_rollout.evidence import GuardrailFigures
from staged_rollout.operations.window import Window
from staged_rollout.spec.model import Guardrail
from staged_rollout.state import RolloutState, State, candidate_share
from staged_rollout.stats import (
    ExceedanceMoments,
    RatioMoments,
    guard_quantile,
    guard_worsening,
    quantile_worsening,
    score_z,
    threshold_grid,
)

HARM_ALPHA_GUARDRAILS = 0.025
"""For all guardrails of a rollout together, split over guardrails, then equally over canary, live and bake."""


def guard_alpha(state: RolloutState) -> float:
    """The share of the harm budget that one guardrail has in the present stay.

    A third each for canary, live and the time after; within a third, equally over its stays: each has rows of its own.
    """
    acting = sum(guardrail.action == "roll_back" for guardrail in state.spec.guardrails.values())
    third = HARM_ALPHA_GUARDRAILS / max(acting, 1) / 3.0
    match state.state:
        case State.CANARY:
            return third / len(state.spec.stages.canary)
        case State.PROMOTING | State.BAKING:
            return third / (len(state.spec.stages.promote) + 1)
        case _:
            return third


def figures(window: Window) -> tuple[GuardrailFigures, ...]:
    """Every guardrail of the rollout on the present stay's rows."""
    makers = {"error_rate": _error_rate, "latency_p95": _latency_p95}
    return tuple(makers[name](window, name, rule) for name, rule in window.state.spec.guardrails.items())


def _error_rate(window: Window, name: str, rule: Guardrail) -> GuardrailFigures:
    state = window.state
    rows = {row["assigned_variant"]: row for row in window.ask("guardrail_errors", window.present)}
    treatment, t_units = _error_moments(rows.get(state.candidate.variant))
    control, c_units = _error_moments(rows.get(state.champion.variant))
    champion = control.sy / control.sd if control.sd else None
    margin = rule.worse_by.absolute(champion or 0.0)
    result = guard_worsening(
        treatment,
        control,
        margin=margin,
        alpha=guard_alpha(state),
        error_units=(t_units, c_units),
        design_share=_design_share(state),
    )
    z = result.z_non_inferiority
    if result.method == "beta-binomial":
        # Too few for a variance of their own: Farrington-Manning on units that met an error, at the same margin.
        # A unit's error share is at most 1, so this proves no less.
        score = score_z(t_units, treatment.n, c_units, control.n, delta0=margin)
        z = None if score is None else -score
    return GuardrailFigures(
        name=name,
        acting=rule.action == "roll_back",
        unit="share",
        margin=margin,
        champion=champion,
        candidate=treatment.sy / treatment.sd if treatment.sd else None,
        worsening=result.worsening,
        z_non_inferiority=z,
        log_e=result.log_e,
        threshold_log=result.threshold_log,
        alarm=result.alarm,
        method=result.method,
    )


def _error_moments(row: dict[str, Any] | None) -> tuple[RatioMoments, int]:
    # Requests whose status nobody logged tell no errors: that is not measured, and never a pass.
    if row is None or not row["statuses"]:
        return RatioMoments(), 0
    moments = RatioMoments(
        n=row["units"],
        sy=row["errors"],
        syy=row["errors_squared"],
        sd=row["requests"],
        sdd=row["requests_squared"],
        syd=row["errors_requests"],
    )
    return moments, row["error_units"]


def _latency_p95(window: Window, name: str, rule: Guardrail) -> GuardrailFigures:
    state = window.state
    grid = state.plan.latency_grid_ms if state.plan else _early_grid(window)
    if grid:
        rows = window.ask("guardrail_latency", window.present, thresholds=list(grid))
        treatment = _exceedances(rows, state.candidate.variant, len(grid))
        control = _exceedances(rows, state.champion.variant, len(grid))
    else:
        treatment = control = ExceedanceMoments.empty(0)
    margin = rule.worse_by.absolute(0.0)
    acting = rule.action == "roll_back"
    test = quantile_worsening(treatment, control, grid, margin_ms=margin) if grid else None
    result = guard_quantile(treatment, control, grid, margin_ms=margin, alpha=guard_alpha(state)) if grid else None
    return GuardrailFigures(
        name=name,
        acting=acting,
        unit="ms",
        margin=margin,
        champion=test.q_control if test else None,
        candidate=test.q_treatment if test else None,
        worsening=test.worsening_ms if test else None,
        z_non_inferiority=test.z_non_inferiority if test else None,
        log_e=result.log_e if result else 0.0,
        threshold_log=result.threshold_log if result else 0.0,
        alarm=result.alarm if result else False,
        method=result.method if result else "insufficient",
    )


def _exceedances(rows: list[dict[str, Any]], variant: str, thresholds: int) -> ExceedanceMoments:
    mine = sorted((row for row in rows if row["assigned_variant"] == variant), key=lambda row: row["threshold"])
    if not mine:
        return ExceedanceMoments.empty(thresholds)
    return ExceedanceMoments(
        n=mine[0]["units"],
        requests=mine[0]["requests"],
        requests_squared=mine[0]["requests_squared"],
        exceed=tuple(row["exceed"] for row in mine),
        exceed_squared=tuple(row["exceed_squared"] for row in mine),
        exceed_requests=tuple(row["exceed_requests"] for row in mine),
    )


def champion_p95(window: Window) -> float | None:
    """The champion's p95 in milliseconds on rows before LIVE; None without rows."""
    state = window.state
    rows = window.ask("latency_quantile", (*state.epochs_of(State.SHADOW), *state.epochs_of(State.CANARY)), level=0.95)
    value = rows[0]["latency_ms"] if rows else None
    return float(value) if value else None


def _early_grid(window: Window) -> tuple[float, ...]:
    """The grid of a canary: from the champion's p95 in shadow, which has ended and does not move any more."""
    rows = window.ask("latency_quantile", window.state.epochs_of(State.SHADOW), level=0.95)
    value = rows[0]["latency_ms"] if rows else None
    return threshold_grid(float(value)) if value else ()


def _design_share(state: RolloutState) -> float:
    """The candidate's designed share of enrolled units in the present stay."""
    if state.state in {State.PROMOTING, State.BAKING}:
        return min(max(candidate_share(state), 1e-6), 1.0 - 1e-6)
    return state.spec.stages.live.split[1]

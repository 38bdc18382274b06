"""The success metric of a look: units whose window has closed, counted once, under their assigned variant."""

from __future__ import annotations

from typing import Any

from staged_rollout.evidence import BoundFigures, HarmGuardFigures, LookFigures, SegmentFigures, SuccessFigures
from staged_rollout.operations.window import Window
from staged_rollout.state import BoundRecord, LookKind, PlannedLook, State
from staged_rollout.stats import (
    Bound,
    RatioMoments,
    Spending,
    guard_worsening,
    holm,
    information_fraction,
    next_bound,
    score_interval,
    score_z,
    two_sided_p,
)

MIN_CLOSED = 100
"""Closed units with an outcome per variant below which no look is taken."""
MIN_EVENTS = 10
"""Events, and non-events, per variant."""
MIN_INCREMENT = 1e-4
"""Increment of information below which no look is taken."""
HARM_ALPHA_LIVE = 0.020
HARM_ALPHA_BAKE = 0.005
"""Primary harm: .025 per rollout, one-sided, split over LIVE and BAKE (docs/statistics.md, harm budget)."""


def take(window: Window, planned: PlannedLook) -> LookFigures:
    """One look at its planned cut-off."""
    state, plan = window.state, window.state.plan
    spec = state.spec.success
    success = _success(window)
    n_t, n_c = success.n_candidate, success.n_champion
    information = information_fraction(n_t, n_c, plan.n_eff_max) if plan else 0.0
    kind = LookKind.FINAL if planned.kind is LookKind.EFFICACY and information >= 1.0 else planned.kind
    insufficient = _insufficient(success)
    efficacy = harm = interval = None
    if not insufficient:
        if kind is not LookKind.HARM:
            efficacy = _bound(
                state.efficacy_bounds(),
                information,
                Spending("obrien-fleming", spec.alpha),
                final=kind is LookKind.FINAL,
            )
        harm = _bound(state.harm_bounds(), information, Spending("pocock", HARM_ALPHA_LIVE), final=False)
        bound = efficacy or harm
        if bound is None:
            insufficient = f"information {information:.4f} is not {MIN_INCREMENT} more than at the last test"
        else:
            interval = score_interval(success.x_candidate, n_t, success.x_champion, n_c, bound.z)
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
    )


def _success(window: Window) -> SuccessFigures:
    spec = window.state.spec.success
    rows = {
        row["assigned_variant"]: row
        for row in window.ask("success_counts", window.state.epochs_of(State.LIVE), matures_after=spec.matures_after)
    }
    none = {"closed": 0, "with_outcome": 0, "correct": 0}
    champion = rows.get(window.state.champion.variant, none)
    candidate = rows.get(window.state.candidate.variant, none)
    n_t, x_t = candidate["with_outcome"], candidate["correct"]
    n_c, x_c = champion["with_outcome"], champion["correct"]
    z = score_z(x_t, n_t, x_c, n_c, delta0=0.0)
    sign = 1.0 if spec.better == "higher" else -1.0
    return SuccessFigures(
        closed_champion=champion["closed"],
        closed_candidate=candidate["closed"],
        n_champion=n_c,
        n_candidate=n_t,
        x_champion=x_c,
        x_candidate=x_t,
        estimate=x_t / n_t - x_c / n_c if n_t and n_c else None,
        z=None if z is None else sign * z,
    )


def _insufficient(success: SuccessFigures) -> str:
    """Why no test is made, or ""."""
    smallest = min(success.n_champion, success.n_candidate)
    if smallest < MIN_CLOSED:
        return f"{smallest:,} of {MIN_CLOSED:,} closed units with an outcome in the smaller variant"
    events = min(success.x_champion, success.x_candidate)
    others = min(success.n_champion - success.x_champion, success.n_candidate - success.x_candidate)
    if min(events, others) < MIN_EVENTS:
        return f"{events:,} events and {others:,} non-events in a variant, asked {MIN_EVENTS} of each"
    return ""


def _bound(
    frozen: tuple[BoundRecord, ...], information: float, spending: Spending, *, final: bool
) -> BoundFigures | None:
    """The next bound on this side; None when all of its alpha is spent, or its information has not grown enough."""
    if frozen and frozen[-1].alpha_spent >= spending.alpha:
        return None
    if information - (frozen[-1].information if frozen else 0.0) < MIN_INCREMENT:
        return None
    past = [Bound(record.look, record.information, record.z, record.alpha_spent) for record in frozen]
    bound = next_bound(past, information, spending, final=final)
    return BoundFigures(look=bound.look, information=bound.information, z=bound.z, alpha_spent=bound.alpha_spent)


def bake(window: Window) -> HarmGuardFigures:
    """Always-valid harm guard of the success metric against the holdback, on units first met while baking."""
    state = window.state
    spec = state.spec.success
    rows = {
        row["assigned_variant"]: row
        for row in window.ask("success_counts", window.present, matures_after=spec.matures_after)
    }
    none = {"with_outcome": 0, "correct": 0}
    champion = rows.get(state.champion.variant, none)
    candidate = rows.get(state.candidate.variant, none)

    def losses(row: dict[str, Any]) -> int:
        wins = int(row["correct"])
        return int(row["with_outcome"]) - wins if spec.better == "higher" else wins

    def moments(row: dict[str, Any]) -> RatioMoments:
        n, y = int(row["with_outcome"]), losses(row)
        return RatioMoments(n=n, sy=y, syy=y, sd=n, sdd=n, syd=y)

    result = guard_worsening(
        moments(candidate),
        moments(champion),
        margin=0.0,
        alpha=HARM_ALPHA_BAKE,
        error_units=(losses(candidate), losses(champion)),
        design_share=1.0 - state.spec.stages.bake.holdback,
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


def segments(window: Window) -> tuple[SegmentFigures, ...]:
    """Differences by segment, Holm-corrected over all of them; reported, never decided on."""
    state = window.state
    raw: list[tuple[str, str, int, int, float | None, float | None]] = []
    for segment in state.spec.segments:
        rows = window.ask(
            "segments",
            state.epochs_of(State.LIVE),
            matures_after=state.spec.success.matures_after,
            segment=segment,
        )
        values = sorted({row["segment"] for row in rows})
        counts = {(row["segment"], row["assigned_variant"]): row for row in rows}
        none = {"with_outcome": 0, "correct": 0}
        for value in values:
            champion = counts.get((value, state.champion.variant), none)
            candidate = counts.get((value, state.candidate.variant), none)
            n_t, n_c = candidate["with_outcome"], champion["with_outcome"]
            z = score_z(candidate["correct"], n_t, champion["correct"], n_c, delta0=0.0)
            estimate = candidate["correct"] / n_t - champion["correct"] / n_c if n_t and n_c else None
            raw.append((segment, value, n_c, n_t, estimate, None if z is None else two_sided_p(z)))
    adjusted = iter(holm([p for *_, p in raw if p is not None]))
    return tuple(
        SegmentFigures(
            segment=segment,
            value=value,
            n_champion=n_c,
            n_candidate=n_t,
            estimate=estimate,
            p_holm=None if p is None else next(adjusted),
        )
        for segment, value, n_c, n_t, estimate, p in raw
    )

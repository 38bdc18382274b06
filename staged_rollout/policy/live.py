"""LIVE and the approval that may follow it: what a look ends, and in which words. Harm was decided before."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from staged_rollout.evidence import Evidence, LookFigures
from staged_rollout.policy.decision import Decision
from staged_rollout.policy.holds import Hold
from staged_rollout.policy.moves import (
    forward,
    integrity_shut,
    keep,
    lasting,
    margin_of,
    no_answer,
    number,
    roll_back,
    stay,
)
from staged_rollout.spec.amounts import difference_text, interval_text
from staged_rollout.spec.model import RolloutSpec
from staged_rollout.state import HoldReason, RolloutState, State

FINAL_GRACE = timedelta(days=1)
"""How long after the last slot a final look may still be taken."""


def live(spec: RolloutSpec, state: RolloutState, evidence: Evidence, holds: tuple[Hold, ...]) -> Decision:
    """LIVE: the look's verdict. Precedence: futility before efficacy; harm was decided before both."""
    look = evidence.look
    if look is None:
        if state.plan is not None and _past_last(state, evidence.as_of):
            return no_answer("LIVE ended without a valid final look", holds)
        return stay((_next_look(state, evidence.as_of),), holds)
    z, bound, final = look.success.z, look.efficacy, look.kind == "final"
    at = f"look {look.slot} ({look.information:.0%} of the information)"
    anew = _planned_anew(state, look)
    if look.insufficient:
        if final:
            return no_answer(f"the final look could not be taken: {look.insufficient}", holds)
        return stay((f"{at}: no test, {look.insufficient}", *anew), holds)
    if bound is None or z is None:
        if final:
            return no_answer(f"the final {at} has no efficacy test", holds)
        harm = f"; harm bound {-look.harm.z:.2f} not reached" if look.harm else ""
        return stay((f"{at}: harm only, z {number(z)}{harm}", *anew), holds)
    said = (*_stage_wise(look), *anew)
    if not look.crossed:
        return _not_crossed(state, look, at, said, holds)
    sentence = f"{at}: z {z:.2f} >= {bound.z:.2f}" + _shown(state)
    shut = (*_unproven(spec, evidence, bound.z), *integrity_shut(evidence))
    if shut or holds:
        if final:
            return no_answer(f"{sentence}, but " + "; ".join((*shut, *(d for _, d in holds))), holds, *said)
        return stay((f"{sentence}, but promotion is blocked; it needs a fresh crossing", *shut, *said), holds)
    reason = f"{sentence}, every guardrail within its margin at the same look, SRM and quality passed"
    if spec.decide.win.action == "ask":
        asks = f"asks {spec.decide.win.who} within {lasting(spec.decide.win.within or timedelta())}"
        return forward(State.AWAITING_APPROVAL, reason, asks, *said)
    return forward(State.PROMOTING, reason, *said, step=1)


def _not_crossed(
    state: RolloutState, look: LookFigures, at: str, said: Sequence[str], holds: tuple[Hold, ...]
) -> Decision:
    """A look without a win: the final one ends LIVE, a futile one too, whatever holds; any other goes on."""
    z, bound = look.success.z, look.efficacy
    if z is None or bound is None:  # cannot be: then it was decided before
        return stay((at,), holds)
    sentence = f"{at}: z {z:.2f} < {bound.z:.2f}"
    flip = (f"z of {bound.z:.2f} at this look",)
    if look.kind == "final":
        return keep(f"no win at the final {sentence}" + _not_shown(state), *said, flip=flip, holds=holds)
    if look.futile and look.futility is not None:
        limit = look.futility.z
        return keep(
            f"no win: futility at {at}, z {z:.2f} <= {limit:.2f}" + _not_shown(state),
            *said,
            flip=(f"z above {limit:.2f} at this look",),
            holds=holds,
        )
    goes_on = f" and above {look.futility.z:.2f} (futility)" if look.futility is not None else ""
    return stay((sentence + goes_on, *said), holds, flip)


def _shown(state: RolloutState) -> str:
    """What a crossing shows, where it is not simply to be better."""
    margin = margin_of(state)
    return "" if margin is None else f", not worse by more than {margin}"


def _not_shown(state: RolloutState) -> str:
    margin = margin_of(state)
    return "" if margin is None else f", it may be worse by more than {margin}"


def _stage_wise(look: LookFigures) -> tuple[str, ...]:
    """What may be said of the effect once the test has stopped."""
    found = look.stage_wise
    if found is None:
        return ()
    unit = look.success.unit
    interval = interval_text(found.interval, unit).removesuffix(" pp")
    effect = f"median-unbiased difference {difference_text(found.estimate, unit)}, {interval}"
    # Evidence is rounded to nine decimals: what it holds as 0 is only known to be smaller.
    p = f"p {found.p_value:.2g}" if found.p_value else "p < 1e-9"
    return (f"stage-wise at this first stop: {p}, {effect}",)


def _planned_anew(state: RolloutState, look: LookFigures) -> tuple[str, ...]:
    """That this look waited for the plan to be made anew."""
    found = state.reestimation
    if found is None or found.slot != look.slot:
        return ()
    rate = f"blinded, from a pooled rate of {found.pooled_rate:.1%} in {found.units:,} units"
    if found.n_eff_max == found.before:
        return (f"re-estimated {rate}: the plan of {found.before:,.0f} effective units stays",)
    capped = ", all that expected traffic brings" if found.n_eff_max == found.cap else ""
    return (f"re-estimated {rate}: {found.before:,.0f} -> {found.n_eff_max:,.0f} effective units{capped}",)


def _unproven(spec: RolloutSpec, evidence: Evidence, bound: float) -> tuple[str, ...]:
    """Guardrails that act and are not shown to be within their margin at a look's bound; without figures, neither."""
    z_of = {guardrail.name: guardrail.z_non_inferiority for guardrail in evidence.guardrails}
    acting = [name for name, rule in spec.guardrails.items() if rule.action == "roll_back"]
    found = [(name, z_of.get(name)) for name in acting]
    return tuple(
        f"{name} not proven within its margin: z {number(z)} < {bound:.2f}"
        for name, z in found
        if z is None or z < bound
    )


def _past_last(state: RolloutState, now: datetime) -> bool:
    began = state.effective_at(State.LIVE)
    return state.plan is not None and began is not None and now > began + state.plan.last + FINAL_GRACE


def _next_look(state: RolloutState, now: datetime) -> str:
    began = state.effective_at(State.LIVE)
    if began is None or state.plan is None:
        return "waiting for endpoint and routers to take up LIVE"
    upcoming = next((began + after for after in state.plan.slots if began + after > now), None)
    return f"next look at {upcoming:%Y-%m-%d %H:%M}" if upcoming else "the last look has passed"


def awaiting(spec: RolloutSpec, state: RolloutState, evidence: Evidence, holds: tuple[Hold, ...]) -> Decision:
    """AWAITING_APPROVAL -> PROMOTING on approval of that decision; a rejection rolls back; silence is no answer."""
    approval = state.approval
    asked = state.stage.entered_at
    within = spec.decide.win.within
    asking = asking_decision(state)
    if approval is not None and approval.decision_seq == asking and not approval.approved:
        return roll_back(f"rejected by {approval.actor}: {approval.reason}")
    if within is not None and evidence.as_of - asked > within:
        return keep(f"no approval within {lasting(within)} of {asked:%Y-%m-%d %H:%M}: no answer", holds=holds)
    failed = [detail for reason, detail in holds if reason in {HoldReason.SRM, HoldReason.QUALITY}]
    if approval is not None and approval.decision_seq == asking and approval.approved:
        if failed:
            return no_answer("the approval lapsed: " + "; ".join(failed), holds)
        shut = integrity_shut(evidence)
        if shut or holds:
            return stay((f"approved by {approval.actor}; waits", *shut), holds)
        return forward(State.PROMOTING, f"approved by {approval.actor}: {approval.reason}", step=1)
    return stay((f"waiting for {spec.decide.win.who} to approve decision {asking}",), holds)


def asking_decision(state: RolloutState) -> int | None:
    """The number of the decision that asked for approval."""
    return next((d.seq for d in reversed(state.decisions) if d.to is State.AWAITING_APPROVAL), None)

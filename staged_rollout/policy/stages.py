"""What each state asks before it lets a rollout move on. Pure; every sentence carries its numbers."""

from __future__ import annotations

from datetime import datetime, timedelta

from staged_rollout.evidence import Evidence
from staged_rollout.policy.decision import Action, Decision
from staged_rollout.policy.holds import Hold
from staged_rollout.spec.grammar import render_duration
from staged_rollout.spec.model import RolloutSpec
from staged_rollout.state import HoldReason, RolloutState, State

MIN_COMPLETENESS = 0.95
"""Least share of shadow answers that must have been captured."""
MIN_BASELINE_UNITS = 1000
"""Least closed champion units for a measured baseline."""
FINAL_GRACE = timedelta(days=1)
"""How long after the last slot a final look may still be taken."""


def keep(reason: str, *more: str, flip: tuple[str, ...] = (), holds: tuple[Hold, ...] = ()) -> Decision:
    """Keep the champion: clean up, then end in KEPT_CHAMPION."""
    return Decision(Action.KEEP_CHAMPION, State.ROLLING_BACK, 0, State.KEPT_CHAMPION, (reason, *more), flip, holds)


def roll_back(reason: str, *more: str, flip: tuple[str, ...] = (), holds: tuple[Hold, ...] = ()) -> Decision:
    """Roll back: routers first, then the endpoint, then ROLLED_BACK."""
    return Decision(Action.ROLL_BACK, State.ROLLING_BACK, 0, State.ROLLED_BACK, (reason, *more), flip, holds)


def forward(to: State, reason: str, *more: str, step: int = 0) -> Decision:
    """Move on."""
    return Decision(Action.PROMOTE, to, step, None, (reason, *more))


def stay(reasons: tuple[str, ...], holds: tuple[Hold, ...], flip: tuple[str, ...] = ()) -> Decision:
    """Stay: a hold when something blocks, else continue."""
    if holds:
        held = tuple(f"{reason}: {detail}" for reason, detail in holds)
        return Decision(Action.HOLD, None, 0, None, (*held, *reasons), flip, holds)
    return Decision(Action.CONTINUE, None, 0, None, reasons, flip, ())


def lasting(time: timedelta) -> str:
    """A duration as the rollout file writes it, whole seconds."""
    return render_duration(timedelta(seconds=max(0, int(time.total_seconds()))))


def served(state: RolloutState, now: datetime) -> timedelta | None:
    """Time in the present stay, counted from the publication of its assignment; None before."""
    return None if state.stage.effective_at is None else now - state.stage.effective_at


def _waiting(state: RolloutState, wanted: timedelta | None, now: datetime) -> str | None:
    """Why the stay has not lasted long enough, or None."""
    time = served(state, now)
    if time is None:
        return "waiting for endpoint and routers to take up this stage"
    if wanted is not None and time < wanted:
        return f"served {lasting(time)} of {lasting(wanted)}"
    return None


def registered(state: RolloutState, evidence: Evidence, holds: tuple[Hold, ...]) -> Decision:
    """REGISTERED -> SHADOW when the endpoint is free."""
    if holds:
        return stay(("registered; shadow waits",), holds)
    if not evidence.platform.claimable:
        return stay((f"queued: {state.spec.endpoint} belongs to another rollout",), ())
    return forward(State.SHADOW, f"{state.spec.endpoint} is free; the file lints and its cost is within budget")


def shadow(spec: RolloutSpec, state: RolloutState, evidence: Evidence, holds: tuple[Hold, ...]) -> Decision:
    """SHADOW -> CANARY, or KEPT_CHAMPION when it cannot win or its gates stay shut for twice its time.

    The candidate's errors show as answers that were not captured; Data Capture carries no latency, so that is first
    judged in CANARY, by the guard.
    """
    rules = spec.stages.shadow
    figures = evidence.shadow
    shut: list[str] = []
    if waiting := _waiting(state, rules.for_, evidence.as_of):
        shut.append(waiting)
    if figures is None:
        shut.append("no shadow figures yet")
    else:
        agreement = figures.agreement
        upper = figures.disagreement_upper
        mde = _absolute_mde(spec, evidence)
        matured = not shut and figures.requests >= rules.min_requests
        if matured and mde is not None and upper is not None and upper < mde:
            return keep(
                f"it cannot win: at most {upper:.2%} of units get another answer (97.5% limit, "
                f"{figures.units_disagreeing:,} of {figures.units:,}), and the smallest effect worth having is "
                f"{mde:.2%}",
                flip=(f"an MDE below {upper:.2%}",),
            )
        if figures.requests < rules.min_requests:
            shut.append(f"{figures.requests:,} of {rules.min_requests:,} requests")
        if agreement is None or agreement < rules.agreement:
            shown = "none" if agreement is None else f"{agreement:.1%}"
            shut.append(f"agreement {shown}, asked {rules.agreement:.1%}")
        if figures.completeness < MIN_COMPLETENESS:
            shut.append(
                f"{figures.captured:,} of {figures.requests:,} shadow answers captured, asked {MIN_COMPLETENESS:.0%}"
            )
    shut.extend(_quality_shut(evidence))
    time = served(state, evidence.as_of)
    if (shut or holds) and time is not None and time >= 2 * rules.for_:
        return keep(
            f"shadow's gates stayed shut for {lasting(time)}: " + "; ".join((*shut, *(d for _, d in holds))),
            holds=holds,
        )
    if shut or holds:
        return stay(tuple(shut) or ("shadow's gates are open",), holds)
    if figures is None or time is None:  # cannot be: then a gate was shut
        return stay(("no shadow figures yet",), holds)
    return forward(
        State.CANARY,
        f"shadow served {lasting(time)}: {figures.requests:,} requests, agreement {figures.agreement:.1%} "
        f"(asked {rules.agreement:.1%}), {figures.completeness:.1%} captured, quality passed",
        step=1,
    )


def canary(spec: RolloutSpec, state: RolloutState, evidence: Evidence, holds: tuple[Hold, ...]) -> Decision:
    """CANARY i -> next, or LIVE. Safety only: it never looks at the success metric."""
    steps = spec.stages.canary
    rules = steps[state.step - 1]
    shut: list[str] = []
    if waiting := _waiting(state, rules.for_, evidence.as_of):
        shut.append(waiting)
    traffic = evidence.traffic
    shut.extend(
        f"{name}: {counts.units:,} of {spec.min_units:,} units"
        for name, counts in (("champion", traffic.champion), ("candidate", traffic.candidate))
        if counts.units < spec.min_units
    )
    shut.extend(_integrity_shut(evidence))
    last = state.step == len(steps)
    baseline = evidence.baseline
    if last and (
        baseline is None or baseline.value is None or (baseline.given is None and baseline.units < MIN_BASELINE_UNITS)
    ):
        units = baseline.units if baseline else 0
        shut.append(f"baseline: {units:,} of {MIN_BASELINE_UNITS:,} closed champion units")
    if shut or holds:
        return stay(tuple(shut) or ("the canary's gates are open",), holds)
    rate = baseline.value if last and baseline is not None else None
    if rate is not None and not 0.0 < rate < 1.0:
        return keep(f"no test can be planned: the champion's {spec.success.metric} is {rate:.0%} of all units")
    reason = (
        f"canary {rules.share:.0%} served {_lasted(state, evidence)} to {traffic.candidate.units:,} units "
        f"(control {traffic.champion.units:,}); no guardrail crossed, SRM and quality passed"
    )
    return forward(State.LIVE, reason) if last else forward(State.CANARY, reason, step=state.step + 1)


def live(spec: RolloutSpec, state: RolloutState, evidence: Evidence, holds: tuple[Hold, ...]) -> Decision:
    """LIVE: the look's verdict. Harm was decided before."""
    look = evidence.look
    if look is None:
        if state.plan is not None and _past_last(state, evidence.as_of):
            return _no_answer("LIVE ended without a valid final look", holds)
        return stay((_next_look(state, evidence.as_of),), holds)
    z, bound = look.success.z, look.efficacy
    at = f"look {look.slot} ({look.information:.0%} of the information)"
    if look.insufficient:
        if look.kind == "final":
            return _no_answer(f"the final look could not be taken: {look.insufficient}", holds)
        return stay((f"{at}: no test, {look.insufficient}",), holds)
    if bound is None or z is None:
        if look.kind == "final":
            return _no_answer(f"the final {at} has no efficacy test", holds)
        harm = f"; harm bound {-look.harm.z:.2f} not reached" if look.harm else ""
        return stay((f"{at}: harm only, z {_number(z)}{harm}",), holds)
    if not look.crossed:
        sentence = f"{at}: z {z:.2f} < {bound.z:.2f}"
        if look.kind == "final":
            return keep(f"no win at the final {sentence}", flip=(f"z of {bound.z:.2f} at this look",), holds=holds)
        return stay((sentence,), holds, (f"z of {bound.z:.2f} at this look",))
    sentence = f"{at}: z {z:.2f} >= {bound.z:.2f}"
    shut = (*_unproven(spec, evidence, bound.z), *_integrity_shut(evidence))
    if shut or holds:
        if look.kind == "final":
            return _no_answer(f"{sentence}, but " + "; ".join((*shut, *(d for _, d in holds))), holds)
        return stay((f"{sentence}, but promotion is blocked; it needs a fresh crossing", *shut), holds)
    reason = f"{sentence}, every guardrail within its margin at the same look, SRM and quality passed"
    if spec.decide.win.action == "ask":
        return forward(
            State.AWAITING_APPROVAL,
            reason,
            f"asks {spec.decide.win.who} within {lasting(spec.decide.win.within or timedelta())}",
        )
    return forward(State.PROMOTING, reason, step=1)


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
            return _no_answer("the approval lapsed: " + "; ".join(failed), holds)
        shut = _integrity_shut(evidence)
        if shut or holds:
            return stay((f"approved by {approval.actor}; waits", *shut), holds)
        return forward(State.PROMOTING, f"approved by {approval.actor}: {approval.reason}", step=1)
    return stay((f"waiting for {spec.decide.win.who} to approve decision {asking}",), holds)


def asking_decision(state: RolloutState) -> int | None:
    """The number of the decision that asked for approval."""
    return next((d.seq for d in reversed(state.decisions) if d.to is State.AWAITING_APPROVAL), None)


def promoting(spec: RolloutSpec, state: RolloutState, evidence: Evidence, holds: tuple[Hold, ...]) -> Decision:
    """PROMOTING j -> next, or BAKING: time served, endpoint in service, weights as desired."""
    steps = spec.stages.promote
    rules = steps[state.step - 1]
    shut: list[str] = []
    if waiting := _waiting(state, rules.for_, evidence.as_of):
        shut.append(waiting)
    if not (evidence.platform.endpoint_as_desired and evidence.platform.routing_as_desired):
        shut.append(f"endpoint {evidence.platform.status}, not yet at {rules.share:.0%}")
    shut.extend(_integrity_shut(evidence))
    if shut or holds:
        return stay(tuple(shut) or ("this step's gates are open",), holds)
    time = f" served {_lasted(state, evidence)}" if rules.for_ else ""
    reason = f"{rules.share:.0%} of units{time}, endpoint in service at its weights"
    if state.step < len(steps):
        return forward(State.PROMOTING, reason, step=state.step + 1)
    return forward(State.BAKING, reason)


def baking(spec: RolloutSpec, state: RolloutState, evidence: Evidence, holds: tuple[Hold, ...]) -> Decision:
    """BAKING -> PROMOTED: time served without harm against the holdback."""
    shut: list[str] = []
    if waiting := _waiting(state, spec.stages.bake.for_, evidence.as_of):
        shut.append(waiting)
    if not evidence.platform.endpoint_as_desired:
        shut.append(f"endpoint {evidence.platform.status}")
    shut.extend(_bake_shut(spec, evidence))
    shut.extend(_integrity_shut(evidence))
    if shut or holds:
        return stay(tuple(shut) or ("the bake's gates are open",), holds)
    bake = evidence.bake
    against = f" against {bake.n_champion:,} holdback units" if bake else ""
    return forward(State.PROMOTED, f"baked {_lasted(state, evidence)} without harm{against}")


def _lasted(state: RolloutState, evidence: Evidence) -> str:
    return lasting(served(state, evidence.as_of) or timedelta())


def _absolute_mde(spec: RolloutSpec, evidence: Evidence) -> float | None:
    """The absolute MDE, or None while a relative one has no baseline."""
    if spec.success.mde.kind == "absolute":
        return spec.success.mde.absolute(0.0)
    baseline = evidence.baseline.value if evidence.baseline else None
    return None if baseline is None else spec.success.mde.absolute(baseline)


def _quality_shut(evidence: Evidence) -> tuple[str, ...]:
    """Missing data is never a pass: a gate needs a checked day."""
    return ("no event day has been checked yet",) if evidence.quality.day is None else ()


def _integrity_shut(evidence: Evidence) -> tuple[str, ...]:
    """As `_quality_shut`; once people meet the candidate, a gate needs a sample-ratio test on the same snapshot too."""
    return (*_quality_shut(evidence), *(() if evidence.srm else ("the sample ratio has not been tested yet",)))


def _unproven(spec: RolloutSpec, evidence: Evidence, bound: float) -> tuple[str, ...]:
    """Guardrails that act and are not shown to be within their margin at a look's bound; without figures, neither."""
    z_of = {guardrail.name: guardrail.z_non_inferiority for guardrail in evidence.guardrails}
    acting = [name for name, rule in spec.guardrails.items() if rule.action == "roll_back"]
    found = [(name, z_of.get(name)) for name in acting]
    return tuple(
        f"{name} not proven within its margin: z {_number(z)} < {bound:.2f}"
        for name, z in found
        if z is None or z < bound
    )


def _bake_shut(spec: RolloutSpec, evidence: Evidence) -> tuple[str, ...]:
    """No harm is only seen where outcomes are: a bake without any on either side has shown nothing."""
    bake, holdback = evidence.bake, spec.stages.bake.holdback
    counts = (bake.n_champion, bake.n_candidate) if bake else (0, 0)
    if counts[1] > 0 and (counts[0] > 0 or not holdback):
        return ()
    return (f"closed units with an outcome: {counts[1]:,} of the candidate, {counts[0]:,} of the holdback",)


def _no_answer(reason: str, holds: tuple[Hold, ...]) -> Decision:
    """No answer keeps the champion; data that cannot be trusted is a rollback."""
    if any(kind in {HoldReason.SRM, HoldReason.QUALITY} for kind, _ in holds):
        return roll_back(reason, holds=holds)
    return keep(reason, holds=holds)


def _past_last(state: RolloutState, now: datetime) -> bool:
    began = state.effective_at(State.LIVE)
    return state.plan is not None and began is not None and now > began + state.plan.last + FINAL_GRACE


def _next_look(state: RolloutState, now: datetime) -> str:
    began = state.effective_at(State.LIVE)
    if began is None or state.plan is None:
        return "waiting for endpoint and routers to take up LIVE"
    upcoming = next((began + after for after in state.plan.slots if began + after > now), None)
    return f"next look at {upcoming:%Y-%m-%d %H:%M}" if upcoming else "the last look has passed"


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.2f}"

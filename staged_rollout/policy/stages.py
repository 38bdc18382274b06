"""What each state but LIVE asks before it lets a rollout move on. Pure; every sentence carries its numbers."""

from __future__ import annotations

from datetime import timedelta

from staged_rollout.evidence import Evidence
from staged_rollout.policy.decision import Decision
from staged_rollout.policy.holds import Hold
from staged_rollout.policy.moves import forward, integrity_shut, keep, lasting, quality_shut, served, stay, waiting
from staged_rollout.spec.claim import claim_at
from staged_rollout.spec.model import RolloutSpec
from staged_rollout.state import RolloutState, State

MIN_COMPLETENESS = 0.95
"""Least share of shadow answers that must have been captured."""
MIN_BASELINE_UNITS = 1000
"""Least closed champion units for a measured baseline."""


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
    if wait := waiting(state, rules.for_, evidence.as_of):
        shut.append(wait)
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
    shut.extend(quality_shut(evidence))
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
    if wait := waiting(state, rules.for_, evidence.as_of):
        shut.append(wait)
    traffic = evidence.traffic
    shut.extend(
        f"{name}: {counts.units:,} of {spec.min_units:,} units"
        for name, counts in (("champion", traffic.champion), ("candidate", traffic.candidate))
        if counts.units < spec.min_units
    )
    shut.extend(integrity_shut(evidence))
    last = state.step == len(steps)
    baseline = evidence.baseline
    measured = baseline is None or baseline.given is None or not (spec.in_shares or spec.success.sd is not None)
    if last and (baseline is None or baseline.value is None or (measured and baseline.units < MIN_BASELINE_UNITS)):
        units = baseline.units if baseline else 0
        shut.append(f"baseline: {units:,} of {MIN_BASELINE_UNITS:,} closed champion units")
    if shut or holds:
        return stay(tuple(shut) or ("the canary's gates are open",), holds)
    rate = baseline.value if last and baseline is not None else None
    if not spec.in_shares and baseline is not None and rate is not None:
        if baseline.sd is None:
            return keep(f"no test can be planned: the champion's {spec.success.metric} is the same for all units")
        if claim_at(spec.success, rate, in_shares=False) is None:
            metric, distance = spec.success.metric, spec.success.distance
            return keep(f"no test can be planned: {distance} of the champion's {metric}, {rate:g}, is no difference")
    if spec.in_shares and rate is not None and not 0.0 < rate < 1.0:
        return keep(f"no test can be planned: the champion's {spec.success.metric} is {rate:.0%} of all units")
    if spec.in_shares and rate is not None and claim_at(spec.success, rate) is None:
        metric, distance = spec.success.metric, spec.success.distance
        return keep(f"no test can be planned: {distance} away from the champion's {metric} of {rate:.1%} is no rate")
    reason = (
        f"canary {rules.share:.0%} served {_lasted(state, evidence)} to {traffic.candidate.units:,} units "
        f"(control {traffic.champion.units:,}); no guardrail crossed, SRM and quality passed"
    )
    return forward(State.LIVE, reason) if last else forward(State.CANARY, reason, step=state.step + 1)


def promoting(spec: RolloutSpec, state: RolloutState, evidence: Evidence, holds: tuple[Hold, ...]) -> Decision:
    """PROMOTING j -> next, or BAKING: time served, endpoint in service, weights as desired."""
    steps = spec.stages.promote
    rules = steps[state.step - 1]
    shut: list[str] = []
    if wait := waiting(state, rules.for_, evidence.as_of):
        shut.append(wait)
    if not (evidence.platform.endpoint_as_desired and evidence.platform.routing_as_desired):
        shut.append(f"endpoint {evidence.platform.status}, not yet at {rules.share:.0%}")
    shut.extend(integrity_shut(evidence))
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
    if wait := waiting(state, spec.stages.bake.for_, evidence.as_of):
        shut.append(wait)
    if not evidence.platform.endpoint_as_desired:
        shut.append(f"endpoint {evidence.platform.status}")
    shut.extend(_bake_shut(spec, evidence))
    shut.extend(integrity_shut(evidence))
    if shut or holds:
        return stay(tuple(shut) or ("the bake's gates are open",), holds)
    bake = evidence.bake
    against = f" against {bake.n_champion:,} holdback units" if bake else ""
    return forward(State.PROMOTED, f"baked {_lasted(state, evidence)} without harm{against}")


def _lasted(state: RolloutState, evidence: Evidence) -> str:
    return lasting(served(state, evidence.as_of) or timedelta())


def _absolute_mde(spec: RolloutSpec, evidence: Evidence) -> float | None:
    """The absolute MDE; None while a relative one has no baseline, and where nothing has to get better.

    None of a declared metric too: one that reads latency, say, may move where every answer is the same.
    """
    mde = spec.success.mde
    if mde is None or spec.declared is not None:
        return None
    if mde.kind == "absolute":
        return mde.absolute(0.0)
    baseline = evidence.baseline.value if evidence.baseline else None
    return None if baseline is None else mde.absolute(baseline)


def _bake_shut(spec: RolloutSpec, evidence: Evidence) -> tuple[str, ...]:
    """No harm is only seen where outcomes are: a bake without any on either side has shown nothing."""
    bake, holdback = evidence.bake, spec.stages.bake.holdback
    counts = (bake.n_champion, bake.n_candidate) if bake else (0, 0)
    if counts[1] > 0 and (counts[0] > 0 or not holdback):
        return ()
    return (f"closed units with an outcome: {counts[1]:,} of the candidate, {counts[0]:,} of the holdback",)

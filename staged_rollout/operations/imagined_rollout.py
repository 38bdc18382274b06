"""The rollout that a log is taken to be of: registered, planned, and just entered into LIVE, in a ledger in memory."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from staged_rollout.errors import DataError
from staged_rollout.evidence import Evidence
from staged_rollout.operations.analyze_log import Comparison
from staged_rollout.operations.imagined import ImaginedClock, ImaginedPlatform
from staged_rollout.operations.journal import code_version, entering, load, observed, write
from staged_rollout.operations.look import gather
from staged_rollout.operations.plan import freeze_plan
from staged_rollout.policy.stages import MIN_BASELINE_UNITS
from staged_rollout.ports.lens import BEFORE_EPOCH, LIVE_EPOCH
from staged_rollout.spec.model import RolloutSpec, spec_hash
from staged_rollout.state import (
    Actor,
    Candidate,
    Champion,
    EventType,
    NewEvent,
    Plan,
    RolloutState,
    State,
    to_payload,
)

ANALYST = Actor("analyze")


def imagined_plan(platform: ImaginedPlatform, spec: RolloutSpec, comparison: Comparison) -> tuple[Plan, str]:
    """The plan of LIVE, and what it was made from.

    A baseline is measured before LIVE, as production does, where the log has units enough of that time; else on the
    champion's units of LIVE that closed before the first look that may win. It sizes the test and enters no figure.

    Args:
        platform: The imagined platform.
        spec: The rollout file.
        comparison: What the log compares.

    Returns:
        The plan, and what was measured for it, in words.

    Raises:
        DataError: neither is there.
        StatisticsError: no test can be planned with the baseline.
    """
    since = comparison.lens.since
    evidence = _before_live(platform, spec, comparison, epoch=BEFORE_EPOCH, at=since)
    baseline = evidence.baseline
    given = baseline is not None and baseline.given is not None
    if given and (spec.in_shares or spec.success.sd is not None):
        first = min(*spec.look_slots(), *spec.harm_slots())
        evidence = _before_live(platform, spec, comparison, epoch=LIVE_EPOCH, at=since + first)
        return freeze_plan(spec, evidence), "baseline as the file gives it"
    if baseline is not None and not given and baseline.units >= MIN_BASELINE_UNITS:
        return freeze_plan(spec, evidence), f"baseline measured before LIVE, on {baseline.units:,} champion units"
    first = spec.look_slots()[0]
    if since + first > comparison.as_of:
        raise DataError(
            f"no baseline: the first look that may win is due at {(since + first).isoformat()}, and the log is read up "
            f"to {comparison.as_of.isoformat()}",
            hint="success.baseline in a copy of the rollout file takes the measurement's place",
        )
    evidence = _before_live(platform, spec, comparison, epoch=LIVE_EPOCH, at=since + first)
    units = evidence.baseline.units if evidence.baseline is not None else 0
    if given:
        return freeze_plan(spec, evidence), "baseline as the file gives it; what else is needed is measured in LIVE"
    return freeze_plan(spec, evidence), (
        f"baseline measured on {units:,} champion units of LIVE that closed before the first look that may win: it "
        "plans the size of the test, and enters no figure"
    )


def _before_live(
    platform: ImaginedPlatform, spec: RolloutSpec, comparison: Comparison, *, epoch: int, at: datetime
) -> Evidence:
    """What a last canary step would have known at a moment, had it been the log's rows of one epoch."""
    canary = replace(platform, clock=ImaginedClock(comparison.lens.since), ledger=type(platform.ledger)())
    state = _registered(canary, spec, comparison)
    state = write(canary.ports, state, [entering(State.SHADOW, "imagined")], ANALYST)
    state = write(
        canary.ports, state, [entering(State.CANARY, "imagined", step=1), _seen(epoch, "canary", at)], ANALYST
    )
    canary.clock.at = at
    return gather(canary.ports, state.rollout, ANALYST, looks=False)[1]


def imagined_live(platform: ImaginedPlatform, spec: RolloutSpec, comparison: Comparison, plan: Plan) -> RolloutState:
    """A rollout that has just entered LIVE.

    Args:
        platform: The imagined platform; the rollout's events are written to its ledger.
        spec: The rollout file.
        comparison: What the log compares.
        plan: The plan that LIVE froze.
    """
    since = comparison.lens.since
    state = _registered(platform, spec, comparison)
    steps = range(1, len(spec.stages.canary) + 1)
    events = [
        entering(State.SHADOW, "imagined: the log is taken as it is"),
        _seen(BEFORE_EPOCH, "shadow", since),
        *(entering(State.CANARY, "imagined: the log is taken as it is", step=step) for step in steps),
        NewEvent(EventType.PLAN_FROZEN, to_payload(plan)),
        entering(State.LIVE, f"the log compares both variants from {since.isoformat()} on"),
        _seen(LIVE_EPOCH, "live", since),
    ]
    return write(platform.ports, state, events, ANALYST)


def _registered(platform: ImaginedPlatform, spec: RolloutSpec, comparison: Comparison) -> RolloutState:
    champion, candidate = comparison.lens.variants
    event = NewEvent(
        EventType.REGISTERED,
        {
            "spec": spec.model_dump(mode="json"),
            "spec_hash": spec_hash(spec),
            "candidate": to_payload(Candidate(spec.registry, candidate, f"log:{candidate}", "", candidate)),
            "champion": to_payload(Champion(champion, f"log:{champion}", champion)),
            "cost": {"total_usd": 0.0},
            "usd_per_hour": 0.0,
            "code_version": code_version(),
            "reason": "imagined, to analyze a log",
        },
    )
    rollout = comparison.lens.rollout
    platform.ledger.append(rollout, [event], expected_seq=0, at=platform.clock.now(), actor=ANALYST)
    return load(platform.ports, rollout)


def _seen(epoch: int, stage: str, at: datetime) -> NewEvent:
    result = {"epoch": epoch, "stage": stage, "step": 1 if stage == "canary" else 0, "published_at": at.isoformat()}
    return observed("assignment", f"assignment:{epoch}", result)

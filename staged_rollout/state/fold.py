"""State is a pure fold over the ledger's events."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import date, datetime
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from staged_rollout.errors import LedgerCorruptError, NotFoundError
from staged_rollout.spec.model import RolloutSpec
from staged_rollout.state.events import Event, EventType
from staged_rollout.state.model import (
    TRANSITIONS,
    Approval,
    Candidate,
    Champion,
    DecisionRecord,
    HoldReason,
    Intent,
    RolloutState,
    StageRecord,
    State,
)
from staged_rollout.state.plan import BoundRecord, LookKind, Plan, PlannedLook, Reestimation, StopRecord, TakenLook

T = TypeVar("T")
Record = Candidate | Champion | Plan | Reestimation | BoundRecord | StopRecord | PlannedLook

AMENDABLE = frozenset({"owner", "notify", "freeze"})
"""Keys of the rollout file that a running rollout follows."""

_ADAPTERS: dict[type, TypeAdapter[Any]] = {
    kind: TypeAdapter(kind) for kind in (Candidate, Champion, Plan, Reestimation, BoundRecord, StopRecord, PlannedLook)
}


def to_payload(value: Record) -> dict[str, Any]:
    """A record as JSON for an event's payload; `from_payload` reads it back."""
    dumped: dict[str, Any] = _ADAPTERS[type(value)].dump_python(value, mode="json")
    return dumped


def from_payload(kind: type[T], payload: Any) -> T:
    """A record from an event's payload."""
    value: T = _ADAPTERS[kind].validate_python(payload)
    return value


def fold(events: Iterable[Event]) -> RolloutState:
    """The state that a rollout's events add up to.

    Args:
        events: All events of one rollout, in order, from number 1.

    Raises:
        NotFoundError: there are no events.
        LedgerCorruptError: numbers, transitions or payloads that no rollout can have.
    """
    state: RolloutState | None = None
    for event in events:
        try:
            state = apply(state, event)
        except (AttributeError, KeyError, TypeError, ValueError, ValidationError) as error:
            raise LedgerCorruptError(
                f"event {event.seq} ({event.type}) of {event.rollout} cannot be read: {error}",
                hint="staged-rollout history shows the events before it; restore the ledger from a backup",
                rollout=event.rollout,
                seq=event.seq,
            ) from error
    if state is None:
        raise NotFoundError("no events: there is no such rollout", hint="staged-rollout status lists all rollouts")
    return state


def apply(state: RolloutState | None, event: Event) -> RolloutState:
    """The state after one more event."""
    if state is None:
        return _registered(event)
    if event.seq != state.seq + 1 or event.rollout != state.rollout:
        raise ValueError(f"expected event {state.seq + 1} of {state.rollout}, found {event.seq} of {event.rollout}")
    folded = _HANDLERS[event.type](state, event, event.payload)
    return replace(folded, seq=event.seq, prefix_hash=event.hash, last_at=event.at)


def _registered(event: Event) -> RolloutState:
    if event.type is not EventType.REGISTERED or event.seq != 1:
        raise ValueError(f"a rollout begins with event 1, registered; found {event.seq}, {event.type}")
    payload = event.payload
    return RolloutState(
        rollout=event.rollout,
        seq=event.seq,
        prefix_hash=event.hash,
        spec=RolloutSpec.model_validate(payload["spec"]),
        spec_hash=payload["spec_hash"],
        registered_at=event.at,
        candidate=from_payload(Candidate, payload["candidate"]),
        champion=from_payload(Champion, payload["champion"]),
        state=State.REGISTERED,
        reason=payload.get("reason", ""),
        stages=(StageRecord(State.REGISTERED, 0, event.at, None, None),),
        cost_usd=float(payload["cost"]["total_usd"]),
        usd_per_hour=float(payload["usd_per_hour"]),
        last_at=event.at,
    )


def _again(state: RolloutState, event: Event, _: Mapping[str, Any]) -> RolloutState:
    raise ValueError(f"{state.rollout} is registered already (event {event.seq})")


def _stage_entered(state: RolloutState, event: Event, payload: Mapping[str, Any]) -> RolloutState:
    entered, step = State(payload["state"]), int(payload["step"])
    if entered not in TRANSITIONS[state.state]:
        raise ValueError(f"{state.state} cannot become {entered}")
    stages = state.spec.stages
    steps = {State.CANARY: len(stages.canary), State.PROMOTING: len(stages.promote)}.get(entered, 0)
    follows = state.step + 1 if entered is state.state else min(steps, 1)
    if step != follows or step > steps:
        raise ValueError(f"{state.state} step {state.step} cannot become {entered} step {step} of {steps}")
    ending = State(payload["ending"]) if payload.get("ending") else None
    if entered is State.ROLLING_BACK and ending not in TRANSITIONS[State.ROLLING_BACK]:
        raise ValueError(f"a rollback cannot end in {ending}")
    if state.state is State.ROLLING_BACK and entered is not state.ending:
        raise ValueError(f"this rollback ends in {state.ending}, not in {entered}")
    champion = from_payload(Champion, payload["champion"]) if payload.get("champion") else state.champion
    return replace(
        state,
        champion=champion,
        state=entered,
        step=step,
        ending=ending,
        reason=payload["reason"],
        stages=(*state.stages, StageRecord(entered, step, event.at, None, None)),
        planned=None,
        approval=None,
        attempts={},
    )


def _plan_frozen(state: RolloutState, _: Event, payload: Mapping[str, Any]) -> RolloutState:
    if state.plan is not None:
        raise ValueError("the plan is frozen already")
    return replace(state, plan=from_payload(Plan, payload))


def _plan_reestimated(state: RolloutState, _: Event, payload: Mapping[str, Any]) -> RolloutState:
    found = from_payload(Reestimation, payload)
    if state.plan is None or state.reestimation is not None or state.efficacy_bounds():
        raise ValueError("the plan is re-estimated once, between its freezing and the first efficacy bound")
    if found.n_eff_max < state.plan.n_eff_max:
        raise ValueError(f"n_eff_max {found.n_eff_max} is below the plan's {state.plan.n_eff_max}; it may only rise")
    return replace(state, reestimation=found)


def _look_planned(state: RolloutState, _: Event, payload: Mapping[str, Any]) -> RolloutState:
    planned = from_payload(PlannedLook, payload)
    if state.looks and planned.slot <= state.looks[-1].slot:
        raise ValueError(f"slot {planned.slot} was taken already")
    return replace(state, planned=planned)


def _look_taken(state: RolloutState, _: Event, payload: Mapping[str, Any]) -> RolloutState:
    if state.planned is None or state.planned.slot != payload["slot"]:
        raise ValueError(f"slot {payload['slot']} was not planned")
    taken = TakenLook(
        slot=int(payload["slot"]),
        kind=LookKind(payload["kind"]),
        cut_off=datetime.fromisoformat(payload["cut_off"]),
        z=payload["z"],
        information=float(payload["information"]),
        efficacy=from_payload(BoundRecord, payload["efficacy"]) if payload["efficacy"] else None,
        harm=from_payload(BoundRecord, payload["harm"]) if payload["harm"] else None,
        evidence_hash=payload["evidence_hash"],
        insufficient=payload.get("insufficient", ""),
        futility=from_payload(StopRecord, payload["futility"]) if payload.get("futility") else None,
    )
    return replace(state, looks=(*state.looks, taken), planned=None)


def _quality_checked(state: RolloutState, _: Event, payload: Mapping[str, Any]) -> RolloutState:
    failures = tuple(f"{f['name']}: {f['observed']} (accepted: {f['accepted']})" for f in payload["failures"])
    day = date.fromisoformat(payload["day"])
    newest = failures if day >= max(state.quality, default=day) else state.quality_failures
    return replace(state, quality={**state.quality, day: bool(payload["passed"])}, quality_failures=newest)


def _decided(state: RolloutState, event: Event, payload: Mapping[str, Any]) -> RolloutState:
    record = DecisionRecord(
        seq=event.seq,
        action=payload["action"],
        to=State(payload["to"]) if payload["to"] else None,
        at=event.at,
        reasons=tuple(payload["reasons"]),
        evidence_hash=payload["hashes"]["evidence"],
    )
    return replace(state, decisions=(*state.decisions, record))


def _held(state: RolloutState, event: Event, payload: Mapping[str, Any]) -> RolloutState:
    reason = HoldReason(payload["reason"])
    since = state.holds[reason][0] if reason in state.holds else event.at
    return replace(state, holds={**state.holds, reason: (since, payload["detail"])})


def _released(state: RolloutState, _: Event, payload: Mapping[str, Any]) -> RolloutState:
    reason = HoldReason(payload["reason"])
    return replace(state, holds={kept: since for kept, since in state.holds.items() if kept is not reason})


def _answered(state: RolloutState, event: Event, payload: Mapping[str, Any]) -> RolloutState:
    if state.state is not State.AWAITING_APPROVAL:
        raise ValueError(f"nothing to approve or reject in {state.state}")
    approval = Approval(
        decision_seq=int(payload["decision_seq"]),
        approved=event.type is EventType.APPROVED,
        actor=event.actor.name,
        verified=event.actor.verified,
        at=event.at,
        reason=payload["reason"],
    )
    return replace(state, approval=approval)


def _noted(state: RolloutState, _: Event, __: Mapping[str, Any]) -> RolloutState:
    return state


def _amended(state: RolloutState, _: Event, payload: Mapping[str, Any]) -> RolloutState:
    """Owner, notify and freeze follow the file while a rollout runs; nothing else does, and the stored hash stays."""
    unknown = payload.keys() - AMENDABLE
    if unknown:
        raise ValueError(f"{', '.join(sorted(unknown))} cannot be amended, only {', '.join(sorted(AMENDABLE))}")
    spec = RolloutSpec.model_validate({**state.spec.model_dump(mode="json"), **payload})
    return replace(state, spec=spec)


def _intended(state: RolloutState, event: Event, payload: Mapping[str, Any]) -> RolloutState:
    intent = Intent(event.seq, payload["effect"], payload["key"])
    others = tuple(known for known in state.intents if known.key != intent.key)
    return replace(state, intents=(*others, intent))


def _observed(state: RolloutState, _: Event, payload: Mapping[str, Any]) -> RolloutState:
    key = payload["key"]
    if payload["result"].get("applied") == "started":  # accepted, not yet in service: the intent stays open
        return replace(state, attempts={**state.attempts, key: state.attempts.get(key, 0) + 1})
    seen = _published(state, payload["result"]) if payload["effect"] == "assignment" else state
    # Done: the same change, needed again later because somebody altered the endpoint by hand, counts from one.
    attempts = {known: count for known, count in state.attempts.items() if known != key}
    return replace(seen, intents=tuple(i for i in state.intents if i.key != key), attempts=attempts)


def _published(state: RolloutState, result: Mapping[str, Any]) -> RolloutState:
    """After a document was seen in force: it is the present stay's, or that of one which was left meanwhile."""
    label, step, last = result.get("stage"), result.get("step"), len(state.stages) - 1
    stay = next((n for n in range(last, -1, -1) if _is_of(state.stages[n], label, step)), None)
    # Only stays with a label have a document of their own; the champion's alone belongs to what ends the rollout.
    if stay is None or (label is None and stay != last):
        return state
    epoch, record = int(result["epoch"]), state.stages[stay]
    if epoch in state.epochs_at(stay):
        return state
    if record.epoch is not None:
        return replace(state, again={**state.again, stay: (*state.again.get(stay, ()), epoch)})
    record = replace(record, effective_at=datetime.fromisoformat(result["published_at"]), epoch=epoch)
    return replace(state, stages=(*state.stages[:stay], record, *state.stages[stay + 1 :]))


def _is_of(record: StageRecord, label: str | None, step: int | None) -> bool:
    return stage_label(record.state) == label and (step is None or step == record.step)


def _settled(state: RolloutState, _: Event, __: Mapping[str, Any]) -> RolloutState:
    if not state.terminal:
        raise ValueError(f"{state.state} is not an ending")
    return replace(state, settled=True, intents=())


def stage_label(state: State) -> str | None:
    """The stage that an assignment document names while a rollout is in a state; None when only the champion serves."""
    labels = {
        State.SHADOW: "shadow",
        State.CANARY: "canary",
        State.LIVE: "live",
        State.AWAITING_APPROVAL: "live",
        State.PROMOTING: "promoting",
        State.BAKING: "baking",
    }
    return labels.get(state)


_HANDLERS: dict[EventType, Callable[[RolloutState, Event, Mapping[str, Any]], RolloutState]] = {
    EventType.REGISTERED: _again,
    EventType.STAGE_ENTERED: _stage_entered,
    EventType.PLAN_FROZEN: _plan_frozen,
    EventType.PLAN_REESTIMATED: _plan_reestimated,
    EventType.LOOK_PLANNED: _look_planned,
    EventType.LOOK_TAKEN: _look_taken,
    EventType.QUALITY_CHECKED: _quality_checked,
    EventType.DECIDED: _decided,
    EventType.HELD: _held,
    EventType.RELEASED: _released,
    EventType.APPROVED: _answered,
    EventType.REJECTED: _answered,
    EventType.NOTED: _noted,
    EventType.AMENDED: _amended,
    EventType.INTENDED: _intended,
    EventType.OBSERVED: _observed,
    EventType.SETTLED: _settled,
}

"""Decide on gathered evidence and write what follows, in one transaction: the branch of a rollout."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from staged_rollout.evidence import Evidence
from staged_rollout.operations.approve import confirm_approval
from staged_rollout.operations.journal import code_version, entering, write
from staged_rollout.operations.plan import freeze_plan
from staged_rollout.operations.reconcile import restore_routing
from staged_rollout.operations.register import champion_of
from staged_rollout.policy import Action, Decision, decide
from staged_rollout.ports import Platform
from staged_rollout.state import (
    Actor,
    BoundRecord,
    EventType,
    HoldReason,
    NewEvent,
    RolloutState,
    State,
    StopRecord,
    digest,
    to_payload,
)


@dataclass(frozen=True)
class Hashes:
    """What makes a decision reproducible: with the as-of time and the code version, the five hashes."""

    spec: str
    prefix: str
    evidence: str


def decide_on(state: RolloutState, evidence: Evidence) -> Decision:
    """The decision on a rollout's present evidence. Nothing is written."""
    return decide(state.spec, state, evidence)


def decision_payload(state: RolloutState, evidence: Evidence, decision: Decision) -> dict[str, Any]:
    """The decision record: the same five hashes give the same bytes."""
    hashes = Hashes(state.spec_hash, state.prefix_hash, digest(evidence.model_dump(mode="json")))
    return {
        "action": str(decision.action),
        "to": str(decision.to) if decision.to else None,
        "step": decision.step,
        "ending": str(decision.ending) if decision.ending else None,
        "reasons": list(decision.reasons),
        "would_flip": list(decision.would_flip),
        "holds": [[str(reason), detail] for reason, detail in decision.holds],
        "hashes": {"spec": hashes.spec, "prefix": hashes.prefix, "evidence": hashes.evidence},
        "as_of": evidence.as_of.isoformat(),
        "code_version": code_version(),
    }


def act_on(
    platform: Platform, state: RolloutState, evidence: Evidence, decision: Decision, actor: Actor
) -> RolloutState:
    """Write the look, the decision, its holds and the state that it enters, all or nothing.

    A plain "continue" without a look writes nothing: a tick that finds nothing new leaves no trace.

    Args:
        platform: Where the rollout lives.
        state: As read when the evidence was gathered.
        evidence: Sealed.
        decision: Of `decide_on(state, evidence)`.
        actor: The flow that acts.

    Raises:
        StaleSequenceError: the ledger moved on since the evidence was gathered; nothing was written.
        NotApproverError: the approval that it acts on must be signed, and is not; nothing was written.
    """
    if state.terminal:
        return state
    if state.state is State.AWAITING_APPROVAL and decision.to is State.PROMOTING:
        confirm_approval(platform, state)
    events = _look(state, evidence) + _holds(state, decision)
    if events or decision.to is not None:
        payload = decision_payload(state, evidence, decision)
        if evidence.look is None:
            payload["evidence"] = evidence.model_dump(mode="json")
        events.insert(1 if evidence.look is not None else 0, NewEvent(EventType.DECIDED, payload))
    claim = None
    if decision.to is not None:
        champion = None
        if decision.to is State.SHADOW:
            claim = state.spec.endpoint
            champion = champion_of(platform, state.spec)
        if decision.to is State.LIVE:
            events.append(NewEvent(EventType.PLAN_FROZEN, to_payload(freeze_plan(state.spec, evidence))))
        events.append(
            entering(decision.to, decision.reasons[0], step=decision.step, ending=decision.ending, champion=champion)
        )
    after = write(platform, state, events, actor, claim=claim)
    if decision.to is State.ROLLING_BACK:
        return restore_routing(platform, after, actor)
    return after


def _look(state: RolloutState, evidence: Evidence) -> list[NewEvent]:
    look = evidence.look
    if look is None:
        return []

    def bound(figures: Any, frozen: tuple[BoundRecord, ...]) -> dict[str, Any] | None:
        if figures is None:
            return None
        return to_payload(BoundRecord(len(frozen) + 1, figures.information, figures.z, figures.alpha_spent))

    stop = look.futility
    futility = to_payload(StopRecord(stop.look, stop.information, stop.z, stop.beta_spent)) if stop else None
    canonical_evidence = evidence.model_dump(mode="json")
    return [
        NewEvent(
            EventType.LOOK_TAKEN,
            {
                "slot": look.slot,
                "kind": look.kind,
                "cut_off": look.cut_off.isoformat(),
                "z": look.success.z,
                "information": look.information,
                "efficacy": bound(look.efficacy, state.efficacy_bounds()),
                "harm": bound(look.harm, state.harm_bounds()),
                "futility": futility,
                "insufficient": look.insufficient,
                "evidence_hash": digest(canonical_evidence),
                "evidence": canonical_evidence,
            },
        )
    ]


def _holds(state: RolloutState, decision: Decision) -> list[NewEvent]:
    """Held and released, as differences to what is in force; only an operator releases an operator's pause."""
    if decision.to is not None and decision.action in {Action.ROLL_BACK, Action.KEEP_CHAMPION}:
        return []
    now = dict(decision.holds)
    events = [
        NewEvent(EventType.HELD, {"reason": str(reason), "detail": detail})
        for reason, detail in now.items()
        if reason not in state.holds
    ]
    events.extend(
        NewEvent(EventType.RELEASED, {"reason": str(reason), "detail": "no longer so"})
        for reason in state.holds
        if reason not in now and reason is not HoldReason.OPERATOR
    )
    return events

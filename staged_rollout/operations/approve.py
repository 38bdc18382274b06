"""Answers to a decision that asks: who may give them, what they sign, and the proof that stays in the ledger."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from staged_rollout.errors import NotApproverError, RefusedError
from staged_rollout.operations.journal import write
from staged_rollout.operations.ssh_signature import signer_of
from staged_rollout.policy import asking_decision
from staged_rollout.ports import Platform
from staged_rollout.spec.public_key import fingerprint
from staged_rollout.state import Actor, Event, EventType, NewEvent, RolloutState, State, canonical

Signer = Callable[[bytes, tuple[str, ...]], str]
"""Signs a message with one of the public keys that are accepted; the packed signature of `ssh_signature`."""
FORM = "approval 1 of staged-rollout"
_ACTS = {EventType.APPROVED: "approve", EventType.REJECTED: "reject"}


def approval_message(*, rollout: str, act: str, decision: Event, name: str, reason: str) -> bytes:
    """What an approver signs.

    The decision's hash covers the ledger up to it: spec, evidence, and every event before. An answer is worth nothing
    for another decision, another rollout or another ledger.

    Args:
        rollout: Its id.
        act: `approve` or `reject`.
        decision: The event of the decision that asks.
        name: Who answers.
        reason: Why, as it will be stored.
    """
    facts = {
        "form": FORM,
        "rollout": rollout,
        "act": act,
        "decision": decision.seq,
        "decision_hash": decision.hash,
        "name": name,
        "reason": reason,
    }
    return canonical(facts).encode()


def signed_by(answer: Event, decision: Event) -> str | None:
    """The public key that proves an answer in the ledger; needs nothing but the two events.

    Args:
        answer: An approval or a rejection.
        decision: The event that its `decision_seq` names.

    Returns:
        `ssh-ed25519 AAAA...`, or None for an answer that was taken at its word.

    Raises:
        ValueError: the stored proof does not fit what it should prove.
    """
    payload = answer.payload
    if "signature" not in payload:
        if answer.actor.verified:
            raise ValueError("it is marked as verified, and holds no signature")
        return None
    if payload["decision_seq"] != decision.seq or answer.rollout != decision.rollout:
        raise ValueError(f"it answers decision {payload['decision_seq']}, not {decision.seq} of {decision.rollout}")
    key = signer_of(
        payload["signature"],
        approval_message(
            rollout=answer.rollout,
            act=_ACTS[answer.type],
            decision=decision,
            name=answer.actor.name,
            reason=payload["reason"],
        ),
    )
    if fingerprint(key) != payload["key"]:
        raise ValueError(f"it was signed by {fingerprint(key)}, not by {payload['key']}")
    return key


def answer(
    platform: Platform, state: RolloutState, act: str, actor: Actor, reason: str, sign: Signer | None
) -> RolloutState:
    """Approve or reject the decision that asks.

    Args:
        platform: Where the rollout lives.
        state: As read.
        act: `approve` or `reject`.
        actor: Who answers; whether that is proven is found out here.
        reason: Why.
        sign: Asked for a signature when the group has keys; None: nobody can sign here (a form).

    Raises:
        RefusedError: nothing asks, or it was answered otherwise.
        NotApproverError: the person may not answer, or did not prove to be that person.
    """
    if state.state is not State.AWAITING_APPROVAL:
        raise RefusedError(f"{state.rollout} is {state.state}: no decision waits for approval", rollout=state.rollout)
    keys = _keys_of(platform, state, act, actor.name)
    asking, given, approves = asking_decision(state), state.approval, act == "approve"
    assert asking is not None  # noqa: S101 - AWAITING_APPROVAL is entered by a decision alone
    if given is not None and given.decision_seq == asking:
        if given.approved != approves:
            said = "approved" if given.approved else "rejected"
            raise RefusedError(
                f"decision {asking} was {said} by {given.actor} already",
                hint="staged-rollout rollback stops it whatever was approved",
            )
        if given.verified or not keys:
            return state
    kind = EventType.APPROVED if approves else EventType.REJECTED
    payload: dict[str, Any] = {"decision_seq": asking, "reason": reason}
    if keys:
        decision = platform.ledger.events(state.rollout, after=asking - 1)[0]
        payload |= _proof(state.rollout, act, decision, actor.name, reason, keys, sign)
        actor = Actor(actor.name, verified=True)
    return write(platform, state, [NewEvent(kind, payload)], actor)


def confirm_approval(platform: Platform, state: RolloutState) -> None:
    """Check again, as it is acted on, that an approval which must be signed is, by a key that still counts.

    Raises:
        NotApproverError: it is not; nothing may be promoted on it.
    """
    people = _people(platform, state)
    given = state.approval
    if not people or given is None:
        return
    events = platform.ledger.events(state.rollout, after=given.decision_seq - 1)
    found = next(event for event in reversed(events) if event.type is EventType.APPROVED)
    try:
        key = signed_by(found, events[0])
    except ValueError as error:
        problem = str(error)
    else:
        if key in people.get(given.actor, ()):
            return
        problem = f"{fingerprint(key)} is no key of {given.actor}'s" if key else "it is not signed"
    raise NotApproverError(
        f"the approval of decision {given.decision_seq} by {given.actor} does not count: {problem}",
        hint=f"one of {', '.join(people)} runs: staged-rollout approve {state.rollout} --as NAME --reason ...",
        rollout=state.rollout,
    )


def _people(platform: Platform, state: RolloutState) -> Mapping[str, tuple[str, ...]]:
    """Those who must sign: people of the group that is asked, each with public keys."""
    return platform.environment.approvers.get(state.spec.decide.win.who or "") or {}


def _keys_of(platform: Platform, state: RolloutState, act: str, name: str) -> tuple[str, ...]:
    group, people = state.spec.decide.win.who, _people(platform, state)
    if name in people:
        return people[name]
    if not people and name == group:
        return ()
    known = ", ".join(people) if people else f"{group}"
    raise NotApproverError(
        f"{name} is not among the approvers of this decision: {known}",
        hint=f"one of them runs: staged-rollout {act} {state.rollout} --as {'NAME' if people else group} --reason ...",
        rollout=state.rollout,
    )


def _proof(
    rollout: str, act: str, decision: Event, name: str, reason: str, keys: tuple[str, ...], sign: Signer | None
) -> dict[str, str]:
    if sign is None:
        raise NotApproverError(
            f"{act} by {name} must be signed with one of {name}'s keys: {', '.join(map(fingerprint, keys))}",
            hint=f"on the command line: staged-rollout {act} {rollout} --as '{name}' --reason ... --key FILE",
            rollout=rollout,
        )
    message = approval_message(rollout=rollout, act=act, decision=decision, name=name, reason=reason)
    signature = sign(message, keys)
    try:
        key = signer_of(signature, message)
    except ValueError as error:
        raise NotApproverError(f"the signature of {name} is refused: {error}", rollout=rollout) from None
    if key not in keys:
        raise NotApproverError(
            f"{fingerprint(key)} is not {name}'s key: {', '.join(map(fingerprint, keys))}",
            hint="approvers of the environment file name the keys that count",
            rollout=rollout,
        )
    return {"decision_hash": decision.hash, "key": fingerprint(key), "signature": signature}

"""What people may do to a rollout, from the command line or a form; every act in the ledger with who, when and why."""

from __future__ import annotations

from contextlib import suppress
from enum import StrEnum

from staged_rollout.errors import ConflictError, NotApproverError, RefusedError, StaleSequenceError
from staged_rollout.operations.approve import Signer, answer
from staged_rollout.operations.journal import entering, load, write
from staged_rollout.operations.reconcile import owns_endpoint, restore_routing
from staged_rollout.ports import Platform
from staged_rollout.state import Actor, EventType, HoldReason, NewEvent, RolloutState, State


class Act(StrEnum):
    """The acts, by their command-line names."""

    APPROVE = "approve"
    REJECT = "reject"
    PAUSE = "pause"
    RESUME = "resume"
    ROLLBACK = "rollback"
    CANCEL = "cancel"
    NOTE = "note"


ATTEMPTS = 5
"""How often an act is tried again when the ledger moves on meanwhile."""


def operate(
    platform: Platform, rollout: str, act: Act, actor: Actor, reason: str, *, sign: Signer | None = None
) -> RolloutState:
    """Do one act. Doing it again changes nothing. An answer that is refused for who gave it leaves a note.

    Args:
        platform: Where the rollout lives.
        rollout: Its id.
        act: What to do.
        actor: Who, and whether that was verified.
        reason: Why; required.
        sign: Asked for a signature where an answer must be signed; None: nobody can sign here.

    Raises:
        RefusedError: the state does not allow it, or the reason is empty.
        NotApproverError: the person may not approve or reject.
        NotFoundError: no such rollout.
    """
    if not reason.strip():
        raise RefusedError(f"{act} needs a reason", hint="--reason 'why, in a sentence'")
    if not actor.name.strip():
        raise RefusedError(f"{act} needs a name", hint="--as NAME")
    for attempt in range(ATTEMPTS):
        state = load(platform, rollout)
        try:
            return _act(platform, state, act, actor, reason.strip(), sign)
        except NotApproverError as refused:
            _note_refusal(platform, state, act, actor, refused)
            raise
        except StaleSequenceError:
            if attempt == ATTEMPTS - 1:
                raise
    raise AssertionError("unreachable")


def _note_refusal(platform: Platform, state: RolloutState, act: Act, actor: Actor, refused: NotApproverError) -> None:
    """Somebody tried: that belongs into the ledger, once in a row, and never stands in the way of the refusal."""
    text = f"refused to {act} for {actor.name}: {refused.message}"
    last = platform.ledger.events(state.rollout, after=state.seq - 1)[-1]
    if last.type is EventType.NOTED and last.payload["text"] == text:
        return
    with suppress(ConflictError):
        write(platform, state, [NewEvent(EventType.NOTED, {"text": text, "refused": str(act)})], Actor(actor.name))


def _act(
    platform: Platform, state: RolloutState, act: Act, actor: Actor, reason: str, sign: Signer | None
) -> RolloutState:
    match act:
        case Act.NOTE:
            return write(platform, state, [NewEvent(EventType.NOTED, {"text": reason})], actor)
        case Act.PAUSE:
            _refuse_if_over(state, act)
            if HoldReason.OPERATOR in state.holds:
                return state
            payload = {"reason": str(HoldReason.OPERATOR), "detail": f"paused by {actor.name}: {reason}"}
            return write(platform, state, [NewEvent(EventType.HELD, payload)], actor)
        case Act.RESUME:
            if HoldReason.OPERATOR not in state.holds:
                return state
            payload = {"reason": str(HoldReason.OPERATOR), "detail": reason}
            return write(platform, state, [NewEvent(EventType.RELEASED, payload)], actor)
        case Act.APPROVE | Act.REJECT:
            return answer(platform, state, str(act), actor, reason, sign)
        case Act.ROLLBACK:
            return roll_back(platform, state, f"rolled back by {actor.name}: {reason}", actor)
        case Act.CANCEL:
            return cancel_before_exposure(platform, state, f"cancelled by {actor.name}: {reason}", actor)


def roll_back(platform: Platform, state: RolloutState, reason: str, actor: Actor) -> RolloutState:
    """Enter ROLLING_BACK and publish champion-only at once; the endpoint follows with the next reconcile.

    Needs only the ledger and the assignments: no lease, no lake, no Prefect.

    Raises:
        RefusedError: nothing is exposed, or the rollout has ended.
    """
    if state.state is State.ROLLING_BACK:
        return restore_routing(platform, state, actor)
    if state.terminal:
        back = f"staged-rollout serve {state.spec.rollout} --version {state.champion.version}"
        promoted = f"the candidate is the champion now: {back} goes back to the one before"
        hint = promoted if state.state is State.PROMOTED else "everybody is on the champion: nothing is left to stop"
        raise RefusedError(
            f"{state.rollout} ended in {state.state}",
            hint=hint,
            rollout=state.rollout,
        )
    if state.state is State.REGISTERED:
        raise RefusedError(f"{state.rollout} is REGISTERED: nothing is served yet", hint="staged-rollout cancel")
    after = write(platform, state, [entering(State.ROLLING_BACK, reason, ending=State.ROLLED_BACK)], actor)
    return restore_routing(platform, after, actor)


def cancel_before_exposure(platform: Platform, state: RolloutState, reason: str, actor: Actor) -> RolloutState:
    """End a rollout that has not exposed anyone.

    Raises:
        RefusedError: the candidate answers people already, or the rollout has ended.
    """
    if state.state is State.CANCELLED or (state.state is State.ROLLING_BACK and state.ending is State.CANCELLED):
        return state
    if state.state is State.REGISTERED:
        release = state.spec.endpoint if owns_endpoint(platform, state) else None
        return write(platform, state, [entering(State.CANCELLED, reason)], actor, release=release)
    if state.state is State.SHADOW:
        after = write(platform, state, [entering(State.ROLLING_BACK, reason, ending=State.CANCELLED)], actor)
        return restore_routing(platform, after, actor)
    _refuse_if_over(state, Act.CANCEL)
    raise RefusedError(f"{state.rollout} is {state.state}: people meet the candidate", hint="staged-rollout rollback")


def _refuse_if_over(state: RolloutState, act: Act) -> None:
    if state.terminal or state.state is State.ROLLING_BACK:
        raise RefusedError(f"{state.rollout} is {state.state}: it is too late to {act} it", rollout=state.rollout)

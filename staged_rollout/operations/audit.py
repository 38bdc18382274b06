"""The ledger checked as a whole: chains, folds, decisions decided again, claims, cursors, and copies kept elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from staged_rollout.errors import LedgerCorruptError, StagedRolloutError
from staged_rollout.evidence import Evidence
from staged_rollout.operations.decide import decide_on, decision_payload
from staged_rollout.operations.journal import code_version
from staged_rollout.operations.ledger_lines import Links, event_of, objects
from staged_rollout.ports import Claim, Ledger
from staged_rollout.state import Event, EventType, RolloutState, State, canonical, digest, fold
from staged_rollout.state.fold import apply


@dataclass(frozen=True)
class Replay:
    """A rollout's decisions, decided again from what was stored.

    Attributes:
        same: Decisions that came out the same, byte by byte.
        other: Decisions of another version of the program that this one would write otherwise, by event number. They
            stand as they are: what was decided then was decided by that version.
        wrong: What this very version would write otherwise, by event number, and why.
        unmeasured: Decisions whose evidence the ledger does not hold: written by tests or by hand.
    """

    same: int = 0
    other: tuple[int, ...] = ()
    wrong: Mapping[int, str] = field(default_factory=dict)
    unmeasured: int = 0


@dataclass(frozen=True)
class Audited:
    """One rollout.

    Attributes:
        rollout: Its id.
        events: How many there are.
        head: The hash of its last event; "" where it cannot be read. Kept elsewhere, it proves what was there.
        state: What the events add up to; None where they do not.
        replay: Its decisions; None where it was not asked for, or the rollout cannot be read.
        error: What is wrong with its events.
    """

    rollout: str
    events: int
    head: str
    state: RolloutState | None
    replay: Replay | None
    error: LedgerCorruptError | None


def audit(ledger: Ledger, rollout: str, *, replay: bool = True) -> Audited:
    """Walk one rollout's chain, fold each of its prefixes, and decide its decisions again.

    Args:
        ledger: Read only.
        rollout: A rollout that it has.
        replay: Whether decisions are decided again; a few milliseconds each.
    """
    try:
        events = ledger.events(rollout)
        state = fold(events)  # one event after the other: every prefix is folded on the way
    except LedgerCorruptError as error:
        return Audited(rollout, ledger.head(rollout), "", None, None, error)
    replayed = replay_decisions(events) if replay else None
    return Audited(rollout, len(events), events[-1].hash, state, replayed, None)


def replay_decisions(events: Sequence[Event]) -> Replay:
    """Decide again what was decided, from the five hashes of each record: the same bytes must come out.

    Args:
        events: All of one rollout, in order, which fold.
    """
    stored_looks = {
        event.payload.get("evidence_hash"): event.payload.get("evidence")
        for event in events
        if event.type is EventType.LOOK_TAKEN
    }
    prefixes = {event.payload["hashes"].get("prefix") for event in events if event.type is EventType.DECIDED}
    states: dict[str, RolloutState] = {}
    state: RolloutState | None = None
    same = unmeasured = 0
    other: list[int] = []
    wrong: dict[int, str] = {}
    for event in events:
        if event.type is EventType.DECIDED:
            told = dict(event.payload)
            evidence = told.pop("evidence", None) or stored_looks.get(told["hashes"]["evidence"])
            if evidence is None:
                unmeasured += 1
            elif found := _otherwise(told, evidence, states.get(told["hashes"].get("prefix", ""))):
                if told.get("code_version") == code_version():
                    wrong[event.seq] = found
                else:
                    other.append(event.seq)
            else:
                same += 1
        state = apply(state, event)
        if event.hash in prefixes:
            states[event.hash] = state
    return Replay(same, tuple(other), wrong, unmeasured)


def _otherwise(told: Mapping[str, Any], evidence: Any, state: RolloutState | None) -> str:
    """How a decision comes out another time; "" when it is the same."""
    if state is None:
        return "the event that it was decided on is not before it"
    if digest(evidence) != told["hashes"]["evidence"]:
        return "the evidence that is stored is not what its hash says"
    try:
        read = Evidence.model_validate(evidence)
        again = decision_payload(state, read, decide_on(state, read))
    except (ValidationError, ValueError, KeyError, TypeError, StagedRolloutError) as error:
        return f"it cannot be decided again: {str(error).splitlines()[0]}"
    version = {"code_version": told.get("code_version")}
    odd = [key for key in {**told, **again} if canonical(told.get(key)) != canonical({**again, **version}.get(key))]
    return f"{', '.join(odd)} would be otherwise" if odd else ""


def audit_claims(ledger: Ledger, before: Iterable[Claim], audited: Iterable[Audited]) -> list[str]:
    """What claims and states say of each other, where they disagree.

    A rollout owns its endpoint from SHADOW until it is settled; nobody else does.

    Args:
        ledger: Read once more: only a claim that is the same before and after the events were read is judged, so that
            a rollout that moves meanwhile raises no alarm.
        before: The claims as they were before.
        audited: Every rollout.
    """
    owners = {claim.endpoint: claim.rollout for claim in before}
    after = {claim.endpoint: claim.rollout for claim in ledger.claims()}
    rollouts = {one.rollout: one for one in audited}
    found = []
    for endpoint in sorted(owners.keys() & after.keys()):
        if owners[endpoint] != after[endpoint]:
            continue
        owner = rollouts.get(owners[endpoint])
        if owner is None:
            found.append(f"{endpoint} is claimed by {owners[endpoint]}, which has no events")
        elif owner.state is not None and (endpoint != owner.state.spec.endpoint or _wants(owner.state) == "none"):
            found.append(f"{endpoint} is claimed by {owner.rollout}, which is {_told(owner.state)}")
    for one in rollouts.values():
        if one.state is None or _wants(one.state) != "claim":
            continue
        endpoint = one.state.spec.endpoint
        claimed = owners.get(endpoint), after.get(endpoint)
        if one.rollout not in claimed and ledger.head(one.rollout) == one.events:
            owner_now = claimed[1] or "nobody"
            found.append(f"{one.rollout} is {_told(one.state)}, and {endpoint} is claimed by {owner_now}")
    return found


def _wants(state: RolloutState) -> str:
    """Whether a rollout in a state must hold its endpoint's claim, may, or must not."""
    if state.settled or state.state is State.REGISTERED:
        return "none"
    never_claimed = state.state is State.CANCELLED and not any(stay.state is State.SHADOW for stay in state.stages)
    return "none" if never_claimed else "claim"


def _told(state: RolloutState) -> str:
    return f"{state.state} on {state.spec.endpoint}" + (", settled" if state.settled else "")


def audit_cursors(cursors: Mapping[str, int], audited: Iterable[Audited]) -> list[str]:
    """Cursors that stand beyond their rollout's last event, or belong to none.

    Args:
        cursors: As they were before the events were read, since those only become more.
        audited: Every rollout.
    """
    heads = {one.rollout: one.events for one in audited}
    found = []
    for name, value in cursors.items():
        kind, _, rollout = name.partition(":")
        if kind in OF_EVENTS and value > heads.get(rollout, 0):
            found.append(f"cursor {name} stands at {value}, the last event is {heads.get(rollout, 0)}")
    return found


OF_EVENTS = frozenset({"published", "notified", "tracked", "look-tables"})
"""Kinds of cursor that count a rollout's events; others count something else, such as the registry's versions."""


def audit_against(lines: Iterable[bytes], name: str, ledger: Ledger) -> tuple[int, list[str]]:
    """What an earlier export holds and the ledger does not: a chain that was cut at its end, or written anew.

    The last hash of a rollout covers all events before it, so it alone is compared.

    Args:
        lines: Of `ledger export` or `ledger backup`.
        name: The file's.
        ledger: Read only.

    Returns:
        How many rollouts the file names, and what is missing.

    Raises:
        DataError: a line is not what was exported.
    """
    links = Links()
    for number, value in objects(lines, name):
        if "hash" in value:
            event = event_of(value, f"{name}:{number}")
            links.follow(event, f"{name}:{number}")
    found = []
    for rollout, (seq, hashed) in links.heads.items():
        head = ledger.head(rollout)
        if head < seq:
            found.append(f"{rollout} ends with event {head}, the copy has event {seq}")
            continue
        try:
            at = ledger.events(rollout, after=seq - 1)[0]
        except LedgerCorruptError as error:
            found.append(error.message)
            continue
        if at.hash != hashed:
            found.append(f"event {seq} of {rollout} is {at.hash}, in the copy it is {hashed}")
    return len(links.heads), found

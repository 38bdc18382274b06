"""The audit of a ledger: what it proves of a sound one, and what it finds in one that somebody changed."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from staged_rollout.errors import DataError, LedgerCorruptError
from staged_rollout.operations.audit import audit, audit_against, audit_claims, audit_cursors, replay_decisions
from staged_rollout.operations.ledger_lines import event_line
from staged_rollout.ports import Claim
from staged_rollout.state import GENESIS, Event, EventType, NewEvent, State, event_hash
from tests.fakes.platform import ENDPOINT, ROLLOUT, TICK, FakePlatform, reached


@pytest.fixture
def world(tmp_path: Path, churn: dict[str, Any]) -> FakePlatform:
    """A rollout that was promoted, on a real ledger, with all its decisions."""
    return reached(tmp_path, churn, State.PROMOTED)


def rewritten(events: list[Event], seq: int, **payload: Any) -> list[Event]:
    """The events with one payload changed, and every hash from there on made anew: what a chain alone cannot tell."""
    out: list[Event] = []
    for event in events:
        told = {**event.payload, **payload} if event.seq == seq else event.payload
        link = {
            "rollout": event.rollout,
            "seq": event.seq,
            "version": event.version,
            "at": event.at,
            "actor": event.actor,
            "payload": told,
            "prev_hash": out[-1].hash if out else GENESIS,
        }
        out.append(Event(type=event.type, hash=event_hash(type_=event.type, **link), **link))
    return out


def test_every_decision_of_a_whole_rollout_replays(world: FakePlatform) -> None:
    """Invariant 7, over a rollout that went through every state on its way to PROMOTED."""
    events = world.ledger.events(ROLLOUT)
    decided = [event for event in events if event.type is EventType.DECIDED]

    one = audit(world.ledger, ROLLOUT)

    assert len(decided) > 5
    assert one.replay is not None
    assert (len(decided), (), {}, 0) == (one.replay.same, one.replay.other, one.replay.wrong, one.replay.unmeasured)
    assert (one.events, one.head, one.error) == (len(events), events[-1].hash, None)
    assert audit(world.ledger, ROLLOUT, replay=False).replay is None


def test_a_decision_that_was_rewritten_with_its_whole_chain_is_found(world: FakePlatform) -> None:
    """Hashes made anew are consistent; what was decided no longer follows from the evidence."""
    events = world.ledger.events(ROLLOUT)
    target = next(event for event in events if event.type is EventType.DECIDED)

    found = replay_decisions(rewritten(events, target.seq, reasons=["because I say so"]))

    assert "reasons would be otherwise" in found.wrong[target.seq]


def test_evidence_that_was_exchanged_is_found(world: FakePlatform) -> None:
    events = world.ledger.events(ROLLOUT)
    target = next(event for event in events if event.type is EventType.DECIDED and "evidence" in event.payload)
    evidence = json.loads(json.dumps(target.payload["evidence"]))
    evidence["traffic"]["contradictory_units"] = 77

    found = replay_decisions(rewritten(events, target.seq, evidence=evidence))

    assert "the evidence that is stored is not what its hash says" == found.wrong[target.seq]


def test_another_version_that_decided_otherwise_is_told_and_is_no_fault(world: FakePlatform) -> None:
    """What was decided then was decided by that version; it stands."""
    events = world.ledger.events(ROLLOUT)
    target = next(event for event in events if event.type is EventType.DECIDED)

    old = rewritten(events, target.seq, reasons=["as it was said then"], code_version="0.0.1")
    found = replay_decisions(old)

    assert target.seq in found.other
    assert target.seq not in found.wrong


def test_claims_agree_with_states_through_a_whole_rollout(tmp_path: Path, churn: dict[str, Any]) -> None:
    for state in (State.REGISTERED, State.SHADOW, State.LIVE, State.ROLLING_BACK, State.PROMOTED):
        world = reached(tmp_path / state, churn, State.LIVE if state is State.ROLLING_BACK else state)
        if state is State.ROLLING_BACK:
            from staged_rollout.operations.operate import operate

            operate(world, ROLLOUT, "rollback", TICK, "as tested")
        one = audit(world.ledger, ROLLOUT)
        assert [] == audit_claims(world.ledger, world.ledger.claims(), [one]), state


@pytest.mark.parametrize(
    ("statement", "finding"),
    [
        ("DELETE FROM endpoint_claims", f"{ROLLOUT} is LIVE on {ENDPOINT}, and {ENDPOINT} is claimed by nobody"),
        ("UPDATE endpoint_claims SET rollout = 'ghost-v1'", f"{ENDPOINT} is claimed by ghost-v1, which has no events"),
        ("UPDATE endpoint_claims SET endpoint = 'else'", f"else is claimed by {ROLLOUT}, which is LIVE on {ENDPOINT}"),
    ],
)
def test_a_claim_that_disagrees_with_the_state_is_found(
    tmp_path: Path, churn: dict[str, Any], statement: str, finding: str
) -> None:
    world = reached(tmp_path, churn, State.LIVE)
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as other, other:
        other.execute(statement)

    assert finding in audit_claims(world.ledger, world.ledger.claims(), [audit(world.ledger, ROLLOUT)])


def test_a_claim_that_changes_while_it_is_read_raises_no_alarm(tmp_path: Path, churn: dict[str, Any]) -> None:
    """A rollout that enters SHADOW, or is settled, between two reads is not corrupt."""
    world = reached(tmp_path, churn, State.LIVE)
    one = audit(world.ledger, ROLLOUT)

    stranger = [Claim(ENDPOINT, "ghost-v1", "", 0.0)]
    assert [] == audit_claims(world.ledger, stranger, [one])
    earlier = replace(one, state=replace(one.state, state=State.REGISTERED) if one.state else None)
    assert [] == audit_claims(world.ledger, [], [earlier])


def test_a_cursor_beyond_the_last_event_is_found(world: FakePlatform) -> None:
    """As after a restore of an older backup of events beside newer cursors; registry cursors count versions."""
    one = audit(world.ledger, ROLLOUT)
    good = {f"published:{ROLLOUT}": one.events, "registry:churn": 10_000}

    assert [] == audit_cursors(good, [one])
    beyond = {f"published:{ROLLOUT}": one.events + 1, "look-tables:gone-v1": 1}
    assert [
        f"cursor published:{ROLLOUT} stands at {one.events + 1}, the last event is {one.events}",
        "cursor look-tables:gone-v1 stands at 1, the last event is 0",
    ] == audit_cursors(beyond, [one])


def lines(events: list[Event]) -> list[bytes]:
    return [event_line(event).encode() + b"\n" for event in events]


def test_a_chain_that_was_cut_at_its_end_is_found_by_an_earlier_copy(world: FakePlatform) -> None:
    """Hashes alone cannot tell: what is left is a whole chain."""
    copy = lines(world.ledger.events(ROLLOUT))
    last = len(copy)
    assert (1, []) == audit_against(copy, "kept.jsonl", world.ledger)
    assert (1, []) == audit_against(copy[:3], "kept.jsonl", world.ledger)

    with closing(sqlite3.connect(world.home.root / "ledger.db")) as other, other:
        other.execute("DELETE FROM events WHERE seq > ?", (last - 2,))

    assert audit(world.ledger, ROLLOUT).error is None
    finding = f"{ROLLOUT} ends with event {last - 2}, the copy has event {last}"
    assert (1, [finding]) == audit_against(copy, "kept.jsonl", world.ledger)


def test_a_chain_that_was_written_anew_is_found_by_an_earlier_copy(world: FakePlatform) -> None:
    events = world.ledger.events(ROLLOUT)
    other = lines(rewritten(events, 1, reason="another reason"))

    _, (finding,) = audit_against(other, "kept.jsonl", world.ledger)

    assert f"event {len(events)} of {ROLLOUT} is {events[-1].hash}, in the copy it is" in finding


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda line: line[:50], "kept.jsonl:2 is not JSON"),
        (lambda _: b"[1]", "kept.jsonl:2 is a list, must be an object"),
        (lambda _: b"[" * 100_000, "kept.jsonl:2 is not JSON"),
        (lambda _: b"\xff{}", "kept.jsonl:2 is not JSON"),
        (lambda line: line.replace(b'"seq":2', b'"seq":"2"'), "kept.jsonl:2: seq is '2', must be int"),
        (lambda line: line.replace(b'"seq":2', b'"sec":2'), "keys that are missing or too many: sec, seq"),
        (lambda line: line.replace(b'"actor":"', b'"actor":"x'), "kept.jsonl:2: event 2 of churn-v3 hashes to"),
        (lambda line: line.replace(b'"type":"', b'"type":"un'), "is not a valid EventType"),
        (lambda _: b"", "kept.jsonl:3: event 3 of churn-v3 does not follow event 1"),
    ],
)
def test_a_copy_that_was_damaged_is_refused_with_its_line(world: FakePlatform, change: Any, told: str) -> None:
    copy = lines(world.ledger.events(ROLLOUT))
    copy[1] = change(copy[1].rstrip(b"\n")) + b"\n"

    with pytest.raises(DataError, match=told.replace("(", "\\(")):
        audit_against(copy, "kept.jsonl", world.ledger)


def test_a_broken_rollout_is_told_and_has_no_head(world: FakePlatform) -> None:
    with closing(sqlite3.connect(world.home.root / "ledger.db")) as other, other:
        other.execute("UPDATE events SET actor = 'eve' WHERE seq = 3")

    one = audit(world.ledger, ROLLOUT)

    assert isinstance(one.error, LedgerCorruptError)
    assert ("", None, None) == (one.head, one.state, one.replay)


def test_a_prefix_that_does_not_fold_is_found_though_its_chain_is_whole(world: FakePlatform) -> None:
    """Somebody appends, with right hashes, what no rollout can have."""
    head = world.ledger.head(ROLLOUT)
    world.ledger.append(
        ROLLOUT,
        [NewEvent(EventType.LOOK_PLANNED, {"slot": "x"})],
        expected_seq=head,
        at=world.clock.now(),
        actor=TICK,
    )

    error = audit(world.ledger, ROLLOUT).error

    assert error is not None
    assert error.facts == {"rollout": ROLLOUT, "seq": head + 1}

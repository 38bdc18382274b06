"""The contract of `ports.ledger.Ledger`, kept on SQLite and on PostgreSQL."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone

import pytest

from staged_rollout.adapters.ledger_sql import SqlLedger, open_ledger
from staged_rollout.errors import ConflictError, DataError, LedgerCorruptError, PlatformError, StaleSequenceError
from staged_rollout.ports import Claim, Ledger
from staged_rollout.state import GENESIS, Actor, Event, EventType, NewEvent, event_hash

AT = datetime(2026, 3, 2, 9, 30, 0, 123456, tzinfo=UTC)
ADA = Actor("ada", verified=True)
NOTE = NewEvent(
    EventType.NOTED, {"text": "Grüße 🚀", "z": -0.0, "figures": (1, 2.5, 1e-300), "nested": {"b": None, "a": True}}
)


@pytest.fixture
def ledger(ledger_url: str) -> Iterator[SqlLedger]:
    with open_ledger(ledger_url) as opened:
        yield opened


def append(ledger: Ledger, rollout: str = "churn-v3", *, after: int = 0, count: int = 1, **more: str) -> list[Event]:
    notes = [NewEvent(EventType.NOTED, {"n": number}) for number in range(after + 1, after + count + 1)]
    return ledger.append(rollout, notes, expected_seq=after, at=AT, actor=ADA, **more)


def execute(ledger: SqlLedger, statement: str) -> None:
    """What somebody with the database's password could do."""
    with ledger._engine.begin() as connection:
        assert connection.exec_driver_sql(statement).rowcount == 1


def test_what_is_read_is_what_append_returned(ledger):
    first = ledger.append("churn-v3", [NOTE, NOTE], expected_seq=0, at=AT, actor=ADA)
    second = ledger.append("churn-v3", [NOTE], expected_seq=2, at=AT + timedelta(days=1), actor=Actor("flow"))

    assert [*first, *second] == ledger.events("churn-v3")
    assert second == ledger.events("churn-v3", after=2)
    assert ledger.events("churn-v3", after=3) == []
    assert ledger.events("churn-v3", after=99) == []
    assert [event.seq for event in [*first, *second]] == [1, 2, 3]
    assert ledger.head("churn-v3") == 3


def test_payloads_come_back_as_json_values(ledger):
    (written,) = ledger.append("churn-v3", [NOTE], expected_seq=0, at=AT, actor=ADA)

    expected = {"text": "Grüße 🚀", "z": -0.0, "figures": [1, 2.5, 1e-300], "nested": {"b": None, "a": True}}
    assert expected == written.payload
    assert expected == ledger.events("churn-v3")[0].payload


def test_each_hash_covers_the_event_and_the_hash_before(ledger):
    first, second = append(ledger, count=2)

    assert first.prev_hash == GENESIS
    assert second.prev_hash == first.hash
    expected = event_hash(
        rollout="churn-v3",
        seq=2,
        type_=EventType.NOTED,
        version=1,
        at=AT,
        actor=ADA,
        payload={"n": 2},
        prev_hash=first.hash,
    )
    assert expected == second.hash


def test_times_are_utc_with_microseconds_whatever_zone_they_came_in(ledger):
    """The same moment gives the same hash: a time zone is a spelling, not a fact."""
    tokyo = AT.astimezone(timezone(timedelta(hours=9)))
    here = ledger.append("a-v1", [NOTE], expected_seq=0, at=AT, actor=ADA)[0]
    there = ledger.append("b-v1", [NOTE], expected_seq=0, at=tokyo, actor=ADA)[0]

    for event in (there, ledger.events("b-v1")[0]):
        assert event.at.isoformat() == "2026-03-02T09:30:00.123456+00:00"
    hashed = event_hash(
        rollout="a-v1",
        seq=1,
        type_=there.type,
        version=1,
        at=there.at,
        actor=ADA,
        payload=there.payload,
        prev_hash=GENESIS,
    )
    assert here.hash == hashed


def test_a_time_without_zone_is_refused(ledger):
    with pytest.raises(ValueError, match="must have a time zone"):
        ledger.append("churn-v3", [NOTE], expected_seq=0, at=AT.replace(tzinfo=None), actor=ADA)
    assert ledger.head("churn-v3") == 0


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), {1, 2}, object(), "\ud800"])
def test_what_json_cannot_hold_is_refused_before_anything_is_written(ledger, value):
    events = [NewEvent(EventType.NOTED, {"fine": 1}), NewEvent(EventType.NOTED, {"deep": [{"z": value}]})]

    with pytest.raises(DataError, match="payload of noted for churn-v3 cannot be stored"):
        ledger.append("churn-v3", events, expected_seq=0, at=AT, actor=ADA, claim="churn-prod")

    assert ledger.events("churn-v3") == []
    assert ledger.claim_of("churn-prod") is None


def test_no_events_is_a_mistake(ledger):
    with pytest.raises(ValueError, match="must be one or more"):
        ledger.append("churn-v3", [], expected_seq=0, at=AT, actor=ADA)


@pytest.mark.parametrize("expected", [0, 1, 3, 99])
def test_a_stale_sequence_number_is_refused_and_nothing_is_written(ledger, expected):
    before = append(ledger, count=2)

    with pytest.raises(StaleSequenceError) as refused:
        append(ledger, after=expected, claim="churn-prod")

    assert {"rollout": "churn-v3", "expected": expected, "found": 2} == refused.value.facts
    assert before == ledger.events("churn-v3")
    assert ledger.claim_of("churn-prod") is None


RACER = """
import json, sys
from datetime import UTC, datetime
from staged_rollout.adapters.ledger_sql import open_ledger
from staged_rollout.errors import StaleSequenceError
from staged_rollout.state import Actor, EventType, NewEvent

won, lost = [], []
with open_ledger(sys.argv[1]) as ledger:
    print("ready", flush=True)
    sys.stdin.readline()
    for seq in range(200):
        note = NewEvent(EventType.NOTED, {"by": sys.argv[2]})
        try:
            ledger.append("churn-v3", [note], expected_seq=seq, at=datetime.now(UTC), actor=Actor("race"))
            won.append(seq + 1)
        except StaleSequenceError:
            lost.append(seq + 1)
print(json.dumps([won, lost]), flush=True)
"""


def test_two_processes_that_race_for_each_number_have_one_winner_each(ledger_url, python):
    """Both open an empty database at once (so the migrations race too), then both try all of 200 numbers."""
    racers = {name: python(RACER, ledger_url, name) for name in ("a", "b")}
    for racer in racers.values():
        assert racer.stdout.readline() == "ready\n"
    for racer in racers.values():
        racer.stdin.write("go\n")
        racer.stdin.flush()
    results = {name: json.loads(racer.communicate(timeout=120)[0]) for name, racer in racers.items()}

    with open_ledger(ledger_url) as ledger:
        winners = [event.payload["by"] for event in ledger.events("churn-v3")]
    assert len(winners) == 200
    for name, (won, lost) in results.items():
        assert won == [seq for seq, winner in enumerate(winners, start=1) if winner == name]
        assert sorted(won + lost) == list(range(1, 201))


BATCHES = """
import sys
from datetime import UTC, datetime
from staged_rollout.adapters.ledger_sql import open_ledger
from staged_rollout.state import Actor, EventType, NewEvent

ledger = open_ledger(sys.argv[1])
head = ledger.head("churn-v3")
while True:
    notes = [NewEvent(EventType.NOTED, {"filler": "x" * 5000})] * 3
    ledger.append("churn-v3", notes, expected_seq=head, at=datetime.now(UTC), actor=Actor("w"), claim=f"e-{head}")
    head += 3
    print(head, flush=True)
"""

DIES_INSIDE = """
import os, signal, sys
from datetime import UTC, datetime
from staged_rollout.adapters import ledger_sql
from staged_rollout.state import Actor, EventType, NewEvent

ledger = ledger_sql.open_ledger(sys.argv[1])
ledger_sql._claim = lambda *_: os.kill(os.getpid(), signal.SIGKILL)  # after the events were inserted, before the commit
note = NewEvent(EventType.NOTED, {})
ledger.append("churn-v3", [note, note], expected_seq=0, at=datetime.now(UTC), actor=Actor("w"), claim="churn-prod")
"""


def test_a_writer_killed_at_any_time_leaves_whole_transactions(ledger_url, python):
    """All or nothing: three events and a claim each time, never a part of them."""
    for confirmed in (1, 3, 7, 12):
        writer = python(BATCHES, ledger_url)
        for _ in range(confirmed):
            seen = int(writer.stdout.readline())
        writer.kill()
        writer.communicate()
        with open_ledger(ledger_url) as ledger:
            head = ledger.head("churn-v3")
            assert head >= seen
            assert head % 3 == 0
            assert len(ledger.events("churn-v3")) == head
            assert ledger.claim_of(f"e-{head - 3}") == Claim(f"e-{head - 3}", "churn-v3", "", 0.0)
            assert ledger.claim_of(f"e-{head}") is None


def test_a_writer_killed_between_insert_and_commit_leaves_nothing(ledger_url, python):
    writer = python(DIES_INSIDE, ledger_url)
    writer.communicate(timeout=60)
    assert writer.returncode == -9

    with open_ledger(ledger_url) as ledger:
        assert ledger.events("churn-v3") == []
        append(ledger, count=2, claim="churn-prod")
        assert ledger.head("churn-v3") == 2


@pytest.mark.parametrize(
    "change",
    [
        "payload = '{\"n\":3}'",
        "payload = '{\"n\": 2}'",
        "payload = 'no json'",
        "payload = '[2]'",
        "actor = 'eve'",
        "actor_verified = NOT actor_verified",
        "at = '2026-03-02T09:30:00.123457+00:00'",
        "type = 'approved'",
        "type = 'unheard of'",
        "version = 2",
        f"hash = '{'0' * 64}'",
        f"prev_hash = '{'1' * 64}'",
        "seq = 7",
        "rollout = 'other-v1'",
    ],
)
def test_a_changed_row_is_found_and_named(ledger, change):
    append(ledger, count=4)

    execute(ledger, f"UPDATE events SET {change} WHERE rollout = 'churn-v3' AND seq = 2")

    for read in (lambda: ledger.events("churn-v3"), lambda: ledger.events("churn-v3", after=2), ledger.verify):
        with pytest.raises(LedgerCorruptError, match="event 2 of churn-v3") as found:
            read()
        assert found.value.facts == {"rollout": "churn-v3", "seq": 2}


@pytest.mark.parametrize("seq", [1, 2, 3])
def test_a_deleted_row_is_found(ledger, seq):
    append(ledger, count=4)
    execute(ledger, f"DELETE FROM events WHERE seq = {seq}")

    with pytest.raises(LedgerCorruptError, match=f"event {seq} of churn-v3"):
        ledger.verify()


def test_a_row_with_a_recomputed_hash_breaks_the_next_link(ledger):
    append(ledger, count=3)
    forged = event_hash(
        rollout="churn-v3",
        seq=2,
        type_=EventType.NOTED,
        version=1,
        at=AT,
        actor=ADA,
        payload={"n": 5},
        prev_hash=ledger.events("churn-v3")[0].hash,
    )
    execute(ledger, f"UPDATE events SET payload = '{{\"n\":5}}', hash = '{forged}' WHERE seq = 2")

    with pytest.raises(LedgerCorruptError, match="event 3 of churn-v3"):
        ledger.events("churn-v3")


def test_verify_counts_the_events_of_all_rollouts(ledger):
    assert ledger.verify() == 0
    append(ledger, "a-v1", count=3)
    append(ledger, "b-v1", count=2)
    assert ledger.verify() == 5


def test_rollouts_are_listed_by_their_first_event(ledger):
    for days, rollout in ((2, "a-v1"), (0, "c-v1"), (1, "b-v1")):
        ledger.append(rollout, [NOTE], expected_seq=0, at=AT + timedelta(days=days), actor=ADA)
    ledger.append("c-v1", [NOTE], expected_seq=1, at=AT + timedelta(days=9), actor=ADA)

    assert ledger.rollouts() == ["c-v1", "b-v1", "a-v1"]


HOSTILE = [
    "'; drop table events; --",
    '"; DELETE FROM events',
    "%s %(x)s :name ?",
    "Ünïcødé-名前-🚀",
    "x" * 200,
    " ",
    "\n",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_names_are_data(ledger, name):
    """Whatever a name holds, it is stored, read back and compared as it is, and nothing else happens."""
    append(ledger, "innocent-v1", count=2)

    (event,) = ledger.append(name, [NOTE], expected_seq=0, at=AT, actor=Actor(name), claim=name)

    assert [event] == ledger.events(name)
    assert event.actor.name == name
    assert ledger.claim_of(name) == Claim(name, name, "", 0.0)
    assert ledger.lease(name, name, token=name, now=0.0, until=1.0)
    ledger.unlease(name, token=name)
    assert ledger.move_cursor(name, expected=0, value=5)
    assert ledger.cursor(name) == 5
    ledger.watched(name, AT)
    assert ledger.last_watched(name) == AT
    assert sorted(["innocent-v1", name]) == sorted(ledger.rollouts())
    assert ledger.verify() == 3


@pytest.mark.parametrize("name", ["", "a\x00b", "\ud800"])
def test_names_that_no_database_holds_are_refused(ledger, name):
    with pytest.raises(DataError, match="cannot be stored as a name"):
        append(ledger, name)
    assert ledger.rollouts() == []


def test_it_keeps_the_port(ledger):
    port: Ledger = ledger
    assert isinstance(port, SqlLedger)
    assert os.sep in ledger.url


@pytest.mark.parametrize("url", ["mysql://x/y", "no url", "sqlite://", "sqlite:///:memory:", "oracle+nothing://x"])
def test_other_databases_are_refused_with_a_hint(url):
    with pytest.raises(PlatformError) as refused:
        open_ledger(url)
    assert "sqlite:///PATH" in refused.value.hint


def test_a_password_is_never_shown():
    with pytest.raises(PlatformError) as refused:
        open_ledger("postgresql://ada:s3cret@127.0.0.1:1/ledger?connect_timeout=2")
    assert "s3cret" not in str(refused.value)
    assert refused.value.hint


def test_claim_conflicts_name_both_rollouts(ledger):
    append(ledger, "a-v1", claim="churn-prod")

    with pytest.raises(ConflictError, match="churn-prod belongs to a-v1, b-v1 cannot claim it"):
        append(ledger, "b-v1", claim="churn-prod")
    assert ledger.rollouts() == ["a-v1"]


def test_registrations_are_first_events_of_what_is_not_settled(ledger):
    """One row each, its own hash checked: a broken one is left to whoever reads that rollout."""
    firsts = [append(ledger, f"{name}-v1", count=2)[0] for name in ("a", "b", "c", "d")]
    ledger.append("b-v1", [NewEvent(EventType.SETTLED, {}), NOTE], expected_seq=2, at=AT, actor=ADA)
    execute(ledger, "UPDATE events SET actor = 'eve' WHERE rollout = 'c-v1' AND seq = 1")
    execute(ledger, "UPDATE events SET actor = 'eve' WHERE rollout = 'd-v1' AND seq = 2")

    assert [firsts[0], firsts[3]] == sorted(ledger.registrations(), key=lambda event: event.rollout)

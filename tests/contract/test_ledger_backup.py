"""A ledger's backup: taken while others write, refused when it is not whole, and put back into either database."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from staged_rollout.adapters.ledger_backup import Kept, backup_lines, restore
from staged_rollout.adapters.ledger_sql import SqlLedger, open_ledger
from staged_rollout.errors import DataError, LedgerCorruptError, RefusedError, StagedRolloutError
from staged_rollout.operations.audit import audit, audit_claims
from staged_rollout.operations.register import register
from staged_rollout.spec.model import RolloutSpec
from staged_rollout.state import Actor, EventType, NewEvent, State
from tests.fakes.platform import ENDPOINT, PRICES, ROLLOUT, TICK, FakePlatform, reached

AT = datetime(2026, 3, 2, 9, 30, 0, 123456, tzinfo=UTC)


@pytest.fixture
def ledger(ledger_url: str) -> Iterator[SqlLedger]:
    with open_ledger(ledger_url) as opened:
        yield opened


def world_in(tmp_path: Path, churn: dict[str, Any], state: State = State.LIVE) -> FakePlatform:
    world = reached(tmp_path / "world", churn, state)
    world.ledger.watched(ROLLOUT, AT)
    assert world.ledger.move_cursor(f"published:{ROLLOUT}", expected=0, value=7)
    return world


def backed_up(ledger: SqlLedger, file: Path) -> Kept:
    kept = Kept()
    file.write_text("".join(f"{line}\n" for line in backup_lines(ledger, kept)), encoding="utf-8")
    return kept


def test_what_is_restored_is_what_was_backed_up(tmp_path: Path, churn: dict[str, Any], ledger: SqlLedger) -> None:
    """Events, claims, cursors and watches; no lease. Written on SQLite, put into either database."""
    world = world_in(tmp_path, churn)
    assert world.ledger.lease(ENDPOINT, ROLLOUT, token="host:1:ab", now=0.0, until=9e9)
    kept = backed_up(world.ledger, tmp_path / "kept.jsonl")

    assert kept == restore(ledger, tmp_path / "kept.jsonl")

    assert world.ledger.events(ROLLOUT) == ledger.events(ROLLOUT)
    assert (ENDPOINT, ROLLOUT, "") == tuple(vars(ledger.claim_of(ENDPOINT)).values())[:3]
    assert world.ledger.cursors() == ledger.cursors()
    assert ledger.last_watched(ROLLOUT) == AT
    again = backed_up(ledger, tmp_path / "again.jsonl")
    assert kept == again
    assert (tmp_path / "kept.jsonl").read_bytes() == (tmp_path / "again.jsonl").read_bytes()
    one = audit(ledger, ROLLOUT)
    assert [] == audit_claims(ledger, ledger.claims(), [one])
    assert one.replay is not None
    assert not one.replay.wrong


def test_it_is_of_one_moment_while_others_write(ledger: SqlLedger, tmp_path: Path) -> None:
    """Each of many transactions writes three events and moves a claim; no backup holds a part of one."""
    stop = threading.Event()
    errors: list[BaseException] = []
    registered = _registered()

    def write() -> None:
        try:
            head = 0
            number = 0
            while not stop.is_set() and number < 400:
                rollout = f"churn-v{number}"
                notes = [NewEvent(EventType.NOTED, {"filler": "x" * 2000})] * 2
                ledger.append(rollout, [registered, *notes], expected_seq=0, at=AT, actor=Actor("w"), claim=rollout)
                head += 3
                number += 1
        except BaseException as error:  # noqa: BLE001 - shown by the test
            errors.append(error)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(5):
            kept = backed_up(ledger, tmp_path / f"{number}.jsonl")
            assert {seq for seq, _ in kept.heads.values()} <= {3}
            assert kept.heads.keys() == kept.claims.keys()
    finally:
        stop.set()
        writer.join()
    assert not errors
    with open_ledger(f"sqlite:///{tmp_path / 'new' / 'ledger.db'}") as new:
        assert kept == restore(new, tmp_path / "4.jsonl")


def _registered() -> NewEvent:
    from tests.conftest import RolloutBuilder

    return NewEvent(EventType.REGISTERED, RolloutBuilder().register().events[0].payload)


def test_a_ledger_that_holds_something_is_never_overwritten(
    tmp_path: Path, churn: dict[str, Any], ledger: SqlLedger
) -> None:
    world = world_in(tmp_path, churn)
    backed_up(world.ledger, tmp_path / "kept.jsonl")
    ledger.append("other-v1", [_registered()], expected_seq=0, at=AT, actor=Actor("ana"))

    with pytest.raises(RefusedError, match="is not empty: 1 rows in events"):
        restore(ledger, tmp_path / "kept.jsonl")

    assert ["other-v1"] == ledger.rollouts()


def _other(line: str, **changes: Any) -> str:
    return json.dumps({**json.loads(line), **changes}, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


Change = Callable[[list[str]], list[str]]
DAMAGE: dict[str, tuple[Change, str]] = {
    "cut at its end": (lambda lines: lines[:-1], "is not whole: its last line is missing"),
    "cut in a line": (lambda lines: [*lines[:-2], lines[-2][:20]], "is not JSON"),
    "an event left out": (lambda lines: [*lines[:5], *lines[6:]], "does not follow event 4"),
    "its last event left out": (
        lambda lines: [line for line in lines if f'"seq":{max(_seqs(lines))},' not in line],
        "events were written, here are",
    ),
    "two events exchanged": (lambda lines: [*lines[:4], lines[5], lines[4], *lines[6:]], "does not follow event"),
    "a payload changed": (lambda lines: [*lines[:3], _other(lines[3], actor="eve"), *lines[4:]], "hashes to"),
    "no backup": (lambda lines: lines[1:], "its first line does not say staged-rollout/ledger/1"),
    "of a later format": (lambda lines: [_other(lines[0], ledger="x/2"), *lines[1:]], "does not say"),
    "an unknown line": (lambda lines: [*lines[:2], '{"grant":"all"}', *lines[2:]], "an unknown line with grant"),
    "a cursor that is no number": (
        lambda lines: [_other(line, value="7") if '"cursor"' in line else line for line in lines],
        "an unknown line with cursor, value",
    ),
    "a watch without a zone": (
        lambda lines: [_other(line, at="2026-03-02") if '"watch"' in line else line for line in lines],
        "has no time zone",
    ),
    "more after its end": (lambda lines: [*lines, lines[1]], "a line after the last one"),
    "empty": (lambda _: [], "its first line does not say"),
}


def _seqs(lines: list[str]) -> list[int]:
    return [json.loads(line)["seq"] for line in lines if '"seq":' in line]


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_backup_that_is_not_as_it_was_written_is_refused_and_nothing_is_kept(
    tmp_path: Path, churn: dict[str, Any], damage: str
) -> None:
    world = world_in(tmp_path, churn)
    file = tmp_path / "kept.jsonl"
    backed_up(world.ledger, file)
    change, told = DAMAGE[damage]
    file.write_text("".join(f"{line}\n" for line in change(file.read_text().splitlines())), encoding="utf-8")

    with open_ledger(f"sqlite:///{tmp_path / 'new.db'}") as ledger:
        with pytest.raises(DataError, match=told):
            restore(ledger, file)

        assert ([], [], {}) == (ledger.rollouts(), ledger.claims(), ledger.cursors())


def test_a_broken_ledger_gives_no_backup(tmp_path: Path, churn: dict[str, Any]) -> None:
    """What is broken must not take the place of the last good one."""
    world = world_in(tmp_path, churn)
    with world.ledger.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE events SET actor = 'eve' WHERE seq = 3")

    with pytest.raises(LedgerCorruptError, match=f"event 3 of {ROLLOUT}"):
        list(backup_lines(world.ledger, Kept()))


def test_rollouts_of_one_moment_are_listed_by_their_number(ledger: SqlLedger) -> None:
    """A poll may register several versions at one clock time; v10 is younger than v2."""
    for number in (10, 2, 1, 21, 3):
        ledger.append(f"churn-v{number}", [_registered()], expected_seq=0, at=AT, actor=Actor("ana"))

    assert [f"churn-v{number}" for number in (1, 2, 3, 10, 21)] == ledger.rollouts()


@pytest.mark.parametrize("ahead", [State.LIVE, State.PROMOTING, State.BAKING])
def test_a_restored_ledger_moves_the_world_back_to_what_it_says(
    tmp_path: Path, churn: dict[str, Any], ahead: State
) -> None:
    """A backup of CANARY, restored after the world went on: the ledger is the truth, and the rollout can end well.

    The routers' document takes an epoch above all that were ever in force, so that no two stays share one.
    """
    world = reached(tmp_path / "world", churn, State.CANARY)
    backed_up(world.ledger, tmp_path / "kept.jsonl")
    world.reach(ROLLOUT, ahead)
    before = world.document()
    world.ledger.close()
    for leftover in world.home.root.glob("ledger.db*"):
        leftover.rename(tmp_path / leftover.name)
    world.ledger = open_ledger(f"sqlite:///{world.home.root / 'ledger.db'}")

    restore(world.ledger, tmp_path / "kept.jsonl")
    world.restarted()
    world.settle(ROLLOUT)

    after = world.document()
    assert ("canary", 1) == (after.stage, after.step)
    assert after.epoch > before.epoch
    assert {"v2": 1.0, "v3": 0.0} == world.serving.weights(ENDPOINT)
    world.reach(ROLLOUT, State.PROMOTED)
    one = audit(world.ledger, ROLLOUT)
    assert one.replay is not None
    assert not one.replay.wrong
    assert isinstance(one.error, StagedRolloutError | None)
    assert "3" == world.registry.champions["churn"]


def test_a_rollout_that_the_restored_ledger_never_knew_begins_anew_without_exposure(
    tmp_path: Path, churn: dict[str, Any]
) -> None:
    """Its document stayed in force; registered again, its first stage takes the exposure away."""
    world = reached(tmp_path / "world", churn, State.CANARY)
    with open_ledger(f"sqlite:///{tmp_path / 'before.db'}") as before:
        backed_up(before, tmp_path / "before.jsonl")
    world.ledger.close()
    world.ledger = open_ledger(f"sqlite:///{tmp_path / 'new.db'}")
    restore(world.ledger, tmp_path / "before.jsonl")
    assert (ROLLOUT, "canary") == (world.document().rollout, world.document().stage)

    register(world, RolloutSpec.model_validate(churn), "3", TICK, PRICES)
    world.reach(ROLLOUT, State.SHADOW)

    assert (ROLLOUT, "shadow", None) == (world.document().rollout, world.document().stage, world.document().candidate)
    assert {"v2": 1.0} == world.serving.weights(ENDPOINT)

"""The tables that looks write: rows once, erasure, retention and books like those of lines."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pyarrow as pa
import pytest

from staged_rollout.adapters.lake_iceberg import IcebergLake
from staged_rollout.ports.lake import BatchDraft
from staged_rollout.records.identities import row_identities
from staged_rollout.records.tables import arrow_schema
from staged_rollout.spec.home import Home

NOW = datetime(2026, 3, 9, 12, tzinfo=UTC)


@pytest.fixture
def lake(tmp_path):
    lake = IcebergLake(Home(tmp_path))
    yield lake
    lake.close()


def unit_row(lake, unit, slot=1, day=2):
    return {
        "endpoint": "churn",
        "rollout": "churn-v3",
        "slot": slot,
        "cut_off": NOW,
        "event_date": date(2026, 3, day),
        "assigned_variant": "v3",
        "metric": "correct",
        "resolution": 1.0,
        "unit_id": lake.unit_id(unit),
        "y": 1,
        "d": 0,
        "holds": 1,
        "capped": 0,
    }


def add(lake, *rows):
    with lake.writer() as writer:
        batch = writer.begin()
        keys = pa.array([row_identities("units", row)[0] for row in rows], pa.binary(16))
        added = batch.add("units", pa.Table.from_pylist(list(rows), arrow_schema("units")), [keys])
        batch.commit(BatchDraft(at=NOW, claims=(), books=()))
    return added.tolist()


def held(lake):
    return sum(file.rows for file in lake.upkeep.files("units", lake.head()))


def test_a_unit_is_counted_once_whichever_look_tells_it_again(lake):
    """The law: the first look that counted a unit keeps it."""
    assert [True, True] == add(lake, unit_row(lake, "ana"), unit_row(lake, "bob"))
    assert [False, True] == add(lake, unit_row(lake, "ana", slot=2), unit_row(lake, "eve", slot=2))
    assert 3 == held(lake)
    assert [] == [finding for finding in lake.upkeep.verify() if not finding.ok]


def test_its_identities_are_told_from_its_rows(lake):
    """The law: a lost file of identities is made again from the rows, so a unit is still counted once."""
    add(lake, unit_row(lake, "ana"))
    for path in (lake._folder / "identities").rglob("*.run"):
        path.unlink()
    assert [False] == add(lake, unit_row(lake, "ana"))


def test_an_erased_unit_is_out_of_the_table(lake):
    """The law: erasing a unit takes it out of every table that knows it."""
    add(lake, unit_row(lake, "ana"), unit_row(lake, "bob"))
    assert [("units", 1)] == [(change.table, change.removed) for change in lake.upkeep.erase("ana", NOW)]
    assert 1 == held(lake)


def test_retention_follows_the_day_of_exposure(lake):
    """The law: days before the first that stays go, of what looks counted too."""
    add(lake, unit_row(lake, "ana", day=2), unit_row(lake, "bob", day=5))
    assert [("units", 1)] == [(change.table, change.removed) for change in lake.upkeep.retain(date(2026, 3, 4), NOW)]
    assert 1 == held(lake)

"""Compaction, retention, erasure and the books of the lake: rows that should stay stay, and nothing else does."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import duckdb
import pytest

from staged_rollout.adapters.lake_iceberg import IcebergLake
from staged_rollout.adapters.log_folder import LogFolder
from staged_rollout.errors import DataError
from staged_rollout.operations.ingest import ingest
from staged_rollout.operations.maintain import first_day, maintain
from staged_rollout.spec.home import Home

DAY = timedelta(days=1)
T0 = datetime(2026, 3, 2, 12, tzinfo=UTC)
AT = T0 + 20 * DAY
DAYS = 2


class FixedClock:
    simulated = False

    def wall(self):
        return 0.0

    def now(self):
        return AT


def line(number, day, unit, **more):
    at = T0 + day * DAY + timedelta(seconds=number)
    return json.dumps(
        {
            "request_id": f"r{day}-{number}",
            "timestamp": at.isoformat().replace("+00:00", "Z"),
            "rollout": "churn-v3",
            "unit_id": unit,
            "assigned_variant": "v1",
            "variant": "v1",
            "fallback": False,
            "epoch": 5,
            "model_version": "1",
            "prediction": 1,
            "latency_ms": 10.5,
            "status": 200,
            "features": {"plan": "a"},
            **more,
        }
    )


def outcome(unit=None, request=None):
    told = {"unit_id": unit} if unit else {"request_id": request}
    return json.dumps({**told, "timestamp": "2026-03-06T00:00:00Z", "outcome": 1})


@pytest.fixture
def home(tmp_path):
    """Two days by two ingests each; unit 7 and unit 77 among others; and lines that are no records."""
    home = Home(tmp_path)
    lake = IcebergLake(home)
    for day in range(DAYS):
        for part in range(2):
            folder = home.logs / "predictions" / "churn" / f"{day}"
            folder.mkdir(parents=True, exist_ok=True)
            rows = [line(10 * part + place, day, f"unit {7 if place == 3 else 70 + place}") for place in range(10)]
            broken = '{"unit_id": "unit 7", ' if part else '{"unit_id": "unit 77", '
            (folder / f"{part}.jsonl").write_text("\n".join([*rows, broken, ""]), encoding="utf-8")
            ingest(logs=LogFolder(home), lake=lake, clock=FixedClock())
    outcomes = home.logs / "outcomes" / "churn"
    outcomes.mkdir(parents=True)
    told = [outcome("unit 7"), outcome("unit 77"), outcome(request="r0-3"), outcome(request="r0-4")]
    (outcomes / "o.jsonl").write_text("\n".join([*told, ""]), encoding="utf-8")
    ingest(logs=LogFolder(home), lake=lake, clock=FixedClock())
    return home


@pytest.fixture
def lake(home):
    return IcebergLake(home, kept_from_bytes=0)


def held(lake, table, column, batch=None):
    listed = [file.path for file in lake.upkeep.files(table, batch or lake.head())]
    if not listed:
        return []
    return sorted(row[0] for row in duckdb.sql(f"SELECT {column} FROM read_parquet({listed!r})").fetchall())


def on_disk(home, table):
    return {str(path) for path in (home.lake / "warehouse").rglob("*.parquet") if f"/{table}/" in str(path)}


def test_the_books_of_a_healthy_lake_add_up(lake):
    """Law: claims, books, rows, files and identities say the same."""
    assert [] == [finding for finding in lake.upkeep.verify() if not finding.ok]


def test_compaction_keeps_rows_and_makes_one_file_a_day(lake):
    """Law: the same rows, in one file for each event day; an earlier batch still reads its own."""
    before, rows = lake.head(), held(lake, "predictions", "request_id")
    counted = lake.query("rollout_requests", {"rollout": "churn-v3"}, batch=before)

    changes = {change.table: change for change in lake.upkeep.compact(AT)}

    assert (2 * DAYS, DAYS, 0) == (
        changes["predictions"].files_before,
        changes["predictions"].files_after,
        changes["predictions"].removed,
    )
    assert DAYS == len(lake.upkeep.files("predictions", lake.head()))
    assert rows == held(lake, "predictions", "request_id") == held(lake, "predictions", "request_id", before)
    assert counted == lake.query("rollout_requests", {"rollout": "churn-v3"}, batch=lake.head())
    assert [] == [finding for finding in lake.upkeep.verify() if not finding.ok]
    assert [] == list(lake.upkeep.compact(AT))


def test_files_that_no_batch_needs_go_once_it_has_expired(home, lake):
    """Law: sweeping deletes what no snapshot refers to, and nothing else."""
    lake.upkeep.compact(AT)
    assert (0, 0) == lake.upkeep.sweep()
    lake.forget(AT + DAY)

    deleted, size = lake.upkeep.sweep()

    assert deleted >= 2 * DAYS
    assert size > 0
    assert {file.path for file in lake.upkeep.files("predictions", lake.head())} == on_disk(home, "predictions")
    assert [] == [finding for finding in lake.upkeep.verify() if not finding.ok]


def test_retention_takes_out_whole_days(lake):
    """Law: event days before the first that stays are gone, the others are whole, and the books say why."""
    changes = {change.table: change.removed for change in lake.upkeep.retain(date(2026, 3, 3), AT)}

    assert 20 == changes["predictions"]
    assert [date(2026, 3, 3)] == sorted({file.day for file in lake.upkeep.files("predictions", lake.head())})
    assert 20 == len(held(lake, "predictions", "request_id"))
    assert [] == [finding for finding in lake.upkeep.verify() if not finding.ok]
    assert [] == list(lake.upkeep.retain(date(2026, 3, 3), AT))


def test_erasing_a_unit_leaves_no_trace_of_it(home, lake):
    """Law: rows, outcomes by unit or request, quarantined lines and files of earlier batches are gone; others stay."""
    before = lake.head()
    changes = {change.table: change.removed for change in lake.upkeep.erase("unit 7", AT)}

    assert {"predictions": 2 * DAYS, "outcomes": 2, "quarantine": DAYS} == changes
    hashed = lake.unit_id("unit 7")
    assert hashed not in held(lake, "predictions", "unit_id")
    assert lake.unit_id("unit 77") in held(lake, "predictions", "unit_id")
    assert 2 == len(held(lake, "outcomes", "outcome"))
    assert {b'{"unit_id": "unit 77", '} == set(held(lake, "quarantine", "raw"))
    with pytest.raises(DataError, match="no longer has snapshot"):
        lake.upkeep.files("predictions", before)
    for path in home.lake.rglob("*"):
        if path.is_file() and path.suffix == ".parquet":
            text = duckdb.sql(f"SELECT * FROM read_parquet('{path}')").fetchall()
            assert hashed not in repr(text)
            assert b'"unit 7"' not in repr(text).encode()
    assert [] == [finding for finding in lake.upkeep.verify() if not finding.ok]
    assert [] == list(lake.upkeep.erase("unit 7", AT))


def test_a_redelivered_line_of_an_erased_unit_is_still_a_duplicate(home, lake):
    """Law: erasing takes out rows, not the memory that a line was taken."""
    lake.upkeep.erase("unit 7", AT)
    (home.logs / "predictions" / "churn" / "0" / "again.jsonl").write_text(line(3, 1, "unit 7") + "\n", "utf-8")

    report = ingest(logs=LogFolder(home), lake=lake, clock=FixedClock())

    assert (1, 0, 1) == (report.lines, report.accepted, report.duplicates)


@pytest.mark.parametrize("damage", ["gone", "cut"])
def test_a_damaged_file_is_found(lake, damage):
    """Law: a file that is missing or shorter than its snapshot says is named."""
    path = Path(lake.upkeep.files("predictions", lake.head())[0].path)
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-10])

    wrong = [finding for finding in lake.upkeep.verify() if not finding.ok]

    assert wrong
    assert path.name in wrong[0].detail


def test_books_that_were_changed_are_found(home, lake):
    """Law: a claim whose lines are not those of the books is named by its file."""
    import sqlite3

    with sqlite3.connect(home.lake / "batches.db") as connection:
        connection.execute("UPDATE claims SET lines = lines + 1 WHERE batch = 1")
    connection.close()

    wrong = [finding for finding in lake.upkeep.verify() if not finding.ok]

    assert ["each file's claims have the lines that its books have"] == [finding.check for finding in wrong]
    assert "logs/predictions/churn/0/0.jsonl: 12 claimed, 11 in the books" == wrong[0].detail


class LaterClock(FixedClock):
    def now(self):
        return T0 + timedelta(days=91)  # 2 March is 91 days back, 3 March 90


def test_maintenance_compacts_retains_expires_and_sweeps(home, lake):
    """Law: rows of the retention time stay, in one file a day; what nobody needs is gone; the books add up."""
    platform = SimpleNamespace(lake=lake, clock=LaterClock(), ledger=SimpleNamespace(rollouts=list))

    lines = maintain(platform)

    assert "removed 20 rows of days before 2026-03-03" == lines[0]
    assert 20 == len(held(lake, "predictions", "request_id"))
    assert [date(2026, 3, 3)] == [file.day for file in lake.upkeep.files("predictions", lake.head())]
    # The batch before compaction was sealed a moment ago, and can be read for a week.
    assert {"event_date=2026-03-03"} == {Path(path).parent.name for path in on_disk(home, "predictions")}
    assert [] == [finding for finding in lake.upkeep.verify() if not finding.ok]
    assert "removed 0 rows of days before 2026-03-03" == maintain(platform)[0]


def test_a_running_rollout_keeps_its_days():
    """Law: days from the one before SHADOW on stay, however old; without a rollout, those of the retention time."""
    now = datetime(2026, 9, 1, tzinfo=UTC)
    old, registered = (SimpleNamespace(effective_at=lambda _, began=began: began) for began in (T0, None))

    assert date(2026, 6, 3) == first_day(now, [])
    assert date(2026, 6, 3) == first_day(now, [registered])
    assert date(2026, 3, 1) == first_day(now, [registered, old])

"""The law of ingest: how lines are cut into files, blocks, batches and runs changes nothing of what the lake holds."""

from __future__ import annotations

import json
import random
import tempfile
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from staged_rollout.adapters.lake_iceberg import IcebergLake
from staged_rollout.adapters.log_folder import LogFolder
from staged_rollout.operations import ingest_batch
from staged_rollout.operations.ingest import ingest
from staged_rollout.records import lines as reading_lines
from staged_rollout.records.tables import TABLES
from staged_rollout.spec.home import Home

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
VERDICTS = ("lines", "accepted", "duplicates", "quarantined", "late", "blank")
PLACES = {
    "predictions": "logs/predictions/churn/2026-03-02/{}.jsonl",
    "outcomes": "logs/outcomes/churn/{}.jsonl",
    "capture": "capture/churn/v2/2026/03/02/12/{}.jsonl",
}


class FixedClock:
    """A clock that stands still."""

    simulated = True

    def now(self):
        return NOW

    def wall(self):
        return 0.0


def prediction(number, day):
    record = {"request_id": f"r{number}", "timestamp": (NOW - timedelta(days=day)).isoformat(), "rollout": "churn-v3"}
    record |= {"unit_id": f"u{number % 3}", "assigned_variant": "v1", "variant": "v1", "fallback": False, "epoch": 1}
    return record | {"model_version": "1", "prediction": 1, "latency_ms": 1.5, "status": 200, "features": {}}


def outcome(number, day):
    return {"unit_id": f"u{number}", "timestamp": (NOW - timedelta(days=day)).isoformat(), "outcome": number % 2}


def capture(number, day):
    moment = (NOW - timedelta(days=day)).isoformat()
    metadata = {"eventId": f"e{number}", "inferenceId": f"i{number}", "inferenceTime": moment}
    output = {"data": "0.5", "encoding": "CSV"}
    return {"captureData": {"endpointOutput": output}, "eventMetadata": metadata, "eventVersion": "0"}


MAKERS = {"predictions": prediction, "outcomes": outcome, "capture": capture}
kinds = st.sampled_from(["predictions", "predictions", "outcomes", "capture"])
whats = st.sampled_from(["row", "row", "row", "row", "junk", "blank", "future"])
entries = st.tuples(kinds, whats, st.integers(0, 9), st.integers(0, 2))


def line_of(entry):
    kind, what, number, day = entry
    if what == "row":
        return json.dumps(MAKERS[kind](number, day))
    return {"junk": f"junk {number}", "blank": " ", "future": json.dumps(MAKERS[kind](number, -3))}[what]


def held(lake):
    """Every table's rows without their place in a file; quarantine with what was in the line."""
    head, found = lake.head(), {}
    for table in TABLES:
        files = lake._files(table, head.snapshots[table])
        if files:
            rows = duckdb.sql(f"SELECT * EXCLUDE (source, line) FROM read_parquet({files})").fetchall()
            found[table] = Counter(map(str, rows))
    return found


def ingested(lines, *, files, runs, rows_per_batch, block_bytes, backfill=False):
    """Spread lines over files and runs; what the lake holds, the books' totals, and the reports."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patched:
        patched.setattr(reading_lines, "BLOCK_BYTES", block_bytes)
        patched.setattr(ingest_batch, "BLOCK_BYTES", block_bytes)
        home = Home(Path(folder))
        home.lake.mkdir(parents=True)
        (home.lake / "unit.key").write_bytes(b"k" * 32)  # units have the same hashes in every lake
        lake = IcebergLake(home)
        step = -(-len(lines) // runs)
        for begin in range(0, len(lines), step):
            for place, entry in enumerate(lines[begin : begin + step]):
                path = home.root / PLACES[entry[0]].format(place % files)
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("a", encoding="utf-8") as stream:
                    stream.write(line_of(entry) + "\n")
            report = ingest(
                logs=LogFolder(home), lake=lake, clock=FixedClock(), rows_per_batch=rows_per_batch, backfill=backfill
            )
            assert report.balanced
        books = lake.books()
        assert all(each.balanced for each in books)
        totals = {name: sum(getattr(each, name) for each in books) for name in VERDICTS}
        found = held(lake)
        lake.close()
    if "quarantine" in found:
        found["quarantine"] = sum(found["quarantine"].values())
    return found, totals


@settings(max_examples=12, deadline=None)
@given(
    st.lists(entries, min_size=1, max_size=40),
    st.randoms(use_true_random=False),
    st.integers(1, 5),
    st.integers(1, 3),
    st.integers(1, 9),
    st.sampled_from([60, 300, 1 << 20]),
    st.booleans(),
)
def test_any_split_and_any_order_gives_the_same_tables(lines, chance, files, runs, rows, block_bytes, backfill):
    """The law: files, blocks, batches, runs and order change neither a table nor a total of the books."""
    whole = ingested(lines, files=1, runs=1, rows_per_batch=10**6, block_bytes=1 << 20)
    shuffled = random.Random(chance.random()).sample(lines, len(lines))
    options = {"files": files, "runs": runs, "rows_per_batch": rows, "block_bytes": block_bytes}

    assert whole == ingested(shuffled, **options, backfill=backfill)


def test_backfill_takes_what_is_older_than_the_lateness_limit(tmp_path):
    """The law: lateness is off in a backfill, and only there."""
    home = Home(tmp_path)
    lake = IcebergLake(home)
    for name, day in (("a", 0), ("b", 30)):
        path = home.root / PLACES["predictions"].format(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(line_of(("predictions", "row", day, day)) + "\n", encoding="utf-8")
        report = ingest(logs=LogFolder(home), lake=lake, clock=FixedClock(), backfill=name == "b")
        assert (1, 0) == (report.accepted, report.late)
    path = home.root / PLACES["predictions"].format("c")
    path.write_text(line_of(("predictions", "row", 31, 31)) + "\n", encoding="utf-8")
    report = ingest(logs=LogFolder(home), lake=lake, clock=FixedClock())

    assert (0, 1) == (report.accepted, report.late)
    lake.close()


def test_backfill_reads_files_in_the_order_of_their_first_events(tmp_path):
    """The law: history is replayed as it happened; a file without any event comes last."""
    home = Home(tmp_path)
    lake = IcebergLake(home)
    for name, lines in {"a": [1], "b": [20, 3], "c": [10], "d": []}.items():
        path = home.root / PLACES["predictions"].format(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = [line_of(("predictions", "row", day, day)) for day in lines]
        path.write_text("".join(f"{line}\n" for line in ["junk", *rows]), encoding="utf-8")
    ingest(logs=LogFolder(home), lake=lake, clock=FixedClock(), backfill=True)

    assert ["b", "c", "a", "d"] == [Path(books.name).stem for books in lake.books()]
    lake.close()

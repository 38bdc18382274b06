"""The lake's promises: batches are atomic, readers use pins, one writer at a time, a killed writer leaves nothing."""

from __future__ import annotations

import hashlib
import json
import random
import signal
import stat
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from staged_rollout.adapters.lake_iceberg import IcebergLake
from staged_rollout.errors import DataError, LeaseHeldError, NotFoundError
from staged_rollout.ports.lake import BatchDraft, FileBooks, SourceClaim
from staged_rollout.records.tables import arrow_schema
from staged_rollout.spec.home import Home

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
LOGS = "logs/predictions/churn/2026-03-02"

# Ingests a home in small batches and kills itself at the step that it is told, or runs to its end.
INGEST = """
import os, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from staged_rollout.adapters.lake_iceberg import IcebergLake
from staged_rollout.adapters.log_folder import LogFolder
from staged_rollout.operations.ingest import ingest
from staged_rollout.spec.home import Home

class Clock:
    simulated = True
    def now(self): return datetime(2026, 3, 2, 12, tzinfo=UTC)
    def wall(self): return 0.0

left = int(sys.argv[2])
def at_step(name):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)

home = Home(Path(sys.argv[1]))
print("ready", flush=True)
report = ingest(logs=LogFolder(home), lake=IcebergLake(home, at_step=at_step), clock=Clock(), rows_per_batch=7)
print(report.batch, flush=True)
"""


@pytest.fixture
def lake(tmp_path):
    lake = IcebergLake(Home(tmp_path))
    yield lake
    lake.close()


def row(request, line=1):
    return {
        "request_id": request,
        "timestamp": NOW,
        "event_date": NOW.date(),
        "endpoint": "churn",
        "rollout": "churn-v3",
        "unit_id": "u",
        "assigned_variant": "v1",
        "variant": "v1",
        "fallback": False,
        "epoch": 1,
        "model_version": "1",
        "prediction": 1.0,
        "latency_ms": 1.0,
        "status": 200,
        "features": "{}",
        "source": "a",
        "line": line,
    }


def table_of(rows, table="predictions"):
    schema = arrow_schema(table)
    return pa.Table.from_pylist([dict.fromkeys(schema.names) | row for row in rows], schema=schema)


def identity(request):
    return hashlib.md5(request.encode()).digest()


def draft(*requests, start=0, rows=None, **changes):
    """A batch: its rows and their identities, and what seals it."""
    values = {
        "at": NOW,
        "claims": [SourceClaim("a", 0, start, start + 10, "digest", len(requests))],
        "books": [FileBooks("a", "predictions", len(requests), len(requests), 0, 0, 0, 0, 10, "churn")],
        "newest": {("predictions", "churn"): NOW},
    }
    keys = pa.array([identity(request) for request in requests], type=pa.binary(16))
    return rows or table_of([row(request) for request in requests]), keys, BatchDraft(**{**values, **changes})


def commit(lake, *drafts):
    with lake.writer(wait_s=1) as writer:
        return [commit_one(writer, *each) for each in drafts]


def commit_one(writer, rows, keys, sealed):
    batch = writer.begin()
    try:
        batch.add("predictions", rows, [keys] if len(keys) == rows.num_rows else ())
        return batch.commit(sealed)
    finally:
        batch.discard()


def requests(lake, batch=None):
    parameters = {"endpoint": "churn", "rollout": "churn-v3", "day": NOW.date()}
    rows = lake.query("quality_day", parameters, batch=batch or lake.head())
    return sorted(row["request_id"] for row in rows)


def test_an_empty_lake_is_batch_0_and_answers(lake):
    assert 0 == lake.head().number
    assert lake.batch(0) == lake.head()
    assert [] == requests(lake)
    assert [] == list(lake.books())


def test_a_batch_pins_what_readers_see(lake):
    first, second = commit(lake, draft("r1"), draft("r2", start=10))

    assert (1, 2) == (first.number, second.number)
    assert ["r1"] == requests(lake, first)
    assert ["r1", "r2"] == requests(lake, lake.batch(2))
    assert [] == requests(lake, lake.batch(0))
    assert second == lake.head()


def test_a_batch_that_was_never_sealed_is_not_found(lake):
    with pytest.raises(NotFoundError, match="batch 3 was never sealed; the newest is 0"):
        lake.batch(3)


def test_a_second_reader_sees_the_same(lake, tmp_path):
    commit(lake, draft("r1"))
    other = IcebergLake(Home(tmp_path))

    assert lake.head() == other.head()
    assert ["r1"] == requests(other)
    assert lake.unit_id("c-1") == other.unit_id("c-1")
    other.close()


def test_snapshots_name_their_batch_and_never_retry(lake):
    commit(lake, draft("r1"))
    table = lake._tables._load("predictions")

    assert "1" == table.current_snapshot().summary.additional_properties["batch"]
    assert "0" == table.properties["commit.retry.num-retries"]
    assert ["event_date"] == [field.name for field in table.spec().fields]


def test_writer_knows_claims_identities_and_watermarks(lake):
    commit(lake, draft("r1"), draft("r2", start=10))
    with lake.writer() as writer:
        assert {} == writer.watermarks()
        assert {} == writer.versions()
        writer.finish({"a": "v1"})
        writer.finish({"a": "v2", "b": "v1"})
        assert {"a": "v2", "b": "v1"} == writer.versions()
        assert {("predictions", "churn"): NOW} == writer.watermarks()
        assert [0, 10] == [claim.from_byte for claim in writer.claims("a", 0)]
        assert 20 == writer.positions()["a"].to_byte
        batch = writer.begin()
        asked = ["r9", "r1", "r9", *(f"q{number}" for number in range(2000))]
        keys = pa.array([identity(request) for request in asked], type=pa.binary(16))
        added = batch.add("predictions", table_of([row(request) for request in asked]), [keys])
        batch.discard()
        assert [True, False, False, *[True] * 2000] == added.tolist()
        assert lake.unit_id("x") == writer.pseudonym("x")


def test_the_newest_generation_is_the_position(lake):
    again = SourceClaim("a", 1, 0, 4, "digest", 1)
    commit(lake, draft("r1"), draft("r2", claims=[again]))
    with lake.writer() as writer:
        assert again == writer.positions()["a"]


def test_books_that_do_not_balance_are_refused(lake):
    wrong = FileBooks("a", "predictions", 3, 1, 0, 0, 0, 0, 10)
    with pytest.raises(DataError, match="do not balance"):
        commit(lake, draft("r1", books=[wrong]))

    assert 0 == lake.head().number


@pytest.mark.parametrize("change", ["null", "type", "column"])
def test_rows_that_do_not_fit_leave_nothing(lake, change):
    bad = table_of([row("r1"), row("r2")])
    if change == "null":
        bad = bad.set_column(0, "request_id", pa.array(["r1", None]))
    elif change == "type":
        bad = bad.set_column(bad.column_names.index("status"), "status", pa.array(["many", "few"]))
    else:
        bad = bad.drop_columns(["status"])
    with pytest.raises(DataError, match="do not fit table predictions"):
        commit(lake, draft("r1", rows=bad))

    assert 0 == lake.head().number
    commit(lake, draft("r3"))
    assert ["r3"] == requests(lake)


@pytest.mark.parametrize("before", [0, 1])
def test_a_refused_seal_takes_back_what_was_appended(lake, before):
    if before:
        commit(lake, draft("r0", start=100))
    doubled = [SourceClaim("a", 0, 0, 10, "digest", 1)] * 2
    with pytest.raises(DataError, match="contradicts what the lake holds"):
        commit(lake, draft("r1", claims=doubled))

    assert before == lake.head().number
    assert lake.head().snapshots["predictions"] == lake._tables.snapshot("predictions")
    commit(lake, draft("r2"))
    assert [*(["r0"] * before), "r2"] == requests(lake)


def test_rows_of_another_program_are_refused(lake):
    commit(lake, draft("r1"))
    lake._tables.handle("predictions").append(table_of([row("r2")]), snapshot_properties={"batch": "77"})

    with pytest.raises(DataError, match="of batch 77, accepted: batch 2"), lake.writer():
        pass
    assert ["r1"] == requests(lake)


def test_an_expired_snapshot_says_so(lake):
    batch = commit(lake, draft("r1"))[0]
    gone = type(batch)(1, {**batch.snapshots, "predictions": 5}, NOW)

    with pytest.raises(DataError, match="no longer has snapshot 5"):
        requests(lake, gone)


def test_one_writer_at_a_time(lake, tmp_path):
    other = IcebergLake(Home(tmp_path))
    with lake.writer():
        began = time.monotonic()
        with pytest.raises(LeaseHeldError, match=r"did not finish within 0\.2 s"), other.writer(wait_s=0.2):
            pass
        assert 0.2 <= time.monotonic() - began < 2
    with other.writer(wait_s=0):
        pass
    other.close()


def test_the_unit_key_is_private_and_made_once(lake, tmp_path):
    first = lake.unit_id("c-1")
    key = tmp_path / "lake" / "unit.key"

    assert 0o600 == stat.S_IMODE(key.stat().st_mode)
    assert 32 == len(key.read_bytes())
    assert first == IcebergLake(Home(tmp_path)).unit_id("c-1")
    assert ["unit.key"] == [path.name for path in (tmp_path / "lake").glob("unit.key*")]


def test_a_damaged_unit_key_is_refused(lake, tmp_path):
    (tmp_path / "lake" / "unit.key").write_bytes(b"short")

    with pytest.raises(DataError, match="has 5 bytes, must be 32"):
        lake.unit_id("c-1")


def test_another_schema_is_refused(tmp_path):
    import sqlite3
    from contextlib import closing

    IcebergLake(Home(tmp_path))
    with closing(sqlite3.connect(tmp_path / "lake" / "batches.db")) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(DataError, match="schema version 99, accepted: 1, 2"):
        IcebergLake(Home(tmp_path))


def test_odd_folder_names_work(tmp_path):
    lake = IcebergLake(Home(tmp_path / "it's a #home? 100% ü"))
    commit(lake, draft("r1"))

    assert ["r1"] == requests(lake)
    lake.close()


# --- kill -9 --------------------------------------------------------------------------------------------------------


def write_logs(root, first, count):
    folder = Path(root) / LOGS
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for number in range(first, first + count):
        record = {
            key: value
            for key, value in row(f"r{number}").items()
            if key not in {"source", "line", "event_date", "endpoint"}
        }
        record |= {"timestamp": NOW.isoformat(), "features": {}, "unit_id": f"u{number}"}
        lines.append(json.dumps(record))
        if number % 5 == 0:
            lines += [lines[-1], f"junk {number}", ""]
    with (folder / "router.jsonl").open("a", encoding="utf-8") as stream:
        stream.write("".join(f"{line}\n" for line in lines))


def run_ingest(root, step=0):
    return subprocess.run(
        [sys.executable, "-c", INGEST, str(root), str(step)], capture_output=True, text=True, check=False
    )


def check_exact(root, count):
    """Nothing lost, nothing doubled, nothing half, and the books say so."""
    lake = IcebergLake(Home(Path(root)))
    junk = sum(number % 5 == 0 for number in range(count))
    assert sorted(f"r{number}" for number in range(count)) == requests(lake)
    books = lake.books()
    assert all(one.balanced for one in books)
    assert (count, junk, junk, junk) == tuple(
        sum(getattr(one, key) for one in books) for key in ("accepted", "duplicates", "quarantined", "blank")
    )
    quarantined = lake._files("quarantine", lake.head().snapshots["quarantine"])
    import pyarrow.parquet as pq

    raw = sorted(text for path in quarantined for text in pq.read_table(path)["raw"].to_pylist())
    assert sorted(f"junk {number}".encode() for number in range(0, count, 5)) == raw
    lake.close()


def test_killed_at_every_step_of_a_commit_nothing_is_lost_or_doubled(tmp_path):
    """The law: a commit is all or nothing, wherever the process dies, and the next run goes on from there."""
    write_logs(tmp_path, 0, 20)
    # A batch has four steps (two tables appended, identities written, sealed): kill after each, in two batches.
    outcomes = []
    for step in (1, 2, 3, 4, 1, 5, 6, 7):
        write_logs(tmp_path, 20 * (len(outcomes) + 1), 20)
        outcomes.append(run_ingest(tmp_path, step).returncode)
    assert [-signal.SIGKILL] * 8 == outcomes

    last = run_ingest(tmp_path)
    assert 0 == last.returncode, last.stderr
    check_exact(tmp_path, 180)


def test_a_file_of_which_a_killed_run_read_a_part_is_read_on(tmp_path):
    """The law: only a finished run may say that a file needs no look; the file itself has not changed meanwhile."""
    write_logs(tmp_path, 0, 60)
    assert -signal.SIGKILL == run_ingest(tmp_path, 4).returncode
    assert 0 == run_ingest(tmp_path).returncode

    check_exact(tmp_path, 60)


@pytest.mark.slow
def test_killed_at_random_times_nothing_is_lost_or_doubled(tmp_path):
    """The law: as above, with the kill anywhere, also inside an append or a seal."""
    chance = random.Random(7)
    write_logs(tmp_path, 0, 60)
    killed = 0
    for number in range(1, 11):
        write_logs(tmp_path, 60 * number, 60)
        with subprocess.Popen(
            [sys.executable, "-c", INGEST, str(tmp_path), "0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as process:
            process.stdout.readline()
            time.sleep(chance.uniform(0.5, 2.5))
            killed += process.poll() is None
            process.kill()
    last = run_ingest(tmp_path)

    assert killed >= 3
    assert 0 == last.returncode, last.stderr
    check_exact(tmp_path, 660)


def test_two_ingests_at_once_take_turns(tmp_path):
    """The law: one leased writer; the second waits, and finds nothing left to do."""
    write_logs(tmp_path, 0, 40)
    command = [sys.executable, "-c", INGEST, str(tmp_path), "0"]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    answers = [process.communicate(timeout=60) for process in both]

    assert [0, 0] == [process.returncode for process in both], answers
    check_exact(tmp_path, 40)


def test_forgetting_keeps_the_newest_batch_and_those_that_are_pinned(lake):
    batches = commit(lake, *(draft(f"r{number}", start=10 * number) for number in range(4)))
    later = NOW + timedelta(days=1)

    assert 2 == lake.forget(later, keep={batches[1].number})
    assert ["r0", "r1", "r2", "r3"] == requests(lake)
    assert ["r0", "r1"] == requests(lake, batches[1])
    with pytest.raises(DataError, match="no longer has snapshot"):
        requests(lake, batches[0])
    assert 0 == lake.forget(later, keep={batches[1].number})


def test_forgetting_leaves_batches_of_the_retention_time(lake):
    batches = commit(lake, *(draft(f"r{number}", start=10 * number) for number in range(3)))

    assert 0 == lake.forget(NOW)
    assert ["r0"] == requests(lake, batches[0])

"""Ingest as processes: killed at random moments, and three of them at once."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from datetime import UTC, datetime, timedelta

import duckdb
import pytest

from staged_rollout.adapters.lake_iceberg import IcebergLake
from staged_rollout.records.tables import TABLES
from staged_rollout.spec.home import Home

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
KILLS = 30

# Imports once, and forks a child for each number of lines per batch that it is told; no thread has begun by then. It
# waits for a child when it is told so: until then the child's id is its own, dead or alive.
NURSERY = """
import os, sys
from datetime import UTC, datetime
from pathlib import Path
import duckdb, numpy, pyarrow.parquet, pyiceberg.io.pyarrow, pyiceberg.catalog.sql, sqlalchemy.dialects.sqlite
from staged_rollout.adapters.lake_iceberg import IcebergLake
from staged_rollout.adapters.log_folder import LogFolder
from staged_rollout.operations.ingest import ingest
from staged_rollout.spec.home import Home

class Clock:
    simulated = True
    def now(self): return datetime(2026, 3, 2, 12, tzinfo=UTC)
    def wall(self): return 0.0

home = Home(Path(sys.argv[1]))
for line in sys.stdin:
    child = os.fork()
    if not child:
        report = ingest(logs=LogFolder(home), lake=IcebergLake(home), clock=Clock(), rows_per_batch=int(line))
        print(report.lines, flush=True)
        os._exit(0)
    print(child, flush=True)
    sys.stdin.readline()
    print("ended", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Nursery:
    """A process that ingests in children."""

    def __init__(self, home):
        command = [sys.executable, "-c", NURSERY, str(home.root)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def begin(self, rows_per_batch):
        """Begin to ingest; the child's process id."""
        print(rows_per_batch, file=self.process.stdin, flush=True)
        return int(self.process.stdout.readline())

    def end(self):
        """Wait for the child: its exit code (minus the signal that killed it), and the lines that it read."""
        print(file=self.process.stdin, flush=True)
        read = None
        while not (line := self.process.stdout.readline()).startswith("ended"):
            assert line, "the nursery died"
            read = int(line)
        return int(line.split()[1]), read

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.communicate()


def write_round(home, number, lines=120):
    """One more round of lines: new rows of three days, copies of earlier ones, junk, blanks, captures."""
    chance = random.Random(number)
    folders = ["logs/predictions/churn/2026-03-02", "capture/churn/v2/2026/03/02/12"]
    for folder in folders:
        (home.root / folder).mkdir(parents=True, exist_ok=True)
    log, events = [], []
    for count in range(lines):
        ident = number * lines + count
        told = ident if chance.random() < 0.8 else chance.randrange(ident + 1)
        moment = (NOW - timedelta(days=told % 3)).isoformat()
        record = {"request_id": f"r{told}", "timestamp": moment, "rollout": None, "unit_id": "u", "variant": "v1"}
        record |= {"assigned_variant": "v1", "fallback": False, "epoch": 1, "model_version": "1", "prediction": 1}
        log.append(json.dumps(record | {"latency_ms": 1.5, "status": 200, "features": {}}))
        if chance.random() < 0.1:
            log += [f"junk {ident}", ""]
        metadata = {"eventId": f"e{told}", "inferenceId": f"i{told}", "inferenceTime": moment}
        output = {"data": "0.5", "encoding": "CSV"}
        events.append(json.dumps({"captureData": {"endpointOutput": output}, "eventMetadata": metadata}))
    with (home.root / folders[0] / "router.jsonl").open("a", encoding="utf-8") as stream:
        stream.write("".join(f"{line}\n" for line in log))
    (home.root / folders[1] / f"{number}.jsonl").write_text("".join(f"{line}\n" for line in events), encoding="utf-8")


def check(home):
    """Books against files, and tables against what the files hold: nothing lost, nothing doubled, nothing left over."""
    expected, lines = {"predictions": set(), "captures": set()}, Counter()
    for path in [*home.logs.rglob("*.jsonl"), *home.capture.rglob("*.jsonl")]:
        name = path.relative_to(home.root).as_posix()
        for line in path.read_text(encoding="utf-8").splitlines():
            lines[name] += 1
            if line.startswith("{"):
                record = json.loads(line)
                is_capture = "eventMetadata" in record
                key = record["eventMetadata"]["eventId"] if is_capture else record["request_id"]
                expected["captures" if is_capture else "predictions"].add(key)
    lake = IcebergLake(home)
    books = lake.books()
    read = Counter()
    for each in books:
        assert each.balanced
        read[each.name] += each.lines
    assert lines == read
    head, pinned = lake.head(), []
    for table, column in (("predictions", "request_id"), ("captures", "event_id"), ("quarantine", "raw")):
        files = lake._files(table, head.snapshots[table])
        pinned += files
        rows = [row[0] for row in duckdb.sql(f"SELECT {column} FROM read_parquet({files})").fetchall()]
        assert len(set(rows)) == len(rows)
        if table in expected:
            assert expected[table] == set(rows)
        else:
            assert len(rows) == sum(each.quarantined for each in books)
    assert sum(map(len, expected.values())) == sum(each.accepted for each in books)
    assert sorted(pinned) == sorted(str(path) for path in (home.lake / "warehouse").rglob("*.parquet"))
    runs = [path for path in (home.lake / "identities").rglob("*") if path.is_file()]
    days = {path.parent.name for path in runs}
    known = {run.name for table in TABLES for day in days for run in lake._batches.runs(table, _date(day))}
    assert known == {path.relative_to(home.lake / "identities").as_posix() for path in runs}
    lake.close()


def _date(text):
    return datetime.fromisoformat(text).date()


@pytest.mark.slow
def test_killed_thirty_times_at_random_moments_the_books_balance(tmp_path):
    """The law: whenever the process dies, and however often, each line of each file is counted once."""
    home, chance, kills, rounds, span = Home(tmp_path), random.Random(11), 0, 0, 0.0
    with Nursery(home) as nursery:
        while kills < KILLS:
            write_round(home, rounds)
            undisturbed = rounds % 8 == 0  # and tells how long one takes now: machines differ, and this one may be busy
            rounds += 1
            assert rounds <= 4 * KILLS, f"only {kills} of {rounds} rounds met a living process"
            began = time.monotonic()
            child = nursery.begin(200)
            if not undisturbed:
                time.sleep(chance.uniform(0, span))
                os.kill(child, signal.SIGKILL)
            code = nursery.end()[0]
            assert code in ({0} if undisturbed else {0, -signal.SIGKILL})
            kills += code == -signal.SIGKILL
            span = time.monotonic() - began if code == 0 else span
        nursery.begin(200)
        assert 0 == nursery.end()[0]

    check(home)


def test_three_at_once_take_turns(tmp_path):
    """The law: one leased writer; the others wait, and find nothing left to do."""
    home = Home(tmp_path)
    for number in range(3):
        write_round(home, number)
    with Nursery(home) as first, Nursery(home) as second, Nursery(home) as third:
        three = (first, second, third)
        for nursery in three:
            nursery.begin(10**6)
        answers = [nursery.end() for nursery in three]

    assert [0, 0, 0] == [code for code, _ in answers]
    lake = IcebergLake(home)
    assert [0, 0, sum(each.lines for each in lake.books())] == sorted(lines for _, lines in answers)
    assert 1 == lake.head().number
    lake.close()
    check(home)

"""What lies beside the lake's tables: identities as caches, orphans of unsealed batches, a full disk."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from staged_rollout.adapters import lake_identities as sets
from staged_rollout.adapters.lake_iceberg import IcebergLake
from staged_rollout.adapters.log_folder import LogFolder
from staged_rollout.operations.ingest import ingest
from staged_rollout.records.identities import row_identities
from staged_rollout.records.tables import TABLES
from staged_rollout.spec.home import Home

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
TODAY = NOW.date()


class FixedClock:
    """A clock that stands still."""

    simulated = True

    def now(self):
        return NOW

    def wall(self):
        return NOW.timestamp()


class House:
    """A home with logs and a lake."""

    def __init__(self, root):
        self.home = Home(root)
        self.lake = IcebergLake(self.home)

    def write(self, name, *lines):
        path = self.home.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as stream:
            stream.write("".join(f"{line}\n" for line in lines))

    def ingest(self, **options):
        return ingest(logs=LogFolder(self.home), lake=self.lake, clock=FixedClock(), **options)

    def runs(self, table="predictions", day=TODAY):
        return self.lake._batches.runs(table, day)

    def run_files(self):
        return sorted(path for path in (self.home.lake / "identities").rglob("*") if path.is_file())

    def data_files(self):
        return sorted((self.home.lake / "warehouse").rglob("*.parquet"))

    def pinned_files(self):
        head = self.lake.head()
        return sorted(path for table in TABLES for path in self.lake._files(table, head.snapshots[table]))


@pytest.fixture
def house(tmp_path):
    house = House(tmp_path / "home")
    yield house
    house.lake.close()


def prediction(request, at=NOW):
    record = {"request_id": request, "timestamp": at.isoformat(), "rollout": None, "unit_id": "u", "variant": "v1"}
    record |= {"assigned_variant": "v1", "fallback": False, "epoch": 1, "model_version": "1", "prediction": 1}
    return json.dumps(record | {"latency_ms": 1.5, "status": 200, "features": {}})


def outcome(value, at=NOW, **ids):
    return json.dumps({**ids, "timestamp": at.isoformat(), "outcome": value})


def capture(event, inference=None, at=NOW):
    metadata = {"eventId": event, "inferenceTime": at.isoformat()} | ({"inferenceId": inference} if inference else {})
    output = {"data": "0.5", "encoding": "CSV", "observedContentType": "text/csv"}
    return json.dumps({"captureData": {"endpointOutput": output}, "eventMetadata": metadata, "eventVersion": "0"})


ROUTER = "logs/predictions/churn/2026-03-02/{}.jsonl"
LABELS = "logs/outcomes/churn/{}.jsonl"
CAPTURE = "capture/churn/v2/2026/03/02/12/{}.jsonl"


def every_kind(house, name):
    yesterday = NOW - timedelta(days=1)
    house.write(ROUTER.format(name), *(prediction(f"r{number}") for number in range(9)), prediction("r0", yesterday))
    house.write(LABELS.format(name), outcome(-0.0, unit_id="u"), outcome(1, request_id="r1"), outcome(1, unit_id="v"))
    house.write(LABELS.format(name), outcome(2.5, unit_id="u", request_id="r1"))
    house.write(CAPTURE.format(name), capture("e1", "i1"), capture("e2"), capture("e3", "i3", yesterday))


@pytest.mark.parametrize("harm", ["removed", "cut"])
def test_lost_identities_are_made_again_from_the_rows(house, harm):
    """The law: identities are a cache of the rows; without it, the same lines are duplicates all the same."""
    every_kind(house, "a")
    first = house.ingest()
    before = house.run_files()
    for path in before:
        path.unlink() if harm == "removed" else path.write_bytes(path.read_bytes()[:-1])
    every_kind(house, "b")
    second = house.ingest()

    assert (17, 17, 0) == (first.lines, first.accepted, first.duplicates)
    assert (17, 0, 17) == (second.lines, second.accepted, second.duplicates)
    assert len(before) == len(house.run_files()) == 5
    every_kind(house, "c")
    assert 17 == house.ingest().duplicates


def test_identities_told_from_rows_are_those_of_the_lines(house):
    """The law: what a row's columns tell is what its line told; only ground truth cannot be told from an outcome."""
    every_kind(house, "a")
    house.ingest()
    for table in ("predictions", "captures", "outcomes"):
        for day in (NOW.date(), NOW.date() - timedelta(days=1)):
            for run in house.runs(table, day):
                path = house.home.lake / "identities" / run.name
                with house.lake.writer() as writer, sets.opened(path, run.count, run.digest) as sealed:
                    told = writer._identities(table, day)
                    assert told.holds(sealed.first, sealed.second).all()
                    assert len(sealed) + (table == "outcomes") == len(told)


def test_rating_and_label_are_told_apart():
    values = {"endpoint": "e", "unit_id": "u", "timestamp": NOW, "outcome": 1.0, "request_id": None}

    assert 2 == len(
        {*row_identities("outcomes", values | {"name": None}), *row_identities("outcomes", values | {"name": "rating"})}
    )


def test_runs_are_merged_as_they_add_up(house):
    """The law: the runs of an event date grow with the logarithm of its batches, and no file is left over."""
    for number in range(20):
        house.write(ROUTER.format("a"), prediction(f"r{number}"), prediction(f"s{number}"))
        house.ingest()
    runs = house.runs()

    assert 40 == sum(run.count for run in runs)
    assert len(runs) <= 5
    assert (1, 20) == (runs[0].first_batch, runs[-1].last_batch)
    assert all(a.last_batch + 1 == b.first_batch for a, b in pairwise(runs))
    assert [house.home.lake / "identities" / run.name for run in runs] == house.run_files()
    assert not (house.home.lake / "unsealed.txt").exists()
    house.write(ROUTER.format("b"), *(prediction(f"r{number}") for number in range(20)))
    assert 20 == house.ingest().duplicates


def test_only_the_event_dates_of_the_rows_are_opened(house):
    """The law: what a batch costs depends on its own event dates, not on how many days the lake holds."""
    days = [NOW - timedelta(days=number) for number in range(30)]
    house.write(ROUTER.format("a"), *(prediction(f"r{number}", day) for number, day in enumerate(days)))
    house.ingest()
    for path in house.run_files():
        if NOW.date().isoformat() not in str(path):
            path.write_bytes(b"broken: whoever opens this makes it again")
    house.write(ROUTER.format("b"), prediction("r0"), prediction("r99"))

    assert 1 == house.ingest().duplicates
    assert 29 == sum(path.read_bytes().startswith(b"broken") for path in house.run_files())


KILLED = """
import os, signal, sys
sys.path.insert(0, sys.argv[3])
from test_lake_upkeep import FixedClock, Home, IcebergLake, LogFolder, ingest
from pathlib import Path
home = Home(Path(sys.argv[1]))
lake = IcebergLake(home, at_step=lambda name: name == sys.argv[2] and os.kill(os.getpid(), signal.SIGKILL))
ingest(logs=LogFolder(home), lake=lake, clock=FixedClock())
"""


@pytest.mark.parametrize("step", ["appended predictions", "identities written", "sealed"])
def test_a_killed_writer_leaves_no_files_that_nobody_knows(house, tmp_path, step):
    """The law: after the next run, the lake's folder holds the files of sealed batches, and no others."""
    every_kind(house, "a")
    house.ingest()
    house.write(ROUTER.format("b"), prediction("r77"), "junk")
    command = [sys.executable, "-c", KILLED, str(house.home.root), step, str(Path(__file__).parent)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert -signal.SIGKILL == done.returncode, done.stderr
    assert (house.home.lake / "unsealed.txt").exists()
    house.ingest()

    assert [str(path) for path in house.data_files()] == house.pinned_files()
    days = (TODAY, TODAY - timedelta(days=1))
    known = {run.name for table in TABLES for day in days for run in house.runs(table, day)}
    assert known == {path.relative_to(house.home.lake / "identities").as_posix() for path in house.run_files()}
    assert not (house.home.lake / "unsealed.txt").exists()


def test_a_copy_of_a_lake_removes_nothing_of_its_original(house, tmp_path):
    every_kind(house, "a")
    house.ingest()
    before = house.data_files()
    shutil.copytree(house.home.lake, tmp_path / "copy" / "lake")
    name = before[0].relative_to(house.home.lake)
    (tmp_path / "copy" / "lake" / "unsealed.txt").write_text(f"+ 9 {name}\n\0+ 9 half", encoding="utf-8")
    with IcebergLake(Home(tmp_path / "copy")).writer():
        pass

    assert before == house.data_files()
    assert not (tmp_path / "copy" / "lake" / name).exists()


FULL = """
import resource, sys
sys.path.insert(0, sys.argv[3])
from test_lake_upkeep import FixedClock, Home, IcebergLake, LogFolder, ingest
from staged_rollout.errors import DataError
from pathlib import Path
home = Home(Path(sys.argv[1]))
lake = IcebergLake(home)
lake.unit_id("warm")
most = int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
try:
    ingest(logs=LogFolder(home), lake=lake, clock=FixedClock())
except DataError as error:
    print(error)
    sys.exit(7)
"""


def run_full(house, most):
    command = [sys.executable, "-c", FULL, str(house.home.root), str(most), str(Path(__file__).parent)]
    return subprocess.run(command, check=False, capture_output=True, text=True)


@pytest.mark.parametrize("most", [3_000, 60_000])
def test_where_no_more_can_be_written_the_batch_before_stays(house, most):
    """The law: whatever write the system refuses, the head stays, nothing is left over, and the next run goes on.

    A limit of a file's size makes the system refuse a write in its middle, as a full disk does.
    """
    every_kind(house, "a")
    house.ingest()
    head, files = house.lake.head(), house.data_files()
    house.write(ROUTER.format("b"), *(prediction(f"{number * 7919 % 99991:x}-{number}") for number in range(12_000)))
    done = run_full(house, most)

    assert 7 == done.returncode, done.stderr
    assert "cannot be written: " in done.stdout
    assert "then ingest again: what was sealed stays, and nothing is lost" in done.stdout
    assert head == house.lake.head()
    report = house.ingest()
    assert (12_000, 12_000, 2) == (report.lines, report.accepted, report.batch)
    assert [str(path) for path in house.data_files()] == house.pinned_files()
    assert set(files) < set(house.data_files())

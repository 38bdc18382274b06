"""Ingest over real files and the real lake."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from staged_rollout.adapters.lake_iceberg import IcebergLake
from staged_rollout.adapters.log_folder import LogFolder
from staged_rollout.operations.ingest import Progress, ingest
from staged_rollout.records.json_line import MAX_LINE_BYTES
from staged_rollout.spec.home import Home

START = datetime(2026, 3, 2, 12, tzinfo=UTC)


class FixedClock:
    """A clock that stands still."""

    simulated = True

    def __init__(self, now=START):
        self.time = now

    def now(self):
        return self.time

    def wall(self):
        return self.time.timestamp()


class House:
    """A home with logs, a lake and a clock."""

    def __init__(self, root):
        self.home = Home(root)
        self.lake = IcebergLake(self.home)
        self.clock = FixedClock()

    def write(self, name, content, mode="ab"):
        path = self.home.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open(mode) as stream:
            stream.write(content)

    def ingest(self, **options):
        return ingest(logs=LogFolder(self.home), lake=self.lake, clock=self.clock, **options)

    def rows(self, table="predictions", column="request_id"):
        import duckdb

        batch = self.lake.head()
        files = self.lake._files(table, batch.snapshots[table])
        if not files:
            return []
        return sorted(row[0] for row in duckdb.sql(f"SELECT {column} FROM read_parquet({files})").fetchall())


@pytest.fixture
def house(tmp_path):
    house = House(tmp_path)
    yield house
    house.lake.close()


PREDICTIONS = "logs/predictions/churn/2026-03-02/router.jsonl"
OUTCOMES = "logs/outcomes/churn/labels.jsonl"


def prediction(request, at=START, **changes):
    record = {
        "request_id": request,
        "timestamp": at.isoformat(),
        "rollout": "churn-v3",
        "unit_id": "c-1",
        "assigned_variant": "v1",
        "variant": "v1",
        "fallback": False,
        "epoch": 1,
        "model_version": "1",
        "prediction": 1,
        "latency_ms": 3.5,
        "status": 200,
        "features": {},
    }
    return json.dumps(record | changes).encode() + b"\n"


def outcome(unit, at=START, value=1):
    return json.dumps({"unit_id": unit, "timestamp": at.isoformat(), "outcome": value}).encode() + b"\n"


def capture(event, inference="r1", at=START):
    output = {"data": '{"prediction": 1}', "encoding": "JSON"}
    metadata = {"eventId": event, "inferenceId": inference, "inferenceTime": at.isoformat()}
    record = {"captureData": {"endpointOutput": output}, "eventMetadata": metadata, "eventVersion": "0"}
    return json.dumps(record).encode() + b"\n"


def verdicts(report):
    return (report.lines, report.accepted, report.duplicates, report.quarantined, report.late, report.blank)


def test_every_line_of_every_kind_is_accounted_for(house):
    house.write(
        PREDICTIONS, b"\xef\xbb\xbf" + prediction("r1") + b"\r\n" + prediction("r2") + b"junk\n" + prediction("r1")
    )
    house.write(OUTCOMES, outcome("c-1") + b"\n" + outcome("c-1") + outcome("c-1", value=0))
    house.write("capture/churn/v2/2026/03/02/12/a.jsonl", capture("e1"))

    report = house.ingest()

    assert (10, 5, 2, 1, 0, 2) == verdicts(report)
    assert report.balanced
    assert (3, 1, 0, ()) == (report.files, report.batch, report.pending_bytes, report.findings)
    assert ["r1", "r2"] == house.rows()
    assert [0.0, 1.0] == house.rows("outcomes", "outcome")
    assert ["v2"] == house.rows("captures", "variant")
    assert [(f"{PREDICTIONS}", 4)] == house.rows("quarantine", "(source, line)")
    assert [len(b"\xef\xbb\xbf" + prediction("r1") + b"\r\n" + prediction("r2"))] == house.rows(
        "quarantine", '"offset"'
    )
    assert [b"junk"] == house.rows("quarantine", "raw")
    assert report.bytes == sum(file.size for file in LogFolder(house.home).list())


def test_again_is_a_no_op_without_a_new_batch(house):
    house.write(PREDICTIONS, prediction("r1"))
    first = house.ingest()
    again = house.ingest()

    assert (1, 1) == (first.batch, first.lines)
    assert (1, 0, 0) == (again.batch, again.lines, again.files)


def test_nothing_at_all_makes_no_batch(house):
    assert (0, 0) == (house.ingest().batch, house.lake.head().number)


def test_a_growing_file_is_read_on_from_its_claims(house):
    house.write(PREDICTIONS, prediction("r1"))
    house.ingest()
    house.write(PREDICTIONS, prediction("r2") + b"junk\n")
    report = house.ingest()

    assert (2, 1, 0, 1, 0, 0) == verdicts(report)
    assert ["r1", "r2"] == house.rows()
    assert [3] == house.rows("quarantine", "line")
    assert [0, 0] == [books.duplicates for books in house.lake.books()]
    assert [1, 2] == [books.batch for books in house.lake.books()]
    assert 1 == len(house.lake.books(since_batch=1))


def test_a_half_written_last_line_waits_for_its_end(house):
    whole = prediction("r1") + prediction("r2")
    house.write(PREDICTIONS, whole[:-40])
    first = house.ingest()
    house.write(PREDICTIONS, whole[-40:])
    second = house.ingest()

    assert (1, 1, len(prediction("r2")) - 40) == (first.lines, first.accepted, first.pending_bytes)
    assert (1, 1, 0) == (second.lines, second.accepted, second.pending_bytes)
    assert ["r1", "r2"] == house.rows()


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
def test_a_whole_last_line_is_taken_and_its_end_is_no_new_line(house, line_end):
    house.write(PREDICTIONS, prediction("r1") + prediction("r2").rstrip())
    first = house.ingest()
    house.write(PREDICTIONS, line_end + prediction("r3") + b"junk\n")
    second = house.ingest()

    assert (2, 2, 0) == (first.lines, first.accepted, first.pending_bytes)
    assert (2, 1, 0, 1, 0, 0) == verdicts(second)
    assert ["r1", "r2", "r3"] == house.rows()
    assert [4] == house.rows("quarantine", "line")
    assert (0, 2) == (house.ingest().lines, house.lake.head().number)


def test_a_file_that_changed_where_it_was_read_is_read_again(house):
    house.write(PREDICTIONS, prediction("r1") + prediction("r2"))
    house.ingest()
    house.write(PREDICTIONS, prediction("r9") + prediction("r2") + prediction("r3"), mode="wb")
    report = house.ingest()

    assert (3, 2, 1, 0, 0, 0) == verdicts(report)
    assert ["r1", "r2", "r3", "r9"] == house.rows()
    assert 1 == len(report.findings)
    assert "was replaced" in report.findings[0]
    house.write(PREDICTIONS, prediction("r4"))
    assert (1, 1, 0, 0, 0, 0) == verdicts(house.ingest())
    assert () == house.ingest().findings


def test_a_file_that_shrank_is_read_again(house):
    house.write(PREDICTIONS, prediction("r1") + prediction("r2"))
    house.ingest()
    house.write(PREDICTIONS, prediction("r1"), mode="wb")
    report = house.ingest()

    assert (1, 0, 1, 0, 0, 0) == verdicts(report)
    assert "now)" in report.findings[0]
    assert ["r1", "r2"] == house.rows()


def test_a_touched_file_gives_nothing_new(house):
    house.write(PREDICTIONS, prediction("r1"))
    house.ingest()
    (house.home.root / PREDICTIONS).touch()
    report = house.ingest()

    assert (0, 1, ()) == (report.lines, report.batch, report.findings)


def test_duplicates_across_files_batches_and_runs(house):
    house.write(PREDICTIONS, prediction("r1") + prediction("r1"))
    house.write(PREDICTIONS.replace("router", "other"), prediction("r1"))
    report = house.ingest(rows_per_batch=1)
    house.write(PREDICTIONS.replace("router", "third"), prediction("r1"))
    again = house.ingest()

    assert (3, 1, 2, 0, 0, 0) == verdicts(report)
    assert (1, 0, 1, 0, 0, 0) == verdicts(again)
    assert ["r1"] == house.rows()


def test_a_capture_is_known_by_event_or_by_inference_and_per_variant(house):
    folder = "capture/churn/{}/2026/03/02/12/a.jsonl"
    house.write(
        folder.format("v2"), capture("e1", "r1") + capture("e1", "r2") + capture("e2", "r1") + capture("e3", "r3")
    )
    house.write(folder.format("v1"), capture("e1", "r1"))

    assert (5, 3, 2, 0, 0, 0) == verdicts(house.ingest())
    assert ["v1", "v2", "v2"] == house.rows("captures", "variant")


def test_timestamps_from_the_future_are_quarantined(house):
    day = timedelta(days=1)
    house.write(PREDICTIONS, prediction("r1", START + day) + prediction("r2", START + day + timedelta(microseconds=1)))

    assert (2, 1, 0, 1, 0, 0) == verdicts(house.ingest())
    assert ["timestamp is more than 1 day ahead of the clock"] == house.rows("quarantine", "reason")


def test_late_is_measured_against_the_committed_watermark_of_the_stream(house):
    week = timedelta(days=7)
    house.write(PREDICTIONS, prediction("r1"))
    first = house.ingest()
    house.clock.time += timedelta(days=300)
    house.write(PREDICTIONS, prediction("r2", START - week) + prediction("r3", START - week - timedelta(seconds=1)))
    house.write(OUTCOMES, outcome("c-1", START - 2 * week))
    house.write(PREDICTIONS.replace("churn", "other"), prediction("r4", START - 2 * week))
    second = house.ingest()

    assert (1, 1, 0, 0, 0, 0) == verdicts(first)
    assert (4, 3, 0, 0, 1, 0) == verdicts(second)
    assert ["r1", "r2", "r4"] == house.rows()
    assert ["late"] == house.rows("quarantine", "verdict")


def test_within_one_run_nothing_is_late(house):
    """The law: lateness does not depend on the order of files or the size of batches."""
    house.write(PREDICTIONS.replace("router", "a"), prediction("r1"))
    house.write(PREDICTIONS.replace("router", "b"), prediction("r2", START - timedelta(days=30)))

    assert (2, 2, 0, 0, 0, 0) == verdicts(house.ingest(rows_per_batch=1))


def test_small_batches_end_in_the_same_place(house, tmp_path):
    """The law: the size of batches changes their number and nothing else."""
    content = b"".join(prediction(f"r{number % 30}") + (b"junk\n" if number % 7 == 0 else b"") for number in range(50))
    other = House(tmp_path / "other")
    for place in (house, other):
        place.write(PREDICTIONS, content)
    large, small = house.ingest(), other.ingest(rows_per_batch=8)
    other.lake.close()

    assert (1, 8) == (large.batch, small.batch)
    assert verdicts(large) == verdicts(small)
    assert house.rows("predictions", "(request_id, line)") == other.rows("predictions", "(request_id, line)")


def test_bytes_bound_a_batch_too(house):
    house.write(PREDICTIONS, prediction("r1") + prediction("r2") + prediction("r3"))

    assert 3 == house.ingest(bytes_per_batch=10).batch


def test_compressed_files_are_whole(house):
    house.write(PREDICTIONS + ".gz", gzip.compress(prediction("r1") + prediction("r2").rstrip()))
    house.write(PREDICTIONS.replace("router", "junk") + ".gz", gzip.compress(b"junk"))

    assert (3, 2, 0, 1, 0, 0) == verdicts(house.ingest())


def test_a_broken_compressed_file_is_a_finding_and_what_is_good_is_kept(house):
    packed = gzip.compress(b"".join(prediction(f"r{number}") for number in range(5000)))
    house.write(PREDICTIONS + ".gz", packed[: len(packed) // 2])
    house.write(OUTCOMES, outcome("c-1"))
    first = house.ingest()
    house.write(PREDICTIONS + ".gz", packed, mode="wb")
    second = house.ingest()

    assert first.balanced
    assert 1 < first.accepted < 5000
    assert "not a complete gzip file" in first.findings[0]
    assert 5001 == first.accepted + second.accepted
    assert (0, 0, ()) == (second.duplicates, second.quarantined, second.findings)


class Vanishing(LogFolder):
    """A folder of which a file is gone by the time that it is read."""

    def settled(self):
        pass

    def read(self, file, start=0):
        if "gone" in file.name:
            (self._root / file.name).unlink(missing_ok=True)
        return super().read(file, start)


def test_a_file_that_cannot_be_read_is_a_finding_and_the_others_are_read(house):
    house.write(PREDICTIONS.replace("router", "gone"), prediction("r1"))
    house.write(PREDICTIONS, prediction("r2"))
    report = ingest(logs=Vanishing(house.home), lake=house.lake, clock=house.clock)

    assert (1, 1, 1) == (report.lines, report.accepted, len(report.findings))
    assert "gone.jsonl is gone, or leads out of" in report.findings[0]
    assert ["r2"] == house.rows()
    house.write(PREDICTIONS.replace("router", "gone"), prediction("r3"))
    assert (1, ()) == (house.ingest().accepted, house.ingest().findings)


def test_small_files_are_parsed_together_and_accounted_for_each(house):
    """The law: rows, rejects and their places are those of each file, with or without a line end at its end."""
    for number in range(9):
        content = b"\n" * number + b"junk\n" + capture(f"e{number}", f"i{number}") + b" \n" + capture(f"f{number}")[:-1]
        house.write(f"capture/churn/v2/2026/03/02/12/{number}.jsonl", content)
    report = house.ingest()

    # The inference id of the second capture is the same in every file.
    assert (9 * 4 + 36, 10, 8, 9, 0, 9 + 36) == verdicts(report)
    names = [f"capture/churn/v2/2026/03/02/12/{number}.jsonl" for number in range(9)]
    rows = [(names[0], 2), (names[0], 4), *((name, number + 2) for number, name in enumerate(names) if number)]
    assert rows == house.rows("captures", "(source, line)")
    places = [(name, number + 1, number) for number, name in enumerate(names)]
    assert places == house.rows("quarantine", '(source, line, "offset")')
    assert [(number + 4, number + 1) for number in range(9)] == [
        (books.lines, books.blank) for books in house.lake.books()
    ]


def test_late_and_future_lines_are_kept_as_they_came(house):
    """The law: a record that is not taken lies in quarantine with its own bytes and place, wherever in its block."""
    house.write(PREDICTIONS, prediction("r0"))
    house.ingest()
    late, future = (prediction(f"r{days}", START + timedelta(days=days)) for days in (-8, 2))
    house.write(PREDICTIONS, b"\n" + late + prediction("r1") + future[:-1])
    report = house.ingest()

    assert (4, 1, 0, 1, 1, 1) == verdicts(report)
    start = len(prediction("r0")) + 1
    places = [(3, start, "late"), (5, start + len(late) + len(prediction("r1")), "quarantined")]
    assert places == house.rows("quarantine", '(line, "offset", verdict)')
    assert sorted([late[:-1], future[:-1]]) == house.rows("quarantine", "raw")


def test_a_huge_line_is_quarantined_and_cut(house):
    house.write(PREDICTIONS, b'{"x": "' + b"y" * (3 * MAX_LINE_BYTES) + b'"}\n' + prediction("r1"))

    assert (2, 1, 0, 1, 0, 0) == verdicts(house.ingest())
    assert [MAX_LINE_BYTES] == house.rows("quarantine", "octet_length(raw)")


def test_unit_ids_are_nowhere_but_in_raw_quarantined_lines(house):
    house.write(PREDICTIONS, prediction("r1", unit_id="alice@example.org"))
    house.write(OUTCOMES, outcome("alice@example.org"))
    house.ingest()

    assert [house.lake.unit_id("alice@example.org")] == house.rows("predictions", "unit_id")
    assert [house.lake.unit_id("alice@example.org")] == house.rows("outcomes", "unit_id")
    for path in (house.home.lake).rglob("*"):
        if path.is_file():
            assert b"alice" not in path.read_bytes()


def test_progress_counts_files(house):
    house.write(PREDICTIONS, prediction("r1"))
    house.write(OUTCOMES, outcome("c-1"))
    seen = []
    report = house.ingest(progress=seen.append)

    assert [Progress(0, 2), Progress(1, 2), Progress(1, 2), Progress(2, 2)] == [
        replace(each, lines=0, bytes=0) for each in seen
    ]
    assert [1, 1, 2, 2] == [each.lines for each in seen]
    assert report.bytes == seen[-1].bytes

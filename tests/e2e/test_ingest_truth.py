"""Generated logs with a known truth, through the real ingest; what it wrote is read without our code and compared."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from staged_rollout.adapters.lake_iceberg import IcebergLake
from staged_rollout.adapters.log_folder import LogFolder
from staged_rollout.operations.ingest import ingest
from staged_rollout.spec.home import Home
from tests.fakes.capture_corpus import CaptureCorpus, outcome_lines, write_captures
from tests.fakes.log_corpus import Corpus, Truth, write, written
from tests.fakes.odd_lines import HUGE_LINES, ODD_LINES
from tests.fakes.outsider import pseudonym, read

NOW = datetime(2026, 3, 20, tzinfo=UTC)
LINE = re.compile(rb"[^\n]*\n")
LOG = "logs/predictions/churn-prod/2026-03-02/router.jsonl"
CLEAN = Corpus(lines=6_000, days=3, units=500)
DIRTY = Corpus(lines=4_000, days=3, units=500, odd=0.04, duplicates=0.02, seed=2)


class StandingClock:
    """A clock that stands still."""

    simulated = True

    def now(self):
        return NOW

    def wall(self):
        return NOW.timestamp()


def taken(root, **options):
    """Ingest what lies below a home; the books by name."""
    lake = IcebergLake(Home(root))
    try:
        report = ingest(logs=LogFolder(Home(root)), lake=lake, clock=StandingClock(), **options)
    finally:
        lake.close()
    assert () == report.findings
    return report


def books(report):
    return {name: getattr(report, name) for name in Truth().books()}


def expected_rows(corpus):
    """Request id to the row that it must become."""
    return {row.request_id: row for _, row in written(corpus, Truth()) if row is not None}


def odd_line_numbers(corpus):
    """Line number to the kind of odd line that stands there; an object over two lines has two numbers."""
    by_name = {odd.name: odd for odd in corpus.kinds}
    truth, found, number, before = Truth(), {}, 0, Counter()
    for content, _ in written(corpus, truth):
        for _ in range(content.count(b"\n")):
            number += 1
            if truth.kinds != before:
                found[number] = by_name[next(iter(truth.kinds - before))]
        before = Counter(truth.kinds)
    return found


def assert_rows(root, corpus):
    """The table holds exactly the corpus's rows, to the last bit."""
    expected = expected_rows(corpus)
    found = {row["request_id"]: row for row in read(root / "lake", "predictions")}
    assert len(read(root / "lake", "predictions")) == len(found)
    assert expected.keys() == found.keys()
    for name, row in expected.items():
        assert row.expected() == {key: found[name][key] for key in row.expected()}
        assert row.features() == json.loads(found[name]["features"])
        assert pseudonym(root / "lake", f"u-{row.unit:07d}") == found[name]["unit_id"]


@pytest.fixture(scope="module")
def dirty(tmp_path_factory):
    """One dirty log, ingested once: its home, its truth and the report."""
    root = tmp_path_factory.mktemp("dirty")
    truth = write(root / LOG, DIRTY)
    return root, truth, taken(root)


def test_clean_lines_are_rows_to_the_last_bit(tmp_path):
    """The law: every well-formed line is one row, each value as the generator meant it."""
    truth = write(tmp_path / LOG, CLEAN)
    report = taken(tmp_path)

    assert 6_000 == truth.accepted == truth.lines
    assert truth.books() == books(report)
    assert_rows(tmp_path, CLEAN)


def test_dirty_lines_get_the_verdict_that_they_deserve(dirty):
    """The law: of every kind of odd line exactly as many are refused, dropped or taken as were written."""
    root, truth, report = dirty

    assert min(truth.kinds.values()) >= 4
    assert {kind.name for kind in ODD_LINES} == set(truth.kinds)
    assert truth.books() == books(report)
    assert_rows(root, DIRTY)


def test_quarantine_keeps_each_odd_line_with_its_reason_and_place(dirty):
    """The law: file, line and byte in `quarantine` lead back to the very bytes, and the reason names the kind."""
    root, truth, _ = dirty
    kept = read(root / "lake", "quarantine")
    content = (root / LOG).read_bytes()
    lines = dict(enumerate(LINE.findall(content), start=1))
    kinds = odd_line_numbers(DIRTY)
    refused = {number for number, odd in kinds.items() if odd.verdict == "quarantined"}

    assert refused == {row["line"] for row in kept}
    assert truth.quarantined == len(kept) == len(refused)
    for row in kept:
        assert (LOG, "predictions", "churn-prod", "quarantined") == (
            row["source"],
            row["kind"],
            row["endpoint"],
            row["verdict"],
        )
        line = lines[row["line"]]
        assert line == bytes(row["raw"]) + b"\n" == content[row["offset"] : row["offset"] + len(line)]
        assert kinds[row["line"]].reason in row["reason"]


def test_again_is_nothing_new(dirty):
    """The law: what was ingested is not ingested again, and no batch is made of nothing."""
    root, _, first = dirty
    again = taken(root)

    assert dict.fromkeys(Truth().books(), 0) == books(again)
    assert first.batch == again.batch


def test_a_copy_of_a_file_is_duplicates_only(tmp_path):
    """The law: the same lines in another file add no row, whatever their order and ends."""
    truth = write(tmp_path / LOG, CLEAN)
    taken(tmp_path)
    lines = (tmp_path / LOG).read_bytes().splitlines(keepends=True)
    random.Random(5).shuffle(lines)
    other = tmp_path / LOG.replace("router", "another")
    other.write_bytes(b"".join(lines).removesuffix(b"\n"))
    report = taken(tmp_path)

    assert (truth.lines, 0, truth.lines) == (report.lines, report.accepted, report.duplicates)
    assert_rows(tmp_path, CLEAN)


@pytest.mark.parametrize("pieces", [3, 17])
def test_any_split_and_order_of_lines_is_the_same_table(tmp_path, dirty, pieces):
    """The law: however lines are split over files, days of files and batches, books' totals and rows are the same."""
    root, truth, _ = dirty
    lines = LINE.findall((root / LOG).read_bytes())
    draw = random.Random(pieces)
    draw.shuffle(lines)
    for piece in range(pieces):
        path = tmp_path / f"logs/predictions/churn-prod/2026-03-{2 + piece % 3:02d}/{piece:03d}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"".join(lines[piece::pieces]))
    report = taken(tmp_path, bytes_per_batch=300_000)

    assert truth.books() == books(report)
    assert_rows(tmp_path, DIRTY)


def test_a_growing_log_is_read_from_where_it_was_left(tmp_path, dirty):
    """The law: a log ingested while it is written, in pieces that end anywhere, is the log ingested whole."""
    root, truth, _ = dirty
    content = (root / LOG).read_bytes()
    draw = random.Random(11)
    ends = [*sorted(draw.sample(range(len(content)), 5)), len(content)]
    path = tmp_path / LOG
    path.parent.mkdir(parents=True)
    total = Counter()
    for begin, end in zip([0, *ends], ends, strict=False):
        with path.open("ab") as stream:
            stream.write(content[begin:end])
        total.update(books(taken(tmp_path)))

    assert truth.books() == dict(total)
    assert_rows(tmp_path, DIRTY)


def test_a_line_beyond_a_mebibyte_is_kept_cut_and_the_rest_is_read(tmp_path):
    """The law: one monstrous line costs itself and no other."""
    corpus = Corpus(lines=200, odd=0.01, kinds=HUGE_LINES, seed=3)
    truth = write(tmp_path / LOG, corpus)
    report = taken(tmp_path)

    assert 2 == truth.quarantined
    assert truth.books() == books(report)
    assert {1 << 20} == {len(row["raw"]) for row in read(tmp_path / "lake", "quarantine")}
    assert_rows(tmp_path, corpus)


def test_lines_beyond_the_lateness_limit_are_late_and_no_others(tmp_path):
    """The law: event time against the newest row of earlier runs decides; a line just inside the limit is a row."""
    write(tmp_path / LOG, Corpus(lines=1_000, days=12, seed=4))
    taken(tmp_path)
    newest = max(row["timestamp"] for row in read(tmp_path / "lake", "predictions"))
    old = Corpus(lines=1_200, days=12, seed=5)
    path = tmp_path / LOG.replace("router", "late")
    write(path, old)
    report = taken(tmp_path)
    late = sum(row.expected()["timestamp"] < newest - timedelta(days=7) for _, row in written(old, Truth()) if row)

    assert 300 < late < 900
    assert (late, 1_200 - late, 0) == (report.late, report.accepted, report.quarantined)
    assert late == len([row for row in read(tmp_path / "lake", "quarantine") if "late" == row["verdict"]])


def test_captures_are_rows_whatever_their_payload(tmp_path):
    """The law: many small capture files give one row a call, with the payload as text and the number in it."""
    truth, rows = write_captures(tmp_path, CaptureCorpus(files=60, lines=40, redelivered=3, broken=1))
    report = taken(tmp_path)
    found = {row["event_id"]: row for row in read(tmp_path / "lake", "captures")}

    assert truth.books() == books(report)
    assert 60 == report.files
    assert truth.accepted == len(rows) == len(found) == len(read(tmp_path / "lake", "captures"))
    for row in rows:
        assert row == {key: found[row["event_id"]][key] for key in row}


def test_outcomes_are_rows_by_unit_or_by_request(tmp_path):
    """The law: an outcome keeps whom it is about, when it was known and what was true; a copy adds nothing."""
    made = list(outcome_lines(2_000, units=300, copies=50))
    path = tmp_path / "logs/outcomes/churn-prod/labels.jsonl"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"".join(line for line, _ in made))
    report = taken(tmp_path)
    found = read(tmp_path / "lake", "outcomes")
    expected = [row for _, row in made if row]

    assert (2_050, 2_000, 50, 0) == (report.lines, report.accepted, report.duplicates, report.quarantined)
    place = ("timestamp", "request_id", "unit_id", "outcome", "event_date")
    wanted = [row | {"unit_id": pseudonym(tmp_path / "lake", row["unit"]) if row["unit"] else None} for row in expected]
    assert sorted(([row[key] for key in place] for row in wanted), key=str) == sorted(
        ([row[key] for key in place] for row in found), key=str
    )


def test_the_catalog_opens_in_pandas_without_us(dirty):
    """The law: plain pandas over the Parquet files sees the same rows as everybody else, unit ids hashed."""
    import pandas as pd

    root, truth, _ = dirty
    files = sorted(Path(root / "lake").rglob("*.parquet"))
    frames = [pd.read_parquet(file) for file in files]
    predictions = pd.concat([frame for frame in frames if "request_id" in frame and "latency_ms" in frame])

    assert truth.accepted == len(predictions) == predictions["request_id"].nunique()
    assert predictions["unit_id"].str.fullmatch(r"[0-9a-f]{32}").all()
    expected = sum(row.expected()["latency_ms"] for row in expected_rows(DIRTY).values())
    assert expected == pytest.approx(float(predictions["latency_ms"].sum()), rel=1e-12)

"""`staged-rollout ingest` as a process, on generated logs with a known truth, its lake read without our code."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from tests.fakes.log_corpus import Corpus, Truth, write, written
from tests.fakes.outsider import pseudonym, read

DIRTY = Corpus(lines=2_000, days=2, units=300, odd=0.05, duplicates=0.03, seed=8)
VERDICTS = ("lines", "accepted", "duplicates", "quarantined", "late", "blank", "bytes")


def answered(folder, *arguments):
    """A command's JSON."""
    environment = {**os.environ, "STAGED_ROLLOUT_HOME": str(folder / "home"), "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "staged_rollout.cli", *map(str, arguments), "--json"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stderr
    return json.loads(done.stdout)


def test_a_dirty_file_is_counted_kept_and_not_taken_twice(tmp_path):
    """The law: the command's JSON is the truth; quarantine gives back the very lines; the second run finds nothing."""
    log, lake, exported = tmp_path / "router.log", tmp_path / "lake", tmp_path / "refused.jsonl"
    truth = write(log, DIRTY)
    ingest = ("ingest", log, "--lake", lake, "--format", "flat")
    first = answered(tmp_path, *ingest)
    answered(tmp_path, "quarantine", "--lake", lake, "--export", exported)
    again = answered(tmp_path, *ingest)
    rows = {row.request_id: row for _, row in written(DIRTY, Truth()) if row is not None}
    found = {row["request_id"]: row for row in read(lake, "predictions")}

    assert truth.books() == {name: first[name] for name in VERDICTS}
    assert (1, True) == (first["files"], first["snapshot"] is not None)
    assert dict.fromkeys(VERDICTS, 0) == {name: again[name] for name in VERDICTS}
    assert first["snapshot"] == again["snapshot"]
    assert rows.keys() == found.keys()
    assert len(rows) == len(read(lake, "predictions"))
    for name, row in rows.items():
        assert row.expected() == {key: found[name][key] for key in row.expected()}
    refused = sorted(bytes(row["raw"]) for row in read(lake, "quarantine"))
    assert truth.quarantined == len(refused)
    assert refused == sorted(exported.read_bytes().removesuffix(b"\n").split(b"\n"))


FOREIGN = {"rollout": "experiment_id", "unit_id": "user", "timestamp": "ts", "prediction": "score"}
ABSENT = ("latency_ms", "status", "features")


def test_other_peoples_names_are_read_as_ours(tmp_path):
    """The law: with `--field` a log under foreign names, some of ours lacking, gives the rows that ours would give."""
    corpus = Corpus(lines=1_500, units=200, seed=9)
    log, lake = tmp_path / "events.json", tmp_path / "lake"
    lines = [json.loads(line) for line, _ in written(corpus, Truth())]
    dropped = {*ABSENT, "assigned_variant", "fallback", "epoch"}
    foreign = [{FOREIGN.get(key, key): value for key, value in line.items() if key not in dropped} for line in lines]
    log.write_text("\n".join(map(json.dumps, foreign)))
    names = [f"{ours}={theirs}" for ours, theirs in FOREIGN.items()] + [f"{ours}=" for ours in ABSENT]
    fields = [part for name in names for part in ("--field", name)]
    report = answered(tmp_path, "ingest", log, "--lake", lake, "--format", "flat", *fields)
    found = {row["request_id"]: row for row in read(lake, "predictions")}

    assert (1_500, 1_500, 0) == (report["lines"], report["accepted"], report["quarantined"])
    for _, row in written(corpus, Truth()):
        expected = row.expected() | {"latency_ms": None, "status": None, "fallback": False, "epoch": 0}
        expected["assigned_variant"] = expected["variant"]
        assert expected == {key: found[row.request_id][key] for key in expected}
        assert pseudonym(lake, f"u-{row.unit:07d}") == found[row.request_id]["unit_id"]

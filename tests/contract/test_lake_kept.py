"""Answers kept beside the lake are those of the rows: at every batch, for every statement and cut-off."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta

import pytest

from staged_rollout.adapters import lake_kept, lake_sql
from staged_rollout.adapters.lake_iceberg import IcebergLake
from staged_rollout.adapters.log_folder import LogFolder
from staged_rollout.operations.ingest import ingest
from staged_rollout.spec.home import Home
from tests.fakes.tables import PARAMETERS

DAY = timedelta(days=1)
T0 = datetime(2026, 3, 2, tzinfo=UTC)
NEVER = 1 << 62
PARTS = {"unit_totals_at", "unit_latencies_at", "unit_days_merged", "unit_latencies_merged", "prediction_days_merged"}
"""Statements whose rows are to be added up by those that use them."""
ASKED = [name for name in lake_sql.statement_names() if lake_sql.statement(name).kept and name not in PARTS]


class FixedClock:
    simulated = False

    def wall(self):
        return 0.0

    def now(self):
        return T0 + 60 * DAY


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path)


def day_of_rows(home, number, rng, *, rows=60):
    """One day's log; one row in ten lies up to three days back, and some units meet two variants."""
    folder = home.logs / "predictions" / "churn" / f"{number}"
    folder.mkdir(parents=True)
    lines = []
    for place in range(rows):
        back = rng.choice((0,) * 9 + (1, 2, 3))
        at = T0 + (number - back) * DAY + timedelta(seconds=rng.randrange(86_400))
        unit = rng.randrange(12)
        variant = rng.choice(("v1", "v2")) if unit == 0 else f"v{1 + unit % 2}"
        fell_back = rng.random() < 0.1
        lines.append(
            {
                "request_id": f"{number}-{place}",
                "timestamp": at.isoformat().replace("+00:00", "Z"),
                "rollout": rng.choice(("churn-v3", "churn-v3", None)),
                "unit_id": rng.choice((f"u{unit}", f"u{unit}", f"u{unit}", None)),
                "assigned_variant": variant,
                "variant": "v1" if fell_back else variant,
                "fallback": fell_back,
                "epoch": rng.choice((5, 5, 6)),
                "model_version": "1",
                "prediction": rng.choice((0, 1, 0.25, None)),
                "latency_ms": rng.randrange(40),
                "status": rng.choice((200, 200, 200, 500)),
                "features": {"plan": rng.choice(("a", "b"))},
            }
        )
    (folder / "x.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def answers(lake, batch, cut_off):
    asked = {**PARAMETERS, "cut_off": cut_off}
    return {name: sorted(map(repr, lake.query(name, asked, batch=batch))) for name in ASKED}


def test_kept_answers_are_those_of_the_rows(home, monkeypatch):
    """Law: merge(answers of parts) = answer of all, whatever the order of arrival and however runs were merged."""
    monkeypatch.setattr(lake_kept, "MOST_RUNS", 2)
    rng = random.Random(7)
    keeping, reading = IcebergLake(home, kept_from_bytes=0), IcebergLake(home, kept_from_bytes=NEVER)
    for number in range(5, 10):
        day_of_rows(home, number, rng)
        ingest(logs=LogFolder(home), lake=keeping, clock=FixedClock())
        batch = keeping.head()
        for cut_off in (T0 + number * DAY + timedelta(hours=13), T0 + (number - 3) * DAY, T0 + (number + 2) * DAY):
            assert answers(reading, batch, cut_off) == answers(keeping, batch, cut_off)
        assert any(rows for rows in answers(keeping, batch, T0 + 30 * DAY).values())
    assert {"first_rows", "unit_days", "unit_latencies", "prediction_days"} == {
        path.name.partition("-")[0] for path in (home.lake / "kept").iterdir()
    }


def test_an_earlier_batch_is_answered_from_its_own_rows(home):
    """Law: a batch pins its rows; runs made for a later one do not leak into it."""
    rng = random.Random(1)
    keeping, reading = IcebergLake(home, kept_from_bytes=0), IcebergLake(home, kept_from_bytes=NEVER)
    for number in (5, 6):
        day_of_rows(home, number, rng)
        ingest(logs=LogFolder(home), lake=keeping, clock=FixedClock())
    cut_off = T0 + 30 * DAY

    latest, first = answers(keeping, keeping.head(), cut_off), answers(keeping, keeping.batch(1), cut_off)

    assert latest != first
    assert answers(reading, reading.batch(1), cut_off) == first


def test_what_is_new_costs_one_run(home):
    """Law: a batch adds one run over its own files to each kept answer, and reads no earlier ones."""
    rng = random.Random(2)
    lake = IcebergLake(home, kept_from_bytes=0)
    for number in (5, 6, 7):
        day_of_rows(home, number, rng)
        ingest(logs=LogFolder(home), lake=lake, clock=FixedClock())
        lake.query("srm_counts", {**PARAMETERS, "cut_off": T0 + 30 * DAY}, batch=lake.head())
    snapshots = [lake.batch(number).snapshots["predictions"] for number in (1, 2, 3)]

    names = {path.name for path in (home.lake / "kept" / "first_rows").iterdir()}

    bases = [0, *snapshots[:-1]]
    assert {f"{base}-{end}-00010101.parquet" for base, end in zip(bases, snapshots, strict=True)} == names


def test_lost_runs_are_made_again(home):
    """Law: runs are caches; without them, or with one of them gone, answers are the same."""
    rng = random.Random(3)
    lake = IcebergLake(home, kept_from_bytes=0)
    for number in (5, 6):
        day_of_rows(home, number, rng)
        ingest(logs=LogFolder(home), lake=lake, clock=FixedClock())
        before = answers(lake, lake.head(), T0 + 30 * DAY)
    next((home.lake / "kept" / "first_rows").iterdir()).unlink()
    for path in (home.lake / "kept" / "unit_days").iterdir():
        path.unlink()

    assert before == answers(lake, lake.head(), T0 + 30 * DAY)


def test_small_lakes_keep_nothing(home):
    """Law: below SMALLEST_BYTES the rows are read each time."""
    day_of_rows(home, 5, random.Random(4))
    lake = IcebergLake(home)
    ingest(logs=LogFolder(home), lake=lake, clock=FixedClock())
    lake.query("srm_counts", {**PARAMETERS, "cut_off": T0 + 30 * DAY}, batch=lake.head())

    assert not (home.lake / "kept").exists()

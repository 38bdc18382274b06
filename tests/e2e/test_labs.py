"""The labs' path as it is documented, run whole: real models, a real endpoint, real traffic, our own lake."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import accuracy_score, f1_score, precision_score, recall_score, roc_auc_score

from tests.local_platform import read_lines

ROOT = Path(__file__).parents[2]
CUSTOMERS = 120


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("labs")
    command = [sys.executable, "-m", "examples.labs.labs", "--home", str(folder)]
    done = subprocess.run(
        [*command, "--customers", str(CUSTOMERS), "--rate", "200"],
        cwd=ROOT,
        env={**os.environ, "STAGED_ROLLOUT_CONFIGS": str(ROOT / "configs")},
        capture_output=True,
        text=True,
        timeout=1500,
        check=False,
    )
    assert 0 == done.returncode, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def results(home: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((home / "results.json").read_text())
    return told


def test_every_customer_is_answered_in_each_step_by_the_variants_that_have_weight(results: dict[str, Any]):
    """Weights 0 and TargetVariant leave no room for chance; the shares of the other steps do, and are not judged."""
    two = results["two"]
    expected = {"v1": {"v1"}, "v2": {"v2"}, "0-100": {"v2"}, "winner": {"v2"}, "even": {"v1", "v2"}}
    assert expected == {step: set(two[step]["variants"]) for step in expected}
    steps = [step for name, step in two.items() if name != "metrics"] + [results["three"]]
    assert {CUSTOMERS} == {step["answered"] for step in steps} == {step["sent"] for step in steps}
    assert {"v1", "v2", "v3"} >= set(results["three"]["variants"])
    assert results["three"]["variants"]["v1"] > CUSTOMERS / 2, "0.7 of 120 is 84, and 60 lies 4.8 deviations below"


def test_metrics_are_those_that_scikit_learn_finds_in_the_captures(home: Path, results: dict[str, Any]):
    truth = {
        row["eventMetadata"]["eventId"]: int(row["groundTruthData"]["data"]) for row in read_lines(home / "labels")
    }
    found = {row["variant"]: row for row in results["two"]["metrics"]}
    assert {"v1", "v2"} == set(found)
    counted = 0
    for variant, row in found.items():
        runs = {path.stem for path in (home / "labels").glob("*.jsonl") if path.stem.startswith(("even", "target"))}
        ids = {
            line["eventMetadata"]["eventId"] for run in runs for line in read_lines_of(home / "labels" / f"{run}.jsonl")
        }
        captured = [
            line
            for line in read_lines(home / "capture" / "churn-labs" / variant)
            if line["eventMetadata"]["inferenceId"] in ids
        ]
        labels = [truth[line["eventMetadata"]["inferenceId"]] for line in captured]
        answers = [json.loads(line["captureData"]["endpointOutput"]["data"]) for line in captured]
        predicted = [answer["prediction"] for answer in answers]
        assert len(captured) == row["answers"]
        counted += len(captured)
        expected = {
            "accuracy": accuracy_score(labels, predicted),
            "precision": precision_score(labels, predicted) if any(predicted) else None,
            "recall": recall_score(labels, predicted),
            "f1": f1_score(labels, predicted),
            "auc": roc_auc_score(labels, [answer["score"] for answer in answers]),
        }
        assert expected == pytest.approx({name: row[name] for name in expected})
    assert 3 * CUSTOMERS == counted


def test_nothing_of_the_lab_is_left(home: Path):
    """Endpoint, configs and models are deleted; its own state says so."""
    state = json.loads(next((home / "serving").glob("*.json")).read_text())
    assert not any("churn-labs" in json.dumps(value) for value in state.values())


def read_lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_metrics_of_hand_made_answers(tmp_path: Path):
    """Ties count half in AUC; a variant that never says 1 has no precision; another endpoint's rows do not count."""
    first = "2026-03-02T00:00:00+00:00"
    at = duckdb.execute("SELECT CAST(? AS TIMESTAMPTZ)", [first]).fetchall()[0][0]
    scores = {"v1": [0.9, 0.6, 0.6, 0.1], "v2": [0.4, 0.4, 0.3, 0.2]}
    labels = [1, 1, 0, 0]
    captures, outcomes = [], []
    for endpoint in ("churn", "other"):
        for variant, given in scores.items():
            for number, (score, label) in enumerate(zip(given, labels, strict=True)):
                request = f"{endpoint}-{variant}-{number}"
                said = {"prediction": int(score >= 0.5), "score": score}
                captures.append(
                    {
                        "endpoint": endpoint,
                        "variant": variant,
                        "inference_id": request,
                        "timestamp": at,
                        "prediction": float(said["prediction"]),
                        "output": json.dumps(said),
                    }
                )
                row = {"endpoint": endpoint, "request_id": request, "timestamp": at, "outcome": float(label)}
                outcomes.append({**row, "name": None})
    schema = pa.schema(
        [
            ("endpoint", pa.string()),
            ("request_id", pa.string()),
            ("timestamp", pa.timestamp("us", tz="UTC")),
            ("outcome", pa.float64()),
            ("name", pa.string()),
        ]
    )
    pq.write_table(pa.Table.from_pylist(captures), tmp_path / "captures.parquet")
    pq.write_table(pa.Table.from_pylist(outcomes, schema), tmp_path / "outcomes.parquet")
    parameters = {
        "captures": [str(tmp_path / "captures.parquet")],
        "outcomes": [str(tmp_path / "outcomes.parquet")],
        "endpoint": "churn",
        "first": first,
    }
    rows = duckdb.execute((ROOT / "examples/labs/metrics.sql").read_text(), parameters).fetchall()
    assert [
        ("v1", 4, 0.75, pytest.approx(2 / 3), 1.0, pytest.approx(0.8), 0.875),
        ("v2", 4, 0.5, None, 0.0, 0.0, 1.0),
    ] == rows

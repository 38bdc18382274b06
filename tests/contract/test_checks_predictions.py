"""Each expectation of the quality suite against the fault that it is there for."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import pytest

from staged_rollout.adapters.checks_gx import GreatExpectations
from staged_rollout.adapters.checks_predictions import expected
from staged_rollout.errors import DataError, NotFoundError

DAY = date(2026, 3, 2)
MIDNIGHT = datetime(2026, 3, 2, tzinfo=UTC)
ROWS = 400
FACTS = {
    "day": DAY,
    "variants": ["v1", "v2"],
    "epochs": [4, 5],
    "rows": ROWS,
    "units": 200,
    "contradictory_units": 0,
    "epochs_seen": 1,
    "null_predictions": 0,
    "rows_endpoint": ROWS,
    "rows_yesterday": 500,
    "requests_champion": 200,
    "captured_champion": 199,
    "capture_completeness": 0.995,
    "prediction_min": 0.0,
    "prediction_max": 1.0,
}


@pytest.fixture(scope="module")
def checks():
    return GreatExpectations()


def clean():
    moments = [MIDNIGHT + timedelta(seconds=number * 200) for number in range(ROWS)]
    return {
        "request_id": [f"r{number}" for number in range(ROWS)],
        "timestamp": moments,
        "unit_id": [f"u{number % 200}" for number in range(ROWS)],
        "assigned_variant": ["v1", "v2"] * (ROWS // 2),
        "variant": ["v1", "v2"] * (ROWS // 2),
        "fallback": [False] * ROWS,
        "epoch": [5] * ROWS,
        "prediction": [0.0, 1.0] * (ROWS // 2),
        "latency_ms": [12.5] * ROWS,
        "status": [200] * ROWS,
    }


def table(columns):
    types = {"timestamp": pa.timestamp("us", "UTC"), "fallback": pa.bool_(), "prediction": pa.float64()}
    types |= {"latency_ms": pa.float64(), "epoch": pa.int64(), "status": pa.int64()}
    return pa.table({name: pa.array(values, types.get(name, pa.string())) for name, values in columns.items()})


def plant(column, value, rows=1):
    columns = clean()
    columns[column][:rows] = [value] * rows
    return columns


def test_a_clean_day_passes(checks):
    report = checks.run("predictions", table(clean()), FACTS)

    assert () == report.failures
    assert report.passed
    assert (ROWS, 15) == (report.rows, len(report.results))


def test_failed_calls_are_no_fault(checks):
    columns = clean()
    columns["variant"][0], columns["prediction"][0], columns["status"][0] = None, None, 503

    assert checks.run("predictions", table(columns), FACTS).passed


FAULTS = [
    ("rows exist", {name: [] for name in clean()}, {}),
    ("request_id is present", plant("request_id", None), {}),
    ("request_id is unique", plant("request_id", "r399"), {}),
    ("timestamp lies within the day", plant("timestamp", MIDNIGHT - timedelta(microseconds=1)), {}),
    ("timestamp lies within the day", plant("timestamp", MIDNIGHT + timedelta(days=1)), {}),
    ("variant is known", plant("variant", "v9"), {}),
    ("assigned_variant is known", plant("assigned_variant", "v9"), {}),
    ("epoch is published", plant("epoch", 6), {}),
    ("status is an HTTP status", plant("status", 0), {}),
    ("status is an HTTP status", plant("status", 600), {}),
    ("latency_ms is plausible", plant("latency_ms", -0.1), {}),
    ("latency_ms is plausible", plant("latency_ms", 600_001.0), {}),
    ("prediction is present when status is 200", plant("prediction", None), {}),
    ("prediction lies in its range", plant("prediction", 1.01), {}),
    ("prediction lies in its range", plant("prediction", -0.01), {}),
    ("unit_id is present", plant("unit_id", None, rows=5), {}),
    ("units keep one variant", clean(), {"contradictory_units": 2}),
    ("volume is like yesterday's", clean(), {"rows_endpoint": 49}),
    ("volume is like yesterday's", clean(), {"rows_endpoint": 10_001}),
    ("capture is complete", clean(), {"capture_completeness": 0.89}),
]


@pytest.mark.parametrize(
    ("name", "columns", "facts"), FAULTS, ids=[f"{n}-{fault[0]}" for n, fault in enumerate(FAULTS)]
)
def test_a_planted_fault_is_caught_by_its_expectation_alone(checks, name, columns, facts):
    report = checks.run("predictions", table(columns), {**FACTS, **facts})

    assert not report.passed
    assert [name] == [result.name for result in report.failures]
    assert report.failures[0].observed
    assert report.failures[0].accepted


def test_every_expectation_has_a_planted_fault():
    """The law: an expectation that no test has seen fail is not known to work."""
    assert {item.name for item in expected(FACTS)} == {fault[0] for fault in FAULTS}


@pytest.mark.parametrize(
    ("columns", "facts"),
    [
        (plant("unit_id", None, rows=4), {}),
        (clean(), {"contradictory_units": 1}),
        (clean(), {"rows_endpoint": 50}),
        (clean(), {"rows_endpoint": 10_000}),
        (clean(), {"capture_completeness": 0.9}),
        (clean(), {"rows_yesterday": 99, "rows_endpoint": 1}),
        (plant("latency_ms", 600_000.0), {}),
        (plant("timestamp", MIDNIGHT + timedelta(days=1, microseconds=-1)), {}),
    ],
)
def test_at_the_bound_passes(checks, columns, facts):
    assert checks.run("predictions", table(columns), {**FACTS, **facts}).passed


def test_absent_facts_drop_their_expectations(checks):
    facts = {key: FACTS[key] for key in ("day", "variants", "epochs")} | {
        "rows_yesterday": None,
        "capture_completeness": None,
    }

    assert 11 == len(checks.run("predictions", table(clean()), facts).results)


def test_observed_and_accepted_are_in_words(checks):
    report = checks.run("predictions", table(plant("status", 42, rows=3)), {**FACTS, "rows_endpoint": 1000})
    found = {result.name: (result.observed, result.accepted) for result in report.results}

    assert ("3 of 400 rows (42)", "100 to 599") == found["status is an HTTP status"]
    assert ("2", "0.1 to 20 times") == found["volume is like yesterday's"]
    assert ("0.995", "at least 90% of the champion's requests") == found["capture is complete"]


def test_unknown_suites_and_missing_facts_are_refused(checks):
    with pytest.raises(NotFoundError, match="no quality suite 'other'"):
        checks.run("other", table(clean()), FACTS)
    with pytest.raises(DataError, match="needs the facts variants, epochs"):
        checks.run("predictions", table(clean()), {"day": DAY})


def test_great_expectations_is_imported_only_to_run():
    """The law: what takes seconds to import is paid for by those who use it."""
    source = "import sys; from staged_rollout.adapters.checks_gx import GreatExpectations; GreatExpectations()"
    source += "; sys.exit('great_expectations' in sys.modules or 'pandas' in sys.modules)"

    assert 0 == subprocess.run([sys.executable, "-c", source], check=False).returncode

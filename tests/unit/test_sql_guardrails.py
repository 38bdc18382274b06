"""Statements of guardrails, shadow and quality, each with a known answer."""

from __future__ import annotations

import pytest

from staged_rollout.adapters import lake_sql
from staged_rollout.records.tables import TABLES
from tests.fakes.tables import DAY, HOUR, T0, Tables


@pytest.fixture
def tables(tmp_path):
    return Tables(tmp_path)


# --- guardrails -----------------------------------------------------------------------------------------------------


def test_error_moments_are_over_unit_totals(tables):
    for at in (0, 1, 2):
        tables.serve("u1", "v2", T0 + at * DAY, status=500 if at else 200, prediction=None if at else 1.0)
    tables.serve("u2", "v2")
    tables.serve("u3", "v1", variant="v1", fallback=False)
    tables.serve("u4", "v2", variant="v1", fallback=True)
    columns = (
        "units",
        "requests",
        "requests_squared",
        "errors",
        "errors_squared",
        "errors_requests",
        "error_units",
        "fallbacks",
        "statuses",
    )

    expected = {"v1": (1, 1, 1, 0, 0, 0, 0, 0, 1), "v2": (3, 5, 11, 3, 5, 7, 2, 1, 5)}
    assert expected == tables.by_variant("guardrail_errors", *columns)


def test_unit_requests_is_what_the_moments_are_made_of(tables):
    tables.serve("u1", "v2", prediction=None)
    tables.serve("u1", "v2", status=404)
    tables.serve("u1", "v2", variant="v1", fallback=True)

    expected = {"unit_id": "u1", "assigned_variant": "v2", "requests": 3, "errors": 3, "fallbacks": 1, "statuses": 3}
    assert expected == tables.one("unit_requests")


def test_latency_moments_per_threshold(tables):
    for latency in (10.0, 10.5, 25.0):
        tables.serve("u1", "v1", latency_ms=latency)
    tables.serve("u2", "v1", latency_ms=1.0, status=504, prediction=None)
    tables.serve("u3", "v2", latency_ms=5.0)
    columns = ("units", "requests", "requests_squared", "exceed", "exceed_squared", "exceed_requests")
    rows = {
        (row["assigned_variant"], row["threshold"]): tuple(row[c] for c in columns)
        for row in tables.ask("guardrail_latency", thresholds=[10.0, 20.0, 1e6])
    }

    assert {
        ("v1", 10.0): (2, 4, 10, 3, 5, 7),
        ("v1", 20.0): (2, 4, 10, 2, 2, 4),
        ("v1", 1e6): (2, 4, 10, 1, 1, 1),
        ("v2", 10.0): (1, 1, 1, 0, 0, 0),
        ("v2", 20.0): (1, 1, 1, 0, 0, 0),
        ("v2", 1e6): (1, 1, 1, 0, 0, 0),
    } == rows


def test_no_thresholds_are_no_rows(tables):
    tables.serve("u1")

    assert [] == tables.ask("guardrail_latency", thresholds=[])


def test_quantile_is_discrete_and_not_the_maximum(tables):
    for number in range(1, 101):
        tables.serve(f"u{number}", latency_ms=float(number))
    found = tables.one("latency_quantile")

    assert {"requests": 100, "failed": 0, "latency_ms": 95.0} == found
    assert 50.0 == tables.one("latency_quantile", level=0.5)["latency_ms"]
    assert 1.0 == tables.one("latency_quantile", level=0.001)["latency_ms"]


def test_failed_requests_are_the_slowest(tables):
    for number in range(1, 11):
        tables.serve(f"u{number}", None, latency_ms=float(number))
    tables.serve("u11", None, variant=None, status=504, prediction=None, latency_ms=0.0)

    assert {"requests": 11, "failed": 1, "latency_ms": None} == tables.one("latency_quantile", level=0.95)
    assert 10.0 == tables.one("latency_quantile", level=0.9)["latency_ms"]


def test_quantile_is_of_the_champions_own_requests(tables):
    tables.serve("u1", "v1", latency_ms=1.0)
    tables.serve("u2", "v2", latency_ms=99.0)
    tables.serve("u3", "v2", variant="v1", fallback=True, latency_ms=99.0)
    tables.serve("u4", "v2", variant=None, status=500, latency_ms=99.0)

    assert {"requests": 1, "failed": 0, "latency_ms": 1.0} == tables.one("latency_quantile")


# --- shadow, quality, freshness -------------------------------------------------------------------------------------


def test_agreement_of_shadow_answers(tables):
    tables.serve("u1", prediction=1.0)
    tables.serve("u1", prediction=1.0)
    tables.serve("u2", prediction=0.0)
    tables.serve("u3", prediction=1.0)
    tables.serve("u4", status=500, prediction=None, variant=None)
    tables.serve("u5", prediction=1.0)
    tables.capture("r1", prediction=1.0)
    tables.capture("r2", prediction=0.0)
    tables.capture("r3", prediction=0.0)
    tables.capture("r4", prediction=None)
    tables.capture("r5", prediction=1.0)
    tables.capture("r6", prediction=1.0, variant="v1")
    tables.capture("r6", prediction=1.0, at=T0 + 40 * DAY)
    tables.capture(None)

    expected = {"requests": 5, "captured": 4, "agreed": 2, "units": 3, "units_disagreeing": 2}
    assert expected == tables.one("shadow_agreement")


def test_histograms_have_the_same_bins(tables):
    for number, prediction in enumerate((0.0, 0.05, 0.95, 1.0, 1.0), start=1):
        tables.serve("u1", prediction=prediction)
        tables.capture(f"r{number}", prediction=prediction)
    tables.serve("u1", prediction=None, status=500)
    expected = [{"bin": 0.0, "rows": 2}, {"bin": 0.9, "rows": 1}, {"bin": 1.0, "rows": 2}]

    assert expected == tables.ask("prediction_histogram")
    assert expected == tables.ask("shadow_histogram")
    assert [] == tables.ask("prediction_histogram", variant="v2")


def test_quality_day_is_the_rollouts_day(tables):
    tables.serve("u1", at=T0)
    tables.serve("u2", at=T0 + DAY)
    tables.serve("u3", None, rollout=None)
    tables.serve("u4", at=T0 - HOUR)

    assert ["r4", "r1"] == [row["request_id"] for row in tables.ask("quality_day")]


def test_freshness_of_endpoint_and_rollout(tables):
    tables.serve("u1", at=T0)
    tables.serve("u1", at=T0 + HOUR, rollout=None)
    tables.serve("u1", at=T0 + DAY)

    expected = {"rows": 2, "newest": T0 + HOUR, "rollout_rows": 1, "rollout_newest": T0}
    assert expected == tables.one("freshness", cut_off=T0 + 2 * HOUR)


def test_every_table_can_be_asked():
    for table in TABLES:
        assert "CREATE TEMP VIEW" in lake_sql._view(table, [])


def test_errors_that_nobody_logged_are_not_measured(tables):
    """Law: without a status there is no error rate; the guardrail gets empty moments, which prove nothing."""
    from staged_rollout.operations.look_guardrails import _error_moments

    for unit in ("u1", "u2"):
        tables.serve(unit, "v2", status=None, prediction=None)
    row = tables.one("guardrail_errors")
    moments, units = _error_moments(row)

    assert (2, 2, 0, 0) == (row["units"], row["requests"], row["errors"], row["statuses"])
    assert (0, 0, 0) == (moments.n, moments.sd, units)

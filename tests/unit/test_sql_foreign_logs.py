"""Statements over rows that other people's logs leave: no status, no latency, shadows on the same line, ratings."""

from __future__ import annotations

import pytest

from tests.fakes.tables import HOUR, T0, Tables


@pytest.fixture
def tables(tmp_path):
    return Tables(tmp_path)


def test_no_status_is_no_error_and_a_status_without_a_prediction_is_one(tables):
    """The law: what was not logged is neither a failure nor counted as one."""
    tables.serve("u1", status=None, prediction=None, latency_ms=None)
    tables.serve("u2", status=200, prediction=None)
    tables.serve("u3", status=503, prediction=None)

    assert {"u1": 0, "u2": 1, "u3": 1} == {row["unit_id"]: row["errors"] for row in tables.ask("unit_requests")}
    assert 2 == tables.one("traffic")["errors"]


def test_a_latency_that_was_not_logged_has_no_quantile(tables):
    tables.serve("u1", status=None, latency_ms=None)

    assert {"requests": 0, "failed": 0, "latency_ms": None} == tables.one("latency_quantile")


def test_a_latency_without_a_status_counts(tables):
    tables.serve("u1", status=None, latency_ms=7.0)
    tables.serve("u2", status=500, latency_ms=None)

    assert {"requests": 2, "failed": 1, "latency_ms": None} == tables.one("latency_quantile")
    assert 7.0 == tables.one("latency_quantile", level=0.5)["latency_ms"]


def test_predictions_without_a_status_are_in_the_histogram(tables):
    tables.serve("u1", status=None, prediction=1.0)
    tables.serve("u2", status=500, prediction=1.0)

    assert [{"bin": 1.0, "rows": 1}] == tables.ask("prediction_histogram")


def test_ratings_are_no_labels(tables):
    tables.serve("u1")
    tables.know(T0 + HOUR, outcome=5.0, unit_id="u1", name="rating")
    assert {"v1": (1, 0)} == tables.by_variant("success_counts", "closed", "with_outcome")

    tables.know(T0 + 2 * HOUR, outcome=1.0, unit_id="u1")
    tables.know(T0 + 3 * HOUR, outcome=4.0, request_id="r1", name="rating")

    assert {"v1": (1, 1, 1)} == tables.by_variant("success_counts", "closed", "with_outcome", "correct")


def test_shadow_answers_on_the_same_line_are_compared(tables):
    tables.serve("u1", status=None, shadow_variant="v2", shadow_prediction=1.0)
    tables.serve("u2", status=None, shadow_variant="v2", shadow_prediction=0.0)
    tables.serve("u3", shadow_variant="v2", shadow_prediction=None)
    tables.serve("u4", shadow_variant="other", shadow_prediction=1.0)
    tables.serve("u5", request_id="by-capture")
    tables.capture("by-capture", prediction=1.0)

    expected = {"requests": 5, "captured": 4, "agreed": 2, "units": 4, "units_disagreeing": 2}
    assert expected == tables.one("shadow_agreement")

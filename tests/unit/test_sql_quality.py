"""Statements of the quality suite and of sample-ratio cells, each with a known answer."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.fakes.tables import DAY, HOUR, T0, Tables

DATES = {
    "reference": (T0 - DAY).date(),
    "day_before": (T0 - DAY).date(),
    "day_after": (T0 + DAY).date(),
    "variants": ["v1", "v2"],
    "slowest": 600_000.0,
    "lowest": 0.0,
    "highest": 1.0,
}


@pytest.fixture
def tables(tmp_path):
    return Tables(tmp_path)


@pytest.mark.parametrize(
    ("rule", "values", "told"),
    [
        ("bad_variant", {"variant": "v9"}, "v9 in r2"),
        ("bad_assigned", {"assigned": "v9", "variant": "v1"}, "v9 in r2"),
        ("bad_epoch", {"epoch": 6}, "6 in r2"),
        ("bad_status", {"status": 99}, "99 in r2"),
        ("bad_status", {"status": 600}, "600 in r2"),
        ("bad_latency", {"latency_ms": -0.5}, "-0.5 in r2"),
        ("bad_latency", {"latency_ms": 600_001.0}, "600001.0 in r2"),
        ("bad_missing", {"prediction": None}, "r2"),
        ("bad_prediction", {"prediction": 1.5}, "1.5 in r2"),
        ("bad_prediction", {"prediction": -1.5}, "-1.5 in r2"),
        ("bad_time", {"event_date": T0.date(), "at": T0 + DAY}, "2026-03-03 12:00:00+00 in r2"),
    ],
)
def test_one_broken_row_is_counted_by_its_rule_alone_and_told(tables, rule, values, told):
    tables.serve("u1")
    tables.serve("u2", **values)
    row = tables.one("quality_counts", **DATES)

    assert 2 == row["rows"]
    bad = {name: count for name, count in row.items() if name.startswith("bad_") and count == 1}
    assert {rule: 1} == bad
    assert (told, told) == (row[f"{rule}_low"], row[f"{rule}_high"])


def test_counts_of_a_day(tables):
    """Failed calls are no fault, other days and rollouts do not count, and nulls are counted field by field."""
    tables.serve("u1")
    tables.serve("u1", request_id="r1")
    tables.serve("u2", variant=None, prediction=None, status=503, latency_ms=None)
    tables.serve(None, status=None, latency_ms=None)
    tables.serve("u3", rollout=None)
    tables.serve("u4", at=T0 - DAY)
    row = tables.one("quality_counts", **{**DATES, "lowest": None, "highest": None})

    assert {
        "rows": 4,
        "requests": 3,
        "with_request": 4,
        "with_unit": 3,
        "with_status": 3,
        "with_prediction": 3,
        "answered": 3,
        "answered_with_latency": 2,
        "with_latency": 2,
    } == {name: value for name, value in row.items() if not name.startswith("bad_")}
    assert not any(value for name, value in row.items() if name.startswith("bad_"))


def test_an_empty_lake_has_a_day_of_no_rows(tables):
    assert 0 == tables.one("quality_counts", **DATES)["rows"]
    assert {"units": 0, "contradictory_units": 0} == tables.one("quality_units")
    assert [] == tables.ask("quality_hours", **DATES)
    assert [] == tables.ask("quality_predictions", **DATES)
    assert {"units": 0, "labelled": 0} == tables.one("quality_labels", exposed_day=T0.date(), known_day=T0.date())
    assert {"requests_champion": 0, "captured_champion": 0} == tables.one("quality_capture", **DATES)


def test_a_unit_is_contradictory_within_an_epoch_only(tables):
    tables.serve("u1", "v1", epoch=5)
    tables.serve("u1", "v2", epoch=6)
    tables.serve("u2", "v1", epoch=6)
    tables.serve("u2", "v2", epoch=6)
    tables.serve("u3", "v2", at=T0 - DAY)
    tables.serve("u3", "v1")

    assert {"units": 3, "contradictory_units": 1} == tables.one("quality_units")


def test_hours_of_two_days(tables):
    tables.serve("u1")
    tables.serve("u1", rollout=None, status=None)
    tables.serve(None, at=T0 + HOUR, latency_ms=None, prediction=None)
    tables.serve("u1", at=T0 - DAY, rollout="older-v1", model_version=None)
    tables.serve("u1", at=T0 - 2 * DAY)
    tables.serve("u1", endpoint="other")
    names = ("day", "hour", "rows", "unit_rows", "units", "with_status", "with_latency", "with_prediction")
    found = [tuple(row[name] for name in (*names, "with_version")) for row in tables.ask("quality_hours", **DATES)]

    assert [
        ((T0 - DAY).date(), 12, 1, 1, 1, 1, 1, 1, 0),
        (T0.date(), 12, 2, 2, 1, 1, 2, 2, 2),
        (T0.date(), 13, 1, 0, 0, 1, 0, 0, 1),
    ] == found


def test_predictions_are_binned_by_the_deciles_of_the_reference_one_per_unit(tables):
    """Twenty reference units of 0 to 19 make ten bins of two; values beyond them go to the outer ones."""
    for number in range(20):
        tables.serve(f"u{number}", at=T0 - DAY, prediction=float(number))
    for _ in range(5):
        tables.serve("robot", prediction=19.0)
    tables.serve("u1", prediction=-5.0)
    tables.serve("u2", prediction=18.5)
    tables.serve("u2", prediction=3.0, at=T0 + HOUR)
    tables.serve("u3", prediction=3.0, fallback=True)
    tables.serve("u4", "v2", prediction=3.0)
    rows = tables.ask("quality_predictions", **DATES)

    assert [2] * 10 == [row["reference_units"] for row in rows if row["bin"] < 10]
    assert {0: 1, 9: 2} == {row["bin"]: row["day_units"] for row in rows if row["day_units"]}


def test_equal_predictions_share_a_bin(tables):
    for number in range(10):
        tables.serve(f"u{number}", at=T0 - DAY, prediction=float(number >= 3))
        tables.serve(f"u{number}", prediction=float(number >= 8))

    assert [(0, 3, 8), (3, 7, 2)] == [tuple(row.values()) for row in tables.ask("quality_predictions", **DATES)]


def test_labels_belong_by_unit_or_by_request_and_end_with_the_known_day(tables):
    for number in range(1, 6):
        tables.serve(f"u{number}")
    tables.serve("u1", at=T0 + HOUR)
    tables.know(T0 + DAY, unit_id="u1")
    tables.know(T0 + DAY, unit_id="u1")
    tables.know(T0 + DAY, request_id="r2")
    tables.know(T0 + 2 * DAY, unit_id="u3")
    tables.know(T0 + DAY, unit_id="u4", name="rating")
    tables.know(T0 - DAY, unit_id="u5")
    days = {"exposed_day": T0.date(), "known_day": (T0 + DAY).date()}

    assert {"units": 5, "labelled": 2} == tables.one("quality_labels", **days)


def test_captures_are_looked_for_on_the_days_beside(tables):
    midnight = T0.replace(hour=0) + timedelta(seconds=1)
    for unit in ("u1", "u2", "u3", "u4"):
        tables.serve(unit, at=midnight)
    tables.serve("u5", status=500)
    tables.capture("r1", variant="v1", at=midnight - timedelta(seconds=2))
    tables.capture("r2", variant="v1", at=midnight)
    tables.capture("r2", variant="v1", at=midnight)
    tables.capture("r3", variant="v2", at=midnight)
    tables.capture("r4", variant="v1", at=midnight - 3 * DAY)

    assert {"requests_champion": 4, "captured_champion": 2} == tables.one("quality_capture", **DATES)


def test_sample_ratio_cells_count_units_at_their_first_exposure(tables):
    tables.serve("u1", "v1", at=T0, epoch=5)
    tables.serve("u1", "v1", at=T0 + DAY, epoch=6)
    tables.serve("u2", "v2", at=T0 + DAY + HOUR, epoch=6)
    tables.serve("u3", "v2", at=T0 + 2 * DAY, epoch=6)
    found = [tuple(row.values()) for row in tables.ask("srm_cells", epochs=[5, 6])]

    assert [
        ("day", "2026-03-02", "v1", 1),
        ("day", "2026-03-03", "v2", 1),
        ("day", "2026-03-04", "v2", 1),
        ("epoch", "5", "v1", 1),
        ("epoch", "6", "v2", 2),
        ("hour", "12", "v1", 1),
        ("hour", "12", "v2", 1),
        ("hour", "13", "v2", 1),
    ] == found


def test_sample_ratio_segments_name_hostile_and_missing_values(tables):
    """The law: a value is data, whatever it says, and a unit without the feature is counted."""
    tables.serve("u1", "v1", features='{"plan": "\'; DROP TABLE x; --"}')
    tables.serve("u2", "v2", features='{"plan": "pro"}')
    tables.serve("u3", "v2", features="{}")
    found = {tuple(row.values()) for row in tables.ask("srm_segments")}

    assert {("'; DROP TABLE x; --", "v1", 1), ("pro", "v2", 1), ("(missing)", "v2", 1)} == found

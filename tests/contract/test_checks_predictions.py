"""Each expectation of the quality suite against the fault that it is there for: real SQL, real Great Expectations."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from datetime import date, timedelta

import pandas as pd
import pytest

from staged_rollout.adapters.checks_gx import GreatExpectations
from staged_rollout.adapters.checks_predictions import suite_of
from staged_rollout.errors import NotFoundError
from staged_rollout.ports.checks import DayFacts, LabelCoverage

DAY, BEFORE = date(2026, 3, 3), date(2026, 3, 2)
ROWS = 2_400
FILLED = ("unit_rows", "with_status", "with_latency", "with_prediction", "with_version")


def hours(day, rows=100, units=50, until=24, since=0, **changed):
    return [
        {"day": day, "hour": hour, "rows": rows, "units": units, **dict.fromkeys(FILLED, rows), **changed}
        for hour in range(since, until)
    ]


def counts(**changed):
    whole = ("rows", "requests", "with_request", "with_unit", "with_status", "with_prediction")
    whole += ("answered", "answered_with_latency", "with_latency")
    found = dict.fromkeys(whole, ROWS)
    for rule, bad in changed.items():
        found[rule] = bad
        found |= {f"{rule}_low": "'first'", f"{rule}_high": "'last'"}
    return found


FACTS = DayFacts(
    day=DAY,
    reference=BEFORE,
    variants=("v1", "v2"),
    epochs=(4, 5),
    counts=counts(),
    units=200,
    contradictory_units=0,
    hours=[*hours(BEFORE), *hours(DAY)],
    predictions={
        name: [{"bin": n, "reference_units": 100, "day_units": 95 + n} for n in range(10)] for name in ("v1", "v2")
    },
    labels=(LabelCoverage(BEFORE, 200, 180), LabelCoverage(BEFORE - timedelta(days=1), 200, 190)),
    requests_champion=1_000,
    captured_champion=990,
    prediction_range=(0.0, 1.0),
)


@pytest.fixture(scope="module")
def checks():
    return GreatExpectations()


def test_a_clean_day_passes_and_nothing_is_skipped(checks):
    report = checks.run("predictions", FACTS)

    assert () == report.failures
    assert report.passed
    assert () == report.skipped
    assert (ROWS, 23) == (report.rows, len(report.results))


def lopsided(name):
    bins = [{"bin": n, "reference_units": 100, "day_units": 800 if n == 9 else 30} for n in range(10)]
    return {"predictions": {**FACTS.predictions, name: bins}}


def today(*rows):
    return {"hours": [*hours(BEFORE), *rows]}


def labels(labelled):
    return {"labels": (replace(FACTS.labels[0], labelled=labelled), FACTS.labels[1])}


FAULTS = [
    ("rows exist", {"counts": counts(rows=0)}),
    ("request_id is present", {"counts": counts(with_request=ROWS - 1, requests=ROWS - 1)}),
    ("request_id is unique", {"counts": counts(requests=ROWS - 1)}),
    ("timestamp lies within the day", {"counts": counts(bad_time=1)}),
    ("variant is known", {"counts": counts(bad_variant=1)}),
    ("assigned_variant is known", {"counts": counts(bad_assigned=1)}),
    ("epoch is published", {"counts": counts(bad_epoch=1)}),
    ("status is present", {"counts": counts(with_status=ROWS - 25)}),
    ("status is an HTTP status", {"counts": counts(bad_status=1)}),
    ("latency_ms is present in answers", {"counts": counts(answered_with_latency=ROWS - 25)}),
    ("latency_ms is plausible", {"counts": counts(bad_latency=1)}),
    ("prediction is present when status is 200", {"counts": counts(bad_missing=1)}),
    ("prediction lies in its range", {"counts": counts(bad_prediction=1)}),
    ("unit_id is present", {"counts": counts(with_unit=ROWS - 25)}),
    ("units keep one variant", {"contradictory_units": 2}),
    ("capture is complete", {"captured_champion": 899}),
    ("volume is like the reference day's", today(*hours(DAY, rows=9, units=5))),
    ("volume is like the reference day's", today(*hours(DAY, rows=1_001, units=500))),
    ("the log covers the day", today(*hours(DAY, until=17))),
    ("exposures per unit are like the reference day's", today(*hours(DAY, units=9))),
    ("exposures per unit are like the reference day's", {"hours": [*hours(BEFORE, units=9), *hours(DAY, units=50)]}),
    ("fields that were logged still are", today(*hours(DAY, with_version=0))),
    ("predictions of v1 are distributed like the reference day's", lopsided("v1")),
    ("predictions of v2 are distributed like the reference day's", lopsided("v2")),
    ("labels arrive as on the day before", labels(94)),
]


@pytest.mark.parametrize(("name", "changes"), FAULTS, ids=[f"{n}-{fault[0]}" for n, fault in enumerate(FAULTS)])
def test_a_planted_fault_is_caught_by_its_expectation_alone(checks, name, changes):
    report = checks.run("predictions", replace(FACTS, **changes))

    assert not report.passed
    assert [name] == [result.name for result in report.failures]
    assert report.failures[0].observed
    assert report.failures[0].accepted
    assert report.failures[0].reason


def test_every_expectation_has_a_planted_fault():
    """The law: an expectation that no test has seen fail is not known to work."""
    assert {item.name for item in suite_of(FACTS).expected} == {fault[0] for fault in FAULTS}


AT_THE_BOUND = [
    {"counts": counts(with_unit=ROWS - 24)},
    {"counts": counts(with_status=ROWS - 24)},
    {"counts": counts(answered=ROWS - 100, answered_with_latency=ROWS - 123)},
    {"contradictory_units": 1},
    {"captured_champion": 900},
    today(*hours(DAY, rows=10, units=5)),
    today(*hours(DAY, rows=1_000, units=500)),
    today(*hours(DAY, until=18)),
    today(*hours(DAY, units=10)),
    labels(95),
]


@pytest.mark.parametrize("changes", AT_THE_BOUND)
def test_at_the_bound_passes(checks, changes):
    assert () == checks.run("predictions", replace(FACTS, **changes)).failures


FOREIGN = {"with_status": 0, "with_latency": 0, "answered_with_latency": 0, "with_prediction": 0}


def test_what_a_foreign_log_never_had_is_skipped_and_said_so(checks):
    """The law: a field that is null throughout, and was null before, is neither a pass nor a failure."""
    absent = {"with_status": 0, "with_latency": 0, "with_prediction": 0}
    facts = replace(
        FACTS, counts=counts(**FOREIGN), hours=[*hours(BEFORE, **absent), *hours(DAY, **absent)], predictions={}
    )
    report = checks.run("predictions", facts)
    skipped = {each.name: each.why for each in report.skipped}

    assert report.passed
    assert "status is not logged" == skipped["status is present"]
    assert "latency_ms is not logged" == skipped["latency_ms is plausible"]
    assert "prediction is not logged" == skipped["prediction lies in its range"]


def test_a_field_that_is_lost_fails(checks):
    """The law: a key that was renamed reads as null throughout, and fails although its own rules are skipped."""
    facts = replace(FACTS, counts=counts(**FOREIGN), **today(*hours(DAY, with_latency=0)))
    report = checks.run("predictions", facts)

    assert ["fields that were logged still are"] == [result.name for result in report.failures]
    assert "latency_ms gone" == report.failures[0].observed


def test_a_first_day_and_tiny_traffic_are_not_compared(checks):
    """The law: without an earlier day, or with a handful of rows, nothing statistical is judged."""
    for rows in ([*hours(DAY)], [*hours(BEFORE, rows=3, units=3), *hours(DAY, rows=1, units=1)]):
        few = [{"bin": 0, "reference_units": 70, "day_units": 24}, {"bin": 9, "reference_units": 1, "day_units": 9}]
        facts = replace(FACTS, hours=rows, predictions={"v1": few}, labels=None)
        report = checks.run("predictions", facts)

        assert report.passed
        names = {each.name for each in report.skipped}
        assert {name for name, _ in FAULTS if "reference" in name or "covers" in name or "labels" in name} <= names


def test_a_log_that_began_within_the_reference_day_is_compared_over_its_hours(checks):
    """The law: four hours of yesterday against a whole today are no twelvefold volume."""
    report = checks.run("predictions", replace(FACTS, hours=[*hours(BEFORE, since=20), *hours(DAY)]))
    found = {result.name: result.observed for result in report.results}

    assert report.passed
    assert "1 times: 300 rows of the endpoint, 300 on 2026-03-02" == found["volume is like the reference day's"]


def test_an_empty_day_fails_by_one_reason(checks):
    report = checks.run("predictions", replace(FACTS, counts=counts(rows=0), hours=[], labels=None))

    assert [("rows exist", "0", "at least 1")] == [(one.name, one.observed, one.accepted) for one in report.results]
    assert not report.passed


def test_observed_and_accepted_are_in_words(checks):
    report = checks.run("predictions", replace(FACTS, counts=counts(bad_status=3)))
    found = {result.name: (result.observed, result.accepted) for result in report.results}

    assert ("3 of 2,400 rows ('first', 'last')", "100 to 599") == found["status is an HTTP status"]
    assert ("100%", "hours with rows hold at least 75% of the reference day's") == found["the log covers the day"]


def test_unknown_suites_are_refused(checks):
    with pytest.raises(NotFoundError, match="no quality suite 'other'"):
        checks.run("other", FACTS)


def test_pandas_gets_one_row_whatever_the_day_has(checks, monkeypatch):
    """The law: the size of what Great Expectations holds does not follow the size of the day."""
    shapes = []

    class Watched(pd.DataFrame):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            shapes.append(self.shape)

    checks.run("predictions", FACTS)
    monkeypatch.setattr(pd, "DataFrame", Watched)
    whole = ("rows", "requests", "with_request", "with_unit", "with_status", "with_prediction", "answered")
    facts = replace(FACTS, counts=counts() | dict.fromkeys(whole, 10_000_000))
    checks.run("predictions", facts)

    assert (1, 23) in shapes
    assert max(rows for rows, _ in shapes) <= 23


def test_great_expectations_is_imported_only_to_run():
    """The law: what takes seconds to import is paid for by those who use it."""
    source = "import sys; from staged_rollout.adapters.checks_gx import GreatExpectations; GreatExpectations()"
    source += "; sys.exit('great_expectations' in sys.modules or 'pandas' in sys.modules)"

    assert 0 == subprocess.run([sys.executable, "-c", source], check=False).returncode

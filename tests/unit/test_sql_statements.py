"""Each statement of sql/ alone, on tiny tables with known answers."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta

import pytest

from staged_rollout.adapters import lake_sql
from staged_rollout.errors import DataError, NotFoundError
from tests.fakes.tables import DAY, HOUR, PARAMETERS, T0, Tables


@pytest.fixture
def tables(tmp_path):
    return Tables(tmp_path)


# --- every statement ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", lake_sql.statement_names())
def test_header_names_purpose_parameters_grain_and_columns(name, tables):
    text = (lake_sql.sql_folder() / f"{name}.sql").read_text(encoding="utf-8")
    header = " ".join(line.removeprefix("--").strip() for line in text.splitlines() if line.startswith("--"))
    parts = dict(
        re.findall(r"(Purpose|Parameters|Grain|Columns): (.*?)(?= (?:Parameters|Grain|Columns|uses|kept): |$)", header)
    )
    bare = re.sub(r"\([^()]*\)", "", parts["Parameters"])
    answer = lake_sql.run(name, PARAMETERS, lambda _: [])

    assert {"Purpose", "Parameters", "Grain", "Columns"} == parts.keys()
    assert lake_sql.statement(name).parameters == {word.strip() for word in bare.split(",")} - {"none"}
    assert [] == [column for column in answer.column_names if column not in re.findall(r"\w+", parts["Columns"])]


@pytest.mark.parametrize("name", lake_sql.statement_names())
def test_plain_sql_without_what_other_engines_lack(name):
    text = lake_sql.statement(name).text.upper()

    assert 0 == len(re.findall(r"\bQUALIFY\b|\bFILTER\s*\(|::|SELECT \*|ASOF", text))
    assert ";" not in text


@pytest.mark.parametrize("name", lake_sql.statement_names())
def test_empty_tables_are_empty_answers_or_zeros(name, tables):
    for row in tables.ask(name):
        assert {0, None} >= set(row.values())


@pytest.mark.parametrize("name", lake_sql.statement_names())
def test_no_epochs_are_no_rows(name, tables):
    tables.serve("u1")
    tables.know(T0 + HOUR, unit_id="u1")
    needs = lake_sql.statement(name).parameters
    if "epochs" in needs and name != "quality_counts":  # there they are a rule for rows, and choose none
        for row in tables.ask(name, epochs=[]):
            assert {0, None} >= set(row.values())


def test_answers_are_plain_python_numbers(tables):
    tables.serve("u1")
    tables.capture("r1")
    tables.know(T0 + HOUR, unit_id="u1")
    allowed = (int, float, str, bool, datetime, date, type(None))
    for name in lake_sql.statement_names():
        for row in tables.ask(name):
            assert [] == [key for key, value in row.items() if not isinstance(value, allowed)]


def test_unknown_statements_and_missing_parameters_are_named():
    with pytest.raises(NotFoundError, match="no statement 'nothing'"):
        lake_sql.statement("nothing")
    with pytest.raises(NotFoundError, match="no statement"):
        lake_sql.statement("../../secrets")
    with pytest.raises(DataError, match="needs cut_off, epochs"):
        lake_sql.run("traffic", {"endpoint": "churn"}, lambda _: [])
    with pytest.raises(DataError, match="has no time zone"):
        lake_sql.run("traffic", {**PARAMETERS, "cut_off": datetime(2026, 3, 2)}, lambda _: [])  # noqa: DTZ001 - that is the fault


def test_what_the_engine_refuses_names_the_statement():
    with pytest.raises(DataError, match=r"sql/traffic\.sql failed"):
        lake_sql.run("traffic", {**PARAMETERS, "epochs": ["x"]}, lambda _: [])


def test_a_statement_says_which_tables_it_reads():
    assert {"first_rows"} == lake_sql.statement("exposures").kept
    assert {"predictions"} == lake_sql.statement("first_rows").tables
    assert {"outcomes"} == lake_sql.statement("success_counts").tables
    assert {"predictions", "captures"} == lake_sql.statement("shadow_agreement").tables
    assert {"outcomes"} == lake_sql.statement("baseline").tables


def test_quotes_in_paths_and_values_are_data(tmp_path):
    folder = tmp_path / "it's"
    folder.mkdir()
    tables = Tables(folder)
    tables.serve("u1", endpoint="o'hara")

    assert 1 == tables.ask("traffic", endpoint="o'hara")[0]["requests"]
    assert [] == tables.ask("traffic", endpoint="x' OR 1=1 --")


# --- units ----------------------------------------------------------------------------------------------------------


def test_exposure_is_the_first_row_of_a_unit_in_the_stage(tables):
    tables.serve("u1", "v2", T0 + HOUR, prediction=0.0)
    tables.serve("u1", "v2", T0, prediction=1.0, variant="v1", fallback=True)
    tables.serve("u1", "v2", T0 + DAY)
    tables.serve("u2", "v1", T0 + 2 * DAY)
    rows = sorted(tables.ask("exposures"), key=lambda row: row["unit_id"])

    assert [("u1", "v2", T0, "r2", "v1", True, 1.0), ("u2", "v1", T0 + 2 * DAY, "r4", "v1", False, 1.0)] == [
        tuple(
            row[c]
            for c in ("unit_id", "assigned_variant", "exposed_at", "request_id", "variant", "fallback", "prediction")
        )
        for row in rows
    ]


def test_exposures_leave_out_what_is_not_this_stage(tables):
    tables.serve("u1", epoch=4)
    tables.serve("u2", rollout="other-v1")
    tables.serve("u3", endpoint="other")
    tables.serve("u4", None, rollout=None)
    tables.serve(None)
    tables.serve("u6", at=T0 + HOUR)
    tables.serve("u7", at=T0)

    assert ["u7"] == [row["unit_id"] for row in tables.ask("exposures", cut_off=T0)]


def test_a_canary_unit_is_exposed_in_live_by_its_first_live_row(tables):
    tables.serve("u1", "v2", T0, epoch=4)
    tables.serve("u1", "v2", T0 + DAY, epoch=5)

    assert [T0 + DAY] == [row["exposed_at"] for row in tables.ask("exposures")]
    assert [T0] == [row["exposed_at"] for row in tables.ask("exposures", epochs=[4, 5])]


def test_contradictory_units_are_counted_and_left_out(tables):
    tables.serve("u1", "v1", T0)
    tables.serve("u1", "v2", T0 + DAY)
    tables.serve("u2", "v1")
    tables.serve("u3", "v2")
    tables.serve("u4", "v2", epoch=4)
    tables.serve("u4", "v1")

    assert {"units": 1, "units_total": 4} == tables.one("contradictions")
    assert {"v1": (2,), "v2": (1,)} == tables.by_variant("srm_counts", "units")
    assert ["u2", "u3", "u4"] == sorted(row["unit_id"] for row in tables.ask("unit_requests"))
    assert {"units": 0, "units_total": 4} == tables.one("contradictions", cut_off=T0)


def test_traffic_counts_requests_units_errors_and_fallbacks(tables):
    tables.serve("u1", "v2", T0)
    tables.serve("u1", "v2", T0 + HOUR, status=503, prediction=None, variant=None)
    tables.serve("u2", "v2", T0 + DAY, prediction=None)
    tables.serve("u3", "v2", variant="v1", fallback=True)
    tables.serve("u4", None, rollout=None)
    tables.serve(None, None, rollout=None)
    columns = ("requests", "units", "errors", "fallbacks", "first_at", "last_at")

    assert {"v2": (4, 3, 2, 1, T0, T0 + DAY), None: (2, 1, 0, 0, T0, T0)} == tables.by_variant("traffic", *columns)


# --- success --------------------------------------------------------------------------------------------------------


def success(tables, **parameters):
    return tables.by_variant(
        "success_counts", "units", "closed", "with_outcome", "correct", "after_closure", **parameters
    )


def test_a_unit_closes_when_its_window_has_passed(tables):
    tables.serve("u1", at=T0)
    tables.know(T0 + HOUR, unit_id="u1")

    assert {"v1": (1, 0, 0, 0, 0)} == success(tables, cut_off=T0 + DAY - timedelta(microseconds=1))
    assert {"v1": (1, 1, 1, 1, 0)} == success(tables, cut_off=T0 + DAY)


def test_correct_is_the_first_exposures_prediction(tables):
    tables.serve("right", "v2", prediction=1.0)
    tables.serve("right", "v2", T0 + HOUR, prediction=0.0)
    tables.serve("wrong", "v2", prediction=0.0)
    tables.serve("failed", "v2", prediction=None, status=500, variant=None)
    tables.serve("unknown", "v2")
    tables.serve("control", "v1", prediction=0.0)
    for unit in ("right", "wrong", "failed"):
        tables.know(T0 + HOUR, unit_id=unit)
    tables.know(T0 + HOUR, 0.0, unit_id="control")

    assert {"v1": (1, 1, 1, 1, 0), "v2": (4, 4, 3, 1, 0)} == success(tables)


def test_outcomes_join_by_unit_or_by_the_exposures_request(tables):
    tables.serve("u1", request_id="a")
    tables.serve("u2", request_id="b")
    tables.serve("u2", request_id="c", at=T0 + HOUR)
    tables.know(T0 + HOUR, request_id="a")
    tables.know(T0 + HOUR, unit_id="u1", request_id="a")
    tables.know(T0 + 2 * HOUR, request_id="c")
    tables.know(T0 + HOUR, unit_id="u2", endpoint="other")

    assert {"v1": (2, 2, 1, 1, 0)} == success(tables)


def test_the_latest_outcome_in_the_window_counts(tables):
    tables.serve("u1")
    tables.know(T0 - HOUR, 1.0, unit_id="u1")
    tables.know(T0, 1.0, unit_id="u1")
    tables.know(T0 + DAY, 0.0, unit_id="u1")
    tables.know(T0 + DAY + HOUR, 1.0, unit_id="u1")
    unit = tables.one("unit_outcomes")

    assert (0.0, T0 + DAY, False, 0, True) == tuple(
        unit[c] for c in ("outcome", "outcome_at", "after_closure", "correct", "closed")
    )


def test_an_outcome_before_the_exposure_is_not_the_exposures(tables):
    tables.serve("u1")
    tables.know(T0 - timedelta(microseconds=1), unit_id="u1")

    assert {"v1": (1, 1, 0, 0, 0)} == success(tables)


def test_after_the_window_only_the_first_outcome_counts(tables):
    tables.serve("u1")
    tables.know(T0 + 3 * DAY, 0.0, unit_id="u1")
    tables.know(T0 + 2 * DAY, 1.0, unit_id="u1")

    assert {"v1": (1, 1, 0, 0, 0)} == success(tables, cut_off=T0 + 2 * DAY - HOUR)
    assert {"v1": (1, 1, 1, 1, 1)} == success(tables, cut_off=T0 + 2 * DAY)
    assert {"v1": (1, 1, 1, 1, 1)} == success(tables)


def test_a_closed_units_value_never_changes_at_a_later_look(tables):
    tables.serve("u1")
    for hours in (1, 20, 30, 60, 90):
        tables.know(T0 + hours * HOUR, float(hours % 20 == 0), unit_id="u1")
    values = {tables.one("unit_outcomes", cut_off=T0 + hours * HOUR)["outcome"] for hours in range(24, 100, 5)}

    assert {1.0} == values


def test_success_by_day_of_first_exposure(tables):
    tables.serve("u1", at=T0)
    tables.serve("u1", at=T0 + DAY)
    tables.serve("u2", at=T0 + DAY)
    tables.know(T0 + DAY + HOUR, unit_id="u2")
    rows = tables.ask("success_days", cut_off=T0 + 2 * DAY)

    assert [(date(2026, 3, 2), 1, 1, 0), (date(2026, 3, 3), 1, 1, 1)] == [
        tuple(row[c] for c in ("exposed_day", "units", "closed", "with_outcome")) for row in rows
    ]


def test_segments_by_a_feature(tables):
    tables.serve("u1", features='{"plan": "basic"}')
    tables.serve("u2", features='{"plan": "gold", "odd \\"key": 3}')
    tables.serve("u3", "v2", features='{"plan": "basic"}')
    tables.serve("u4", features='{"plan": null}')
    for unit in ("u1", "u2", "u3", "u4"):
        tables.know(T0 + HOUR, unit_id=unit)
    rows = {(row["segment"], row["assigned_variant"]): row["with_outcome"] for row in tables.ask("segments")}

    assert {("(missing)", "v1"): 1, ("basic", "v1"): 1, ("basic", "v2"): 1, ("gold", "v1"): 1} == rows


def test_segments_are_bounded_to_the_fifty_largest(tables):
    for number in range(60):
        tables.serve(f"u{number}", features=f'{{"plan": {number % 55}}}')
    rows = tables.ask("segments")

    assert 51 == len(rows)
    assert 60 == sum(row["units"] for row in rows)
    assert 5 == next(row["units"] for row in rows if row["segment"] == "(other)")


def test_baseline_is_of_units_that_the_champion_answered(tables):
    tables.serve("u1", None, prediction=1.0)
    tables.serve("u1", "v2", T0 + HOUR, prediction=0.0)
    tables.serve("u2", "v1", epoch=6, prediction=0.0)
    tables.serve("u3", "v2")
    tables.serve("u4", "v2", variant="v1", fallback=True)
    tables.serve("u5", "v1", T0 + 5 * DAY)
    tables.serve("u6", "v1")
    for unit in ("u1", "u2", "u3", "u4"):
        tables.know(T0 + HOUR, unit_id=unit)

    assert {"closed": 3, "units": 2, "correct": 1} == tables.one("baseline", epochs=[5, 6], cut_off=T0 + 5 * DAY)

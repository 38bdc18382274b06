"""Each statement of sql/ alone, on tiny tables with known answers."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from staged_rollout.adapters import lake_sql
from staged_rollout.errors import DataError, NotFoundError
from staged_rollout.records.tables import TABLES, arrow_schema

T0 = datetime(2026, 3, 2, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
DEFAULTS = {
    "predictions": {
        "endpoint": "churn",
        "rollout": "churn-v3",
        "unit_id": "u1",
        "assigned_variant": "v1",
        "variant": "v1",
        "fallback": False,
        "epoch": 5,
        "model_version": "1",
        "prediction": 1.0,
        "latency_ms": 10.0,
        "status": 200,
        "features": "{}",
    },
    "captures": {"endpoint": "churn", "variant": "v2", "input": "", "output": "", "prediction": 1.0},
    "outcomes": {"endpoint": "churn", "unit_id": None, "request_id": None},
}
PARAMETERS = {
    "endpoint": "churn",
    "rollout": "churn-v3",
    "epochs": [5],
    "cut_off": T0 + 30 * DAY,
    "matures_after": DAY,
    "champion": "v1",
    "candidate": "v2",
    "variant": "v1",
    "level": 0.95,
    "thresholds": [10.0, 20.0],
    "segment": "plan",
    "day": T0.date(),
}


class Tables:
    """Rows by hand, written as Parquet and asked."""

    def __init__(self, folder):
        self.folder = folder
        self.rows = {"predictions": [], "captures": [], "outcomes": []}

    def _add(self, table, at, **values):
        number = len(self.rows[table])
        shared = {"timestamp": at, "event_date": at.date(), "source": "s", "line": number + 1}
        self.rows[table].append({**DEFAULTS[table], **shared, **values})

    def serve(self, unit, assigned="v1", at=T0, **values):
        values = {"request_id": f"r{len(self.rows['predictions']) + 1}", "variant": assigned or "v1", **values}
        self._add("predictions", at, unit_id=unit, assigned_variant=assigned, **values)

    def capture(self, inference, at=T0, **values):
        self._add("captures", at, inference_id=inference, event_id=f"e{len(self.rows['captures'])}", **values)

    def know(self, at, outcome=1.0, **values):
        self._add("outcomes", at, outcome=outcome, **values)

    def ask(self, name, **parameters):
        files = {}
        for table, rows in self.rows.items():
            path = self.folder / f"{table}.parquet"
            schema = arrow_schema(table)
            pq.write_table(pa.table({c: [r[c] for r in rows] for c in schema.names}, schema=schema), path)
            files[table] = [str(path)] if rows else []
        answer = lake_sql.run(name, {**PARAMETERS, **parameters}, lambda table: files.get(table, []))
        return lake_sql.rows_of(answer)

    def one(self, name, **parameters):
        rows = self.ask(name, **parameters)
        assert 1 == len(rows)
        return rows[0]

    def by_variant(self, name, *columns, **parameters):
        return {row["assigned_variant"]: tuple(row[c] for c in columns) for row in self.ask(name, **parameters)}


@pytest.fixture
def tables(tmp_path):
    return Tables(tmp_path)


# --- every statement ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", lake_sql.statement_names())
def test_header_names_purpose_parameters_grain_and_columns(name, tables):
    text = (lake_sql.sql_folder() / f"{name}.sql").read_text(encoding="utf-8")
    header = " ".join(line.removeprefix("--").strip() for line in text.splitlines() if line.startswith("--"))
    parts = dict(
        re.findall(r"(Purpose|Parameters|Grain|Columns): (.*?)(?= (?:Parameters|Grain|Columns|uses): |$)", header)
    )
    bare = re.sub(r"\([^()]*\)", "", parts["Parameters"])
    answer = lake_sql.run(name, PARAMETERS, lambda _: [])

    assert {"Purpose", "Parameters", "Grain", "Columns"} == parts.keys()
    assert lake_sql.statement(name).parameters == {word.strip() for word in bare.split(",")}
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
    if "epochs" in needs:
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
    assert {"predictions"} == lake_sql.statement("exposures").tables
    assert {"predictions", "outcomes"} == lake_sql.statement("success_counts").tables
    assert {"predictions", "captures"} == lake_sql.statement("shadow_agreement").tables
    assert {"predictions", "outcomes"} == lake_sql.statement("baseline").tables


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
    )

    expected = {"v1": (1, 1, 1, 0, 0, 0, 0, 0), "v2": (3, 5, 11, 3, 5, 7, 2, 1)}
    assert expected == tables.by_variant("guardrail_errors", *columns)


def test_unit_requests_is_what_the_moments_are_made_of(tables):
    tables.serve("u1", "v2", prediction=None)
    tables.serve("u1", "v2", status=404)
    tables.serve("u1", "v2", variant="v1", fallback=True)

    expected = {"unit_id": "u1", "assigned_variant": "v2", "requests": 3, "errors": 3, "fallbacks": 1}
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


def test_quality_facts(tables):
    tables.serve("u1", "v1", epoch=5)
    tables.serve("u1", "v2", epoch=6)
    tables.serve("u2", "v1", epoch=6)
    tables.serve("u2", "v2", epoch=6)
    tables.serve("u3", "v1", prediction=None)
    tables.serve("u3", "v1", prediction=None, status=500, variant=None)
    tables.serve("u4", None, rollout=None)
    tables.serve("u1", at=T0 - DAY)
    tables.serve("u1", at=T0 - DAY, rollout="older-v1")
    tables.serve("u1", at=T0 - 2 * DAY)
    tables.capture("r1", variant="v1")
    tables.capture("r3", variant="v1")
    tables.capture("r5", variant="v2")

    expected = {
        "rows": 6,
        "units": 3,
        "contradictory_units": 1,
        "epochs_seen": 2,
        "null_predictions": 1,
        "rows_endpoint": 7,
        "rows_yesterday": 2,
        "requests_champion": 3,
        "captured_champion": 2,
        "capture_completeness": 2 / 3,
    }
    assert expected == tables.one("quality_facts")


def test_freshness_of_endpoint_and_rollout(tables):
    tables.serve("u1", at=T0)
    tables.serve("u1", at=T0 + HOUR, rollout=None)
    tables.serve("u1", at=T0 + DAY)

    expected = {"rows": 2, "newest": T0 + HOUR, "rollout_rows": 1, "rollout_newest": T0}
    assert expected == tables.one("freshness", cut_off=T0 + 2 * HOUR)


def test_every_table_can_be_asked():
    for table in TABLES:
        assert "CREATE VIEW" in lake_sql._view(table, [])

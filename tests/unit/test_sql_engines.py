"""Each statement of sql/ on a second engine, SQLite, over the same random rows: one answer, or it is not plain SQL.

SQLite has no type for moments, lists or wide integers. Moments are microseconds and days are whole numbers there, and a
list is a JSON text; everything else is the statement's own text.
"""

from __future__ import annotations

import json
import math
import random
import re
import sqlite3
from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from staged_rollout.adapters import lake_sql
from staged_rollout.records.tables import TABLES, arrow_schema
from tests.fakes.random_rows import WINDOWS, files_of, filled
from tests.fakes.tables import DAY, T0, Tables
from tests.fakes.tables import PARAMETERS as SHARED

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SPELLINGS = (
    (r"CAST\(CAST\(([\w.]+) AS DATE\) AS VARCHAR\)", r"DATE(\1 / 1000000, 'unixepoch')"),
    (r"EXTRACT\(HOUR FROM ([\w.\"]+)\)", r"(\1 / 3600000000 % 24)"),
    (r"IN \$(\w+)", r"IN (SELECT value FROM json_each($\1))"),
    (r"UNNEST\(\$(\w+)\) AS (\w+)\((\w+)\)", r"(SELECT value AS \3 FROM json_each($\1)) AS \2"),
    (r"CAST\(([$\w.]+) AS DATE\)", r"(\1 / 86400000000)"),
    (r"POSITION\(([$\w.]+) IN ([$\w.]+)\)", r"INSTR(\2, \1)"),
    (r"INTERVAL '(\d+)' DAY", r"\1"),
    (r"TRY_CAST\(CAST\((json_extract\([^()]*\)) AS VARCHAR\) AS DOUBLE\)", r"number_in(\1)"),
    (r"\bLEAST\(", "MIN("),
    (r"\bGREATEST\(", "MAX("),
)
"""What SQLite spells in another way."""

ASKED_DAY = (T0 + 2 * DAY).date()
PARAMETERS = SHARED | {
    "day": ASKED_DAY,
    "day_before": ASKED_DAY - DAY,
    "day_after": ASKED_DAY + DAY,
    "reference": ASKED_DAY - DAY,
    "exposed_day": ASKED_DAY,
    "known_day": ASKED_DAY + DAY,
    "before": T0 + 3 * DAY,
}
SHOWN_AS_TEXT = {"quality_counts"}
"""Answers whose examples hold numbers and moments as text: each engine writes these in its own way."""


def plain(value):
    """A value as both engines can hold it."""
    if isinstance(value, datetime):
        return (value - EPOCH) // timedelta(microseconds=1)
    if isinstance(value, date):
        return (value - EPOCH.date()).days
    if isinstance(value, timedelta):
        return value // timedelta(microseconds=1)
    if isinstance(value, list):
        return json.dumps([plain(one) for one in value])
    return value


def text_at(document, path):
    """DuckDB's json_extract_string for the one form of path that the statements use."""
    found = json.loads(document or "null")
    found = found.get(re.fullmatch(r'\$\."(.*)"', path)[1]) if isinstance(found, dict) else None
    return found if found is None or isinstance(found, str) else json.dumps(found)


def number_in(value):
    """What TRY_CAST of a JSON number makes of it; SQLite has taken it out of its document already."""
    return float(value) if isinstance(value, int | float) else None


@pytest.fixture(scope="module")
def engines(tmp_path_factory):
    """The same random rows in Parquet, for DuckDB, and in SQLite."""
    tables = filled(Tables(tmp_path_factory.mktemp("rows")), seed=1, ratings=True)
    files = files_of(tables)
    other = sqlite3.connect(":memory:")
    other.create_function("floor", 1, lambda x: None if x is None else float(math.floor(x)), deterministic=True)
    other.create_function("round_even", 2, lambda x, n: None if x is None else round(x, n), deterministic=True)
    other.create_function("json_extract_string", 2, text_at, deterministic=True)
    other.create_function("number_in", 1, number_in, deterministic=True)
    tables.rows["quarantine"] = quarantined(random.Random(1))
    path = tables.folder / "quarantine.parquet"
    pq.write_table(pa.Table.from_pylist(tables.rows["quarantine"], schema=arrow_schema("quarantine")), path)
    files["quarantine"] = [str(path)]
    other.create_function("list_contains", 2, lambda many, one: one in json.loads(many or "[]"), deterministic=True)
    for name in TABLES:
        rows = tables.rows.get(name, [])
        columns = [column.name for column in TABLES[name]]
        quoted = ", ".join('"' + column + '"' for column in columns)
        other.execute(f"CREATE TABLE {name} ({quoted})")
        marks = ", ".join("?" for _ in columns)
        other.executemany(
            f"INSERT INTO {name} VALUES ({marks})", ([plain(row.get(column)) for column in columns] for row in rows)
        )
    yield files, other
    other.close()


def quarantined(draw):
    """Random rows of quarantine."""
    return [
        {
            "source": draw.choice(["s", "t"]),
            "kind": draw.choice(["predictions", "outcomes"]),
            "endpoint": draw.choice(["churn", "other"]),
            "line": draw.randrange(1, 20),
            "offset": number,
            "verdict": draw.choice(["late", "quarantined"]),
            "reason": draw.choice(["missing key: status", "not JSON"]),
            "raw": f"line {number}".encode(),
            "at": T0 + number * DAY,
            "event_date": (T0 + number * DAY).date(),
        }
        for number in range(200)
    ]


def on_sqlite(other, name, parameters):
    """The statement's answer, by SQLite."""
    found = lake_sql.statement(name)
    computed = [lake_sql.statement(kept) for kept in sorted(found.kept)]
    text = lake_sql._preceded(found.text, {one.name: one.text for one in computed})
    for theirs, spelt in SPELLINGS:
        text = re.sub(theirs, spelt, text)
    needed = found.parameters.union(*(one.parameters for one in computed))
    bound = {key: plain(value) for key, value in parameters.items() if key in needed}
    answer = other.execute(text, bound)
    return [dict(zip([column[0] for column in answer.description], row, strict=True)) for row in answer]


def in_order(rows):
    """Rows as lists, sorted by what they show: engines differ in where nulls come."""
    cells = [[(key, plain(value)) for key, value in sorted(row.items())] for row in rows]
    return sorted(
        ([(key, value + 0 if isinstance(value, bool) else value) for key, value in row] for row in cells), key=str
    )


def closely(rows):
    """Rows whose fractions may differ by rounding; whole numbers and texts may not."""
    return [
        [(key, pytest.approx(value, rel=1e-12) if isinstance(value, float) else value) for key, value in row]
        for row in rows
    ]


@pytest.mark.parametrize("name", [name for name in lake_sql.statement_names() if name not in SHOWN_AS_TEXT])
def test_two_engines_give_one_answer(engines, name):
    """The law: over random rows, epochs and cut-offs, SQLite answers each statement as DuckDB does."""
    files, other = engines
    needs, compared = lake_sql.statement(name).parameters, 0
    for window in WINDOWS if needs & WINDOWS[0].keys() else WINDOWS[:1]:
        asked = {**PARAMETERS, **window}
        expected = lake_sql.rows_of(lake_sql.run(name, asked, lambda table: files.get(table, [])))
        found = on_sqlite(other, name, asked)
        assert closely(in_order(expected)) == in_order(found)
        compared += sum(value not in (0, None) for row in found for value in row.values())
    assert compared >= 1

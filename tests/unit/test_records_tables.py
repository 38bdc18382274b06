"""The tables as docs/tables.md pins them."""

from __future__ import annotations

from pathlib import Path

import pytest

from staged_rollout.adapters.lake_catalog import iceberg_schema
from staged_rollout.records.tables import ARROW_TYPES, TABLES, arrow_schema, markdown

DOCS = Path(__file__).parents[2] / "docs" / "tables.md"


def test_docs_show_the_tables_as_they_are():
    assert markdown() in DOCS.read_text(encoding="utf-8")


@pytest.mark.parametrize("table", TABLES)
def test_arrow_types_are_those_of_the_docs(table):
    found = [(field.name, str(field.type), field.nullable) for field in arrow_schema(table)]

    assert [(column.name, ARROW_TYPES[column.type], column.nullable) for column in TABLES[table]] == found


@pytest.mark.parametrize("table", TABLES)
def test_iceberg_field_ids_follow_the_order_of_columns(table):
    fields = iceberg_schema(table).fields

    assert [column.name for column in TABLES[table]] == [field.name for field in fields]
    assert list(range(1, len(fields) + 1)) == [field.field_id for field in fields]
    assert [not column.nullable for column in TABLES[table]] == [field.required for field in fields]


@pytest.mark.parametrize("table", TABLES)
def test_every_table_has_the_day_that_it_is_partitioned_by(table):
    assert ["day"] == [column.type for column in TABLES[table] if column.name == "event_date"]

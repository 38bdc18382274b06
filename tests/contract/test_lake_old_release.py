"""A lake that the release before wrote: read as it is, and brought up to date by the first writer."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime

import pyarrow as pa
import pytest

from staged_rollout.adapters.lake_catalog import TABLE_PROPERTIES, IcebergTables, _daily, iceberg_schema, sqlite_catalog
from staged_rollout.adapters.lake_iceberg import IcebergLake
from staged_rollout.adapters.log_folder import LogFolder
from staged_rollout.errors import DataError
from staged_rollout.operations.ingest import ingest
from staged_rollout.records.identities import row_identities
from staged_rollout.records.tables import TABLES, arrow_schema
from staged_rollout.spec.home import Home

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
LOG = "logs/predictions/churn/2026-03-02/b.jsonl"


class FixedClock:
    """A clock that stands still."""

    simulated = True

    def now(self):
        return NOW

    def wall(self):
        return 0.0


def prediction(request):
    record = {"request_id": request, "timestamp": NOW.isoformat(), "rollout": None, "unit_id": "u", "variant": "v1"}
    record |= {"assigned_variant": "v1", "fallback": False, "epoch": 1, "model_version": "1", "prediction": 1}
    return json.dumps(record | {"latency_ms": 1.5, "status": 200, "features": {}}) + "\n"


OLD_COLUMNS = {"predictions": 17, "captures": 11, "outcomes": 8, "quarantine": 10}
REQUIRED = {"latency_ms", "status"}


def old_lake(home):
    """A lake as the release before wrote it: fewer columns, none of them late to be null, an identity per row."""
    from pyiceberg.schema import Schema

    lake = home.lake
    lake.mkdir(parents=True)
    catalog = sqlite_catalog(lake)
    catalog.create_namespace("rollout")
    for table, count in OLD_COLUMNS.items():
        fields = iceberg_schema(table).fields[:count]
        old = Schema(
            *(field.model_copy(update={"required": field.required or field.name in REQUIRED}) for field in fields)
        )
        from staged_rollout.adapters.lake_catalog import _daily

        catalog.create_table(f"rollout.{table}", old, partition_spec=_daily(old), properties=TABLE_PROPERTIES)
    row = {"request_id": "r1", "timestamp": NOW, "event_date": NOW.date(), "endpoint": "churn", "rollout": "churn-v3"}
    row |= {"unit_id": "u", "assigned_variant": "v1", "variant": "v1", "fallback": False, "epoch": 1, "status": 200}
    row |= {"model_version": "1", "prediction": 1.0, "latency_ms": 1.0, "features": "{}", "source": "a", "line": 1}
    schema = pa.schema(list(arrow_schema("predictions"))[:17])
    schema = pa.schema([field.with_nullable(field.nullable and field.name not in REQUIRED) for field in schema])
    handle = catalog.load_table("rollout.predictions")
    handle.append(pa.Table.from_pylist([row], schema=schema), snapshot_properties={"batch": "1"})
    snapshot = handle.current_snapshot().snapshot_id
    catalog.close()
    pins = dict.fromkeys(TABLES) | {"predictions": snapshot}
    identity = row_identities("predictions", row)[0]
    with closing(sqlite3.connect(lake / "batches.db")) as connection:
        connection.executescript(OLD_SQL)
        connection.execute("INSERT INTO batches VALUES (1, ?, ?)", (NOW.isoformat(), json.dumps(pins)))
        connection.execute("INSERT INTO books VALUES (1, 0, 'a', 'predictions', 'churn', 1, 1, 0, 0, 0, 0, 10)")
        connection.execute("INSERT INTO claims VALUES ('a', 0, 0, 10, 'digest', 1, 1)")
        connection.execute("INSERT INTO identities VALUES ('predictions', '2026-03-02', ?)", (identity,))
        connection.commit()


OLD_SQL = """
PRAGMA journal_mode = WAL;
CREATE TABLE batches (number INTEGER PRIMARY KEY, at TEXT NOT NULL, snapshots TEXT NOT NULL) STRICT;
CREATE TABLE claims (
  source TEXT NOT NULL, generation INTEGER NOT NULL, from_byte INTEGER NOT NULL, to_byte INTEGER NOT NULL,
  digest TEXT NOT NULL, lines INTEGER NOT NULL, batch INTEGER NOT NULL REFERENCES
  batches(number), PRIMARY KEY (source, generation, from_byte)) STRICT, WITHOUT ROWID;
CREATE TABLE sources (source TEXT PRIMARY KEY, version TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE books (
  batch INTEGER NOT NULL REFERENCES batches(number), place INTEGER NOT NULL, name TEXT NOT NULL, kind TEXT NOT NULL,
  endpoint TEXT NOT NULL, lines INTEGER NOT NULL, accepted INTEGER NOT NULL, duplicates INTEGER NOT NULL,
  quarantined INTEGER NOT NULL, late INTEGER NOT NULL, blank INTEGER NOT NULL, bytes INTEGER NOT NULL,
  PRIMARY KEY (batch, place),
  CHECK (lines = accepted + duplicates + quarantined + late + blank)) STRICT, WITHOUT ROWID;
CREATE TABLE watermarks (
  kind TEXT NOT NULL, endpoint TEXT NOT NULL, committed TEXT, pending TEXT NOT NULL,
  PRIMARY KEY (kind, endpoint)) STRICT, WITHOUT ROWID;
CREATE TABLE identities (
  dataset TEXT NOT NULL, event_date TEXT NOT NULL, identity BLOB NOT NULL,
  PRIMARY KEY (dataset, event_date, identity)) STRICT, WITHOUT ROWID;
PRAGMA user_version = 1;
"""


def test_a_lake_of_the_release_before_is_read_as_it_is(tmp_path):
    """The law: reading changes nothing, and columns that the rows never had are null."""
    home = Home(tmp_path)
    old_lake(home)
    lake = IcebergLake(home)
    parameters = {"endpoint": "churn", "rollout": "churn-v3", "day": NOW.date()}

    assert ["r1"] == [row["request_id"] for row in lake.query("quality_day", parameters, batch=lake.head())]
    with closing(sqlite3.connect(home.lake / "batches.db")) as connection:
        assert (1,) == connection.execute("PRAGMA user_version").fetchone()
    lake.close()


def test_a_lake_of_the_release_before_is_brought_up_to_date_by_a_writer(tmp_path):
    """The law: identities of old rows go on to be known, old rows stay, and new columns are filled from now on."""
    home = Home(tmp_path)
    old_lake(home)
    lake = IcebergLake(home)
    path = home.root / LOG
    path.parent.mkdir(parents=True)
    path.write_text(prediction("r1") + prediction("r2"), encoding="utf-8")
    report = ingest(logs=LogFolder(home), lake=lake, clock=FixedClock())

    assert (2, 2, 1, 1) == (report.batch, report.lines, report.accepted, report.duplicates)
    # A run of the old identities, and with them that of the new row, which was merged into it.
    assert [(0, 2, 2)] == [
        (run.first_batch, run.last_batch, run.count) for run in lake._batches.runs("predictions", NOW.date())
    ]
    with closing(sqlite3.connect(home.lake / "batches.db")) as connection:
        assert (2,) == connection.execute("PRAGMA user_version").fetchone()
        assert [] == connection.execute("SELECT name FROM sqlite_master WHERE name = 'identities'").fetchall()
    for table in TABLES:
        found = [(field.name, field.required) for field in lake._tables.handle(table).schema().fields]
        assert [(column.name, not column.nullable) for column in TABLES[table]] == found
    import duckdb

    files = lake._files("predictions", lake.head().snapshots["predictions"])
    query = f"SELECT request_id, measures, shadow_variant FROM read_parquet({files}, union_by_name = true) ORDER BY 1"
    assert [("r1", None, None), ("r2", None, None)] == duckdb.sql(query).fetchall()
    rows = lake._tables.handle("predictions").scan().to_arrow().select(["request_id", "measures"])
    assert {("r1", None), ("r2", None)} == {tuple(row.values()) for row in rows.to_pylist()}
    lake.close()


def test_a_table_that_lacks_what_cannot_be_null_is_refused(tmp_path):
    from pyiceberg.schema import Schema

    catalog = sqlite_catalog(tmp_path)
    catalog.create_namespace("rollout")
    old = Schema(*iceberg_schema("outcomes").fields[2:])
    catalog.create_table("rollout.outcomes", Schema(*iceberg_schema("outcomes").fields[3:]), partition_spec=_daily(old))
    with pytest.raises(DataError, match="table outcomes lacks timestamp, which no old row has"):
        IcebergTables(catalog).ensure()
    catalog.close()

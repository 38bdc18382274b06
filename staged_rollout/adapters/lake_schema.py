"""The tables of the lake's own SQLite file, and what brings an older file up to date."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import date
from pathlib import Path
from typing import cast

from staged_rollout.errors import DataError
from staged_rollout.records.tables import TableName

SCHEMA_VERSION = 2
"""`user_version` of the file."""

READABLE_VERSIONS = frozenset({1, SCHEMA_VERSION})
"""Versions that are read; the next writer brings the file up to date. Another one is refused instead of being misread.
Version 1 held each identity as a row."""

_TABLES = """
CREATE TABLE IF NOT EXISTS batches (number INTEGER PRIMARY KEY, at TEXT NOT NULL, snapshots TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS claims (
  source TEXT NOT NULL, generation INTEGER NOT NULL, from_byte INTEGER NOT NULL, to_byte INTEGER NOT NULL,
  digest TEXT NOT NULL, lines INTEGER NOT NULL, batch INTEGER NOT NULL REFERENCES
  batches(number), PRIMARY KEY (source, generation, from_byte)) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sources (source TEXT PRIMARY KEY, version TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS books (
  batch INTEGER NOT NULL REFERENCES batches(number), place INTEGER NOT NULL, name TEXT NOT NULL, kind TEXT NOT NULL,
  endpoint TEXT NOT NULL, lines INTEGER NOT NULL, accepted INTEGER NOT NULL, duplicates INTEGER NOT NULL,
  quarantined INTEGER NOT NULL, late INTEGER NOT NULL, blank INTEGER NOT NULL, bytes INTEGER NOT NULL,
  PRIMARY KEY (batch, place),
  CHECK (lines = accepted + duplicates + quarantined + late + blank)) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS watermarks (
  kind TEXT NOT NULL, endpoint TEXT NOT NULL, committed TEXT, pending TEXT NOT NULL,
  PRIMARY KEY (kind, endpoint)) STRICT, WITHOUT ROWID;
"""

_RUNS = """
CREATE TABLE IF NOT EXISTS runs (
  dataset TEXT NOT NULL, event_date TEXT NOT NULL, first_batch INTEGER NOT NULL, last_batch INTEGER NOT NULL,
  count INTEGER NOT NULL, digest TEXT NOT NULL,
  PRIMARY KEY (dataset, event_date, first_batch)) STRICT, WITHOUT ROWID;
"""

_REMOVALS = """
CREATE TABLE IF NOT EXISTS removals (
  batch INTEGER NOT NULL REFERENCES batches(number), dataset TEXT NOT NULL, removed INTEGER NOT NULL,
  reason TEXT NOT NULL, PRIMARY KEY (batch, dataset)) STRICT, WITHOUT ROWID;
"""


@contextmanager
def connected(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection for one use: safe between threads and across a fork.

    Args:
        path: The file; its folder exists.
    """
    # isolation_level None: transactions are written out.
    with closing(sqlite3.connect(path, timeout=30.0, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        yield connection


def make_or_refuse(connection: sqlite3.Connection, path: Path) -> None:
    """Make the tables of a new file.

    Args:
        connection: To the file.
        path: Its name, for the message.

    Raises:
        DataError: the file is of a version that is not read.
    """
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version not in {0, *READABLE_VERSIONS}:
        accepted = ", ".join(map(str, sorted(READABLE_VERSIONS)))
        raise DataError(
            f"{path} has schema version {version}, accepted: {accepted}",
            hint="it was written by another release of Staged Rollout",
        )
    if version == 0:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(_TABLES + _RUNS + _REMOVALS)
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def begin_migration(connection: sqlite3.Connection) -> Iterator[tuple[TableName, date, list[bytes]]] | None:
    """Begin to bring a file of version 1 up to date, in a transaction that `end_migration` commits.

    Args:
        connection: To the file.

    Returns:
        The identities that it holds as rows, by table and event date; None: the file needs nothing.
    """
    if connection.execute("PRAGMA user_version").fetchone()[0] != 1:
        return None
    connection.execute("BEGIN IMMEDIATE")
    # Not executescript: it would commit.
    connection.execute(_RUNS)
    connection.execute(_REMOVALS)
    return _identities(connection)


def _identities(connection: sqlite3.Connection) -> Iterator[tuple[TableName, date, list[bytes]]]:
    places = connection.execute("SELECT DISTINCT dataset, event_date FROM identities").fetchall()
    for dataset, event_date in places:
        rows = connection.execute(
            "SELECT identity FROM identities WHERE dataset = ? AND event_date = ?", (dataset, event_date)
        )
        yield cast("TableName", dataset), date.fromisoformat(event_date), [row[0] for row in rows]


def end_migration(connection: sqlite3.Connection) -> None:
    """Commit what `begin_migration` began."""
    connection.execute("DROP TABLE identities")
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    connection.execute("COMMIT")

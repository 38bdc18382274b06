"""The lake's own SQLite file: one transaction per batch is the commit point of all tables together.

Iceberg commits one table at a time. So a batch first appends to each table and is then *sealed* here: the row of
`batches` pins every table's snapshot, and in the same transaction lie the claims, the books, the watermarks and the
identities of the rows. Readers use the pins; what was appended and never sealed does not exist for them, and the next
writer takes it back.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, date, datetime
from pathlib import Path

from staged_rollout.errors import DataError, NotFoundError
from staged_rollout.ports.lake import Batch, BatchDraft, FileBooks, SourceClaim, Stream
from staged_rollout.records.tables import TABLES, TableName

SCHEMA_VERSION = 1
"""`user_version` of the file; another one is refused instead of being misread."""

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
CREATE TABLE IF NOT EXISTS identities (
  dataset TEXT NOT NULL, event_date TEXT NOT NULL, identity BLOB NOT NULL,
  PRIMARY KEY (dataset, event_date, identity)) STRICT, WITHOUT ROWID;
"""

_CHUNK = 500
"""Identities asked for in one statement; SQLite allows 32,766 parameters."""


class Batches:
    """Reads and seals batches.

    Args:
        path: The SQLite file; its folder exists.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._open() as connection:
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version not in {0, SCHEMA_VERSION}:
                raise DataError(
                    f"{path} has schema version {version}, accepted: {SCHEMA_VERSION}",
                    hint="it was written by another release of Staged Rollout",
                )
            if version == 0:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.executescript(_TABLES)
                connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    def head(self) -> Batch:
        """The newest sealed batch, or batch 0 of the empty lake."""
        with self._open() as connection:
            row = connection.execute(
                "SELECT number, at, snapshots FROM batches ORDER BY number DESC LIMIT 1"
            ).fetchone()
        return _batch(row) if row else empty_batch()

    def batch(self, number: int) -> Batch:
        """A sealed batch by its number.

        Raises:
            NotFoundError: never sealed.
        """
        if number == 0:
            return empty_batch()
        with self._open() as connection:
            row = connection.execute("SELECT number, at, snapshots FROM batches WHERE number = ?", (number,)).fetchone()
        if row is None:
            raise NotFoundError(f"batch {number} was never sealed; the newest is {self.head().number}", batch=number)
        return _batch(row)

    def since(self, moment: datetime) -> list[Batch]:
        """Batches sealed at or after a moment, in order."""
        with self._open() as connection:
            rows = connection.execute("SELECT number, at, snapshots FROM batches ORDER BY number").fetchall()
        return [batch for batch in map(_batch, rows) if batch.at >= moment]

    def before(self, number: int) -> Iterator[Batch]:
        """Batches before one, the newest first."""
        with self._open() as connection:
            rows = connection.execute(
                "SELECT number, at, snapshots FROM batches WHERE number < ? ORDER BY number DESC", (number,)
            )
            yield from map(_batch, rows)

    def books(self, since_batch: int) -> list[FileBooks]:
        """Books of all batches after one, in order."""
        with self._open() as connection:
            rows = connection.execute(
                "SELECT name, kind, lines, accepted, duplicates, quarantined, late, blank, bytes, endpoint, batch"
                " FROM books WHERE batch > ? ORDER BY batch, place",
                (since_batch,),
            ).fetchall()
        return [FileBooks(*row) for row in rows]

    def positions(self) -> dict[str, SourceClaim]:
        """The last claim of every source."""
        # SQLite takes the bare columns from the row that holds the maximum: the newest generation's last range.
        with self._open() as connection:
            rows = connection.execute(
                "SELECT source, generation, from_byte, to_byte, digest, lines,"
                " MAX(generation * (1 << 53) + to_byte) FROM claims GROUP BY source"
            ).fetchall()
        return {row[0]: SourceClaim(*row[:6]) for row in rows}

    def claims(self, source: str, generation: int) -> list[SourceClaim]:
        """One generation's claims of one source, in order of bytes."""
        with self._open() as connection:
            rows = connection.execute(
                "SELECT source, generation, from_byte, to_byte, digest, lines FROM claims"
                " WHERE source = ? AND generation = ? ORDER BY from_byte",
                (source, generation),
            ).fetchall()
        return [SourceClaim(*row) for row in rows]

    def watermarks(self) -> dict[Stream, datetime]:
        """The newest accepted event time of each stream, as of the last run that finished."""
        with self._open() as connection:
            rows = connection.execute(
                "SELECT kind, endpoint, committed FROM watermarks WHERE committed IS NOT NULL"
            ).fetchall()
        return {(kind, endpoint): datetime.fromisoformat(committed) for kind, endpoint, committed in rows}

    def seen(self, table: TableName, day: date, identities: Iterable[bytes]) -> set[bytes]:
        """Those identities that a sealed batch holds for an event date."""
        asked: list[bytes] = sorted(set(identities))
        found: set[bytes] = set()
        with self._open() as connection:
            for start in range(0, len(asked), _CHUNK):
                some = asked[start : start + _CHUNK]
                marks = ",".join("?" * len(some))
                statement = (
                    f"SELECT identity FROM identities WHERE dataset = ? AND event_date = ? AND identity IN ({marks})"  # noqa: S608 - only question marks are put in
                )
                found.update(row[0] for row in connection.execute(statement, (table, day.isoformat(), *some)))
        return found

    def seal(self, number: int, snapshots: Mapping[str, int | None], draft: BatchDraft) -> Batch:
        """The commit point: everything that a batch is, in one transaction.

        Raises:
            DataError: books that do not balance, a claim or identity that is already held, or a number that is taken.
        """
        try:
            with self._open() as connection:
                connection.execute("BEGIN IMMEDIATE")
                self._write(connection, number, snapshots, draft)
                connection.execute("COMMIT")
        except sqlite3.IntegrityError as error:
            raise DataError(f"batch {number} contradicts what the lake holds: {error}", batch=number) from error
        return Batch(number, dict(snapshots), draft.at)

    def _write(
        self, connection: sqlite3.Connection, number: int, snapshots: Mapping[str, int | None], draft: BatchDraft
    ) -> None:
        connection.execute(
            "INSERT INTO batches VALUES (?, ?, ?)",
            (number, draft.at.isoformat(), json.dumps(dict(snapshots), sort_keys=True)),
        )
        connection.executemany(
            "INSERT INTO claims VALUES (?, ?, ?, ?, ?, ?, ?)",
            [(c.source, c.generation, c.from_byte, c.to_byte, c.digest, c.lines, number) for c in draft.claims],
        )
        connection.executemany(
            "INSERT INTO books VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [(number, place, b.name, b.kind, b.endpoint, *_figures(b)) for place, b in enumerate(draft.books)],
        )
        for (table, day), identities in draft.identities.items():
            rows = [(table, day.isoformat(), identity) for identity in sorted(identities)]
            connection.executemany("INSERT INTO identities VALUES (?, ?, ?)", rows)
        # Fixed-width UTC text compares like the moments themselves.
        for (kind, endpoint), newest in draft.newest.items():
            connection.execute(
                "INSERT INTO watermarks VALUES (?, ?, NULL, ?)"
                " ON CONFLICT (kind, endpoint) DO UPDATE SET pending = MAX(pending, excluded.pending)",
                (kind, endpoint, newest.astimezone(UTC).isoformat(timespec="microseconds")),
            )

    def versions(self) -> dict[str, str]:
        """The version of every source that a finished run has read to its end."""
        with self._open() as connection:
            return dict(connection.execute("SELECT source, version FROM sources").fetchall())

    def finish(self, versions: Mapping[str, str]) -> None:
        """What was newest in the batches so far becomes the watermark, and sources are known by their versions."""
        with self._open() as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("UPDATE watermarks SET committed = pending WHERE committed IS NOT pending")
            connection.executemany("INSERT OR REPLACE INTO sources VALUES (?, ?)", sorted(versions.items()))
            connection.execute("COMMIT")

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        # One connection per use: safe between threads and across a fork. isolation_level None: transactions are written
        # out.
        with closing(sqlite3.connect(self._path, timeout=30.0, isolation_level=None)) as connection:
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA foreign_keys = ON")
            yield connection


def empty_batch() -> Batch:
    """Batch 0: nothing was ever ingested."""
    return Batch(0, dict.fromkeys(TABLES), datetime.min.replace(tzinfo=UTC))


def _figures(books: FileBooks) -> tuple[int, ...]:
    verdicts = (books.accepted, books.duplicates, books.quarantined, books.late, books.blank)
    return (books.lines, *verdicts, books.bytes)


def _batch(row: tuple[int, str, str]) -> Batch:
    return Batch(row[0], json.loads(row[2]), datetime.fromisoformat(row[1]))

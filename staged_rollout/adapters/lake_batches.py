"""The lake's own SQLite file: one transaction per batch is the commit point of all tables together.

Iceberg commits one table at a time. So a batch first appends to each table and is then *sealed* here: the row of
`batches` pins every table's snapshot, and in the same transaction lie the claims, the books, the watermarks and the
names of the files that hold the identities of the rows. Readers use the pins; what was appended and never sealed does
not exist for them, and the next writer takes it back.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from staged_rollout.adapters.lake_schema import begin_migration, connected, end_migration, make_or_refuse
from staged_rollout.errors import DataError, NotFoundError
from staged_rollout.ports.lake import Batch, BatchDraft, FileBooks, SourceClaim, Stream
from staged_rollout.records.tables import TABLES, TableName


@dataclass(frozen=True)
class Removal:
    """Rows that a batch took out of a table on purpose.

    Attributes:
        table: The table.
        removed: How many.
        reason: retention or erased.
    """

    table: TableName
    removed: int
    reason: str


@dataclass(frozen=True)
class SealedRun:
    """A file of identities that sealed batches put into one table's event date.

    Attributes:
        table: The table.
        day: The event date.
        first_batch: The first of its batches.
        last_batch: The last of its batches.
        count: Identities in it.
        digest: SHA-256 of them, hexadecimal.
    """

    table: TableName
    day: date
    first_batch: int
    last_batch: int
    count: int
    digest: str

    @property
    def name(self) -> str:
        """The file, below the folder of runs."""
        return f"{self.table}/{self.day}/{self.first_batch:08d}-{self.last_batch:08d}.run"


class Batches:
    """Reads and seals batches.

    Args:
        path: The SQLite file; its folder exists.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._open() as connection:
            make_or_refuse(connection, path)

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

    def all_claims(self) -> dict[str, dict[int, list[SourceClaim]]]:
        """Source to generation to its claims, in order of bytes."""
        with self._open() as connection:
            rows = connection.execute(
                "SELECT source, generation, from_byte, to_byte, digest, lines FROM claims"
                " ORDER BY source, generation, from_byte"
            )
            found: dict[str, dict[int, list[SourceClaim]]] = {}
            for row in rows:
                found.setdefault(row[0], {}).setdefault(row[1], []).append(SourceClaim(*row))
        return found

    def removed(self) -> Counter[str]:
        """Rows that were taken out of each table on purpose."""
        with self._open() as connection:
            rows = connection.execute("SELECT dataset, SUM(removed) FROM removals GROUP BY dataset").fetchall()
        return Counter(dict(rows))

    def run_places(self) -> list[tuple[TableName, date]]:
        """Tables and event dates that have runs."""
        with self._open() as connection:
            rows = connection.execute("SELECT DISTINCT dataset, event_date FROM runs ORDER BY 1, 2").fetchall()
        return [(table, date.fromisoformat(day)) for table, day in rows]

    def drop_runs(self, first: date) -> list[SealedRun]:
        """Forget the identities of event dates before one; the runs whose files may go."""
        gone = [run for table, day in self.run_places() if day < first for run in self.runs(table, day)]
        with self._open() as connection:
            connection.execute("DELETE FROM runs WHERE event_date < ?", (first.isoformat(),))
        return gone

    def watermarks(self) -> dict[Stream, datetime]:
        """The newest accepted event time of each stream, as of the last run that finished."""
        with self._open() as connection:
            rows = connection.execute(
                "SELECT kind, endpoint, committed FROM watermarks WHERE committed IS NOT NULL"
            ).fetchall()
        return {(kind, endpoint): datetime.fromisoformat(committed) for kind, endpoint, committed in rows}

    def runs(self, table: TableName, day: date) -> list[SealedRun]:
        """The runs of identities of one table's event date, in order of batches."""
        with self._open() as connection:
            rows = connection.execute(
                "SELECT first_batch, last_batch, count, digest FROM runs WHERE dataset = ? AND event_date = ?"
                " ORDER BY first_batch",
                (table, day.isoformat()),
            ).fetchall()
        return [SealedRun(table, day, *row) for row in rows]

    def replace_runs(self, run: SealedRun) -> None:
        """Let one run, made anew, stand for all of its table's event date."""
        with self._open() as connection:
            connection.execute("BEGIN IMMEDIATE")
            _write_runs(connection, [run], {(run.table, run.day): 0})
            connection.execute("COMMIT")

    def migrate(self, keep: Callable[[TableName, date, list[bytes]], SealedRun]) -> None:
        """Bring a file of version 1 up to date: its identities become runs.

        Args:
            keep: Writes the identities of one table's event date into a file.
        """
        with self._open() as connection:
            identities = begin_migration(connection)
            if identities is None:
                return
            for dataset, event_date, found in identities:
                _write_runs(connection, [keep(dataset, event_date, found)], {})
            end_migration(connection)

    def seal(
        self,
        number: int,
        snapshots: Mapping[str, int | None],
        draft: BatchDraft,
        runs: Sequence[SealedRun] = (),
        removals: Sequence[Removal] = (),
    ) -> Batch:
        """The commit point: everything that a batch is, in one transaction.

        Args:
            number: Its number.
            snapshots: Table name to the snapshot that it pins.
            draft: Claims, books and watermarks.
            runs: Identities of its rows, one run for a table's event date; one that begins with an earlier batch
                stands for all runs from that one on.
            removals: Rows that it took out.

        Raises:
            DataError: books that do not balance, a claim that is already held, or a number that is taken.
        """
        try:
            with self._open() as connection:
                connection.execute("BEGIN IMMEDIATE")
                self._write(connection, number, snapshots, draft)
                _write_runs(connection, runs, {(run.table, run.day): run.first_batch for run in runs})
                connection.executemany(
                    "INSERT INTO removals VALUES (?, ?, ?, ?)",
                    [(number, one.table, one.removed, one.reason) for one in removals],
                )
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

    def _open(self) -> AbstractContextManager[sqlite3.Connection]:
        return connected(self._path)


def empty_batch() -> Batch:
    """Batch 0: nothing was ever ingested."""
    return Batch(0, dict.fromkeys(TABLES), datetime.min.replace(tzinfo=UTC))


def _write_runs(
    connection: sqlite3.Connection, runs: Sequence[SealedRun], since: Mapping[tuple[TableName, date], int]
) -> None:
    """Write runs in place of those of the same event date that begin with a batch or a later one."""
    connection.executemany(
        "DELETE FROM runs WHERE dataset = ? AND event_date = ? AND first_batch >= ?",
        [(table, day.isoformat(), first) for (table, day), first in since.items()],
    )
    connection.executemany(
        "INSERT INTO runs VALUES (?, ?, ?, ?, ?, ?)",
        [(r.table, r.day.isoformat(), r.first_batch, r.last_batch, r.count, r.digest) for r in runs],
    )


def _figures(books: FileBooks) -> tuple[int, ...]:
    verdicts = (books.accepted, books.duplicates, books.quarantined, books.late, books.blank)
    return (books.lines, *verdicts, books.bytes)


def _batch(row: tuple[int, str, str]) -> Batch:
    return Batch(row[0], json.loads(row[2]), datetime.fromisoformat(row[1]))

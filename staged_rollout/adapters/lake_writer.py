"""The one process that writes into the lake, and the batch that it writes."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import date, datetime
from pathlib import Path
from typing import Any

from staged_rollout.adapters import lake_identities as sets
from staged_rollout.adapters.lake_batches import Batches
from staged_rollout.adapters.lake_catalog import IcebergTables
from staged_rollout.adapters.lake_files import PartitionFiles, by_day
from staged_rollout.adapters.lake_journal import Journal
from staged_rollout.adapters.lake_runs import BatchIdentities, IdentityRuns
from staged_rollout.errors import DataError
from staged_rollout.ports.lake import Batch, BatchDraft, SourceClaim, Stream
from staged_rollout.records.identities import IDENTITY_COLUMNS, row_identities
from staged_rollout.records.tables import TABLES, TableName

_ROWS_READ = 1 << 16


class IcebergWriter:
    """The leased writer; made by `IcebergLake.writer` only.

    Args:
        folder: The lake's.
        batches: Its sealed batches.
        tables: Its tables.
        pseudonym: Keyed hash of a unit id.
        at_step: Called with the name of each point of a commit that has just been passed.
    """

    def __init__(
        self,
        folder: Path,
        batches: Batches,
        tables: IcebergTables,
        pseudonym: Callable[[str], str],
        at_step: Callable[[str], None],
    ) -> None:
        self._folder = folder
        self._batches = batches
        self._tables = tables
        self._pseudonym = pseudonym
        self._at_step = at_step
        self._journal = Journal(folder / "unsealed.txt")
        self._runs = IdentityRuns(folder / "identities", batches, self._identities)

    def recover(self) -> None:
        """Undo what a killed writer left half-done, and bring an older lake up to date.

        Raises:
            DataError: a table holds what no batch knows.
        """
        head = self._batches.head()
        for table in TABLES:
            self._tables.roll_back(table, head.snapshots.get(table), head.number + 1)
        self._journal.settle(head.number)
        self._batches.migrate(lambda table, day, found: self._runs.migrated(table, day, found, head.number))

    def positions(self) -> Mapping[str, SourceClaim]:
        """The last claim of every source file."""
        return self._batches.positions()

    def claims(self, source: str, generation: int) -> list[SourceClaim]:
        """All claims of one generation of one file, in order of bytes."""
        return self._batches.claims(source, generation)

    def watermarks(self) -> Mapping[Stream, datetime]:
        """The newest accepted event time of each stream, as of the last run that finished."""
        return self._batches.watermarks()

    def pseudonym(self, unit: str) -> str:
        """The keyed hash that stands for a unit."""
        return self._pseudonym(unit)

    def versions(self) -> Mapping[str, str]:
        """The version of every source file that a finished run has read to its end."""
        return self._batches.versions()

    def finish(self, versions: Mapping[str, str]) -> None:
        """End the run: its newest event times become the watermarks, and what it read needs no look until it changes.

        Args:
            versions: Source file to the version that was read to its end.

        Raises:
            DataError: the lake cannot be written.
        """
        with refused_writes(self._folder):
            self._batches.finish(versions)

    def damaged_runs(self) -> list[str]:
        """Names of identity files that are not, byte by byte, the ones that were sealed."""
        return [name for table, day in self._batches.run_places() for name in self._runs.damaged(table, day)]

    def begin(self) -> LakeBatch:
        """The next batch; one at a time."""
        return LakeBatch(self._folder, self._batches, self._tables, self._runs, self._journal, self._at_step)

    def _identities(self, table: TableName, day: date) -> sets.Run:
        """The identities of an event date's rows, told from the rows."""
        import pyarrow.parquet as pq

        snapshot = self._batches.head().snapshots.get(table)
        parts = []
        for path in self._tables.files(table, snapshot, day):
            with pq.ParquetFile(path) as file:
                known = [name for name in IDENTITY_COLUMNS[table] if name in file.schema_arrow.names]
                for rows in file.iter_batches(_ROWS_READ, columns=known):
                    blank = dict.fromkeys(IDENTITY_COLUMNS[table])
                    found = [one for row in rows.to_pylist() for one in row_identities(table, blank | row)]
                    parts.append(sets.run_of(found))
        return sets.merged(parts) if parts else sets.run_of([])


class LakeBatch:
    """A batch that is being written; made by `IcebergWriter.begin` only."""

    def __init__(
        self,
        folder: Path,
        batches: Batches,
        tables: IcebergTables,
        runs: IdentityRuns,
        journal: Journal,
        at_step: Callable[[str], None],
    ) -> None:
        self._folder = folder
        self._batches = batches
        self._tables = tables
        self._journal = journal
        self._at_step = at_step
        self._head = batches.head()
        self._number = self._head.number + 1
        self._identities = BatchIdentities(runs, self._number)
        handles = {table: tables.handle(table) for table in TABLES}
        self._files = PartitionFiles(handles, self._number, lambda path: journal.new(self._number, path))

    @property
    def identities(self) -> int:
        """Identities that it holds in memory, to tell a second line from a first."""
        return len(self._identities)

    def add(self, table: TableName, rows: Any, identities: Sequence[Any] = ()) -> Any:
        """Add those rows that neither the lake nor the batch holds; of the same ones, the first.

        Args:
            table: Where they belong.
            rows: A pyarrow Table with the table's columns, in the order of lines.
            identities: `binary(16)` pyarrow arrays, as long as the rows; a row with any identity that is held for its
                event date is a duplicate. None given: all rows are new.

        Returns:
            A numpy array of bool, as long as the rows: which were added.

        Raises:
            DataError: rows that do not fit their table, or the lake cannot be written.
        """
        with refused_writes(self._folder):
            added = self._identities.admit(table, rows["event_date"], identities)
            fresh = rows if added.all() else rows.filter(added)
            for day, places in by_day(fresh["event_date"]):
                # take, not slice: a few rows of a rare day must not keep a whole block in memory.
                self._files.add(table, day, fresh if places is None else fresh.take(places))
        return added

    def commit(self, draft: BatchDraft) -> Batch:
        """Append to each table, then seal: the seal is the commit point.

        Args:
            draft: What the batch is, beside its rows.

        Raises:
            DataError: books that do not balance, or the lake cannot be written; nothing of the batch is in it then.
        """
        try:
            with refused_writes(self._folder):
                batch = self._sealed(draft)
        except BaseException:
            self.discard()
            raise
        self._at_step("sealed")
        with refused_writes(self._folder):
            self._journal.settle(self._number)
        return batch

    def discard(self) -> None:
        """Leave nothing of it; after a commit, nothing happens. What cannot be undone is left to the next writer."""
        if self._batches.head().number >= self._number:
            return
        self._files.abandon()
        # Files first: on a full disk, that is what makes room for the rest.
        with suppress(OSError):
            self._journal.settle(self._head.number)
        with suppress(Exception):
            for table in TABLES:
                self._tables.roll_back(table, self._head.snapshots.get(table), self._number)

    def _sealed(self, draft: BatchDraft) -> Batch:
        for books in draft.books:
            if not books.balanced:
                raise DataError(f"books of {books.name} do not balance: {books}", books=books.name)
        snapshots: dict[str, int | None] = {table: self._head.snapshots.get(table) for table in TABLES}
        for table, files in self._files.finish().items():
            snapshots[table] = self._tables.append(table, files, self._number)
            self._at_step(f"appended {table}")
        runs = self._identities.seal(
            lambda path: self._journal.new(self._number, path), lambda path: self._journal.old(self._number, path)
        )
        self._at_step("identities written")
        return self._batches.seal(self._number, snapshots, draft, runs)


@contextmanager
def refused_writes(folder: Path) -> Iterator[None]:
    """Say what the system said when the lake could not be written.

    Raises:
        DataError: a full disk, a quota, a missing right, in place of the system's own error.
    """
    try:
        yield
    except (OSError, sqlite3.OperationalError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise DataError(
            f"the lake in {folder} cannot be written: {reason}",
            hint="make room or mend it, then ingest again: what was sealed stays, and nothing is lost",
            folder=str(folder),
        ) from error

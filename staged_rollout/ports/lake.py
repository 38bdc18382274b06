"""The lake: tables that grow by atomic batches, and questions asked of one batch."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from staged_rollout.ports.lens import Lens
from staged_rollout.ports.logs import LogKind
from staged_rollout.records.tables import TableName

if TYPE_CHECKING:
    from staged_rollout.ports.lake_upkeep import LakeUpkeep

Rows = list[dict[str, Any]]
"""A handful of result rows: figures, never data."""

Stream = tuple[LogKind, str]
"""One kind of log of one endpoint: what a watermark belongs to."""


@dataclass(frozen=True)
class FileBooks:
    """What became of the lines of one read of one file: lines = accepted + duplicates + quarantined + late + blank."""

    name: str
    kind: str
    lines: int
    accepted: int
    duplicates: int
    quarantined: int
    late: int
    blank: int
    bytes: int
    endpoint: str = ""
    batch: int = 0

    @property
    def balanced(self) -> bool:
        """Whether every line is accounted for."""
        return self.lines == self.accepted + self.duplicates + self.quarantined + self.late + self.blank


@dataclass(frozen=True)
class Batch:
    """A sealed state of all tables.

    Attributes:
        number: Grows by one with each batch; 0 is the empty lake.
        snapshots: Table name to Iceberg snapshot id (None while a table is empty): readers use these, never "latest".
        at: When it was sealed, in the clock's time.
    """

    number: int
    snapshots: Mapping[str, int | None]
    at: datetime


@dataclass(frozen=True)
class SourceClaim:
    """A range of one source file that a batch has ingested, once and for all.

    Attributes:
        source: The file's name.
        generation: 0 at first; grows by one each time the file was found replaced and read again from its start.
        from_byte: First byte of the range (decompressed).
        to_byte: First byte after it.
        digest: SHA-256 of the range, hexadecimal.
        lines: Lines in the range.
    """

    source: str
    generation: int
    from_byte: int
    to_byte: int
    digest: str
    lines: int


@dataclass(frozen=True)
class BatchDraft:
    """What seals a batch, beside its rows.

    Attributes:
        at: The clock's time.
        claims: The ranges that it was read from.
        books: What became of their lines; each must balance.
        newest: Stream to the newest event time among the accepted rows; becomes a watermark when the run finishes.
    """

    at: datetime
    claims: Sequence[SourceClaim]
    books: Sequence[FileBooks]
    newest: Mapping[Stream, datetime] = field(default_factory=dict)


class OpenBatch(Protocol):
    """A batch that is being written; nothing of it is in the lake until `commit` has returned."""

    @property
    def identities(self) -> int:
        """Identities that it holds in memory, to tell a second line from a first."""
        ...

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
        ...

    def commit(self, draft: BatchDraft) -> Batch:
        """Add everything or nothing.

        Raises:
            DataError: books that do not balance, or the lake cannot be written; nothing of the batch is in it then.
        """
        ...

    def discard(self) -> None:
        """Leave nothing of it; after a commit, nothing happens."""
        ...


class LakeWriter(Protocol):
    """The one process that may add to the lake, for as long as its lease lasts."""

    def positions(self) -> Mapping[str, SourceClaim]:
        """The last claim of every source file."""
        ...

    def versions(self) -> Mapping[str, str]:
        """The version of every source file that a finished run has read to its end."""
        ...

    def claims(self, source: str, generation: int) -> list[SourceClaim]:
        """All claims of one generation of one file, in order of bytes."""
        ...

    def watermarks(self) -> Mapping[Stream, datetime]:
        """The newest accepted event time of each stream, as of the last run that finished."""
        ...

    def pseudonym(self, unit: str) -> str:
        """The keyed hash that stands for a unit."""
        ...

    def begin(self) -> OpenBatch:
        """The next batch; one at a time."""
        ...

    def finish(self, versions: Mapping[str, str]) -> None:
        """End the run: its newest event times become the watermarks, and what it read needs no look until it changes.

        A run that is killed before is carried on by the next one, which judges lateness by the same watermarks, so that
        the order and size of batches change nothing.

        Args:
            versions: Source file to the version that was read to its end.
        """
        ...


class SeenRows(Protocol):
    """Answers questions about sealed batches."""

    def head(self) -> Batch:
        """The newest sealed batch."""
        ...

    def batch(self, number: int) -> Batch:
        """A sealed batch by its number."""
        ...

    def query(self, name: str, parameters: Mapping[str, Any], *, batch: Batch) -> Rows:
        """As `Lake.query`."""
        ...

    def table(self, name: str, parameters: Mapping[str, Any], *, batch: Batch) -> Any:
        """As `Lake.table`."""
        ...


class Lake(Protocol):
    """Iceberg tables; SQL files under sql/ run by DuckDB over one batch's files."""

    def head(self) -> Batch:
        """The newest sealed batch."""
        ...

    def batch(self, number: int) -> Batch:
        """A sealed batch by its number.

        Raises:
            NotFoundError: never sealed.
        """
        ...

    def query(self, name: str, parameters: Mapping[str, Any], *, batch: Batch) -> Rows:
        """Run `sql/NAME.sql` over a batch's snapshots with bound parameters.

        Raises:
            NotFoundError: no such statement.
            DataError: the statement does not fit its parameters or tables.
        """
        ...

    def table(self, name: str, parameters: Mapping[str, Any], *, batch: Batch) -> Any:
        """As `query`, answering a pyarrow Table: rows for checks and plots.

        Raises:
            NotFoundError: no such statement.
            DataError: the statement does not fit its parameters or tables.
        """
        ...

    def save(
        self,
        name: str,
        parameters: Mapping[str, Any],
        *,
        batch: Batch,
        path: Path,
        form: Literal["parquet", "csv"] = "parquet",
    ) -> None:
        """As `query`, writing the answer into a file without holding all of it: for lists that people take away.

        Raises:
            NotFoundError: no such statement.
            DataError: the statement does not fit its parameters or tables, or the file cannot be written.
        """
        ...

    def through(self, lens: Lens) -> SeenRows:
        """The tables as the log of another rollout: for questions only."""
        ...

    def books(self, *, since_batch: int = 0) -> Sequence[FileBooks]:
        """What became of every line of every read after a batch, in order."""
        ...

    @property
    def upkeep(self) -> LakeUpkeep:
        """Housekeeping: files, compaction, retention, erasure, verification."""
        ...

    def unit_id(self, unit: str) -> str:
        """The keyed hash that stands for a unit in every table."""
        ...

    def forget(self, before: datetime, *, keep: Collection[int] = ()) -> int:
        """Expire the snapshots of batches sealed before a moment; the newest batch and those named always stay.

        Rows stay: what goes is the possibility to read the tables as they once were.

        Returns:
            How many snapshots were expired.
        """
        ...

    def writer(self, *, wait_s: float = 30.0) -> AbstractContextManager[LakeWriter]:
        """Become the one writer; what a killed one left half-done is undone first.

        Raises:
            LeaseHeldError: another process writes and did not finish within `wait_s`.
        """
        ...

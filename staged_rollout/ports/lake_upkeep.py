"""The lake's upkeep: how large it is, whether its books add up, and what may be put together or taken out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol

from staged_rollout.ports.lake import Batch
from staged_rollout.records.tables import TableName


@dataclass(frozen=True)
class DataFile:
    """One Parquet file of a table.

    Attributes:
        path: Where it lies.
        day: The event day of its rows.
        rows: How many.
        bytes: Its size.
    """

    path: str
    day: date
    rows: int
    bytes: int


@dataclass(frozen=True)
class TableChange:
    """What upkeep did to one table.

    Attributes:
        table: Its name.
        files_before: Data files before.
        files_after: Data files after.
        removed: Rows that were taken out.
    """

    table: TableName
    files_before: int
    files_after: int
    removed: int = 0


@dataclass(frozen=True)
class Finding:
    """One check of `verify`.

    Attributes:
        check: What should hold, in words.
        ok: Whether it does.
        detail: The figures.
    """

    check: str
    ok: bool
    detail: str


class LakeUpkeep(Protocol):
    """Housekeeping; each change is a batch of its own, so that a look that is being taken keeps its rows."""

    def files(self, table: TableName, batch: Batch) -> Sequence[DataFile]:
        """The data files of a table at a batch, by day and path.

        Raises:
            DataError: the batch's snapshot has expired.
        """
        ...

    def compact(self, at: datetime) -> Sequence[TableChange]:
        """Write each event day's small files as one; the rows and their order within a file stay.

        Args:
            at: The clock's time.

        Returns:
            The tables that changed.

        Raises:
            LeaseHeldError: another process writes.
        """
        ...

    def retain(self, first: date, at: datetime) -> Sequence[TableChange]:
        """Take out the event days before one, with their identities.

        Args:
            first: The first day that stays.
            at: The clock's time.

        Raises:
            LeaseHeldError: another process writes.
        """
        ...

    def erase(self, unit: str, at: datetime) -> Sequence[TableChange]:
        """Take out one unit: its rows, what belongs to its requests, and lines in quarantine that name it.

        Earlier batches can no longer be read afterwards, and files that only they need are deleted.

        Args:
            unit: Its id as callers give it.
            at: The clock's time.

        Raises:
            LeaseHeldError: another process writes.
        """
        ...

    def sweep(self) -> tuple[int, int]:
        """Delete data files that no batch needs; how many they were, and their bytes."""
        ...

    def verify(self) -> Sequence[Finding]:
        """Add up the books again: claims, snapshots, counts, identities."""
        ...

"""Data files written anew: small ones as large ones, and rows left out for good."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from staged_rollout.records.tables import TableName, arrow_schema

TARGET_BYTES = 128 << 20
"""Size from which a data file is large enough to be left alone."""

ROWS_AT_ONCE = 1 << 16
"""Rows of a file in memory while it is written anew."""

Keep = Callable[[Any], Any]
"""Rows (a pyarrow Table) to a boolean pyarrow array: those that stay."""


@dataclass
class Change:
    """What becomes of one table.

    Attributes:
        table: Its name.
        old: The pyiceberg data files that go.
        rows_before: Rows in them.
        rows_after: Rows in those that take their place.
        new: The data files that come.
    """

    table: TableName
    old: list[Any] = field(default_factory=list)
    rows_before: int = 0
    rows_after: int = 0
    new: list[Any] = field(default_factory=list)

    @property
    def removed(self) -> int:
        """Rows that are left out."""
        return self.rows_before - self.rows_after


def small_files(files: Sequence[Any], target_bytes: int = TARGET_BYTES) -> dict[date, list[Any]]:
    """Event days with two or more files below the target size, and those files.

    Args:
        files: pyiceberg's data files of one snapshot.
        target_bytes: As TARGET_BYTES.
    """
    by_day: dict[date, list[Any]] = defaultdict(list)
    for file in files:
        if file.file_size_in_bytes < target_bytes:
            by_day[day_of(file)].append(file)
    return {day: small for day, small in sorted(by_day.items()) if len(small) > 1}


def days_before(files: Sequence[Any], day: date) -> dict[date, list[Any]]:
    """Event days before one, and all of their files."""
    by_day: dict[date, list[Any]] = defaultdict(list)
    for file in files:
        if day_of(file) < day:
            by_day[day_of(file)].append(file)
    return dict(sorted(by_day.items()))


def files_with(files: Sequence[Any], table: TableName, keep: Keep) -> dict[date, list[Any]]:
    """Event days with files that hold rows which do not stay, and those files."""
    by_day: dict[date, list[Any]] = defaultdict(list)
    for file in files:
        if any(_not_all(keep(rows)) for rows in rows_of(file, table)):
            by_day[day_of(file)].append(file)
    return dict(sorted(by_day.items()))


def _not_all(kept: Any) -> bool:
    """Whether any row of a boolean array does not stay."""
    import pyarrow.compute as pc

    return bool(len(kept)) and not pc.all(kept, skip_nulls=False).as_py()


def rewritten(
    table: TableName,
    by_day: Mapping[date, Sequence[Any]],
    write: Callable[[TableName, date, Any], None],
    keep: Keep | None = None,
) -> Change:
    """Write the rows of some files anew, day by day and in their order.

    Args:
        table: Which table.
        by_day: Event day to the data files that go.
        write: Takes rows of an event day.
        keep: Which rows stay; None: all.

    Returns:
        The change, without the files that come: who writes knows them.
    """
    change = Change(table)
    for day, files in by_day.items():
        for file in files:
            change.old.append(file)
            for rows in rows_of(file, table):
                change.rows_before += rows.num_rows
                staying = rows if keep is None else rows.filter(keep(rows))
                change.rows_after += staying.num_rows
                if staying.num_rows:
                    write(table, day, staying)
    return change


def rows_of(file: Any, table: TableName) -> Iterator[Any]:
    """A data file's rows as pyarrow Tables of bounded size, with all columns of the present schema."""
    import pyarrow as pa
    import pyarrow.dataset as ds

    schema = arrow_schema(table)
    nullable = pa.schema([one.with_nullable(nullable=True) for one in schema])
    path = str(file.file_path).removeprefix("file://")
    for batch in ds.dataset(path, schema=nullable, format="parquet").to_batches(batch_size=ROWS_AT_ONCE):
        if batch.num_rows:
            yield pa.Table.from_batches([batch])


def day_of(file: Any) -> date:
    """The event day that a pyiceberg data file holds."""
    found = file.partition[0]
    return found if isinstance(found, date) else date.fromordinal(date(1970, 1, 1).toordinal() + int(found))

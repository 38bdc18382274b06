"""Rows of an open batch to Parquet files, one per table and event date, while they are read."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from staged_rollout.errors import DataError
from staged_rollout.records.tables import TABLES, TableName, arrow_schema

ROWS_PER_GROUP = 1 << 17
"""Rows of a table's event date that are held before they are written as one row group."""

BYTES_HELD = 96 << 20
"""Bytes of rows that are held for all event dates together, before the largest are written earlier."""

OPEN_FILES = 48
"""Files that are open at once; a batch that spans more event dates closes the one that was written longest ago."""

_REPEATED = frozenset(
    {"endpoint", "rollout", "assigned_variant", "variant", "fallback", "epoch", "model_version", "status", "event_date"}
    | {"source", "kind", "verdict", "reason", "name", "measures", "shadow_variant", "at"}
)
"""Columns whose values repeat; a dictionary of the others would be built to be thrown away."""

_ASCENDING = ("timestamp", "line", "offset")
"""Columns whose values grow from row to row: their differences are a few bits."""

_EPOCH = date(1970, 1, 1).toordinal()

Place = tuple[TableName, date]


@dataclass
class _Held:
    """Rows that wait to be written."""

    parts: list[Any] = field(default_factory=list)
    rows: int = 0
    bytes: int = 0


@dataclass
class _Writing:
    """One open file."""

    location: str
    writer: Any
    rows: int = 0


class PartitionFiles:
    """Writes rows into files below their table's location.

    Args:
        tables: Table name to the pyiceberg table.
        batch: Number of the batch; stands in every file's name.
        note: Told the path of each file before it is made, so that it can be found again if the process dies.
    """

    def __init__(self, tables: Mapping[TableName, Any], batch: int, note: Callable[[Path], None]) -> None:
        self._tables = tables
        self._batch = batch
        self._note = note
        self._held: dict[Place, _Held] = {}
        self._open: dict[Place, _Writing] = {}
        self._done: dict[TableName, list[Any]] = {}
        self._schemas: dict[TableName, Any] = {}

    def add(self, table: TableName, day: date, rows: Any) -> None:
        """Add rows of one event date.

        Args:
            table: Where they belong.
            day: Their event date.
            rows: A pyarrow Table with the table's columns.

        Raises:
            DataError: rows that do not fit their table.
        """
        held = self._held.setdefault((table, day), _Held())
        held.parts.append(self._fitting(table, rows))
        held.rows += rows.num_rows
        # What the rows keep alive, not what they use: a few rows may hold a whole block of lines.
        held.bytes += rows.get_total_buffer_size()
        if held.rows >= ROWS_PER_GROUP:
            self._write((table, day))
        while sum(each.bytes for each in self._held.values()) > BYTES_HELD:
            self._write(max(self._held, key=lambda place: self._held[place].bytes))

    def finish(self) -> dict[TableName, list[Any]]:
        """Write what is held and close all files; table name to pyiceberg DataFiles."""
        for place in list(self._held):
            self._write(place)
        for place in list(self._open):
            self._close(place)
        return self._done

    def abandon(self) -> None:
        """Close what is open, whatever happens; the files are somebody else's to remove."""
        self._held.clear()
        for writing in self._open.values():
            try:
                writing.writer.close()
            except Exception:  # noqa: BLE001, S112 - the disk may be full; the file goes anyway
                continue
        self._open.clear()

    def _fitting(self, table: TableName, rows: Any) -> Any:
        import pyarrow as pa

        schema = self._schema(table)
        try:
            fitting = rows.select(schema.names).cast(schema)
        except (pa.ArrowException, KeyError, ValueError) as error:
            raise DataError(f"rows do not fit table {table}: {error}", table=table) from error
        nulls = [column.name for column in schema if not column.nullable and fitting[column.name].null_count]
        if nulls:
            raise DataError(f"rows do not fit table {table}: null in {', '.join(nulls)}", table=table)
        return fitting

    def _schema(self, table: TableName) -> Any:
        if table not in self._schemas:
            import pyarrow as pa

            known = self._tables[table].schema()
            self._schemas[table] = pa.schema(
                column.with_metadata({b"PARQUET:field_id": str(known.find_field(column.name).field_id).encode()})
                for column in arrow_schema(table)
            )
        return self._schemas[table]

    def _write(self, place: Place) -> None:
        import pyarrow as pa

        held = self._held.pop(place)
        writing = self._open.pop(place, None)
        if writing is None:
            while len(self._open) >= OPEN_FILES:
                self._close(next(iter(self._open)))
            writing = self._create(*place)
        self._open[place] = writing  # the last one written lies last
        writing.writer.write_table(pa.concat_tables(held.parts), row_group_size=max(held.rows, 1))
        writing.rows += held.rows

    def _create(self, table: TableName, day: date) -> _Writing:
        import pyarrow.parquet as pq

        folder = Path(str(self._tables[table].location()).removeprefix("file://")) / "data" / f"event_date={day}"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self._batch:08d}-{uuid.uuid4().hex}.parquet"
        self._note(path)
        names = [column.name for column in TABLES[table]]
        writer = pq.ParquetWriter(
            path,
            self._schema(table),
            compression="zstd",
            compression_level=1,
            use_dictionary=[name for name in names if name in _REPEATED],
            column_encoding={name: "DELTA_BINARY_PACKED" for name in _ASCENDING if name in names},
        )
        return _Writing(str(path), writer)

    def _close(self, place: Place) -> None:
        writing = self._open.pop(place)
        writing.writer.close()
        table, day = place
        metadata = writing.writer.writer.metadata
        self._done.setdefault(table, []).append(_data_file(self._tables[table], writing.location, day, metadata))


def by_day(days: Any) -> Iterator[tuple[date, Any]]:
    """Each event date and the places of its rows, None for all of them.

    Args:
        days: A pyarrow column of dates.
    """
    import numpy as np
    import pyarrow as pa

    numbers = days.cast(pa.int32()).to_numpy()
    found = np.unique(numbers)
    for number in found.tolist():
        yield (
            date.fromordinal(_EPOCH + number),
            None if len(found) == 1 else np.flatnonzero(numbers == number),
        )


def _data_file(table: Any, path: str, day: date, metadata: Any) -> Any:
    from pyiceberg.io.pyarrow import (
        compute_statistics_plan,
        data_file_statistics_from_parquet_metadata,
        parquet_path_to_id_mapping,
    )
    from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
    from pyiceberg.typedef import Record

    statistics = data_file_statistics_from_parquet_metadata(
        parquet_metadata=metadata,
        stats_columns=compute_statistics_plan(table.schema(), table.properties),
        parquet_column_mapping=parquet_path_to_id_mapping(table.schema()),
    )
    return DataFile.from_args(
        content=DataFileContent.DATA,
        file_path=path,
        file_format=FileFormat.PARQUET,
        partition=Record(day.toordinal() - _EPOCH),  # as Iceberg stores a date
        file_size_in_bytes=Path(path).stat().st_size,
        sort_order_id=None,
        spec_id=table.metadata.default_spec_id,
        equality_ids=None,
        key_metadata=None,
        **statistics.to_serialized_dict(),
    )

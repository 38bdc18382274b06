"""Iceberg tables of the lake: a SQLite catalog, local files, one partition per event day."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date
from pathlib import Path
from typing import Any, Protocol

from staged_rollout.errors import DataError
from staged_rollout.records.tables import TABLES, TableName

NAMESPACE = "rollout"
BATCH_PROPERTY = "batch"
"""Snapshot property that names the batch which appended it."""

TABLE_PROPERTIES = {
    "format-version": "2",
    "write.parquet.compression-codec": "zstd",
    "commit.retry.num-retries": "0",
    "commit.manifest-merge.enabled": "true",
    "commit.manifest.min-count-to-merge": "8",
    "write.metadata.delete-after-commit.enabled": "true",
    "write.metadata.previous-versions-max": "5",
}
"""No retries: a stale append that is retried lands the same rows twice. The others keep planning flat as batches add
up."""


class Catalog(Protocol):
    """What the lake needs of a pyiceberg catalog (SQLite here, Glue on AWS)."""

    def load_table(self, identifier: str, /) -> Any:
        """A table."""
        ...

    def create_table_if_not_exists(
        self, identifier: str, /, schema: Any, *, partition_spec: Any, properties: dict[str, Any]
    ) -> Any:
        """A table, made if there is none."""
        ...

    def create_namespace_if_not_exists(self, namespace: str, /) -> None:
        """The namespace, made if there is none."""
        ...

    def close(self) -> None:
        """Give connections back."""
        ...


def sqlite_catalog(folder: Path) -> Catalog:
    """The embedded catalog: `catalog.db` and `warehouse/` below a folder."""
    from pyiceberg.catalog.sql import SqlCatalog
    from sqlalchemy import URL

    warehouse = folder / "warehouse"
    warehouse.mkdir(parents=True, exist_ok=True)
    uri = URL.create("sqlite", database=str(folder / "catalog.db")).render_as_string()
    return SqlCatalog("lake", uri=uri, warehouse=str(warehouse))


class IcebergTables:
    """The four tables behind one catalog.

    Args:
        catalog: Where they are registered.
        namespace: What the catalog calls them together.
    """

    def __init__(self, catalog: Catalog, namespace: str = NAMESPACE) -> None:
        self._catalog = catalog
        self._namespace = namespace

    def ensure(self) -> None:
        """Make the tables that are missing, and give older ones the columns of today; the writer's business."""
        catalog = self._catalog
        catalog.create_namespace_if_not_exists(self._namespace)
        for name in TABLES:
            schema = iceberg_schema(name)
            table = catalog.create_table_if_not_exists(
                f"{self._namespace}.{name}", schema, partition_spec=_daily(schema), properties=TABLE_PROPERTIES
            )
            _evolve(table, schema)

    def append(self, table: TableName, files: Sequence[Any], batch: int) -> int:
        """Append data files in one snapshot that names its batch; its id.

        Args:
            table: Which table.
            files: pyiceberg DataFiles; their Parquet files are written.
            batch: Number of the batch.
        """
        handle = self.handle(table)
        with handle.transaction() as transaction:
            # As Table.append does: manifests are merged as they add up.
            update = transaction.update_snapshot(snapshot_properties={BATCH_PROPERTY: str(batch)})
            with update.merge_append() as append:
                for file in files:
                    append.append_data_file(file)
        return int(handle.current_snapshot().snapshot_id)

    def handle(self, table: TableName) -> Any:
        """The pyiceberg table, as it is now."""
        return self._load(table)

    def roll_back(self, table: TableName, pinned: int | None, unsealed: int) -> bool:
        """Take back what a killed writer appended for a batch that it never sealed.

        Args:
            table: Which table.
            pinned: Its snapshot in the newest sealed batch, or None when it was empty.
            unsealed: The number that the unsealed batch bears.

        Returns:
            Whether anything was taken back.

        Raises:
            DataError: the table has snapshots that are not of the unsealed batch: somebody else writes into it.
        """
        handle = self._load(table)
        current = handle.current_snapshot()
        while current is not None and current.snapshot_id != pinned:
            found = current.summary.additional_properties.get(BATCH_PROPERTY) if current.summary else None
            if found != str(unsealed):
                raise DataError(
                    f"table {table} has snapshot {current.snapshot_id} of batch {found}, accepted: batch {unsealed}",
                    hint="another program writes into the lake; only ingest may",
                    table=table,
                )
            parent = current.parent_snapshot_id
            current = handle.snapshot_by_id(parent) if parent is not None else None
        if (current.snapshot_id if current else None) != pinned:
            raise DataError(f"table {table} has lost snapshot {pinned}, which batch {unsealed - 1} pins", table=table)
        if self.snapshot(table) == pinned:
            return False
        changes = handle.manage_snapshots()
        (changes.remove_branch("main") if pinned is None else changes.rollback_to_snapshot(pinned)).commit()
        return True

    def files(self, table: TableName, snapshot: int | None, day: date | None = None) -> list[str]:
        """The paths of one snapshot's data files, sorted; [] for an empty table.

        Args:
            table: Which table.
            snapshot: Its id, or None while the table is empty.
            day: Only those of an event date.

        Raises:
            DataError: the snapshot has expired, or has delete files that a plain scan of data files would miss.
        """
        return sorted(_path(file.file_path) for file in self.data_files(table, snapshot, day))

    def data_files(self, table: TableName, snapshot: int | None, day: date | None = None) -> list[Any]:
        """One snapshot's data files, as pyiceberg knows them.

        Args:
            table: Which table.
            snapshot: Its id, or None while the table is empty.
            day: Only those of an event date.

        Raises:
            DataError: the snapshot has expired, or has delete files that a plain scan of data files would miss.
        """
        if snapshot is None:
            return []
        handle = self._load(table)
        if handle.snapshot_by_id(snapshot) is None:
            raise DataError(
                f"table {table} no longer has snapshot {snapshot}",
                hint="it has expired; the ledger keeps each look's evidence",
                table=table,
                snapshot=snapshot,
            )
        scan = handle.scan(snapshot_id=snapshot)
        if day is not None:
            scan = scan.filter(f"event_date = '{day.isoformat()}'")
        tasks = list(scan.plan_files())
        if any(task.delete_files for task in tasks):
            raise DataError(f"snapshot {snapshot} of table {table} has delete files", hint="compact the table first")
        return [task.file for task in tasks]

    def referenced(self, table: TableName) -> set[str]:
        """The paths of the data files that any of a table's snapshots needs."""
        handle = self._load(table)
        return {path for one in handle.snapshots() for path in self.files(table, int(one.snapshot_id))}

    def folder(self, table: TableName) -> Path:
        """Where a table's files lie."""
        return Path(_path(str(self._load(table).location())))

    def replace(self, table: TableName, old: Sequence[Any], new: Sequence[Any], batch: int) -> int:
        """Put data files in the place of others in one snapshot that names its batch; its id."""
        handle = self._load(table)
        with handle.transaction() as transaction:
            update = transaction.update_snapshot(snapshot_properties={BATCH_PROPERTY: str(batch)})
            with update.overwrite() as overwrite:
                for file in old:
                    overwrite.delete_data_file(file)
                for file in new:
                    overwrite.append_data_file(file)
        return int(handle.current_snapshot().snapshot_id)

    def expire(self, table: TableName, kept: Collection[int]) -> int:
        """Forget all snapshots of a table but its present one and those kept; how many were forgotten."""
        handle = self._load(table)
        current = handle.current_snapshot()
        stay = {*kept, current.snapshot_id} if current else set(kept)
        old = [snapshot.snapshot_id for snapshot in handle.snapshots() if snapshot.snapshot_id not in stay]
        if old:
            handle.maintenance.expire_snapshots().by_ids(old).commit()
        return len(old)

    def snapshot(self, table: TableName) -> int | None:
        """A table's current snapshot, pinned or not."""
        current = self._load(table).current_snapshot()
        return int(current.snapshot_id) if current else None

    def _load(self, table: TableName) -> Any:
        return self._catalog.load_table(f"{self._namespace}.{table}")


def iceberg_schema(table: TableName) -> Any:
    """A table's Iceberg schema; field ids follow the order of columns, from 1."""
    from pyiceberg import types
    from pyiceberg.schema import Schema

    kinds = {
        "text": types.StringType(),
        "integer": types.LongType(),
        "number": types.DoubleType(),
        "flag": types.BooleanType(),
        "time": types.TimestamptzType(),
        "day": types.DateType(),
        "bytes": types.BinaryType(),
    }
    return Schema(
        *(
            types.NestedField(number, column.name, kinds[column.type], required=not column.nullable, doc=column.meaning)
            for number, column in enumerate(TABLES[table], start=1)
        )
    )


def _evolve(table: Any, wanted: Any) -> None:
    """Add the columns that a table lacks, at its end, and let those be null that may be null now."""
    from pyiceberg.exceptions import ValidationError

    known = {field.name: field for field in table.schema().fields}
    missing = [field for field in wanted.fields if field.name not in known]
    loosened = [field.name for field in wanted.fields if not field.required and _required(known.get(field.name))]
    if not missing and not loosened:
        return
    demanded = [field.name for field in missing if field.required]
    if demanded:
        raise DataError(f"table {table.name()[-1]} lacks {', '.join(demanded)}, which no old row has")
    try:
        with table.update_schema() as update:
            for field in missing:
                update.add_column(field.name, field.field_type, field.doc)
            for name in loosened:
                update.update_column(name, required=False)
    except ValidationError as error:
        raise DataError(f"table {table.name()[-1]} cannot take the columns of this release: {error}") from error


def _required(field: Any) -> bool:
    return field is not None and bool(field.required)


def _daily(schema: Any) -> Any:
    from pyiceberg.partitioning import PartitionField, PartitionSpec
    from pyiceberg.transforms import IdentityTransform

    day = schema.find_field("event_date").field_id
    return PartitionSpec(PartitionField(day, 1000, IdentityTransform(), "event_date"))


def _path(location: str) -> str:
    return location.removeprefix("file://")

"""The lake's tables on S3, named by a Glue catalog: a copy of every sealed batch, for Athena and others to read.

The lake itself stays on this machine's disk: it is what questions are asked of, and its SQLite file is the commit point
of all tables together, which Glue cannot be. The copy follows it and is never read back.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from staged_rollout.adapters.atomic_file import replace_file
from staged_rollout.adapters.aws_client import told_as_ours
from staged_rollout.adapters.aws_session import AwsSession
from staged_rollout.adapters.lake_catalog import IcebergTables
from staged_rollout.adapters.lake_iceberg import IcebergLake
from staged_rollout.adapters.lake_writer import IcebergWriter
from staged_rollout.adapters.s3_place import S3Place
from staged_rollout.errors import DataError, PlatformError
from staged_rollout.ports.lake import Batch
from staged_rollout.records.tables import TABLES, TableName
from staged_rollout.spec.home import Home

_LOG = logging.getLogger(__name__)


def glue_tables(session: AwsSession, place: S3Place, database: str) -> IcebergTables:
    """The tables of a Glue database, with their files below a place on S3.

    Args:
        session: The environment's way into AWS; its credentials are those of this moment.
        place: Where the warehouse lies.
        database: The Glue database.

    Raises:
        PlatformError: there are no credentials, or AWS does not answer.
    """
    from pyiceberg.catalog.glue import GlueCatalog

    with told_as_ours("find credentials for the lake on S3"):
        found = session.boto3.get_credentials()
    if found is None:
        raise PlatformError("no AWS credentials were found for the lake on S3", hint="set AWS_PROFILE")
    keys = found.get_frozen_credentials()
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    options = {
        "warehouse": str(place),
        "py-io-impl": "pyiceberg.io.pyarrow.PyArrowFileIO",
        "s3.region": session.region,
        "s3.access-key-id": keys.access_key,
        "s3.secret-access-key": keys.secret_key,
        "s3.session-token": keys.token,
        "s3.endpoint": endpoint,
    }
    given = {key: value for key, value in options.items() if value}
    return IcebergTables(GlueCatalog("lake", client=session.client("glue"), **given), database)


@dataclass(frozen=True)
class Copied:
    """What one round of copying did: data files that were added to and removed from the tables on S3."""

    added: int = 0
    removed: int = 0


class TablesCopy:
    """Makes the tables on S3 hold the data files of a sealed batch, no more and no fewer.

    Files are told apart by their names, which no two files share. What is missing is uploaded and what is gone is
    dropped, in one snapshot of each table; so a copy that was killed is finished by the next one.

    Args:
        tables: The tables on S3.
        place: Where their files lie.
    """

    def __init__(self, tables: IcebergTables, place: S3Place) -> None:
        self._tables = tables
        self._place = place

    def follow(self, source: IcebergTables, batch: Batch) -> Copied:
        """Copy one batch.

        Args:
            source: The lake's own tables.
            batch: A sealed one.

        Raises:
            DataError: a table of the lake numbers its columns in another way.
            PlatformError: AWS refused.
        """
        with told_as_ours("copy the lake to S3"):
            self._tables.ensure()
            total = Copied()
            for table in TABLES:
                one = self._table(source, table, batch)
                total = Copied(total.added + one.added, total.removed + one.removed)
        return total

    def _table(self, source: IcebergTables, table: TableName, batch: Batch) -> Copied:
        wanted = {_name(file): file for file in source.data_files(table, batch.snapshots.get(table))}
        there = {_name(file): file for file in self._tables.data_files(table, self._tables.snapshot(table))}
        added = [wanted[name] for name in sorted(wanted.keys() - there.keys())]
        removed = [there[name] for name in sorted(there.keys() - wanted.keys())]
        if not added and not removed:
            return Copied()
        self._check_columns(source, table)
        spec = self._tables.handle(table).metadata.default_spec_id
        new = [self._uploaded(table, file, spec) for file in added]
        if removed:
            self._tables.replace(table, removed, new, batch.number)
            # Erased rows must not stay readable in an old snapshot, nor in a file that none names.
            self._tables.expire(table, ())
            self._sweep(table)
        else:
            self._tables.append(table, new, batch.number)
        return Copied(len(added), len(removed))

    def _uploaded(self, table: TableName, file: Any, spec: int) -> Any:
        from pyiceberg.manifest import DataFile

        path = Path(str(file.file_path).removeprefix("file://"))
        key = f"{self._data(table)}{path.parent.name}/{path.name}"
        client, extra = self._place.client, {}
        if self._place.kms_key is not None:
            extra = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": self._place.kms_key}
        client.upload_file(str(path), self._place.bucket, key, ExtraArgs=extra)
        location = f"s3://{self._place.bucket}/{key}"
        return DataFile.from_args(
            content=file.content,
            file_path=location,
            file_format=file.file_format,
            partition=file.partition,
            record_count=file.record_count,
            file_size_in_bytes=file.file_size_in_bytes,
            column_sizes=file.column_sizes,
            value_counts=file.value_counts,
            null_value_counts=file.null_value_counts,
            nan_value_counts=file.nan_value_counts,
            lower_bounds=file.lower_bounds,
            upper_bounds=file.upper_bounds,
            key_metadata=file.key_metadata,
            split_offsets=file.split_offsets,
            equality_ids=file.equality_ids,
            sort_order_id=file.sort_order_id,
            spec_id=spec,
        )

    def _sweep(self, table: TableName) -> None:
        """Delete the data files that the table no longer names."""
        named = {_name(file) for file in self._tables.data_files(table, self._tables.snapshot(table))}
        folder = self._data(table).removeprefix(self._place.prefix)
        for row in list(self._place.objects(folder)):
            if row.key.rpartition("/")[2] not in named:
                self._place.client.delete_object(Bucket=self._place.bucket, Key=f"{self._place.prefix}{row.key}")

    def _data(self, table: TableName) -> str:
        location = str(self._tables.handle(table).location())
        return f"{location.removeprefix(f's3://{self._place.bucket}/')}/data/"

    def _check_columns(self, source: IcebergTables, table: TableName) -> None:
        ours, theirs = (
            {field.name: field.field_id for field in one.handle(table).schema().fields}
            for one in (source, self._tables)
        )
        if ours != theirs:
            raise DataError(
                f"table {table} numbers its columns in another way than its copy on S3",
                hint="the lake was begun by an earlier release: begin a new one, and ingest the logs again",
                table=table,
            )


class CopiedLake(IcebergLake):
    """A lake on this machine whose sealed batches are copied to S3 by whoever wrote them, still as the one writer.

    A copy that fails does not fail what was written: it is logged, and made up for by the next writer.

    Args:
        home: Where it lies.
        session: The environment's way into AWS.
        place: Where the copy lies.
        database: The Glue database that names its tables.
    """

    def __init__(self, home: Home, session: AwsSession, place: S3Place, database: str) -> None:
        super().__init__(home)
        self._session = session
        self._place = place
        self._database = database
        self._noted = home.lake / "copied.txt"

    @contextmanager
    def writer(self, *, wait_s: float = 30.0) -> Iterator[IcebergWriter]:
        """As `IcebergLake.writer`; then what is sealed and not yet on S3 is copied.

        Raises:
            LeaseHeldError: another process writes and did not finish within `wait_s`.
            DataError: a table holds what no batch knows.
        """
        with super().writer(wait_s=wait_s) as writer:
            yield writer
            self._copy()

    def _copy(self) -> None:
        head = self.head()
        note = f"{head.number} {self._place} {self._database}\n"
        if not head.number or (self._noted.is_file() and self._noted.read_text(encoding="utf-8") == note):
            return
        try:
            copy = TablesCopy(glue_tables(self._session, self._place, self._database), self._place)
            copied = copy.follow(self._tables, head)
        except Exception as error:  # noqa: BLE001 - pyiceberg, pyarrow and boto3 raise what they like; rows are safe here
            _LOG.warning("batch %d is not on S3 yet: %s", head.number, error)
            return
        replace_file(self._noted, note.encode(), durable=False)
        _LOG.info("batch %d is on S3: %d files added, %d removed", head.number, copied.added, copied.removed)


def _name(file: Any) -> str:
    return str(file.file_path).rpartition("/")[2]

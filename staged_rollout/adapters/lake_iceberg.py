"""The lake on one machine: Iceberg tables, batches sealed in SQLite, questions answered by DuckDB."""

from __future__ import annotations

import fcntl
import os
import secrets
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from staged_rollout.adapters import lake_sql
from staged_rollout.adapters.lake_batches import Batches
from staged_rollout.adapters.lake_catalog import Catalog, IcebergTables, sqlite_catalog
from staged_rollout.adapters.lake_kept import SMALLEST_BYTES, KeptAnswers
from staged_rollout.adapters.lake_lens import SeenLake
from staged_rollout.adapters.lake_upkeep import IcebergUpkeep
from staged_rollout.adapters.lake_writer import IcebergWriter, refused_writes
from staged_rollout.errors import DataError, LeaseHeldError
from staged_rollout.ports.lake import Batch, FileBooks, Rows
from staged_rollout.ports.lens import Lens
from staged_rollout.records.tables import TABLES, TableName
from staged_rollout.records.units import KEY_BYTES, unit_hash
from staged_rollout.spec.home import Home

_POLL_S = 0.05
_PLANS_KEPT = 16


def _nothing(_: str) -> None:
    """The default of `at_step`."""


class IcebergLake:
    """Lake below a home's `lake/`: `catalog.db`, `warehouse/`, `batches.db`, `identities/`, `unit.key`, `writer.lock`.

    Args:
        home: Where it lies; made when missing.
        at_step: Called with the name of each point of a commit that has just been passed. Tests kill the process there.
        kept_from_bytes: Size of a snapshot's files from which answers are kept beside them.
    """

    def __init__(
        self, home: Home, *, at_step: Callable[[str], None] = _nothing, kept_from_bytes: int = SMALLEST_BYTES
    ) -> None:
        self._folder = home.lake
        self._folder.mkdir(parents=True, exist_ok=True)
        self._at_step = at_step
        self._batches = Batches(self._folder / "batches.db")
        self._catalog: Catalog | None = None
        self._planned: dict[int, list[str]] = {}
        self._kept = KeptAnswers(
            self._folder / "kept", lambda snapshot: self._files("predictions", snapshot), smallest_bytes=kept_from_bytes
        )

    def close(self) -> None:
        """Give the catalog's connections back; the lake may be used again."""
        if self._catalog is not None:
            self._catalog.close()
        self._catalog = None
        self.__dict__.pop("_tables", None)

    def head(self) -> Batch:
        """The newest sealed batch."""
        return self._batches.head()

    def batch(self, number: int) -> Batch:
        """A sealed batch by its number.

        Raises:
            NotFoundError: never sealed.
        """
        return self._batches.batch(number)

    def books(self, *, since_batch: int = 0) -> Sequence[FileBooks]:
        """What became of every line of every read after a batch, in order."""
        return self._batches.books(since_batch)

    def query(self, name: str, parameters: Mapping[str, Any], *, batch: Batch) -> Rows:
        """Run `sql/NAME.sql` over a batch's snapshots with bound parameters.

        Raises:
            NotFoundError: no such statement.
            DataError: the statement does not fit its parameters or tables, or the snapshot has expired.
        """
        return lake_sql.rows_of(self.table(name, parameters, batch=batch))

    def table(self, name: str, parameters: Mapping[str, Any], *, batch: Batch) -> Any:
        """As `query`, answering a pyarrow Table.

        Raises:
            NotFoundError: no such statement.
            DataError: the statement does not fit its parameters or tables, or the snapshot has expired.
        """
        return lake_sql.run(
            name,
            parameters,
            lambda table: self.files(table, batch),
            lambda kept: self._kept.parts(kept, batch, lambda: self._batches.before(batch.number), parameters),
        )

    def save(
        self,
        name: str,
        parameters: Mapping[str, Any],
        *,
        batch: Batch,
        path: Path,
        form: Literal["parquet", "csv"] = "parquet",
    ) -> None:
        """As `query`, writing the answer into a file without holding all of it.

        Raises:
            NotFoundError: no such statement.
            DataError: the statement does not fit its parameters or tables, or the file cannot be written.
        """
        lake_sql.save(name, parameters, lambda table: self.files(table, batch), lambda _: None, path, form=form)

    def files(self, table: TableName, batch: Batch) -> list[str]:
        """Parquet files of a table as a batch pins it.

        Raises:
            DataError: the snapshot has expired.
        """
        return self._files(table, batch.snapshots.get(table))

    def through(self, lens: Lens) -> SeenLake:
        """The lake as the log of another rollout: for questions only."""
        return SeenLake(self, lens)

    def unit_id(self, unit: str) -> str:
        """The keyed hash that stands for a unit in every table."""
        return unit_hash(self._unit_key, unit)

    def forget(self, before: datetime, *, keep: Collection[int] = ()) -> int:
        """Expire the snapshots of batches sealed before a moment; the newest batch and those named always stay.

        Returns:
            How many snapshots were expired.
        """
        with self.writer():
            head = self._batches.head()
            kept = [head, *self._batches.since(before), *(self._batches.batch(number) for number in sorted(set(keep)))]
            return sum(
                self._tables.expire(table, {pin for batch in kept if (pin := batch.snapshots.get(table)) is not None})
                for table in TABLES
            )

    @contextmanager
    def writer(self, *, wait_s: float = 30.0) -> Iterator[IcebergWriter]:
        """Become the one writer; what a killed one left half-done is undone first.

        Raises:
            LeaseHeldError: another process writes and did not finish within `wait_s`.
            DataError: a table holds what no batch knows.
        """
        with _locked(self._folder / "writer.lock", wait_s):
            with refused_writes(self._folder):
                self._tables.ensure()
                writer = IcebergWriter(self._folder, self._batches, self._tables, self.unit_id, self._at_step)
                writer.recover()
            yield writer

    @property
    def upkeep(self) -> IcebergUpkeep:
        """Housekeeping of this lake."""
        return IcebergUpkeep(self._folder, self._batches, self._tables, self._kept, self.writer, self.unit_id)

    def _files(self, table: TableName, snapshot: int | None) -> list[str]:
        if snapshot is None:
            return []
        # A snapshot's files never change, and a look asks a dozen questions of the same ones.
        if snapshot not in self._planned:
            while len(self._planned) >= _PLANS_KEPT:
                self._planned.pop(next(iter(self._planned)))
            self._planned[snapshot] = self._tables.files(table, snapshot)
        return self._planned[snapshot]

    @cached_property
    def _tables(self) -> IcebergTables:
        self._catalog = sqlite_catalog(self._folder)
        return IcebergTables(self._catalog)

    @cached_property
    def _unit_key(self) -> bytes:
        return _key_of(self._folder / "unit.key")


@contextmanager
def _locked(path: Path, wait_s: float) -> Iterator[None]:
    # The kernel frees a dead process's lock at once, so a killed writer blocks nobody.
    with path.open("a", encoding="utf-8") as file:
        give_up = time.monotonic() + wait_s
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= give_up:
                    raise LeaseHeldError(
                        f"another process writes into {path.parent} and did not finish within {wait_s:g} s",
                        hint="wait for it, or see which process holds writer.lock",
                    ) from None
                time.sleep(_POLL_S)
        yield


def _key_of(path: Path) -> bytes:
    # Written aside and linked into place: two first readers get one key, and no reader sees half of it.
    if not path.exists():
        aside = path.with_name(f"unit.key.{os.getpid()}.{secrets.token_hex(4)}")
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(aside, path)
        except FileExistsError:
            pass
        finally:
            aside.unlink()
    key = path.read_bytes()
    if len(key) != KEY_BYTES:
        raise DataError(
            f"{path} has {len(key)} bytes, must be {KEY_BYTES}", hint="restore it; without it units are lost"
        )
    return key

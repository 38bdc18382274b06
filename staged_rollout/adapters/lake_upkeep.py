"""Upkeep of the Iceberg lake: compaction, retention and erasure, each a sealed batch of its own."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import date, datetime
from pathlib import Path
from typing import Any

from staged_rollout.adapters import lake_rewrite
from staged_rollout.adapters.lake_batches import Batches, Removal
from staged_rollout.adapters.lake_catalog import IcebergTables
from staged_rollout.adapters.lake_files import PartitionFiles
from staged_rollout.adapters.lake_journal import Journal
from staged_rollout.adapters.lake_kept import KeptAnswers
from staged_rollout.adapters.lake_rewrite import Change, Keep
from staged_rollout.adapters.lake_verify import verified
from staged_rollout.adapters.lake_writer import IcebergWriter
from staged_rollout.errors import DataError
from staged_rollout.ports.lake import Batch, BatchDraft
from staged_rollout.ports.lake_upkeep import DataFile, Finding, TableChange
from staged_rollout.records.tables import TABLES, TableName

_WORD = rb"[A-Za-z0-9_.@-]"


class IcebergUpkeep:
    """The lake's housekeeping; made by `IcebergLake.upkeep`.

    Args:
        folder: The lake's.
        batches: Its sealed batches.
        tables: Its tables.
        kept: Answers that are kept beside them.
        writing: Becomes the one writer.
        unit_id: The keyed hash that stands for a unit.
    """

    def __init__(
        self,
        folder: Path,
        batches: Batches,
        tables: IcebergTables,
        kept: KeptAnswers,
        writing: Callable[[], AbstractContextManager[IcebergWriter]],
        unit_id: Callable[[str], str],
    ) -> None:
        self._folder = folder
        self._batches = batches
        self._tables = tables
        self._kept = kept
        self._writing = writing
        self._unit_id = unit_id
        self._journal = Journal(folder / "unsealed.txt")

    def files(self, table: TableName, batch: Batch) -> Sequence[DataFile]:
        """The data files of a table at a batch, by day and path."""
        found = [
            DataFile(
                path=str(file.file_path).removeprefix("file://"),
                day=lake_rewrite.day_of(file),
                rows=file.record_count,
                bytes=file.file_size_in_bytes,
            )
            for file in self._held(table, batch)
        ]
        return sorted(found, key=lambda file: (file.day, file.path))

    def compact(self, at: datetime) -> Sequence[TableChange]:
        """Write each event day's small files as one."""
        with self._writing():
            head = self._batches.head()
            chosen = {table: lake_rewrite.small_files(self._held(table, head)) for table in TABLES}
            changes = self._change(head, at, chosen, reason="compacted")
            before, after = head.snapshots.get("predictions"), self._batches.head().snapshots.get("predictions")
            if before is not None and after is not None and before != after:
                self._kept.carry_over(before, after)
        return changes

    def retain(self, first: date, at: datetime) -> Sequence[TableChange]:
        """Take out the event days before one, with their identities."""
        with self._writing():
            head = self._batches.head()
            chosen = {table: lake_rewrite.days_before(self._held(table, head), first) for table in TABLES}
            changes = self._change(head, at, chosen, reason="retention", keep=lambda _: _none)
            for run in self._batches.drop_runs(first):
                (self._folder / "identities" / run.name).unlink(missing_ok=True)
            if changes:
                self._kept.clear()
        return changes

    def erase(self, unit: str, at: datetime) -> Sequence[TableChange]:
        """Take out one unit, and the files of earlier batches with it."""
        with self._writing():
            head = self._batches.head()
            keeps = self._without(unit, head)
            chosen = {
                table: lake_rewrite.files_with(self._held(table, head), table, keep) for table, keep in keeps.items()
            }
            changes = self._change(head, at, chosen, reason="erased", keep=lambda table: keeps[table])
            for table in TABLES:
                self._tables.expire(table, ())
            self._kept.clear()
            self._sweep()
        return changes

    def sweep(self) -> tuple[int, int]:
        """Delete data files that no batch needs."""
        with self._writing():
            return self._sweep()

    def verify(self) -> Sequence[Finding]:
        """Add up the books again."""
        with self._writing() as writer:
            return verified(self._batches, self._tables, writer.damaged_runs())

    def _change(
        self,
        head: Batch,
        at: datetime,
        chosen: Mapping[TableName, Mapping[date, Sequence[Any]]],
        *,
        reason: str,
        keep: Callable[[TableName], Keep | None] = lambda _: None,
    ) -> list[TableChange]:
        """Write chosen files anew and seal what came of it; nothing chosen makes no batch."""
        chosen = {table: by_day for table, by_day in chosen.items() if by_day}
        if not chosen:
            return []
        number = head.number + 1
        handles = {table: self._tables.handle(table) for table in chosen}
        writing = PartitionFiles(handles, number, lambda path: self._journal.new(number, path))
        try:
            changes = [lake_rewrite.rewritten(table, chosen[table], writing.add, keep(table)) for table in chosen]
            new = writing.finish()
        except BaseException:
            writing.abandon()
            raise
        counts = {table: len(self._held(table, head)) for table in chosen}
        snapshots: dict[str, int | None] = {table: head.snapshots.get(table) for table in TABLES}
        for change in changes:
            change.new = new.get(change.table, [])
            written = sum(file.record_count for file in change.new)
            if written != change.rows_after:
                raise DataError(
                    f"table {change.table}: {written:,} rows were written anew, must be {change.rows_after:,}",
                    hint="nothing was changed; run again",
                    table=change.table,
                )
            snapshots[change.table] = self._tables.replace(change.table, change.old, change.new, number)
        removals = [Removal(change.table, change.removed, reason) for change in changes if change.removed]
        self._batches.seal(number, snapshots, BatchDraft(at=at, claims=(), books=()), removals=removals)
        self._journal.settle(number)
        return [_told(change, counts[change.table]) for change in changes]

    def _without(self, unit: str, head: Batch) -> dict[TableName, Keep]:
        """For each table, the rows that do not belong to a unit."""
        import pyarrow as pa
        import pyarrow.compute as pc

        hashed = self._unit_id(unit)
        requests: set[str] = set()
        for file in self._held("predictions", head):
            for rows in lake_rewrite.rows_of(file, "predictions"):
                requests.update(rows.filter(pc.equal(rows["unit_id"], hashed))["request_id"].to_pylist())
        asked = pa.array(sorted(requests), pa.string())

        def others(*columns: tuple[str, Any]) -> Keep:
            def keep(rows: Any) -> Any:
                found = pa.array([False]).take(pa.nulls(rows.num_rows, pa.int32()).fill_null(0))
                for name, values in columns:
                    found = pc.or_(found, pc.is_in(rows[name], value_set=values))
                return pc.invert(found)

            return keep

        own = pa.array([hashed], pa.string())
        named = _naming(unit)

        def silent(rows: Any) -> Any:
            return pa.array([named.search(raw) is None for raw in rows["raw"].to_pylist()], pa.bool_())

        return {
            "predictions": others(("unit_id", own)),
            "captures": others(("unit_id", own), ("inference_id", asked)),
            "outcomes": others(("unit_id", own), ("request_id", asked)),
            "quarantine": silent,
            "units": others(("unit_id", own)),
        }

    def _held(self, table: TableName, batch: Batch) -> list[Any]:
        return self._tables.data_files(table, batch.snapshots.get(table))

    def _sweep(self) -> tuple[int, int]:
        count = size = 0
        for table in TABLES:
            referenced = self._tables.referenced(table)
            for path in sorted(self._tables.folder(table).rglob("*.parquet")):
                if str(path) in referenced:
                    continue
                size += path.stat().st_size
                path.unlink()
                count += 1
        return count, size


def _none(rows: Any) -> Any:
    """Keeps no row."""
    import numpy as np
    import pyarrow as pa

    return pa.array(np.zeros(rows.num_rows, dtype=bool))


def _naming(unit: str) -> re.Pattern[bytes]:
    """Finds a unit's id in a raw line, as a whole word and in either way that JSON may spell it."""
    spelled = {json.dumps(unit)[1:-1].encode(), json.dumps(unit, ensure_ascii=False)[1:-1].encode(errors="replace")}
    either = b"|".join(re.escape(one) for one in sorted(spelled))
    return re.compile(b"(?<!" + _WORD + b")(?:" + either + b")(?!" + _WORD + b")")


def _told(change: Change, files_before: int) -> TableChange:
    files_after = files_before - len(change.old) + len(change.new)
    return TableChange(change.table, files_before, files_after, change.removed)

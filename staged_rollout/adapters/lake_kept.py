"""Answers that are kept beside the lake's tables, so that a look's cost follows what is new and not all of history.

A kept statement (sql/: `-- kept: merged by NAME`) answers over all rows of `predictions`, and the answers over parts of
the rows can be merged. So each new snapshot costs one answer over the files that it added: a *run*. Runs are caches:
one that is missing is made from the rows, whoever needs it first; two who make the same one write the same file.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from staged_rollout.adapters import lake_sql
from staged_rollout.ports.lake import Batch

SMALLEST_BYTES = 16 << 20
"""Size of a snapshot's files below which its rows are read each time: keeping would cost more than it saves."""

MOST_RUNS = 8
"""Runs that a question reads at most; one more, and they are merged into one."""

OPEN_DAYS = 2
"""Event days before the newest one that merging leaves apart, so that cut-offs within them can still be asked for."""

GRACE_S = 3600.0
"""How long a run stays after it was merged: somebody may be reading it."""

_RUN = re.compile(r"(?P<base>\d+)-(?P<snapshot>\d+)-(?P<settled>\d{8})\.parquet")
_NOTHING_SETTLED = date.min


@dataclass(frozen=True)
class Run:
    """One kept answer over the rows that lie between two snapshots.

    Attributes:
        base: The earlier snapshot; 0: from the first row on.
        snapshot: The later one.
        settled: Days up to this one are one day in it; date.min: none were taken together.
        path: The Parquet file.
    """

    base: int
    snapshot: int
    settled: date
    path: Path


class KeptAnswers:
    """The runs of one lake.

    Args:
        folder: Where they lie; made when the first one is written.
        files: The data files of a snapshot of `predictions`.
        smallest_bytes: As SMALLEST_BYTES.
    """

    def __init__(
        self, folder: Path, files: Callable[[int], Sequence[str]], *, smallest_bytes: int = SMALLEST_BYTES
    ) -> None:
        self._folder = folder
        self._files = cache(files)
        self._smallest_bytes = smallest_bytes

    def parts(
        self, statement: str, batch: Batch, earlier: Callable[[], Iterable[Batch]], cut_off: datetime | None
    ) -> list[str] | None:
        """Parquet files that together hold a statement's answer over a batch's rows.

        Args:
            statement: One of `lake_sql.kept_statements()`.
            batch: The batch that is asked.
            earlier: Batches before it, the newest first; asked only when a run is missing.
            cut_off: Until when rows count, in what is asked; None: all of them.

        Returns:
            The files, or None when the rows themselves have to be read: the lake is small, or the cut-off lies so far
            back that the days around it were taken together.
        """
        snapshot = batch.snapshots.get("predictions")
        if snapshot is None or self._bytes(snapshot) < self._smallest_bytes:
            return None
        chain = self._chain(statement, snapshot)
        if chain is None:
            base, before = self._base(statement, snapshot, earlier())
            added = [file for file in self._files(snapshot) if not base or file not in set(self._files(base))]
            chain = [*before, self._made(statement, base, snapshot, added)]
        if len(chain) > MOST_RUNS:
            chain = [self._merged(statement, chain)]
        if cut_off is not None and any(cut_off.astimezone(UTC).date() <= run.settled for run in chain):
            return None
        return [str(run.path) for run in chain]

    def clear(self) -> None:
        """Remove all runs: the rows changed under them (a unit was erased, files were rewritten)."""
        for run in self._folder.glob("*/*.parquet"):
            run.unlink(missing_ok=True)

    def carry_over(self, old: int, new: int) -> None:
        """Make the runs of one snapshot those of another that holds the same rows in other files."""
        for statement in lake_sql.kept_statements():
            chain = self._chain(statement, old)
            if chain:
                last = chain[-1]
                path = self._path(statement, last.base, new, last.settled)
                if not path.exists():
                    path.hardlink_to(last.path)

    def _bytes(self, snapshot: int) -> int:
        return sum(Path(file).stat().st_size for file in self._files(snapshot))

    def _chain(self, statement: str, snapshot: int) -> list[Run] | None:
        """Runs that lead from the first row to a snapshot, or None; the fewest ones there are."""
        by_end: dict[int, list[Run]] = {}
        for run in self._runs(statement):
            by_end.setdefault(run.snapshot, []).append(run)
        chain: list[Run] = []
        while snapshot:
            ending = by_end.pop(snapshot, [])  # popped: a damaged folder must not lead in circles
            if not ending:
                return None
            run = min(ending, key=lambda run: (run.base != 0, run.settled, run.base))
            chain.insert(0, run)
            snapshot = run.base
        return chain

    def _base(self, statement: str, snapshot: int, earlier: Iterable[Batch]) -> tuple[int, list[Run]]:
        """The newest snapshot with runs whose rows all lie in this one, and those runs."""
        present = set(self._files(snapshot))
        ends = {run.snapshot for run in self._runs(statement)}
        for batch in earlier:
            base = batch.snapshots.get("predictions")
            if base in ends and base is not None and present.issuperset(self._files(base)):
                chain = self._chain(statement, base)
                if chain is not None:
                    return base, chain
        return 0, []

    def _made(self, statement: str, base: int, snapshot: int, files: Sequence[str]) -> Run:
        return self._written(statement, base, snapshot, _NOTHING_SETTLED, statement, {}, lambda _: files)

    def _merged(self, statement: str, chain: Sequence[Run]) -> Run:
        merging = lake_sql.kept_statements()[statement]
        paths = [str(run.path) for run in chain]
        settled = max((run.settled for run in chain), default=_NOTHING_SETTLED)
        if "settled" in lake_sql.statement(merging).parameters:
            settled = max(settled, _newest_day(paths) - timedelta(days=OPEN_DAYS))
        # A statement that merges by itself takes its own answers as rows; another one reads them under their name.
        run = self._written(
            statement,
            0,
            chain[-1].snapshot,
            settled,
            merging,
            {"settled": settled},
            lambda _: paths,
            lambda _: paths,
        )
        self._sweep(statement, {run.path, *(old.path for old in chain)})
        return run

    def _written(
        self,
        statement: str,
        base: int,
        snapshot: int,
        settled: date,
        asked: str,
        parameters: dict[str, Any],
        files: Callable[[str], Sequence[str]],
        kept: Callable[[str], Sequence[str] | None] = lambda _: None,
    ) -> Run:
        path = self._path(statement, base, snapshot, settled)
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_suffix(f".{secrets.token_hex(4)}.tmp")
        try:
            lake_sql.save(asked, parameters, files, kept, aside)
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)
        return Run(base, snapshot, settled, path)

    def _sweep(self, statement: str, present: set[Path]) -> None:
        """Remove what was merged long enough ago, and what killed processes left."""
        before = time.time() - GRACE_S
        for path in (self._folder / statement).iterdir():
            if path not in present and path.stat().st_mtime < before:
                path.unlink(missing_ok=True)

    def _runs(self, statement: str) -> list[Run]:
        found = []
        for path in (self._folder / statement).glob("*.parquet"):
            match = _RUN.fullmatch(path.name)
            if match:
                day = datetime.strptime(match["settled"], "%Y%m%d").replace(tzinfo=UTC).date()
                found.append(Run(int(match["base"]), int(match["snapshot"]), day, path))
        return found

    def _path(self, statement: str, base: int, snapshot: int, settled: date) -> Path:
        return self._folder / statement / f"{base}-{snapshot}-{settled:%4Y%m%d}.parquet"


def _newest_day(paths: Sequence[str]) -> date:
    """The newest event day in some Parquet files, from their footers."""
    import pyarrow.parquet as pq

    newest = date.min + timedelta(days=OPEN_DAYS)
    for path in paths:
        metadata = pq.read_metadata(path)
        column = metadata.schema.names.index("event_date")
        for group in range(metadata.num_row_groups):
            statistics = metadata.row_group(group).column(column).statistics
            if statistics is not None and statistics.has_min_max:
                newest = max(newest, statistics.max)
    return newest

"""Answers that are kept beside the lake's tables, so that a look's cost follows what is new and not all of history.

A kept statement (sql/: `-- kept: merged by NAME`) answers over all rows of `predictions`, and the answers over parts of
the rows can be merged. So each new snapshot costs one answer over the files that it added: a *run*. Runs are caches:
one that is missing is made from the rows, whoever needs it first; two who make the same one write the same file.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from staged_rollout.adapters import lake_sql
from staged_rollout.errors import DataError
from staged_rollout.ports.lake import Batch

SMALLEST_BYTES = 16 << 20
"""Size of a snapshot's files below which its rows are read each time: keeping would cost more than it saves."""

MOST_RUNS = 4
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
    """The kept answers of one lake.

    Args:
        folder: Where they lie; made when the first one is written.
        files: The data files of a snapshot of `predictions`.
        smallest_bytes: As SMALLEST_BYTES.
    """

    def __init__(
        self, folder: Path, files: Callable[[int], Sequence[str]], *, smallest_bytes: int = SMALLEST_BYTES
    ) -> None:
        self._folder = folder
        self._files = files
        self._smallest_bytes = smallest_bytes

    def parts(
        self, statement: str, batch: Batch, earlier: Callable[[], Iterable[Batch]], parameters: Mapping[str, Any]
    ) -> list[str] | None:
        """Parquet files that together hold a statement's answer over a batch's rows.

        Args:
            statement: One of `lake_sql.kept_statements()`.
            batch: The batch that is asked.
            earlier: Batches before it, the newest first; asked only when a run is missing.
            parameters: What is asked: `cut_off`, until when rows count, and the kept statement's own parameters.

        Returns:
            The files, or None when the rows themselves have to be read: the lake is small, or the cut-off lies so far
            back that the days around it were taken together.
        """
        snapshot = batch.snapshots.get("predictions")
        if snapshot is None or sum(Path(file).stat().st_size for file in self._files(snapshot)) < self._smallest_bytes:
            return None
        own = {name: parameters[name] for name in lake_sql.statement(statement).parameters}
        chain = _Answer(self._folder, statement, own).chain(
            snapshot, self._files, (found for one in earlier() if (found := one.snapshots.get("predictions")))
        )
        cut_off: datetime | None = parameters.get("cut_off")
        if cut_off is not None and any(cut_off.astimezone(UTC).date() <= run.settled for run in chain):
            return None
        return [str(run.path) for run in chain]

    def clear(self) -> None:
        """Remove all runs: the rows under them have changed, as when a unit was erased."""
        for path in self._folder.glob("*/*"):
            path.unlink(missing_ok=True)

    def carry_over(self, old: int, new: int) -> None:
        """Let the runs up to one snapshot serve another that holds the same rows in other files."""
        for path in self._folder.glob(f"*/*-{old}-*.parquet"):
            match = _RUN.fullmatch(path.name)
            if match and int(match["snapshot"]) == old:
                twin = path.with_name(f"{match['base']}-{new}-{match['settled']}.parquet")
                if not twin.exists():
                    twin.hardlink_to(path)


class _Answer:
    """The runs of one statement with its parameters."""

    def __init__(self, folder: Path, statement: str, parameters: Mapping[str, Any]) -> None:
        self._statement = statement
        self._parameters = parameters
        known = json.dumps(parameters, sort_keys=True, default=str)
        told = f"-{hashlib.sha256(known.encode()).hexdigest()[:16]}" if parameters else ""
        self._folder = folder / f"{statement}{told}"

    def chain(self, snapshot: int, files: Callable[[int], Sequence[str]], earlier: Iterable[int]) -> list[Run]:
        """Runs that lead from the first row to a snapshot; those that are missing are made."""
        chain = self._found(snapshot)
        if chain is None:
            base, before = self._base(set(files(snapshot)), files, earlier)
            known = set(files(base)) if base else set()
            added = [file for file in files(snapshot) if file not in known]
            chain = [*before, self._made(base, snapshot, _NOTHING_SETTLED, self._statement, self._parameters, added)]
        return chain if len(chain) <= MOST_RUNS else [self._merged(chain)]

    def _found(self, snapshot: int) -> list[Run] | None:
        """The fewest runs there are that lead to a snapshot, or None."""
        by_end: dict[int, list[Run]] = {}
        for run in self._runs():
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

    def _base(
        self, present: set[str], files: Callable[[int], Sequence[str]], earlier: Iterable[int]
    ) -> tuple[int, list[Run]]:
        """The newest snapshot with runs whose rows all lie in the present files, and those runs."""
        ends = {run.snapshot for run in self._runs()}
        for base in earlier:
            if base not in ends:
                continue
            try:
                chain = self._found(base) if present.issuperset(files(base)) else None
            except DataError:  # it has expired, and with it what its runs stand for
                break
            if chain is not None:
                return base, chain
        return 0, []

    def _merged(self, chain: Sequence[Run]) -> Run:
        merging = lake_sql.kept_statements()[self._statement]
        paths = [str(run.path) for run in chain]
        settled = max(run.settled for run in chain)
        if "settled" in lake_sql.statement(merging).parameters:
            settled = max(settled, _newest_day(paths) - timedelta(days=OPEN_DAYS))
        merged = self._made(
            0, chain[-1].snapshot, settled, merging, {**self._parameters, "settled": settled}, paths, paths
        )
        self._sweep({merged.path, *(run.path for run in chain)})
        return merged

    def _made(
        self,
        base: int,
        snapshot: int,
        settled: date,
        asked: str,
        parameters: Mapping[str, Any],
        rows: Sequence[str],
        answers: Sequence[str] | None = None,
    ) -> Run:
        """Run a statement over files of rows, or of earlier answers, and keep what it says."""
        path = self._folder / f"{base}-{snapshot}-{settled.year:04}{settled:%m%d}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_suffix(f".{secrets.token_hex(4)}.tmp")
        try:
            # A statement that merges by itself takes its own answers as rows; another one reads them by their name.
            lake_sql.save(asked, parameters, lambda _: rows, lambda _: answers, aside)
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)
        return Run(base, snapshot, settled, path)

    def _sweep(self, present: set[Path]) -> None:
        """Remove what was merged long enough ago, and what killed processes left."""
        before = time.time() - GRACE_S
        for path in self._folder.iterdir():
            if path not in present and path.stat().st_mtime < before:
                path.unlink(missing_ok=True)

    def _runs(self) -> list[Run]:
        found = []
        for path in self._folder.glob("*.parquet"):
            match = _RUN.fullmatch(path.name)
            if match:
                day = date.fromisoformat(match["settled"])
                found.append(Run(int(match["base"]), int(match["snapshot"]), day, path))
        return found


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

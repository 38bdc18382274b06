"""The lake's identities: which rows of an event date are held already, in files that are named by their batches.

A batch asks for the event dates of its rows only, so that its cost does not grow with history. The runs of an event
date are merged as they add up: each is at least twice as long as the next, or too long to be merged in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from staged_rollout.adapters import lake_identities as sets
from staged_rollout.adapters.lake_batches import Batches, SealedRun
from staged_rollout.adapters.lake_files import by_day
from staged_rollout.records.tables import TableName

MERGED_MOST = 4_000_000
"""Identities that are merged into one run at most: 64 MB."""

Rebuild = Callable[[TableName, date], sets.Run]
"""Makes the identities of a table's event date again, from the rows of the newest sealed batch."""


class IdentityRuns:
    """Runs of sealed batches.

    Args:
        folder: Where their files lie.
        batches: Where they are recorded.
        rebuild: Asked when a file is missing or is not the one that was sealed.
    """

    def __init__(self, folder: Path, batches: Batches, rebuild: Rebuild) -> None:
        self._folder = folder
        self._batches = batches
        self._rebuild = rebuild

    def path(self, run: SealedRun) -> Path:
        """The file of a run."""
        return self._folder / run.name

    def of(self, table: TableName, day: date) -> list[SealedRun]:
        """The runs of an event date; those whose files are damaged are made anew first."""
        runs = self._batches.runs(table, day)
        for run in runs:
            with sets.opened(self.path(run), run.count, run.digest) as found:
                if found is None:
                    return [self._renewed(runs)]
        return runs

    def kept(self, table: TableName, day: date, batches: tuple[int, int], run: sets.Run) -> SealedRun:
        """Write a run of a range of batches; it counts once it is sealed."""
        described = SealedRun(table, day, *batches, len(run), "")
        digest = sets.write_run(self.path(described), run)
        return SealedRun(table, day, *batches, len(run), digest)

    def loaded(self, run: SealedRun) -> sets.Run:
        """A run in memory."""
        with sets.opened(self.path(run), run.count, run.digest) as found:
            if found is None:
                return self._rebuild(run.table, run.day)
            return sets.Run(np.array(found.first), np.array(found.second))

    def damaged(self, table: TableName, day: date) -> list[str]:
        """Files of an event date that are not, byte by byte, those that were sealed."""
        runs = self._batches.runs(table, day)
        return [run.name for run in runs if not sets.intact(self.path(run), run.count, run.digest)]

    def migrated(self, table: TableName, day: date, identities: list[bytes], last_batch: int) -> SealedRun:
        """A run of identities that an older lake held elsewhere."""
        return self.kept(table, day, (0, last_batch), sets.run_of(identities))

    def _renewed(self, damaged: Sequence[SealedRun]) -> SealedRun:
        table, day = damaged[0].table, damaged[0].day
        run = self.kept(table, day, (0, damaged[-1].last_batch), self._rebuild(table, day))
        self._batches.replace_runs(run)
        for old in damaged:
            if old.name != run.name:
                self.path(old).unlink(missing_ok=True)
        return run


class BatchIdentities:
    """Identities of an open batch.

    Args:
        runs: Those of sealed batches.
        number: The batch.
    """

    def __init__(self, runs: IdentityRuns, number: int) -> None:
        self._runs = runs
        self._number = number
        self._sealed: dict[tuple[TableName, date], list[SealedRun]] = {}
        self._fresh: dict[tuple[TableName, date], sets.Growing] = {}

    def __len__(self) -> int:
        """How many there are."""
        return sum(len(growing) for growing in self._fresh.values())

    def admit(self, table: TableName, days: Any, identities: Sequence[Any]) -> Any:
        """Take the rows that are new; which those are.

        Args:
            table: Where they belong.
            days: Their event dates, a pyarrow column.
            identities: `binary(16)` arrays, as long.
        """
        added = np.ones(len(days), dtype=bool)
        if not identities:
            return added
        words = [sets.words_of(array) for array in identities]
        rows = np.concatenate([word[2] for word in words])
        first, second = (np.concatenate([word[at] for word in words]) for at in (0, 1))
        order = np.argsort(first)
        rows, first, second = rows[order], first[order], second[order]
        for day, places in by_day(days):
            if places is None:
                mine = slice(None)
            else:
                of_day = np.zeros(len(days), dtype=bool)
                of_day[places] = True
                mine = of_day[rows]
            refused = self._admit_day(table, day, first[mine], second[mine], rows[mine])
            added[refused] = False
        return added

    def seal(self, note: Callable[[Path], None], note_old: Callable[[Path], None]) -> list[SealedRun]:
        """Write the runs of the batch, merged with earlier ones where those have added up.

        Args:
            note: Told the path of each file before it is written.
            note_old: Told the path of each file that is not needed once the batch is sealed.
        """
        found = []
        for (table, day), growing in self._fresh.items():
            if not len(growing):
                continue
            run, begin = growing.all(), self._number
            earlier = list(self._sealed[table, day])
            while earlier and earlier[-1].count <= 2 * len(run) and earlier[-1].count + len(run) <= MERGED_MOST:
                last = earlier.pop()
                run, begin = sets.merged([self._runs.loaded(last), run]), last.first_batch
                note_old(self._runs.path(last))
            described = SealedRun(table, day, begin, self._number, len(run), "")
            note(self._runs.path(described))
            found.append(self._runs.kept(table, day, (begin, self._number), run))
        return found

    def _admit_day(self, table: TableName, day: date, first: sets.Words, second: sets.Words, rows: Any) -> Any:
        place = (table, day)
        if place not in self._fresh:
            self._sealed[place] = self._runs.of(table, day)
            self._fresh[place] = sets.Growing()
        known = self._fresh[place].holds(first, second)
        for sealed in self._sealed[place]:
            with sets.opened(self._runs.path(sealed), sealed.count, sealed.digest) as run:
                known |= (self._runs.loaded(sealed) if run is None else run).holds(first, second)
        refused, mine = sets.admitted(known, first, second, rows)
        self._fresh[place].add(sets.Run(first[mine], second[mine]))
        return refused

"""Logs as a run reads them: what was read so far, for a progress bar, and which files could not be read."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from staged_rollout.cli.output import progress_console
from staged_rollout.errors import DataError
from staged_rollout.ports.logs import LogFile, LogSource

BETWEEN_S = 0.1
"""Seconds between two drawings of the bar."""


class WatchedLogs:
    """A source that was listed once, and that notes what is read from it.

    Args:
        source: The source.
        files: What it lists.
        counting: Whether lines are counted, which takes a little time.
    """

    def __init__(self, source: LogSource, files: Sequence[LogFile], *, counting: bool) -> None:
        self._source = source
        self._files = files
        self._counting = counting
        self._bar: Any = None
        self._drawn = 0.0
        self.bytes = 0
        self.lines = 0
        self.unread: set[str] = set()

    def settled(self) -> None:
        """As the source."""
        self._source.settled()

    def list(self) -> list[LogFile]:
        """All files, as they were listed before."""
        return [*self._files]

    def read(self, file: LogFile, start: int = 0) -> Iterator[bytes]:
        """As the source, noted."""
        before, size = self.bytes, 0
        try:
            for chunk in self._source.read(file, start):
                size += len(chunk)
                # Of a compressed file more comes out than its size says.
                self.bytes = before + min(size, file.size)
                if self._counting:
                    self.lines += chunk.count(b"\n")
                    self._draw()
                yield chunk
        except DataError:
            self.unread.add(file.name)
            raise

    @contextmanager
    def bar(self) -> Iterator[None]:
        """A progress bar on a terminal, with lines a second; silence where nothing is counted."""
        if not self._counting:
            yield
            return
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("reading logs"), BarColumn(), TextColumn("{task.fields[rate]}"), TimeRemainingColumn())
        total = sum(file.size for file in self._files)
        with Progress(*columns, console=progress_console(), transient=True) as bar:
            self._bar = (bar, bar.add_task("", total=total or None, rate=""), time.monotonic())
            yield
        self._bar = None

    def _draw(self) -> None:
        now = time.monotonic()
        if self._bar is None or now - self._drawn < BETWEEN_S:
            return
        bar, task, begun = self._bar
        self._drawn = now
        rate = self.lines / max(now - begun, BETWEEN_S)
        bar.update(task, completed=self.bytes, rate=f"{self.lines:,} lines, {rate:,.0f} a second")

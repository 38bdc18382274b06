"""How commands answer: one JSON document, or text for people; errors on stderr, in the same two forms."""

from __future__ import annotations

import dataclasses
import json
import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, TextIO

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from staged_rollout.errors import StagedRolloutError
from staged_rollout.report.inert import one_line

WIDE = 10_000
"""Columns when nobody's terminal is at the other end: a line is a line, however long."""
FRAME = 3
"""Columns that a frame takes beside each cell."""
LEAST_CUT = 28
"""Columns that a cut column keeps on a terminal, before others are left out."""


def as_data(value: Any) -> Any:
    """A value as JSON: records as objects, times in ISO 8601, spans in seconds, paths and enumerations as text."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: as_data(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): as_data(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [as_data(item) for item in value]
    return _scalar(value)


def _scalar(value: Any) -> Any:
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    return value if value is None or type(value) in {bool, int, float, str} else str(value)


def print_json(document: Mapping[str, Any], stream: TextIO | None = None) -> None:
    """One document. ASCII only: what others wrote cannot reach the terminal as an escape sequence."""
    text = json.dumps(as_data(document), indent=2, ensure_ascii=True, allow_nan=False)
    print(text, file=stream or sys.stdout)


def say(text: str, style: str = "") -> None:
    """One line for people."""
    _console(sys.stdout).print(Text(one_line(text, WIDE), style=style), soft_wrap=True)


def say_lines(lines: Iterable[str]) -> None:
    """Lines that were made harmless already."""
    sys.stdout.write("".join(f"{line}\n" for line in lines))


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]], *, wide: str = "") -> None:
    """A table for people: framed on a terminal, aligned columns elsewhere.

    Args:
        header: Column names.
        rows: Cells; control characters are taken out here.
        wide: The column that is cut to keep each row on one line; on a narrow terminal the columns at the right are
            left out first. "": nothing is cut, and the last column goes on below.
    """
    console = _console(sys.stdout)
    cells = [[one_line(cell, WIDE) for cell in row] for row in rows]
    widths = [max(cell_len(cell) for cell in column) for column in zip(header, *cells, strict=True)]
    cut = header.index(wide) if wide and console.is_terminal else None
    shown = len(header) if cut is None else _fitting(widths, cut, console.width)
    table = _table(framed=console.is_terminal)
    for number, name in enumerate(header[:shown]):
        if number == cut:
            beside = sum(width + FRAME for other, width in enumerate(widths[:shown]) if other != cut)
            left = console.width - beside - FRAME - 1
            table.add_column(name, no_wrap=True, overflow="ellipsis", max_width=max(left, LEAST_CUT))
        elif not wide and name == header[-1]:
            table.add_column(name, overflow="fold")
        else:
            table.add_column(name, no_wrap=True, min_width=widths[number])
    for row in cells:
        table.add_row(*(Text(cell) for cell in row[:shown]))
    if console.is_terminal:
        console.print(table)
        return
    with console.capture() as drawn:
        console.print(table)
    say_lines(line.rstrip() for line in drawn.get().splitlines())


def _fitting(widths: Sequence[int], cut: int, width: int) -> int:
    """How many columns fit beside one another, the cut one counted at its least width."""
    taken = 1
    for number, longest in enumerate(widths):
        taken += (min(longest, LEAST_CUT) if number == cut else longest) + FRAME
        if taken > width:
            return max(number, 1)
    return len(widths)


def _table(*, framed: bool) -> Table:
    if not framed:
        return Table(box=None, pad_edge=False, show_edge=False, padding=(0, 2, 0, 0))
    from rich.box import ROUNDED

    return Table(box=ROUNDED)


def print_error(error: StagedRolloutError, *, as_json: bool) -> None:
    """What was found, and what to do about it."""
    if as_json:
        facts = {key: value for key, value in error.facts.items() if key not in {"findings", "tried"}}
        fault(type(error).__name__, error.message, error.hint, error.exit_code, as_json=True, facts=facts)
    else:
        fault(type(error).__name__, error.message, error.hint, error.exit_code, as_json=False)


def fault(
    kind: str, message: str, hint: str, exit_code: int, *, as_json: bool, facts: Mapping[str, Any] | None = None
) -> None:
    """An error on stderr: `{"error": {type, message, hint, exit_code, facts}}`, or lines for people."""
    if as_json:
        told = {name: _fact(value) for name, value in (facts or {}).items()}
        error = {"type": kind, "message": message, "hint": hint, "exit_code": exit_code, "facts": told}
        print_json({"error": error}, sys.stderr)
        return
    console = _console(sys.stderr)
    first, *more = message.split("\n")
    console.print(Text.assemble(("error: ", "bold red"), one_line(first, WIDE)), soft_wrap=True)
    for line in more:
        console.print(Text("  " + one_line(line, WIDE)), soft_wrap=True)
    if hint:
        console.print(Text.assemble(("hint: ", "bold"), one_line(hint, WIDE)), soft_wrap=True)


def _fact(value: Any) -> Any:
    """A fact as JSON can hold it: nan and infinity, which an error may be about, as text."""
    if isinstance(value, (list, tuple)):
        return [_fact(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


@contextmanager
def waiting(what: str, *, as_json: bool) -> Iterator[None]:
    """A spinner on a terminal; silence elsewhere."""
    console = _console(sys.stderr)
    if as_json or not console.is_terminal:
        yield
        return
    with console.status(Text(one_line(what))):
        yield


@contextmanager
def counting(what: str, total: int, *, as_json: bool, patience_s: float = 2.0) -> Iterator[Callable[[int], None]]:
    """A progress bar on a terminal, once the work has taken longer than `patience_s`; silence elsewhere.

    Args:
        what: What is being done.
        total: How much there is to do.
        as_json: Whether a program is listening.
        patience_s: Seconds before the bar appears.

    Yields:
        What is to be called with how much is done so far.
    """
    console = _console(sys.stderr)
    if as_json or not console.is_terminal:
        yield lambda _: None
        return
    from rich.progress import Progress

    bar = Progress(console=console, transient=True)
    task = bar.add_task(one_line(what), total=total)
    begun = time.monotonic()

    def show(done: int) -> None:
        bar.update(task, completed=done)
        if time.monotonic() - begun >= patience_s:
            bar.start()

    try:
        yield show
    finally:
        bar.stop()


def progress_console() -> Console:
    """Where progress is drawn."""
    return _console(sys.stderr)


def where(path: Path) -> str:
    """A path as short as it can be said from here."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def _console(stream: TextIO) -> Console:
    terminal = stream.isatty()
    return Console(file=stream, width=None if terminal else WIDE, markup=False, emoji=False, highlight=False)

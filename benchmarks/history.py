"""Fifty days, one after the other: what ingest and a look cost on the first, the tenth and the last."""

from __future__ import annotations

import json
import shutil
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from measured import Cost, measured

HERE = Path(__file__).resolve().parent
REDELIVERED = 0.01
RUNS = 3
"""Of an ingest that finds nothing new. A day is ingested once, and looked at once: a second look would find kept what
the first has computed."""


def history(home: Path, days: int, lines: int, command: Callable[[Path], list[str]]) -> list[dict[str, Any]]:
    """Ingest day after day, of which each brings a hundredth of the days before once more, and take a look after each.

    Args:
        home: Where logs and lake lie; removed afterwards.
        days: How many.
        lines: Lines a day.
        command: The home to the command that ingests it.

    Returns:
        A row for each day, with `look_cpu_s` from the second on, and `idle_cpu_s` on those of `shown`.

    Raises:
        RuntimeError: a program failed, or the books of a day are not the truth.
    """
    found = []
    for day in range(days):
        truth = json.loads(_run([sys.executable, str(HERE / "logs.py"), "day", str(home), *_day(day, lines)]).output)
        cost = _run(command(home))
        books = json.loads(cost.output)
        wrong = [
            name for name in ("lines", "accepted", "duplicates", "quarantined", "late") if books[name] != truth[name]
        ]
        if wrong:
            message = f"day {day + 1}: {wrong[0]} is {books[wrong[0]]}, must be {truth[wrong[0]]}"
            raise RuntimeError(message)
        row = {"day": day + 1, "lines": truth["lines"], "duplicates": truth["duplicates"], **cost.figures()}
        if day:
            look = _run([sys.executable, str(HERE / "look_at.py"), str(home), str(day)])
            answer = json.loads(look.output)
            row |= {"look_cpu_s": answer["cpu_s"], "look_peak_mb": look.peak_mb, "look_requests": answer["requests"]}
        if day + 1 in shown(days):
            # Nothing is new now: what is left is the start of the process, the lease and the listing of files.
            row["idle_cpu_s"] = statistics.median(_run(command(home)).cpu_s for _ in range(RUNS))
            print(f"  day {day + 1}: {json.dumps(row)}", file=sys.stderr, flush=True)
        found.append(row)
    shutil.rmtree(home)
    return found


def shown(days: int) -> set[int]:
    """Days that the table shows: the first, the second (whose look is the first with anything to count), and so on."""
    return {1, 2, 10, days}


def _day(day: int, lines: int) -> tuple[str, ...]:
    redelivered = ("--redelivered", str(REDELIVERED))
    return ("--day", str(day), "--lines", str(lines), "--units", str(2 * lines), *redelivered)


def _run(command: list[str]) -> Cost:
    cost = measured(command)
    if cost.failed:
        message = f"{' '.join(command[1:3])}: {cost.failed}"
        raise RuntimeError(message)
    return cost

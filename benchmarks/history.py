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
"""Of a look, which may be repeated; a day can be ingested once only, so its neighbours are measured too."""


def history(home: Path, days: int, lines: int, command: Callable[[Path], list[str]]) -> list[dict[str, Any]]:
    """Ingest day after day, of which each brings a hundredth of the days before once more, and look at some.

    Args:
        home: Where logs and lake lie; removed afterwards.
        days: How many.
        lines: Lines a day.
        command: The home to the command that ingests it.

    Returns:
        A row for each day, with `look_cpu_s` on the days that are looked at.

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
        if day + 1 in looked_at(days):
            # Nothing is new now: what is left is the start of the process, the lease and the listing of files.
            row["idle_cpu_s"] = statistics.median(_run(command(home)).cpu_s for _ in range(RUNS))
            looks = (
                [_run([sys.executable, str(HERE / "look_at.py"), str(home), str(day)]) for _ in range(RUNS)]
                if day
                else []
            )
            row |= _looked(looks)
            print(f"  day {day + 1}: {json.dumps(row)}", file=sys.stderr, flush=True)
        found.append(row)
    shutil.rmtree(home)
    return found


def looked_at(days: int) -> set[int]:
    """The second day (the first whose look has anything to count), the tenth, and the last."""
    return {1, 2, 10, days}


def _day(day: int, lines: int) -> tuple[str, ...]:
    redelivered = ("--redelivered", str(REDELIVERED))
    return ("--day", str(day), "--lines", str(lines), "--units", str(2 * lines), *redelivered)


def _looked(looks: list[Cost]) -> dict[str, Any]:
    if not looks:
        return {}
    answers = [json.loads(look.output) for look in looks]
    return {
        "look_cpu_s": statistics.median(answer["cpu_s"] for answer in answers),
        "look_peak_mb": max(look.peak_mb for look in looks),
        "look_requests": answers[0]["requests"],
    }


def _run(command: list[str]) -> Cost:
    cost = measured(command)
    if cost.failed:
        message = f"{' '.join(command[1:3])}: {cost.failed}"
        raise RuntimeError(message)
    return cost

"""What was promised of ingest and of looks, and whether the figures keep it."""

from __future__ import annotations

from statistics import median
from typing import Any

US, NAIVE = "staged-rollout", "duckdb"
CLEAN_AT_MOST, DIRTY_AT_MOST, LAST_DAY_AT_MOST = 1.4, 2.0, 1.3
"""CPU time over that of the naive load (unordered DuckDB) of the same files, and of the last day over the first."""

PEAK_MB = 700.0
NEIGHBOURS = 3
"""A day can be ingested and looked at once only: the median of so many days stands for the first and for the last."""

FULL_LINES, FULL_DAY_LINES = 5_000_000, 1_000_000
"""The sizes that the goals were set for; at others the figures are shown and not judged."""

Row = dict[str, Any]


def judged(loads: list[Row], days: list[Row]) -> list[Row]:
    """Every goal with its figure.

    Args:
        loads: One row for each case and engine, as `ingest.py` measures them; each gets `times_naive`.
        days: One row for each day of the history.

    Returns:
        Rows with `goal`, `found`, `at_most` and `met`: true, false, or None where the size is not the goal's.
    """
    goals: list[Row] = []
    by_case: dict[str, dict[str, Row]] = {}
    for row in loads:
        by_case.setdefault(row["case"], {})[row["who"]] = row
    for case, who in by_case.items():
        naive, ours = who[NAIVE].get("cpu_s"), who[US].get("cpu_s")
        for row in who.values():
            if naive and "cpu_s" in row:
                row["times_naive"] = row["cpu_s"] / naive
        full = case.startswith("capture") or who[US]["lines"] >= FULL_LINES
        if ours is None:
            goals.append(_goal(f"{case}: books are the truth", None, None, judge=True) | {"met": False})
            continue
        if naive and not case.startswith("capture"):
            at_most = DIRTY_AT_MOST if case.startswith("dirty") else CLEAN_AT_MOST
            goals.append(_goal(f"{case}: CPU over naive DuckDB's", ours / naive, at_most, judge=full))
        if case.startswith("flat"):
            goals += [
                _goal(f"{case}: CPU over {peer}'s", ours / who[peer]["cpu_s"], 1.0, judge=full)
                for peer in ("polars", "pyarrow")
                if "cpu_s" in who.get(peer, {})
            ]
        goals.append(_goal(f"{case}: peak memory, MB", who[US]["peak_mb"], PEAK_MB, judge=True))
    return goals + _over_days(days)


def _over_days(days: list[Row]) -> list[Row]:
    if len(days) < 2 * NEIGHBOURS:
        return []
    full = days[0]["lines"] >= FULL_DAY_LINES
    idle = median(row["idle_cpu_s"] for row in days if "idle_cpu_s" in row)
    ingest = [row["cpu_s"] for row in days]
    looks = [row["look_cpu_s"] for row in days if "look_cpu_s" in row]
    name = f"days to {days[-1]['day']} over the first, median of {NEIGHBOURS}"

    def growth(costs: list[float], less: float = 0.0) -> float:
        return (median(costs[-NEIGHBOURS:]) - less) / max(median(costs[:NEIGHBOURS]) - less, 1e-9)

    return [
        _goal(f"ingest: CPU of the {name}", growth(ingest), LAST_DAY_AT_MOST, judge=full),
        _goal(
            f"ingest: the same, without {idle:.2f} s that finding nothing new takes",
            growth(ingest, idle),
            LAST_DAY_AT_MOST,
            judge=full,
        ),
        _goal("ingest of days: peak memory, MB", max(row["peak_mb"] for row in days), PEAK_MB, judge=True),
        _goal(f"look: CPU of the {name}", growth(looks), LAST_DAY_AT_MOST, judge=full),
        _goal("looks: peak memory, MB", max(row.get("look_peak_mb", 0.0) for row in days), PEAK_MB, judge=True),
    ]


def _goal(goal: str, found: float | None, at_most: float | None, *, judge: bool) -> Row:
    met = found <= at_most if judge and found is not None and at_most is not None else None
    return {"goal": goal, "found": found, "at_most": at_most, "met": met}

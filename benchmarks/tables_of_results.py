"""The figures of `ingest.py` as Markdown."""

from __future__ import annotations

from typing import Any

Row = dict[str, Any]


def markdown(result: Row) -> str:
    """Loads, days and goals as tables."""
    parts = [_loads(result["loads"])] if result["loads"] else []
    if result["days"]:
        parts.append(_days(result["days"]))
    parts.append(_goals(result["goals"]))
    machine = result["machine"]
    parts.append(
        f"{machine['cores']} cores, Python {machine['python']}, {machine['system']} {machine['processor']}, "
        f"load average {machine['load_average']} at the end. Medians; CPU is user and system time of the process, "
        "its start included.\n"
    )
    return "\n".join(parts)


def _loads(rows: list[Row]) -> str:
    lines = [
        "| files | engine | CPU s | times naive | peak MB | wall s | MB/s | rows, of how many right | runs |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        who = f"{row['who']} {row.get('version', '')}".strip()
        if "absent" in row:
            lines.append(f"| {row['case']} | {who} | absent: {row['absent']} | | | | | | |")
            continue
        if "failed" in row:
            lines.append(f"| {row['case']} | {who} | failed: {_cell(row['failed'])} | | | | | | |")
            continue
        off = row["rows"] - row["right"]
        # As many rows as right lines are not yet the right rows, but another number is surely wrong.
        rows_cell = f"{row['rows']:,} of {row['right']:,}" + (f" ({off:+,})" if off else "")
        lines.append(
            f"| {row['case']} | {who} | {row['cpu_s']:.2f} | {row.get('times_naive', float('nan')):.2f} "
            f"| {row['peak_mb']:,.0f} | {row['wall_s']:.2f} | {row['mb_per_s']:,.0f} | {rows_cell} | {row['runs']} |"
        )
    return "\n".join([*lines, ""])


def _days(rows: list[Row]) -> str:
    lines = [
        "| day | lines | ingest CPU s | with nothing new | peak MB | look CPU s | look peak MB | requests it counted |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        if "idle_cpu_s" in row:
            look = (
                f"{row['look_cpu_s']:.2f} | {row['look_peak_mb']:,.0f} | {row['look_requests']:,}"
                if "look_cpu_s" in row
                else " | | "
            )
            lines.append(
                f"| {row['day']} | {row['lines']:,} | {row['cpu_s']:.2f} | {row['idle_cpu_s']:.2f} "
                f"| {row['peak_mb']:,.0f} | {look} |"
            )
    return "\n".join([*lines, ""])


def _goals(rows: list[Row]) -> str:
    said = {True: "met", False: "**missed**", None: "not judged at this size"}
    lines = ["| goal | found | at most | |", "|---|---|---|---|"]
    for row in rows:
        found = "" if row["found"] is None else f"{row['found']:.2f}"
        at_most = "" if row["at_most"] is None else f"{row['at_most']:g}"
        lines.append(f"| {row['goal']} | {found} | {at_most} | {said[row['met']]} |")
    return "\n".join([*lines, ""])


def _cell(text: str) -> str:
    return text.replace("|", "/").replace("\n", " ")[:120]

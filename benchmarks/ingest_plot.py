"""Draws the figures that `ingest.py` wrote: CPU time of each engine and case, and cost over days.

python benchmarks/ingest_plot.py FIGURES.json PLOT.png
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot as plt

OURS, OTHERS = "#0b6e4f", "#9aa5b1"


def main() -> None:
    """Read, draw, write."""
    result: dict[str, Any] = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    by_case: dict[str, list[dict[str, Any]]] = {}
    for row in result["loads"]:
        if "cpu_s" in row:
            by_case.setdefault(row["case"], []).append(row)
    panels = len(by_case) + bool(result["days"])
    if not panels:
        return
    columns = min(panels, 3)
    figure, axes = plt.subplots(
        -(-panels // columns),
        columns,
        figsize=(5 * columns, 3.2 * -(-panels // columns)),
        squeeze=False,
        layout="constrained",
    )
    flat = list(axes.flat)
    for axis, (case, rows) in zip(flat, by_case.items(), strict=False):
        names = [row["who"] for row in rows][::-1]
        values = [row["cpu_s"] for row in rows][::-1]
        bars = axis.barh(names, values, color=[OURS if name == "staged-rollout" else OTHERS for name in names])
        axis.bar_label(bars, [f"{value:.1f}" for value in values], padding=3)
        axis.set_title(case)
        axis.set_xlabel("CPU seconds")
        axis.margins(x=0.15)
    if result["days"]:
        axis, days = flat[len(by_case)], result["days"]
        axis.plot([row["day"] for row in days], [row["cpu_s"] for row in days], color=OURS, label="ingest of the day")
        looks = [row for row in days if "look_cpu_s" in row]
        axis.plot([row["day"] for row in looks], [row["look_cpu_s"] for row in looks], color="#c1666b", label="look")
        axis.set_ylim(bottom=0)
        axis.set_title(f"{days[0]['lines']:,} lines a day")
        axis.set_xlabel("day")
        axis.set_ylabel("CPU seconds")
        axis.legend()
    for axis in flat[panels:]:
        axis.set_axis_off()
    figure.savefig(sys.argv[2], dpi=110)


if __name__ == "__main__":
    main()

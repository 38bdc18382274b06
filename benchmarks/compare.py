"""Times the group-sequential core against its targets and against the peers that are there, in one run.

    python benchmarks/compare.py [--peers PYTHON]... [--rscript RSCRIPT] [--json FILE]

Every figure is CPU time of one thread. Each `--peers` is an interpreter that has peers installed (see peers.py); rpact
is asked for through Rscript where there is one. A peer that is absent is said to be absent. Errors are the largest |dz|
against the 34-digit values of tests/golden/data/close_looks.csv, and `alpha` is the probability with which the bounds
of that row are really crossed under the null hypothesis, 0.025 being meant.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from cases import ALPHA, BOUNDARY_SETS, ONE_THREAD, OUR_SETS

HERE = Path(__file__).parent
REFERENCE = HERE.parent / "tests" / "golden" / "data" / "close_looks.csv"

TARGETS_MS = {
    "five": 2.0,
    "twenty": 15.0,
    "hundred": 100.0,
    "appended look 20": 2.0,
    "appended look 100": 2.0,
    "final inference 10": 20.0,
}
"""What was promised for a machine of today, in milliseconds."""

Row = dict[str, Any]


def main() -> int:
    """Run every program, print the table; 1 where a target is missed."""
    options = _options()
    rows = _answer([sys.executable, str(HERE / "ours.py")])
    for interpreter in options.peers:
        rows += _answer([interpreter, str(HERE / "peers.py")])
    rscript = shutil.which(options.rscript)
    if rscript:
        sets = [f"{name}={','.join(map(repr, t))}" for name, t in BOUNDARY_SETS.items()]
        rows += _answer([rscript, "--vanilla", str(HERE / "peers.R"), *sets])
    else:
        rows.append({"who": "rpact", "absent": f"no {options.rscript} here"})
    rows = _known_best(rows)
    _judge(rows)
    if options.json:
        report = {"machine": _machine(), "rows": rows}
        options.json.write_text(json.dumps(report, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    _show(rows)
    return int(any(row.get("ratio_to_target", 0) > 1 for row in rows))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="CPU time and error of the group-sequential core and of its peers.")
    parser.add_argument(
        "--peers", action="append", default=[], metavar="PYTHON", help="an interpreter with peers in it"
    )
    parser.add_argument("--rscript", default="Rscript", metavar="RSCRIPT", help="Rscript with rpact")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there")
    return parser.parse_args()


def _answer(command: list[str]) -> list[Row]:
    environment = {**os.environ, **ONE_THREAD}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    answer: list[Row] = json.loads(done.stdout)
    return answer


def _known_best(rows: list[Row]) -> list[Row]:
    """A peer that is absent in one interpreter and there in another is there."""
    there = {row["who"] for row in rows if "absent" not in row}
    absent = {row["who"]: row for row in rows if "absent" in row and row["who"] not in there}
    return [row for row in rows if "absent" not in row] + list(absent.values())


def _judge(rows: list[Row]) -> None:
    """Add error, true type-I error, ratio of CPU times and ratio to the target."""
    from staged_rollout.stats import crossing_probabilities

    with REFERENCE.open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    reference: dict[tuple[str, str], list[float]] = {}
    for line in lines:
        if float(line["alpha"]) == ALPHA:
            reference.setdefault((line["schedule"], line["spending"]), []).append(float(line["z_ref"]))
    ours = {row["case"]: row["median_ms"] for row in rows if row["who"] == "staged-rollout"}
    for row in rows:
        if "median_ms" not in row:
            continue
        if row["case"] in TARGETS_MS and row["who"] == "staged-rollout":
            row["target_ms"] = TARGETS_MS[row["case"]]
            row["ratio_to_target"] = row["median_ms"] / row["target_ms"]
        row["times_ours"] = row["median_ms"] / ours[row["case"]]
        z = row["z"]
        if z is None:
            continue
        right = reference[row["case"], row.get("spending", "obrien-fleming")]
        row["not_finite"] = sum(value is None for value in z)
        pairs = [(a, b) for a, b in zip(z, right, strict=True) if a is not None]
        row["error"] = max(abs(a - b) for a, b in pairs)
        # A bound that is not finite is never crossed: the look is left out.
        taken = [(t, a) for t, a in zip(OUR_SETS[row["case"]], z, strict=True) if a is not None]
        row["alpha"] = float(crossing_probabilities(*zip(*taken, strict=True)).sum())


def _machine() -> dict[str, str]:
    return {"python": platform.python_version(), "system": platform.system(), "processor": platform.machine()}


def _show(rows: list[Row]) -> None:
    print("| who | what | CPU ms, median | least | target | times ours | largest error in z | alpha of .025 |")
    print("|---|---|---|---|---|---|---|---|")
    for row in rows:
        if "absent" in row:
            print(f"| {row['who']} | absent: {row['absent']} | | | | | | |")
        elif "failed" in row:
            print(f"| {row['who']} {row['version']} | {row['case']} | failed: {row['failed']} | | | | | |")
        else:
            target = f"{row['target_ms']:g}" if "target_ms" in row else ""
            error = f"{row['error']:.1e}" if "error" in row else ""
            error += f" and {row['not_finite']} infinite" if row.get("not_finite") else ""
            alpha = f"{row['alpha']:.6f}" if "alpha" in row else ""
            print(
                f"| {row['who']} {row['version']} | {row['case']} | {row['median_ms']:.2f} | {row['least_ms']:.2f} "
                f"| {target} | {row['times_ours']:.1f} | {error} | {alpha} |"
            )


if __name__ == "__main__":
    sys.exit(main())

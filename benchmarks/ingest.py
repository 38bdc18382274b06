"""CPU time and memory of ingest beside naive loads of the same files, and of ingest and looks over 50 days.

    python benchmarks/ingest.py [--peers PYTHON]... [--full] [--only CASE]... [--results FOLDER]

Each figure is the kernel's account of one child process, start of the interpreter included; the engines take turns, so
that a busy machine slows all of them, and medians are shown. A naive load reads JSONL and writes one Parquet file with
zstd: no identities, no claims, no quarantine, no commit. Each `--peers` is an interpreter that has peers in it
(polars); duckdb, pyarrow and pandas are measured in our own. Goals are judged at the size that they were set for, and
shown as figures at any other.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from goals import judged
from history import history
from measured import Cost, measured
from tables_of_results import markdown

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
US = "staged-rollout"
ENGINES = ("duckdb", "duckdb ordered", "pyarrow", "polars", "pandas")
PANDAS_AT_MOST = 1_000_000
"""Lines; pandas holds everything in memory, several gigabytes for each million."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """Files to load.

    Attributes:
        name: As `--only` names it.
        kind: flat, dirty or capture: what the peers are told.
        lines: Lines asked for.
        log_arguments: What `logs.py` makes them from.
    """

    name: str
    kind: str
    lines: int
    log_arguments: tuple[str, ...]


def cases(options: argparse.Namespace) -> list[Case]:
    """What is measured with these options."""
    sizes = options.lines or ([1_000_000, 5_000_000] if options.full else [1_000_000])
    found = []
    for lines in sizes:
        days = str(max(lines // 1_000_000, 1))
        flat = ("flat", "--lines", str(lines), "--days", days)
        found.append(Case(f"flat {named(lines)}", "flat", lines, flat))
        odd = (*flat, "--odd", "0.005", "--duplicates", "0.005")
        found.append(Case(f"dirty {named(lines)}", "dirty", lines, odd))
    files, each = options.capture_files, options.capture_lines
    capture = ("capture", "--files", str(files), "--lines", str(each))
    found.append(Case(f"capture {files:,} files", "capture", files * each, capture))
    return [case for case in found if not options.only or any(only in case.name for only in options.only)]


def named(lines: int) -> str:
    """A number of lines in a few letters."""
    return f"{lines / 1e6:g}M" if lines >= 1_000_000 else f"{lines / 1e3:g}k"


def main() -> int:
    """Measure, print the table; 1 where a goal is missed or a peer's rows cannot be read."""
    options = _options()
    os.environ["PYTHONPATH"] = str(ROOT)  # what is measured is this checkout, wherever the package is installed from
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="ingest-bench-", dir=options.folder) as folder:
        for case in cases(options):
            rows += measure(case, Path(folder) / "case", options)
            shutil.rmtree(Path(folder) / "case")
        days: list[Row] = []
        if not options.only or "history" in options.only:
            lines = options.day_lines or (1_000_000 if options.full else 50_000)
            days = history(Path(folder) / "history", options.days, lines, partial(ingest_command, "home"))
    result: Row = {"machine": machine(), "loads": rows, "days": days, "goals": judged(rows, days)}
    print("\n" + markdown(result))
    if options.results:
        options.results.mkdir(parents=True, exist_ok=True)
        figures = options.results / "ingest.json"
        figures.write_text(json.dumps(result, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        (options.results / "ingest.md").write_text(markdown(result), encoding="utf-8")
        drawing = [sys.executable, str(HERE / "ingest_plot.py"), str(figures), str(options.results / "ingest.png")]
        subprocess.run(drawing, check=True)
    return int(any(goal["met"] is False for goal in result["goals"]))


def measure(case: Case, folder: Path, options: argparse.Namespace) -> list[Row]:
    """One case: every engine in turn, several times; one row for each engine."""
    home, target = folder / "home", folder / "loaded.parquet"
    source = home if case.kind == "capture" else home / "logs/predictions/churn-prod/2026-03-02/router.jsonl"
    made = measured(
        [sys.executable, str(HERE / "logs.py"), case.log_arguments[0], str(source), *case.log_arguments[1:]]
    )
    if made.failed:
        raise RuntimeError(made.failed)
    truth = json.loads(made.output)
    print(f"{case.name}: {truth['lines']:,} lines, {truth['bytes'] / 1e6:,.0f} MB", file=sys.stderr, flush=True)
    source = home / "capture" if case.kind == "capture" else source
    engines, absent = _engines(case, source, target, options)
    costs: dict[str, list[Cost]] = {who: [] for who in (US, *engines)}
    rows: dict[str, Row] = {}
    for turn in range(options.runs):
        for who, spent in costs.items():
            if spent and (spent[-1].failed or (who == "pandas" and turn)):
                continue
            shutil.rmtree(home / "lake", ignore_errors=True)
            target.unlink(missing_ok=True)
            cost = measured(ingest_command(case.kind, home, source) if who == US else engines[who])
            spent.append(cost)
            rows[who] = {"case": case.name, "lines": truth["lines"], "who": who, **_found(who, cost, truth, target)}
            print(f"  {who}: {cost.failed or f'{cost.cpu_s:.2f} CPU s'}", file=sys.stderr, flush=True)
    missing = "no interpreter that has it; --peers PYTHON names one"
    found = [_summed(rows[who], costs[who], truth["bytes"]) for who in costs]
    return found + [{"case": case.name, "lines": truth["lines"], "who": who, "absent": missing} for who in absent]


def ingest_command(kind: str, home: Path, source: Path | None = None) -> list[str]:
    """Our own ingest, as a user starts it."""
    program = [sys.executable, "-m", "staged_rollout.cli", "ingest"]
    if kind in {"flat", "dirty"} and source is not None:
        return [*program, str(source), "--lake", str(home / "lake"), "--format", "flat", "--json"]
    return ["env", f"STAGED_ROLLOUT_HOME={home}", *program, "--json"]


def _engines(
    case: Case, source: Path, target: Path, options: argparse.Namespace
) -> tuple[dict[str, list[str]], list[str]]:
    """The command of every engine that some interpreter has, and the engines that none has."""
    interpreters = [sys.executable, *options.peers]
    commands: dict[str, list[str]] = {}
    absent = []
    for engine in ENGINES:
        if engine == "pandas" and case.lines > PANDAS_AT_MOST:
            continue
        module = engine.split()[0]
        there = [python for python in interpreters if _has(python, module)]
        if there:
            commands[engine] = [there[0], str(HERE / "loads.py"), engine, case.kind, str(source), str(target)]
        else:
            absent.append(engine)
    return commands, absent


def _has(interpreter: str, module: str) -> bool:
    code = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({module!r}) is None)"
    return subprocess.run([interpreter, "-c", code], check=False, capture_output=True).returncode == 0


def _found(who: str, cost: Cost, truth: Row, target: Path) -> Row:
    """What a run left: rows, and whether our own books are the truth."""
    if cost.failed:
        return {"failed": cost.failed}
    if who != US:
        return {"version": json.loads(cost.output)["version"], "rows": rows_of(target), "right": truth["accepted"]}
    report = json.loads(cost.output)
    wrong = [
        name
        for name in ("lines", "accepted", "duplicates", "quarantined", "late", "blank")
        if report[name] != truth[name]
    ]
    found: Row = {"rows": report["accepted"], "right": truth["accepted"]}
    return found | ({"failed": f"books are not the truth: {', '.join(wrong)}"} if wrong else {})


def rows_of(parquet: Path) -> int:
    """Rows of a Parquet file, counted in a process of their own, so that this one stays small."""
    code = "import sys, pyarrow.parquet as pq; print(pq.read_metadata(sys.argv[1]).num_rows)"
    done = subprocess.run([sys.executable, "-c", code, str(parquet)], check=True, capture_output=True, text=True)
    return int(done.stdout)


def _summed(row: Row, costs: list[Cost], size: int) -> Row:
    good = [cost for cost in costs if not cost.failed]
    if not good or "failed" in row:
        return row
    median: Callable[[list[float]], float] = statistics.median
    cpu = [cost.cpu_s for cost in good]
    wall = median([cost.wall_s for cost in good])
    return row | {
        "cpu_s": median(cpu),
        "least_cpu_s": min(cpu),
        "most_cpu_s": max(cpu),
        "wall_s": wall,
        "mb_per_s": size / 1e6 / wall,
        "peak_mb": max(cost.peak_mb for cost in good),
        "runs": len(good),
    }


def machine() -> Row:
    """What the figures were measured on."""
    return {
        "python": platform.python_version(),
        "system": platform.system(),
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "load_average": round(os.getloadavg()[0], 1),
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--peers", action="append", default=[], metavar="PYTHON", help="an interpreter with peers in it (polars)")
    add("--full", action="store_true", help="also 5M lines, and 1M lines a day: an hour, and 30 GB of disk")
    add("--only", action="append", default=[], metavar="CASE", help="cases whose name has this in it; history")
    add("--lines", action="append", type=int, metavar="N", help="lines of the flat cases, in place of 1M (and 5M)")
    add("--runs", type=int, default=3, help="of each engine (pandas: one)")
    add("--capture-files", type=int, default=2_000)
    add("--capture-lines", type=int, default=100, help="in each capture file")
    add("--days", type=int, default=50)
    add("--day-lines", type=int, metavar="N", help="lines a day, in place of 50,000 (1M with --full)")
    add("--folder", type=Path, help="where the files are made and removed again")
    add("--results", type=Path, metavar="FOLDER", help="write ingest.json, ingest.md and ingest.png there")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

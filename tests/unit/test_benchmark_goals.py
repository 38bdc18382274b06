"""The benchmark's own sums: what a child cost, and what of the goals is met, missed, or not judged."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"


def program(name):
    """A module of benchmarks/, which is a folder of programs and no package."""
    spec = importlib.util.spec_from_file_location(f"benchmark_{name}", FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def goals():
    return program("goals")


@pytest.fixture(scope="module")
def measured():
    return program("measured").measured


def load(case, who, cpu_s, lines=5_000_000, peak_mb=500.0):
    return {"case": case, "lines": lines, "who": who, "cpu_s": cpu_s, "peak_mb": peak_mb}


def verdicts(rows):
    return {row["goal"]: row["met"] for row in rows}


def test_a_childs_cpu_time_and_memory_are_its_own(measured):
    """The law: time asleep is not CPU time, work is, and so is that of a child's child."""
    idle = measured([sys.executable, "-c", "import time; time.sleep(0.5)"])
    work = "import time\nwhile time.process_time() < 0.5: pass"
    busy = measured([sys.executable, "-c", f"import subprocess, sys; subprocess.run([sys.executable, '-c', {work!r}])"])
    # From a small process: no child's peak is less than what the one that started it holds.
    asks = (
        "import sys; from measured import measured; "
        "print(measured([sys.executable, '-c', 'print(len(b\"x\" * 200_000_000))']).peak_mb)"
    )
    large = subprocess.run([sys.executable, "-c", asks], cwd=FOLDER, capture_output=True, text=True, check=True)

    assert idle.wall_s > 0.5 > idle.cpu_s
    assert 0.5 <= busy.cpu_s
    assert 200 < float(large.stdout) < 300


def test_a_child_that_fails_or_lasts_too_long_has_failed(measured):
    failed = measured([sys.executable, "-c", "raise SystemExit('no such column')"])
    killed = measured([sys.executable, "-c", "import time; time.sleep(60)"], timeout_s=0.3)

    assert "exit 1: no such column" == failed.failed
    assert "exit -9: " == killed.failed
    assert killed.wall_s < 30


def test_goals_are_met_missed_or_not_judged(goals):
    """The law: a goal is judged at its own size, by CPU time over the naive load of the same files."""
    rows = [load("flat 5M", goals.US, 14.0), load("flat 5M", "duckdb", 10.0), load("flat 5M", "polars", 13.0)]
    rows += [load("dirty 1M", goals.US, 9.0, lines=1_005_000, peak_mb=701.0), load("dirty 1M", "duckdb", 3.0)]
    found = goals.judged(rows, [])

    assert {
        "flat 5M: CPU over naive DuckDB's": True,
        "flat 5M: CPU over polars's": False,
        "flat 5M: peak memory, MB": True,
        "dirty 1M: CPU over naive DuckDB's": None,
        "dirty 1M: peak memory, MB": False,
    } == verdicts(found)
    assert [1.4, 1.0, 1.3, 3.0, 1.0] == [row["times_naive"] for row in rows]


def test_figures_of_books_that_are_not_the_truth_miss_the_goal(goals):
    """The law: a fast ingest that counts wrongly has no figure, and misses."""
    rows = [{"case": "flat 5M", "lines": 5_000_000, "who": goals.US, "failed": "books are not the truth: late"}]
    found = goals.judged([*rows, load("flat 5M", "duckdb", 10.0)], [])

    assert {"flat 5M: books are the truth": False} == verdicts(found)


def test_the_last_days_are_held_against_the_first_with_and_without_the_start(goals):
    """The law: the start of a process must not hide that a day costs more than the first ones did."""
    shared = {"lines": 1_000_000, "peak_mb": 300.0, "look_peak_mb": 250.0}
    costs = [(4.0, None), (9.0, 1.0), (4.0, 1.0), (4.0, 1.0), (5.0, 1.4), (5.0, 1.2), (5.0, 1.2)]
    days = [
        shared | {"day": day, "cpu_s": cpu} | ({} if look is None else {"look_cpu_s": look})
        for day, (cpu, look) in enumerate(costs, start=1)
    ]
    for row in (days[0], days[-1]):
        row["idle_cpu_s"] = 2.0
    found = goals.judged([], days)

    assert [1.25, 1.5, 300.0, 1.2, 250.0] == [row["found"] for row in found]
    assert [True, False, True, True, True] == [row["met"] for row in found]
    assert [] == goals.judged([], days[:5])

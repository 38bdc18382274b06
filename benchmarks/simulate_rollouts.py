"""Whole rollouts by the thousand through the real `gather()`, `decide()` and ledger, in many worlds.

    python benchmarks/simulate_rollouts.py --runs 2000 --processes 2

Each line is a law of one world: how often it happened, its Monte-Carlo standard error, and the limit. A law that is
missed by more than four standard errors ends the program with 1. The worlds are in `tests/fakes/rollout_scenarios.py`.
Only the store of rows is simulated (`tests/fakes/simulated_lake.py`, which a test holds against `sql/`).
"""

from __future__ import annotations

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.fakes.rollout_scenarios import Case, Tally

TOO_FAR = 4.0
"""Standard errors."""


def _find_tests() -> None:
    """Make `tests` this checkout's: some packages install a top-level module of that name, which would come first."""
    tests = ModuleType("tests")
    tests.__path__ = [str(Path(__file__).resolve().parent.parent / "tests")]
    sys.modules["tests"] = tests


def simulated(case: Case, runs: int, processes: int) -> tuple[tuple[Tally, ...], float]:
    """Tallies of one case, and mean days from LIVE's begin to the decision."""
    from tests.fakes.rollout_scenarios import tallied

    run = partial(_lived, case)
    if processes == 1:
        lived = [run(seed) for seed in range(runs)]
    else:
        with ProcessPoolExecutor(processes, initializer=_find_tests) as pool:
            lived = list(pool.map(run, range(runs), chunksize=25))
    return tallied(case, lived), sum(one.days for one in lived) / runs


def _lived(case: Case, seed: int) -> object:
    from tests.fakes.simulated_rollout import live_through

    return live_through(case.scenario, seed)


def _limit(tally: Tally) -> str:
    law = tally.law
    if law.at_most is not None and law.at_most == law.at_least:
        return f"= {law.at_most:g}"
    if law.at_most is not None:
        return f"<= {law.at_most:g}"
    return f">= {law.at_least:g}" if law.at_least is not None else ""


def main(arguments: list[str] | None = None) -> int:
    """Simulate and print.

    Returns:
        0 when every law is kept, 1 otherwise.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=500, help="rollouts of each world")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--only", default="", help="worlds whose name has this in it")
    chosen = parser.parse_args(arguments)
    _find_tests()
    from tests.fakes.rollout_scenarios import CASES

    print(f"{chosen.runs:,} rollouts of each world; +- is one Monte-Carlo standard error\n")
    print(f"| {'world':<50} | {'what':<44} | simulated       | law      | days |")
    print(f"|{'-' * 52}|{'-' * 46}|{'-' * 17}|{'-' * 10}|{'-' * 6}|")
    missed = 0
    for case in CASES:
        if chosen.only not in case.scenario.name:
            continue
        tallies, days = simulated(case, chosen.runs, chosen.processes)
        for tally in tallies:
            first = tally is tallies[0]
            name, lasted = (case.scenario.name, f"{days:4.1f}") if first else ("", "")
            found = f"{tally.share:.4f} +- {tally.error:.4f}"
            print(f"| {name:<50} | {tally.law.says:<44} | {found} | {_limit(tally):<8} | {lasted:<4} |", flush=True)
            if tally.excess > TOO_FAR:
                missed += 1
                print(f"  MISSED by {tally.excess:.1f} standard errors")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())

"""Measures this package; prints JSON. Started by compare.py with one thread."""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Callable

from cases import ALPHA, OUR_SETS, cpu_seconds, row

import staged_rollout
from staged_rollout.stats import Spending, bounds, design, infer, next_bound, stage_wise

WHO = "staged-rollout"
OBF = Spending("obrien-fleming", ALPHA)


def forget() -> None:
    """Empty every cache of the statistics, so that a repetition pays for all that it uses."""
    for name, module in list(sys.modules.items()):
        if name.startswith("staged_rollout.stats"):
            for value in vars(module).values():
                if callable(getattr(value, "cache_clear", None)):
                    value.cache_clear()
    gc.collect()


def appended(looks: int) -> tuple[Callable[[], object], Callable[[], object]]:
    """The last of `looks` looks after the others: (what is measured, what goes before it)."""
    information = OUR_SETS["twenty" if looks == 20 else "hundred"]
    past: list[object] = []

    def before() -> None:
        forget()
        past[:] = bounds(information[:-1], OBF)

    return (lambda: next_bound(past, information[-1], OBF)), before  # type: ignore[arg-type]


def main() -> None:
    """Print one JSON list."""
    version = staged_rollout.__version__
    out = []
    for case, information in OUR_SETS.items():
        z = [bound.z for bound in bounds(information, OBF)]
        out.append(row(WHO, version, case, cpu_seconds(lambda t=information: bounds(t, OBF), prepare=forget), z))
    for looks in (20, 100):
        run, before = appended(looks)
        out.append(row(WHO, version, f"appended look {looks}", cpu_seconds(run, prepare=before)))
    ten = design([k / 10 for k in range(1, 11)], OBF)
    path = [0.3, 0.9, 1.2, 1.7, 1.9, 2.0, 2.1, 2.2, 2.1, 2.2]  # crosses at the tenth look, and not before
    if infer(ten, path, max_information=100.0).stopped_at != 10:
        message = "the path for final inference shall stop at its tenth look"
        raise ValueError(message)
    final = {
        "with repeated p-values": lambda: infer(ten, path, max_information=100.0),
        "final inference 10": lambda: stage_wise(ten, path[-1], 0.1, look=10),
    }
    out += [row(WHO, version, case, cpu_seconds(run, prepare=forget)) for case, run in final.items()]
    json.dump(out, sys.stdout)


if __name__ == "__main__":
    main()

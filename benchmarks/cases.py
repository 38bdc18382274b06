"""What is measured, and how: for every program of this folder, also in interpreters that have only a peer in them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

ALPHA = 0.025
"""One-sided."""

BOUNDARY_SETS: dict[str, tuple[float, ...]] = {
    "five": (0.2, 0.4, 0.6, 0.8, 1.0),
    "twenty": tuple(k / 20 for k in range(1, 21)),
    "hundred": tuple(k / 100 for k in range(1, 101)),
    "close_middle": (0.5, 0.501, 0.502, 1.0),
    "close_early": (0.3, 0.3002, 0.3004, 0.9, 1.0),
}
"""Information fractions by the name that tests/golden/data/close_looks.csv gives them."""

OUR_SETS: dict[str, tuple[float, ...]] = {
    **BOUNDARY_SETS,
    "fifty_close": (*(0.5 + k * 1e-4 for k in range(50)), 1.0),
    "first_at_a_ten_thousandth": (1e-4, 2e-4, 3e-4, 1.0),
    "year": tuple(k / 365 for k in range(1, 366)),
}

ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1"
)
"""Environment of every measuring process, set before it starts: numpy reads it when it is imported."""


def cpu_seconds(
    run: Callable[[], object], *, prepare: Callable[[], object] = lambda: None, runs: int = 15, budget: float = 10.0
) -> list[float]:
    """CPU time of `run`, several times; `prepare` goes before each and is not measured.

    Args:
        run: What is measured.
        prepare: Clears caches, so that no repetition lives on an earlier one.
        runs: Repetitions.
        budget: CPU seconds after which no further repetition starts.

    Returns:
        Seconds per repetition, at least one.
    """
    seconds: list[float] = []
    while len(seconds) < runs and sum(seconds) < budget:
        prepare()
        start = time.process_time()
        run()
        seconds.append(time.process_time() - start)
    return seconds


def row(
    who: str, version: str, case: str, seconds: list[float], z: list[float] | None = None, **more: object
) -> dict[str, object]:
    """One line of a program's answer, ready for JSON; a bound that is not finite becomes None."""
    finite = None if z is None else [float(x) if abs(x) < 1e300 else None for x in z]
    return {
        "who": who,
        "version": version,
        "case": case,
        "median_ms": 1000 * statistics.median(seconds),
        "least_ms": 1000 * min(seconds),
        "runs": len(seconds),
        "z": finite,
        **more,
    }

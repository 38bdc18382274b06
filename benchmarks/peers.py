"""Measures the peers that this interpreter has, through their public functions; prints JSON.

Needs nothing of this package. None of the peers is a dependency; put them into a throw-away environment:

    python -m venv /some/where && /some/where/bin/pip install sequential-analysis==0.4.0 spotify-confidence==4.1.0 \
        gsdesign==0.1.5 abforge==0.1.0 expan==1.4.0
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import math
import sys
import warnings
from collections.abc import Callable, Sequence

from cases import ALPHA, BOUNDARY_SETS, cpu_seconds, row

Peer = Callable[[Sequence[float]], Sequence[float]]


def sequential_analysis() -> Peer:
    """Lan-DeMets O'Brien-Fleming type, one-sided."""
    from sequential_analysis.group_sequential import group_sequential_design

    return lambda t: group_sequential_design(ALPHA, t, "obrien-fleming").bounds


def spotify_confidence() -> Peer:
    """Its only family, alpha t^2, one-sided; compared with the reference of that spending."""
    import numpy as np
    from spotify_confidence.analysis.frequentist.confidence_computers.z_test_computer import sequential_bounds

    return lambda t: list(sequential_bounds(np.array(t), alpha=ALPHA, sides=1).df["zb"])


def gsdesign() -> Peer:
    """It has grid primitives and no bounds: the search for them is ours, the integration its own at its default r."""
    import numpy as np
    from gsdesign import h1, hupdate
    from scipy.optimize import brentq
    from scipy.special import ndtri

    def spent(t: float) -> float:
        return 2 * 0.5 * math.erfc(-ndtri(ALPHA / 2) / math.sqrt(2 * t)) if t < 1 else ALPHA

    def bounds(t: Sequence[float]) -> list[float]:
        z = [-ndtri(spent(t[0]))]
        grid = h1(18, 0.0, t[0], -np.inf, z[0])
        for k in range(1, len(t)):

            def excess(bound: float, k: int = k, grid: object = grid) -> float:
                crossing = hupdate(18, 0.0, t[k], bound, np.inf, 0.0, t[k - 1], grid)[2].sum()
                return float(crossing) - (spent(t[k]) - spent(t[k - 1]))

            z.append(brentq(excess, 0.0, 25.0, xtol=1e-13))
            grid = hupdate(18, 0.0, t[k], -np.inf, z[-1], 0.0, t[k - 1], grid)
        return z

    return bounds


def abforge() -> Peer:
    """Its one-sided boundary, as it prints it at each look."""
    from abforge import SequentialTest

    largest = 10_000_000

    def bounds(t: Sequence[float]) -> list[float]:
        test = SequentialTest(max_n=largest, alpha=ALPHA, spending="obrien_fleming", two_tailed=False)
        units = [round(x * largest) for x in t]
        return [test.evaluate(n // 10, n, n // 10, n).upper_boundary for n in units]

    return bounds


def expan() -> Peer:
    """Its function obrien_fleming(t, alpha), whose answer it takes as the level of the look."""
    from expan.core.early_stopping import obrien_fleming
    from scipy.special import ndtri

    return lambda t: [-float(ndtri(obrien_fleming(x, 2 * ALPHA) / 2)) for x in t]


PEERS = {
    "sequential-analysis": (sequential_analysis, "obrien-fleming"),
    "spotify-confidence": (spotify_confidence, "power:2"),
    "gsdesign": (gsdesign, "obrien-fleming"),
    "abforge": (abforge, "obrien-fleming"),
    "expan": (expan, "obrien-fleming"),
}


def main() -> None:
    """Print one JSON list; a peer that is absent or that fails is in it, with the reason."""
    warnings.simplefilter("ignore")
    out = []
    with contextlib.redirect_stdout(sys.stderr):
        for name, (load, spending) in PEERS.items():
            try:
                version = importlib.metadata.version(name)
                peer = load()
            except Exception as error:  # noqa: BLE001 -- whatever keeps a peer from loading is its absence
                out.append({"who": name, "absent": f"{type(error).__name__}: {error}"})
                continue
            for case, information in BOUNDARY_SETS.items():
                try:
                    z = list(peer(information))
                    seconds = cpu_seconds(lambda p=peer, t=information: p(t), runs=7, budget=3.0)
                    out.append(row(name, version, case, seconds, z, spending=spending))
                except Exception as error:  # noqa: BLE001 -- a black box may raise anything; what it raised is the result
                    out.append({"who": name, "version": version, "case": case, "failed": str(error)[:200]})
    json.dump(out, sys.stdout)


if __name__ == "__main__":
    main()

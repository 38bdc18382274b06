"""The recursion's quadrature is fine enough: a much finer one changes nothing that a double can hold."""

from __future__ import annotations

import numpy as np
import pytest

from staged_rollout.stats import Spending, bounds, crossing_probabilities, recursion

RANDOM = np.random.default_rng(1)


def uneven(looks, spread):
    """Looks whose distances differ by factors of up to `spread`."""
    steps = np.exp(RANDOM.uniform(0, np.log(spread), looks))
    return tuple(np.cumsum(steps) / steps.sum())


SCHEDULES = {
    "first look at a ten-thousandth": (1e-4, 0.5, 1.0),
    "20 uneven": uneven(20, 200),
    "60 uneven": uneven(60, 30),
    "120 looks of a year": tuple(k / 365 for k in range(1, 121)),
    "close, apart, close": (0.2, 0.2001, 0.2002, 0.7, 0.7001, 0.7002, 0.9999, 1.0),
    "20 looks 1e-4 apart": (*(0.5 + k * 1e-4 for k in range(20)), 1.0),
}


@pytest.fixture
def finer(monkeypatch):
    """Panels of less than half the width, 24 nodes in each, reaching farther."""

    def refine():
        nodes, weights = np.polynomial.legendre.leggauss(24)
        monkeypatch.setattr(recursion, "_NODES", nodes)
        monkeypatch.setattr(recursion, "_WEIGHTS", weights)
        monkeypatch.setattr(recursion, "_PANEL", 1.4)
        monkeypatch.setattr(recursion, "_REACH", 9.5)
        recursion.survivors.cache_clear()

    yield refine
    recursion.survivors.cache_clear()


def test_the_finer_quadrature_is_used(finer):
    looks = recursion.Looks((0.5,), (3.0,), (-np.inf,))
    coarse = len(recursion.survivors(looks, 1.0).s)
    finer()
    assert 3 * coarse < len(recursion.survivors(looks, 1.0).s)


@pytest.mark.parametrize("alpha", [1e-6, 0.025, 0.4])
@pytest.mark.parametrize(
    "information", [t for t in SCHEDULES.values() if len(t) < 60], ids=lambda t: f"{len(t)}-{t[0]:.3g}"
)
def test_bounds_do_not_depend_on_the_quadrature(information, alpha, finer):
    """Law: |dz| <= 1e-12 for z <= 8, relative beyond."""
    coarse = [bound.z for bound in bounds(information, Spending("obrien-fleming", alpha), final=True)]
    finer()
    fine = [bound.z for bound in bounds(information, Spending("obrien-fleming", alpha), final=True)]
    assert fine == pytest.approx(coarse, abs=1e-12, rel=1e-13)


@pytest.mark.parametrize("name", ["60 uneven", "120 looks of a year"])
@pytest.mark.parametrize("kind", ["obrien-fleming", "pocock"])
def test_many_looks_do_not_depend_on_the_quadrature(name, kind, finer):
    information = SCHEDULES[name]
    coarse = [bound.z for bound in bounds(information, Spending(kind, 0.025))]
    crossed = crossing_probabilities(information, coarse, 2.5)
    finer()
    assert [bound.z for bound in bounds(information, Spending(kind, 0.025))] == pytest.approx(
        coarse, abs=1e-12, rel=1e-13
    )
    assert list(crossing_probabilities(information, coarse, 2.5)) == pytest.approx(list(crossed), abs=1e-13)

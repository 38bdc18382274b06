"""Locating a sample-ratio mismatch."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chisquare

from staged_rollout.stats import holm, locate_srm


def test_the_p_values_are_those_of_scipy_corrected_by_holm():
    cells = [("plan", "free", (420, 580)), ("plan", "pro", (510, 490)), ("day", "2026-03-02", (300, 340))]
    found = locate_srm(cells, (1, 1))
    reference = {value: chisquare(counts).pvalue for _, value, counts in cells}

    assert ["free", "2026-03-02", "pro"] == [cell.value for cell in found]
    for cell in found:
        assert pytest.approx(reference[cell.value], rel=1e-9) == cell.p_value
    assert holm([cell.p_value for cell in found]) == tuple(cell.p_holm for cell in found)


def test_the_sign_says_which_variant_has_too_many():
    (cell,) = locate_srm([("plan", "free", (100, 300))], (0.5, 0.5))
    assert 10.0 == pytest.approx(cell.residual)
    (cell,) = locate_srm([("plan", "free", (300, 100))], (0.75, 0.25))
    assert 0.0 == pytest.approx(cell.residual)


def test_empty_cells_are_no_cells():
    assert () == locate_srm([("plan", "free", (0, 0))], (1, 1))
    assert () == locate_srm([], (1, 1))


def test_the_broken_cell_is_found_and_healthy_ones_are_rarely_named():
    """Law: a segment that loses a third of one variant ranks first; over healthy cells Holm errs in 5% at most."""
    random = np.random.default_rng(7)
    first, alarms, rounds = 0, 0, 400
    for _ in range(rounds):
        candidates = random.binomial(600, 0.5, size=20)
        healthy = [("plan", f"p{n}", (600 - int(k), int(k))) for n, k in enumerate(candidates)]
        broken = [*healthy[1:], ("plan", "p0", (int(healthy[0][2][0]), int(random.binomial(300, 2 / 3))))]
        first += locate_srm(broken, (1, 1))[0].value == "p0"
        alarms += locate_srm(healthy, (1, 1))[0].p_holm < 0.05

    assert first >= 0.98 * rounds
    assert alarms <= 0.05 * rounds + 3 * (0.05 * 0.95 * rounds) ** 0.5

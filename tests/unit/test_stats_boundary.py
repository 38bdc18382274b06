from __future__ import annotations

import math
import time

import numpy as np
import pytest
from scipy.special import ndtr, ndtri
from scipy.stats import multivariate_normal

from staged_rollout.errors import StatisticsError
from staged_rollout.stats import Bound, Spending, bounds, crossing_probabilities, next_bound
from staged_rollout.stats.recursion import survivors

OBF = Spending("obrien-fleming", 0.025)


def brute_force(information, z, drift=0.0, nodes=24, panels=120):
    """First-crossing probabilities by the textbook recursion on densities, on a grid far finer than needed."""
    x, w = np.polynomial.legendre.leggauss(nodes)
    out, s, mass = [], None, None
    for k, t in enumerate(information):
        step = t - (information[k - 1] if k else 0.0)
        sd, bound = math.sqrt(step), z[k] * math.sqrt(t)
        if k == 0:
            out.append(ndtr(drift * sd - z[0]))
        else:
            out.append(float(np.sum(mass * ndtr((s + drift * step - bound) / sd))))
        edges = np.linspace(min(bound, drift * t) - 9 * math.sqrt(t), bound, panels + 1)
        half, centre = np.diff(edges) / 2, (edges[1:] + edges[:-1]) / 2
        nodes_k = (centre[:, None] + half[:, None] * x).ravel()
        weights = (half[:, None] * w).ravel()
        start, start_mass = (np.zeros(1), np.ones(1)) if k == 0 else (s, mass)
        kernel = np.exp(-0.5 * ((nodes_k[:, None] - start[None, :] - drift * step) / sd) ** 2)
        s, mass = nodes_k, weights * (kernel @ start_mass) / (sd * math.sqrt(2 * math.pi))
    return out


@pytest.mark.parametrize("drift", [0.0, 2.8, -1.0])
@pytest.mark.parametrize("information", [(0.5, 0.501, 0.502, 1.0), (0.05, 0.5, 0.9, 1.2), (0.2, 0.4, 0.6, 0.8, 1.0)])
def test_crossing_probabilities_equal_the_textbook_recursion(information, drift):
    z = [bound.z for bound in bounds(information, OBF)]
    found = crossing_probabilities(information, z, drift)
    assert brute_force(information, z, drift) == pytest.approx(list(found), rel=1e-10, abs=1e-16)


def test_close_looks_spend_exactly_what_they_may():
    """(.5, .501, .502, 1): rpact answers 1.0434 and 1.4101; a quadrature sized on one step only answers 3.02368."""
    information = (0.5, 0.501, 0.502, 1.0)
    found = bounds(information, OBF)
    assert pytest.approx([b.z for b in found], abs=1e-8) == [2.96258804, 3.00799826, 3.02374684, 1.96883118]
    spent = np.cumsum(brute_force(information, [b.z for b in found], nodes=48))
    assert [OBF.cumulative(t) for t in information] == pytest.approx(list(spent), rel=1e-10)


def test_no_crossing_equals_the_multivariate_normal():
    information = (0.25, 0.6, 1.0)
    z = [bound.z for bound in bounds(information, Spending("pocock", 0.025))]
    covariance = [[math.sqrt(min(a, b) / max(a, b)) for a in information] for b in information]
    law = multivariate_normal(np.zeros(3), covariance, seed=1, abseps=1e-9, releps=1e-9, maxpts=2_000_000)
    assert law.cdf(z) == pytest.approx(1 - crossing_probabilities(information, z).sum(), abs=1e-7)


def test_appended_look_leaves_past_bounds_and_continues_the_series():
    whole = bounds((0.2, 0.5, 0.8, 1.0), OBF)
    assert whole[3] == next_bound(whole[:3], 1.0, OBF)
    assert whole[:3] == bounds((0.2, 0.5, 0.8), OBF)


def test_tiny_information_is_finite():
    found = bounds((0.001, 0.0011, 0.01, 1.0), OBF)
    assert all(math.isfinite(bound.z) for bound in found)
    assert found[0].z == pytest.approx(70.8695997503, abs=1e-9)
    assert found[-1].z == pytest.approx(-ndtri(0.025), abs=1e-12)


def test_first_look_over_run_is_a_fixed_test():
    assert -ndtri(0.025) == pytest.approx(next_bound([], 1.4, OBF).z, abs=1e-14)
    assert next_bound([], 1.4, OBF).alpha_spent == 0.025


def test_declared_final_spends_everything():
    first = next_bound([], 0.5, OBF)
    assert next_bound([first], 0.7, OBF, final=True).alpha_spent == 0.025
    assert next_bound([first], 0.7, OBF).alpha_spent == OBF.cumulative(0.7)


@pytest.mark.parametrize(
    ("past", "information", "words"),
    [
        ([], 0.0, "must be > 0"),
        ([], math.nan, "must be finite"),
        ([Bound(1, 0.5, 2.96, 0.0015)], 0.50005, "must be >= 0"),
        ([Bound(1, 0.5, 2.96, 0.0015)], 0.4, "must be >= 0"),
        ([Bound(1, 0.5, math.inf, 0.0)], 0.6, "z of look 1"),
        ([Bound(1, 0.5, 2.96, 0.5)], 0.6, "<= 0.025"),
        ([Bound(1, 1.0, 1.96, 0.025)], 1.2, "must be <"),
        ([Bound(1, 0.5, -3.0, 0.0)], 1.0, "more than can still cross"),
    ],
)
def test_unusable_looks_are_refused_with_value_bound_and_hint(past, information, words):
    with pytest.raises(StatisticsError, match=words) as error:
        next_bound(past, information, OBF)
    assert error.value.hint


def test_one_bound_per_look():
    with pytest.raises(StatisticsError, match="2 information fractions and 1 bounds"):
        crossing_probabilities((0.5, 1.0), (2.0,))


def test_spending_refuses_unknown_kinds_and_two_sided_alpha():
    with pytest.raises(StatisticsError, match="kind == 'haybittle'"):
        Spending("haybittle", 0.025)
    with pytest.raises(StatisticsError, match=r"alpha == 0\.5"):
        Spending("pocock", 0.5)


def test_fourteen_looks_are_fast():
    information = [(k + 1) / 14 for k in range(14)]
    times = []
    for _ in range(3):
        survivors.cache_clear()
        start = time.process_time()
        bounds(information, OBF)
        times.append(time.process_time() - start)
    assert min(times) < 0.05

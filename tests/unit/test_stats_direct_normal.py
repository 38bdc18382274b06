"""Crossing probabilities against the multivariate normal itself: no recursion, no Brownian motion, just the covariance.

The oracle integrates the joint density of (Z_1, ..., Z_K) over the region where the first crossing is at look K: a
tensor of Gauss-Legendre panels over the innovations y of Z = mean + L y (L the Cholesky factor of the covariance, as in
Genz 1992, J. Comput. Graph. Stat. 1, 141-149), the last coordinate by the normal distribution function. It is told
Cov(Z_i, Z_j) = sqrt(t_i / t_j) and nothing else, so that an error in the package's recursion cannot hide in it.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import ndtr
from scipy.stats import multivariate_normal

from staged_rollout.stats import Spending, bounds, classic_design, crossing_probabilities, design, exit_probabilities

NODES, WEIGHTS = np.polynomial.legendre.leggauss(10)
REACH = 6.5  # the normal beyond holds 4e-11
ROWS = 200_000
OBF, POCOCK = Spending("obrien-fleming", 0.025), Spending("pocock", 0.025)

EQUAL = [tuple((k + 1) / K for k in range(K)) for K in (1, 2, 3, 4, 5)]
UNEQUAL = [(0.1, 0.6, 0.7, 1.0), (0.05, 0.5, 0.9, 1.2), (0.1, 0.3, 0.6, 0.8, 1.2)]
CLOSE = [(0.5, 0.501, 0.502, 1.0), (0.3, 0.3002, 1.0), (0.9, 0.95, 0.96, 1.0), (0.5, 0.99, 0.992)]
SCHEDULES = pytest.mark.parametrize("information", [*EQUAL, *UNEQUAL, *CLOSE], ids=lambda t: "-".join(map(str, t))[:28])


def covariance_of(information):
    return np.array([[math.sqrt(min(a, b) / max(a, b)) for a in information] for b in information])


def panels_needed(factor, i):
    """A later limit moves with y_i by L_ji / L_jj: the steeper, the narrower the panels of y_i."""
    steepest = max((abs(factor[j, i]) / factor[j, j] for j in range(i + 1, len(factor))), default=1.0)
    return math.ceil(2 * REACH * max(1.0, steepest) / 3.25)


def first_exit(covariance, mean, lower, upper, side):
    """P(lower_k < Z_k < upper_k for k < K, and Z_K at or beyond its upper (side 1) or lower (side -1) bound)."""
    factor = np.linalg.cholesky(covariance)
    last = len(mean) - 1
    edge = upper[last] if side == 1 else lower[last]

    def over(i, y, weight):
        shift = mean[i] + y @ factor[i, :i]
        if i == last:
            return float(weight @ ndtr(-side * (edge - shift) / factor[i, i]))
        panels = panels_needed(factor, i)
        if len(y) * panels * len(NODES) > ROWS and len(y) > 1:
            half = len(y) // 2
            return over(i, y[:half], weight[:half]) + over(i, y[half:], weight[half:])
        low, high = (np.clip((limit[i] - shift) / factor[i, i], -REACH, REACH) for limit in (lower, upper))
        width = (high - low) / panels
        starts = low[:, None] + width[:, None] * np.arange(panels)
        points = starts[:, :, None] + width[:, None, None] * (NODES + 1) / 2
        density = np.exp(-0.5 * points * points) / math.sqrt(2 * math.pi)
        mass = weight[:, None, None] * density * width[:, None, None] * WEIGHTS / 2
        kept = mass > 1e-17  # what is dropped adds up to less than 1e-10
        rows = np.nonzero(kept)[0]
        return over(i + 1, np.column_stack([y[rows], points[kept]]), mass[kept])

    return over(0, np.zeros((1, 0)), np.ones(1))


def first_exits(information, upper, lower=None, drift=0.0, side=1):
    lower = [-math.inf] * len(upper) if lower is None else lower
    covariance, mean = covariance_of(information), drift * np.sqrt(information)
    looks = range(1, len(information) + 1)
    return [first_exit(covariance[:k, :k], mean[:k], lower[:k], upper[:k], side) for k in looks]


@pytest.mark.parametrize("spending", [OBF, POCOCK], ids=lambda spending: spending.kind)
@SCHEDULES
def test_bounds_are_crossed_with_the_alpha_that_was_spent(information, spending):
    """Law: by the multivariate normal, the bounds that are returned spend f(t_k) by look k, to 1e-9."""
    found = bounds(information, spending, final=True)
    crossed = np.cumsum(first_exits(information, [bound.z for bound in found]))
    assert [bound.alpha_spent for bound in found] == pytest.approx(list(crossed), abs=1e-9)


@pytest.mark.parametrize(
    ("information", "drift"), [(EQUAL[2], -1.0), (UNEQUAL[0], 2.8), (UNEQUAL[1], 2.8), (CLOSE[1], 4.0)]
)
def test_crossing_probabilities_equal_the_multivariate_normal_under_a_drift(information, drift):
    z = [bound.z for bound in bounds(information, POCOCK, final=True)]
    found = crossing_probabilities(information, z, drift)
    assert first_exits(information, z, drift=drift) == pytest.approx(list(found), abs=1e-9)


@pytest.mark.parametrize("drift", [0.0, 2.8])
@pytest.mark.parametrize("kind", ["obrien-fleming", "pocock"])
@pytest.mark.parametrize("information", [EQUAL[2], EQUAL[3], UNEQUAL[0]], ids=str)
def test_two_sided_exits_equal_the_multivariate_normal(information, kind, drift):
    upper = classic_design(information, kind, 0.025, sides=2).efficacy
    lower = [-z for z in upper]
    found = exit_probabilities(information, upper, lower, drift)
    assert first_exits(information, upper, lower, drift) == pytest.approx(list(found.upper), abs=1e-9)
    assert first_exits(information, upper, lower, drift, side=-1) == pytest.approx(list(found.lower), abs=1e-9)


@pytest.mark.parametrize("binding", [False, True], ids=["non-binding", "binding"])
@pytest.mark.parametrize("information", [EQUAL[3], (0.5, 0.55, 0.9, 1.0), CLOSE[1]], ids=str)
def test_futility_designs_keep_alpha_and_power_by_the_multivariate_normal(information, binding):
    """Law: alpha holds with futility obeyed (binding) or overruled (non-binding); the power asked for is the power."""
    made = design(information, OBF, futility=Spending("obrien-fleming", 0.2), binding=binding)
    obeyed = first_exits(information, made.efficacy, made.futility if binding else None)
    assert 0.025 == pytest.approx(sum(obeyed), abs=1e-9)
    assert 0.8 == pytest.approx(sum(first_exits(information, made.efficacy, made.futility, made.drift)), abs=1e-9)
    missed = np.cumsum(first_exits(information, made.efficacy, made.futility, made.drift, side=-1))
    assert list(made.beta_spent) == pytest.approx(list(missed), abs=1e-9)


def test_harm_bounds_spend_their_own_alpha_by_the_multivariate_normal():
    information = (0.25, 0.5, 0.75, 1.0)
    harm = Spending("pocock", 0.02)
    made = design(information, OBF, harm=harm)
    harmed = np.cumsum(first_exits(information, made.efficacy, made.harm, side=-1))
    # Its spending may or may not count on an efficacy stop in between: the difference is below what efficacy spends.
    assert [harm.cumulative(t) for t in information] == pytest.approx(list(harmed), abs=1e-4)


def test_the_oracle_itself_equals_a_published_algorithm():
    """References: Genz (1992) as scipy has it, to the accuracy that it claims; and the exact orthant of two normals."""
    covariance = covariance_of((0.2, 0.5, 1.0))
    upper = [1.2, 0.7, 1.0]
    law = multivariate_normal(np.zeros(3), covariance, seed=1, abseps=1e-8, releps=1e-8, maxpts=2_000_000)
    crossed = sum(first_exits((0.2, 0.5, 1.0), upper))
    assert 1 - law.cdf(upper) == pytest.approx(crossed, abs=1e-6)
    orthant = 0.25 + math.asin(math.sqrt(0.4)) / (2 * math.pi)
    assert 1 - orthant == pytest.approx(sum(first_exits((0.4, 1.0), [0.0, 0.0])), abs=1e-11)


def test_the_oracle_sees_a_wrong_bound():
    """The bounds of rpact 3.3.4 for (.5, .501, .502, 1) are crossed with probability .148 by look 3."""
    crossed = np.cumsum(first_exits((0.5, 0.501, 0.502), [2.96258804, 3.01361207, 1.04341276]))
    assert [0.001525, 0.001538, 0.148379] == pytest.approx(list(crossed), abs=1e-6)

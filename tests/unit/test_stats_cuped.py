from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import ttest_ind

from staged_rollout.errors import StatisticsError
from staged_rollout.stats import (
    LEAST_CUPED_UNITS,
    CovariateMoments,
    Moments,
    cuped_difference,
    difference,
    relative_lift,
)


def world(rng, n, effect=0.0, spread=1.0):
    """Units with a past x and an outcome y that the past explains three quarters of."""
    x = rng.normal(10, 2, n).round(2)
    return (5 + effect + 1.5 * x + rng.normal(0, math.sqrt(3) * spread, n)).round(3), x


def sides(rng, n_t=400, n_c=700, effect=0.4):
    return (*world(rng, n_t, effect, 1.5), *world(rng, n_c))


def moments(y, x):
    return CovariateMoments.from_values(y, x, 0.001, 0.01)


def cuped(y_t, x_t, y_c, x_c):
    return cuped_difference(moments(y_t, x_t), moments(y_c, x_c), 0.001, 0.01)


def test_estimate_and_theta_are_those_of_least_squares():
    """References: numpy `lstsq` of y on intercept, variant and x: the analysis of covariance."""
    y_t, x_t, y_c, x_c = sides(np.random.default_rng(1))
    found = cuped(y_t, x_t, y_c, x_c)
    design = np.column_stack([np.ones(1100), np.repeat([1.0, 0.0], [400, 700]), np.concatenate([x_t, x_c]) - 10])
    _, effect, theta = np.linalg.lstsq(design, np.concatenate([y_t, y_c]), rcond=None)[0]
    assert (effect, theta) == pytest.approx((found.estimate, found.theta), rel=1e-11)


def test_statistic_is_welchs_on_what_the_past_leaves():
    """References: scipy `ttest_ind(equal_var=False)` on y - theta x."""
    y_t, x_t, y_c, x_c = sides(np.random.default_rng(2))
    found = cuped(y_t, x_t, y_c, x_c)
    rest_t, rest_c = y_t - found.theta * x_t, y_c - found.theta * x_c
    assert ttest_ind(rest_t, rest_c, equal_var=False).statistic == pytest.approx(found.z(), rel=1e-10)
    plain = ttest_ind(y_t, y_c, equal_var=False)
    assert plain.statistic == pytest.approx(found.unadjusted_estimate / found.unadjusted_se, rel=1e-10)
    assert 1 - (found.se / found.unadjusted_se) ** 2 == pytest.approx(found.variance_reduction, rel=1e-10)
    assert 0.5 < found.variance_reduction < 0.8
    assert (True, None) == (found.adjusted, found.reason)


def test_adjusted_means_share_the_error_of_the_gap():
    """Law: T - C, its variance, and that of T - r C follow from the means' variances and covariance.

    References: 20,000 resamples of the units of both variants with theta held: 0.5% error, tolerance 4%.
    """
    rng = np.random.default_rng(3)
    y_t, x_t, y_c, x_c = sides(rng, 250, 400)
    found = cuped(y_t, x_t, y_c, x_c)
    assert found.estimate == pytest.approx(found.treatment - found.control, abs=1e-12)
    assert found.se**2 == pytest.approx(found.se_treatment**2 + found.se_control**2 - 2 * found.covariance, rel=1e-12)
    means = []
    for y, x, n in ((y_t, x_t, 250), (y_c, x_c, 400)):
        weights = rng.multinomial(n, np.full(n, 1 / n), 20_000) / n
        means.append((weights @ y, weights @ x))
    gap = means[0][1] - means[1][1]
    t = means[0][0] - found.theta * 400 / 650 * gap
    c = means[1][0] + found.theta * 250 / 650 * gap
    (v_t, v_tc), (_, v_c) = np.cov(t, c)
    expected = [math.sqrt(v_t), math.sqrt(v_c)]
    assert expected == pytest.approx([found.se_treatment, found.se_control], rel=0.04)
    assert v_tc == pytest.approx(found.covariance, rel=0.1)
    assert relative_lift(found, 1.96).contains(t.mean() / c.mean() - 1)


def test_level_and_gain_over_many_experiments():
    """Law: without an effect |z| > 1.96 in 5% of the runs, though theta is estimated from the same units.

    2,000 runs of 200 units a variant: the standard error is 0.5%, the tolerance four of them.
    """
    rng = np.random.default_rng(4)
    x = rng.integers(0, 20, (2000, 2, 200))
    y = x + rng.integers(0, 12, (2000, 2, 200))
    sums = zip(
        y.sum(2).tolist(),
        (y * y).sum(2).tolist(),
        x.sum(2).tolist(),
        (x * x).sum(2).tolist(),
        (x * y).sum(2).tolist(),
        strict=True,
    )
    rejected = 0
    for sy, syy, sx, sxx, sxy in sums:
        t, c = (CovariateMoments(200, sy[v], syy[v], sx[v], sxx[v], sxy[v]) for v in (0, 1))
        rejected += abs(cuped_difference(t, c).z()) > 1.96
    assert pytest.approx(0.05, abs=0.02) == rejected / 2000


@pytest.mark.parametrize("short", [(LEAST_CUPED_UNITS - 1, 500), (500, LEAST_CUPED_UNITS - 1)])
def test_few_units_stay_unadjusted(short):
    """Law: below 200 closed units in a variant the answer is the plain difference, and says why."""
    y_t, x_t, y_c, x_c = sides(np.random.default_rng(5), *short)
    found = cuped(y_t, x_t, y_c, x_c)
    plain = difference(Moments.from_values(y_t, 0.001), Moments.from_values(y_c, 0.001), 0.001)
    assert (plain.estimate, plain.se) == (found.estimate, found.se)
    assert (False, None, 0.0) == (found.adjusted, found.theta, found.variance_reduction)
    assert found.reason == "fewer than 200 units in a variant"
    more = cuped(*sides(np.random.default_rng(5), LEAST_CUPED_UNITS, LEAST_CUPED_UNITS))
    assert more.adjusted


def test_a_covariate_without_variance_explains_nothing():
    """Law: also one that differs between variants only, which would otherwise take the effect away."""
    rng = np.random.default_rng(6)
    (y_t, _), (y_c, _) = world(rng, 300), world(rng, 300)
    for x_t, x_c in ((7.0, 7.0), (7.0, 8.0)):
        found = cuped(y_t, [x_t] * 300, y_c, [x_c] * 300)
        assert (False, None) == (found.adjusted, found.theta)
        assert found.reason == "the covariate does not vary within variants"
        assert (found.unadjusted_estimate, found.unadjusted_se) == (found.estimate, found.se)


def test_a_past_that_explains_all_leaves_no_variance():
    x = list(range(200))
    moved = CovariateMoments.from_values([2 * v + 1 for v in x], x)
    assert cuped_difference(moved, CovariateMoments.from_values([2 * v for v in x], x)) is None
    assert cuped_difference(CovariateMoments(), moved) is None
    assert cuped_difference(CovariateMoments(200, 0, 0, 0, 0, 0), CovariateMoments(200, 0, 0, 0, 0, 0)) is None


def test_theta_is_estimated_from_the_sums_of_each_look():
    rng = np.random.default_rng(7)
    first, second = sides(rng), sides(rng)
    together = cuped_difference(
        moments(*first[:2]).merge(moments(*second[:2])), moments(*first[2:]).merge(moments(*second[2:])), 0.001, 0.01
    )
    assert together == cuped(*(np.concatenate([a, b]) for a, b in zip(first, second, strict=True)))
    assert together.theta != cuped(*first).theta


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: CovariateMoments.from_values([1, 2], [1]), "2 values and 1 covariates"),
        (lambda: CovariateMoments(2, 4, 7, 4, 8, 8), "syy == 7"),
        (lambda: CovariateMoments(2, 4, 8, 4, 7, 8), "sxx == 7"),
        (lambda: CovariateMoments(2, 2, 4, 2, 4, 5), "sxy == 5"),
        (lambda: CovariateMoments(-1), "n == -1"),
        (lambda: cuped_difference(CovariateMoments(), CovariateMoments(), 1.0, -1.0), "resolution == -1"),
    ],
)
def test_sums_that_cannot_be_are_refused(call, words):
    with pytest.raises(StatisticsError, match=words) as error:
        call()
    assert error.value.hint

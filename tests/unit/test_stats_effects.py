from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.stats import ttest_ind

from staged_rollout.errors import QuantisationError, StatisticsError
from staged_rollout.stats import (
    Moments,
    RatioMoments,
    difference,
    is_non_inferior,
    quantise,
    ratio_difference,
    ratio_estimate,
    score_interval,
    score_test,
    score_z,
    z_non_inferiority,
)


def test_score_z_is_pooled_at_zero():
    """References: statsmodels `proportions_ztest`."""
    from statsmodels.stats.proportion import proportions_ztest

    z, _ = proportions_ztest([60, 45], [500, 480])
    assert z == pytest.approx(score_z(60, 500, 45, 480), rel=1e-13)


@pytest.mark.parametrize("delta0", [-0.3, -0.02, 0.01, 0.25])
@pytest.mark.parametrize("counts", [(60, 500, 45, 480), (0, 30, 4, 40), (7, 7, 3, 9), (0, 20, 0, 25)])
def test_score_z_uses_the_restricted_maximum_likelihood(counts, delta0):
    x_t, n_t, x_c, n_c = counts

    def minus_log_likelihood(p):
        q = p + delta0
        return -sum(x * math.log(rate) for x, rate in ((x_t, q), (n_t - x_t, 1 - q), (x_c, p), (n_c - x_c, 1 - p)) if x)

    low, high = max(0, -delta0), min(1, 1 - delta0)
    p = minimize_scalar(
        minus_log_likelihood, bounds=(low + 1e-12, high - 1e-12), method="bounded", options={"xatol": 1e-12}
    ).x
    variance = (p + delta0) * (1 - p - delta0) / n_t + p * (1 - p) / n_c
    expected = (x_t / n_t - x_c / n_c - delta0) / math.sqrt(variance)
    assert expected == pytest.approx(score_z(*counts, delta0=delta0), rel=1e-5)


@pytest.mark.parametrize("delta0", [-0.05, -0.01, 0.03])
def test_score_z_at_a_margin_equals_the_closed_form(delta0):
    """References: Farrington and Manning (1990), appendix; statsmodels 0.15 is 2e-4 off, x for n in its cubic."""
    n_1, n_2 = 500, 480
    p_1, p_2, theta = 60 / n_1, 45 / n_2, n_2 / n_1
    a = 1 + theta
    b = -(1 + theta + p_1 + theta * p_2 + delta0 * (theta + 2))
    c = delta0**2 + delta0 * (2 * p_1 + theta + 1) + p_1 + theta * p_2
    d = -p_1 * delta0 * (1 + delta0)
    v = (b / (3 * a)) ** 3 - b * c / (6 * a**2) + d / (2 * a)
    u = math.copysign(math.sqrt((b / (3 * a)) ** 2 - c / (3 * a)), v)
    q_1 = 2 * u * math.cos((math.pi + math.acos(v / u**3)) / 3) - b / (3 * a)
    q_2 = q_1 - delta0
    expected = (p_1 - p_2 - delta0) / math.sqrt(q_1 * (1 - q_1) / n_1 + q_2 * (1 - q_2) / n_2)
    assert expected == pytest.approx(score_z(60, n_1, 45, n_2, delta0=delta0), rel=1e-12)


def test_no_events_at_all_are_insufficient_but_still_bound_the_difference():
    assert score_z(0, 50, 0, 60) is None
    assert score_z(50, 50, 60, 60) is None
    assert score_z(0, 0, 3, 60) is None
    assert score_interval(0, 0, 3, 60, 1.96) is None
    low, high = score_interval(0, 50, 0, 60, 1.96)
    assert -0.1 < low < 0 < high < 0.1


def test_better_lower_mirrors_better_higher():
    higher = score_test(60, 500, 45, 480, margin=0.01)
    lower = score_test(500 - 60, 500, 480 - 45, 480, margin=0.01, better="lower")
    assert higher.z == pytest.approx(lower.z, rel=1e-12)
    assert (higher.delta0, lower.delta0) == (-0.01, 0.01)
    assert higher.z > score_test(60, 500, 45, 480).z
    assert higher.se * higher.z == pytest.approx(higher.estimate + 0.01)
    assert score_test(0, 10, 0, 10) is None


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: score_z(11, 10, 0, 10), "x_treatment == 11"),
        (lambda: score_z(1, 10, -1, 10), "x_control == -1"),
        (lambda: score_z(1, 10, 1, 10, delta0=1.0), "delta0 == 1.0"),
        (lambda: score_interval(1, 10, 1, 10, 0.0), "z_crit == 0"),
        (lambda: score_test(1, 10, 1, 10, margin=-0.1), "margin == -0.1"),
        (lambda: score_test(1, 10, 1, 10, better="up"), "better == 'up'"),
        (lambda: quantise(1.0, 0.0), "resolution == 0"),
        (lambda: Moments(2, 4, 7), "ss == 7"),
        (lambda: RatioMoments(2, 4, 8, 4, 7, 8), "sdd == 7"),
        (lambda: RatioMoments.from_values([1, 2], [1]), "2 numerators and 1 denominators"),
        (lambda: Moments().mean(), "n == 0"),
        (lambda: Moments(1, 1, 1).variance(), "n == 1"),
        (lambda: z_non_inferiority(0.0, -1.0, 0.1), "se == -1"),
    ],
)
def test_impossible_numbers_are_refused(call, words):
    with pytest.raises(StatisticsError, match=words) as error:
        call()
    assert error.value.hint


@pytest.mark.parametrize(
    ("value", "resolution", "quantum"),
    [(2.675, 0.01, 268), (0.5, 1, 0), (1.5, 1, 2), (2.5, 1, 2), (-2.5, 1, -2), (0.1, 0.001, 100), (1e-300, 1e-6, 0)],
)
def test_quantise_rounds_half_to_even_as_written(value, resolution, quantum):
    assert quantum == quantise(value, resolution)


@pytest.mark.parametrize("value", [math.nan, math.inf, 2**40 + 1, -1e300])
def test_quantise_refuses_what_no_exact_sum_holds(value):
    with pytest.raises(QuantisationError):
        quantise(value, 1)
    assert quantise(2**40, 1) == 2**40


def test_difference_is_welchs():
    rng = np.random.default_rng(5)
    a, b = np.round(rng.normal(1, 2, 80), 3), np.round(rng.normal(0.5, 1, 120), 3)
    found = difference(Moments.from_values(a, 0.001), Moments.from_values(b, 0.001), 0.001)
    assert ttest_ind(a, b, equal_var=False).statistic == pytest.approx(found.z(), rel=1e-11)
    assert (found.estimate - 2 * found.se, found.estimate + 2 * found.se) == found.interval(2)


def test_large_offsets_lose_no_digit():
    values = [10**9 + k for k in (0, 1, 2)]
    assert Moments.from_values(values).variance() == 1.0


def test_no_variance_is_insufficient():
    constant = Moments.from_values([3, 3, 3])
    assert difference(constant, constant) is None
    assert difference(Moments.from_values([1]), Moments.from_values([1, 2])) is None
    assert ratio_estimate(RatioMoments.from_values([1, 2], [0, 0])) is None
    assert ratio_difference(RatioMoments(), RatioMoments.from_values([1, 2], [3, 3])) is None


def test_ratio_variance_is_the_delta_method():
    rng = np.random.default_rng(6)
    d = rng.integers(1, 40, 200)
    y = rng.binomial(d, 0.2)
    ratio, variance = ratio_estimate(RatioMoments.from_values(y.tolist(), d.tolist()))
    r, cov = y.sum() / d.sum(), np.cov(y, d)
    expected = (cov[0, 0] - 2 * r * cov[0, 1] + r * r * cov[1, 1]) / (200 * d.mean() ** 2)
    assert (r, expected) == pytest.approx((ratio, variance), rel=1e-12)


def test_a_guardrail_is_proven_only_at_the_bound():
    assert z_non_inferiority(0.0, 0.0, 0.01) is None
    assert not is_non_inferior(None, 2.0)
    assert is_non_inferior(z_non_inferiority(0.002, 0.004, 0.01), 2.0)
    assert not is_non_inferior(z_non_inferiority(0.003, 0.004, 0.01), 2.0)

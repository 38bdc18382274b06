from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import beta as beta_distribution
from scipy.stats import norm

from staged_rollout.errors import StatisticsError
from staged_rollout.stats import (
    Moments,
    bounded_difference_sequence,
    bounded_mean_sequence,
    difference,
    difference_sequence,
    log_e_rate,
    log_normal_mixture,
    mean_sequence,
    mixture_units,
    normal_mixture_bound,
    rate_difference_sequence,
    rate_sequence,
    score_interval,
)

ALPHA = 0.025
N0 = mixture_units(500, ALPHA)


def test_the_mixture_is_tuned_where_it_was_asked_to_be():
    """Law: of all mixtures the tuned one has the smallest bound at that sample size, within the factor 2 Phi's 1%."""
    at = normal_mixture_bound(500, ALPHA, N0)
    assert all(at <= 1.0001 * normal_mixture_bound(500, ALPHA, N0 * factor) for factor in (0.5, 0.8, 1.25, 2))
    assert at < 0.98 * normal_mixture_bound(500, ALPHA, N0 * 5)


@pytest.mark.parametrize("units", [0.01, 1, 60, 500, 1e6])
@pytest.mark.parametrize("alpha", [1e-6, 0.025, 0.4])
def test_the_bound_inverts_the_mixture(units, alpha):
    n0 = mixture_units(500, alpha)
    z = normal_mixture_bound(units, alpha, n0)
    assert -math.log(alpha) == pytest.approx(log_normal_mixture(z, units, n0), rel=1e-10)


def test_two_limits_are_as_tight_as_robbins_two_sided_interval():
    """References: Robbins (1970): z^2 = (n + n0) / n (2 log(1 / (2 alpha)) + log(1 + n / n0)), at 2 alpha."""
    for n in (50, 500, 5000):
        robbins = math.sqrt((n + N0) / n * (2 * math.log(1 / (2 * ALPHA)) + math.log1p(n / N0)))
        assert 1 < normal_mixture_bound(n, ALPHA, N0) / robbins < 1.001


def test_always_valid_costs_half_as_much_again_as_a_fixed_interval():
    """Law: at the tuned size the limits are wider than 1.96 standard errors, by some 55%."""
    assert 1.5 < normal_mixture_bound(500, ALPHA, N0) / norm.isf(ALPHA) < 1.6


def test_mean_and_difference_are_estimate_and_bound_times_error():
    rng = np.random.default_rng(1)
    a = Moments.from_values(rng.normal(3, 2, 300), 0.01)
    b = Moments.from_values(rng.normal(2, 1, 100), 0.01)
    one = mean_sequence(a, tuned_at=500, null=2.5, resolution=0.01)
    se = math.sqrt(a.variance(0.01) / 300)
    assert normal_mixture_bound(300, ALPHA, N0) * se == pytest.approx(one.high - one.estimate, rel=1e-12)
    assert log_normal_mixture((one.estimate - 2.5) / se, 300, N0) == pytest.approx(one.log_e_larger, rel=1e-12)
    two = difference_sequence(a, b, tuned_at=500, null=0.5, resolution=0.01)
    fixed = difference(a, b, 0.01)
    assert fixed.interval(normal_mixture_bound(75, ALPHA, N0)) == pytest.approx((two.low, two.high), rel=1e-12)
    assert log_normal_mixture(-fixed.z(0.5), 75, N0) == pytest.approx(two.log_e_smaller, rel=1e-12)
    assert (two.p_larger, two.p_smaller) == pytest.approx(
        (min(1, math.exp(-two.log_e_larger)), min(1, math.exp(-two.log_e_smaller)))
    )


@pytest.mark.parametrize(
    ("x", "n", "rate", "n0"), [(60, 100, 0.4, 25), (60, 100, 0.6, 25), (0, 8, 0.3, 5), (3.5, 9, 0.1, 2)]
)
def test_the_rates_e_value_is_the_averaged_likelihood_ratio(x, n, rate, n0):
    """References: the average over larger rates, weighted by a beta density centred on the rate, by quadrature."""
    prior = beta_distribution(n0 * rate, n0 * (1 - rate))

    def ratio(q):
        return prior.pdf(q) * (q / rate) ** x * ((1 - q) / (1 - rate)) ** (n - x)

    mean = quad(ratio, rate, 1, limit=200, epsabs=0, epsrel=1e-10)[0] / prior.sf(rate)
    assert math.log(mean) == pytest.approx(log_e_rate(x, n, rate, n0), abs=1e-7)


@pytest.mark.parametrize("rate", [0.02, 0.3, 0.5, 0.9])
@pytest.mark.parametrize("n0", [0.5, 60.0])
def test_the_expected_e_value_of_a_rate_is_one(rate, n0):
    """Law: over all sequences of n <= 10 units at the null hypothesis' rate, E[e] = 1; at a smaller rate it is less."""
    for n in range(1, 11):
        e = [math.exp(log_e_rate(x, n, rate, n0)) for x in range(n + 1)]
        at, below = (
            math.fsum(math.comb(n, x) * p**x * (1 - p) ** (n - x) * e[x] for x in range(n + 1))
            for p in (rate, 0.9 * rate)
        )
        assert at == pytest.approx(1.0, abs=1e-12)
        assert below < 1


@pytest.mark.parametrize("values", [(0.0, 0.5, 1.0), (0.2, 0.4), (0.1, 0.25, 0.9)], ids=str)
def test_bounded_values_expect_at_most_one(values):
    """Law (Hoeffding's convexity): for equally likely values in [0, 1] E[e] <= 1 at their mean, over all sequences."""
    mean = sum(values) / len(values)
    for n in (1, 2, 5):
        e = [math.exp(log_e_rate(sum(units), n, mean, 20.0)) for units in itertools.product(values, repeat=n)]
        assert math.fsum(e) / len(e) <= 1 + 1e-12


@pytest.mark.parametrize("rate", [0.01, 0.2, 0.5])
def test_a_rates_lower_limit_errs_with_at_most_alpha_at_two_thousand_looks(rate):
    """Law: P(low > rate at any n <= 2,000) <= alpha. Exact: no path is simulated, all of them are followed."""
    alive, erred = np.ones(1), 0.0  # alive[x]: x events and no error yet
    first = 0  # fewest events that exclude the rate, growing with n
    for n in range(1, 2001):
        alive = np.append(alive * (1 - rate), 0.0) + np.insert(alive * rate, 0, 0.0)
        while first <= n and log_e_rate(first, n, rate, N0) < -math.log(ALPHA):
            first += 1
        erred += alive[first:].sum()
        alive[first:] = 0.0
    assert alive.sum() + erred == pytest.approx(1.0, abs=1e-11)
    assert 0.2 * ALPHA < erred <= ALPHA


@pytest.mark.parametrize(("x", "n"), [(0, 1), (1, 1), (0, 1000), (3, 1000), (480, 1000), (1000, 1000), (7, 10**7)])
def test_a_rates_limits_invert_its_e_values(x, n):
    """Law: e = 1 / alpha at each limit inside (0, 1); the estimate lies between; counting non-events mirrors it."""
    look = rate_sequence(x, n, tuned_at=500)
    mirrored = rate_sequence(n - x, n, tuned_at=500)
    assert (1 - mirrored.high, 1 - mirrored.low) == pytest.approx((look.low, look.high), abs=1e-12)
    assert 0 <= look.low <= look.estimate <= look.high <= 1
    if look.low > 0:
        assert -math.log(ALPHA) == pytest.approx(log_e_rate(x, n, look.low, N0), abs=1e-6)
    if look.high < 1:
        assert -math.log(ALPHA) == pytest.approx(log_e_rate(n - x, n, 1 - look.high, N0), abs=1e-6)


def test_a_bounded_mean_is_a_rate_on_its_range():
    """Law: values 0 and 1 are a rate; stretched and moved values move the limits with them."""
    rate = rate_sequence(30, 100, tuned_at=100, null=0.4)
    same = bounded_mean_sequence(Moments(100, 30, 30), smallest=0, largest=1, tuned_at=100, null=0.4)
    assert rate == same
    moved = Moments.from_values([7] * 30 + [5] * 70)
    found = bounded_mean_sequence(moved, smallest=5, largest=7, tuned_at=100, null=5.8)
    assert (5 + 2 * rate.low, 5 + 2 * rate.high) == pytest.approx((found.low, found.high), rel=1e-12)
    assert (rate.log_e_larger, rate.log_e_smaller) == pytest.approx((found.log_e_larger, found.log_e_smaller), abs=1e-9)


def test_the_rates_asymptotic_difference_is_the_score_interval():
    look = rate_difference_sequence(130, 1000, 100, 1000, tuned_at=500, null=0.0)
    z = normal_mixture_bound(500, ALPHA, N0)
    assert score_interval(130, 1000, 100, 1000, z_crit=z) == (look.low, look.high)
    exact = rate_difference_sequence(130, 1000, 100, 1000, tuned_at=500, treatment_share=0.5)
    assert exact.low < look.low < look.high < exact.high
    assert (exact.high - exact.low) / (look.high - look.low) < 1.06


@pytest.mark.parametrize("rates", [(0.0, 0.0), (0.05, 0.05), (0.3, 0.3), (0.5, 0.2)], ids=str)
def test_the_exact_difference_expects_at_most_one(rates):
    """Law: over all outcomes of 6 and 4 units E[e against the true difference] <= 1."""
    p_t, p_c = rates
    mean = 0.0
    for x, y in itertools.product(range(7), range(5)):
        likely = math.comb(6, x) * p_t**x * (1 - p_t) ** (6 - x) * math.comb(4, y) * p_c**y * (1 - p_c) ** (4 - y)
        look = rate_difference_sequence(x, 6, y, 4, tuned_at=20, treatment_share=0.6, null=p_t - p_c)
        mean += likely * math.exp(look.log_e_larger)
    assert mean <= 1 + 1e-9


@pytest.mark.parametrize("counts", [(0, 5, 0, 5), (5, 5, 0, 5), (3, 10**5, 1, 10**5), (300, 1000, 280, 900)])
def test_the_exact_differences_limits_invert_its_e_values(counts):
    """Law: at a limit inside (-1, 1) the e-value is 1 / alpha; swapped variants mirror the answer."""
    look = rate_difference_sequence(*counts, tuned_at=500, treatment_share=0.5)
    swapped = rate_difference_sequence(*counts[2:], *counts[:2], tuned_at=500, treatment_share=0.5)
    assert (-swapped.high, -swapped.low) == pytest.approx((look.low, look.high), abs=1e-9)
    assert -1 <= look.low <= look.estimate <= look.high <= 1
    if look.low > -1:
        at = rate_difference_sequence(*counts, tuned_at=500, treatment_share=0.5, null=look.low)
        assert -math.log(ALPHA) == pytest.approx(at.log_e_larger, abs=1e-3)


def test_bounded_differences_are_rates_on_their_range():
    rates = rate_difference_sequence(30, 100, 20, 90, tuned_at=100, treatment_share=0.5)
    t, c = Moments.from_values([7] * 30 + [5] * 70), Moments.from_values([7] * 20 + [5] * 70)
    found = bounded_difference_sequence(t, c, smallest=5, largest=7, tuned_at=100)
    assert (2 * rates.low, 2 * rates.high) == pytest.approx((found.low, found.high), abs=1e-9)
    assert rates.log_e_larger == pytest.approx(found.log_e_larger, abs=1e-6)


def test_looks_narrow_by_what_was_excluded_before():
    first = rate_sequence(80, 100, tuned_at=100, null=0.5)
    second = rate_sequence(90, 150, tuned_at=100, null=0.5)
    both = second.running(first)
    assert (both.low, both.high) == (max(first.low, second.low), min(first.high, second.high))
    assert (both.p_larger, both.estimate) == (first.p_larger, second.estimate)
    assert rate_sequence(1, 2, tuned_at=100).running(rate_sequence(1, 1, tuned_at=100)).p_larger is None
    assert first.to_frame().loc[0, "method"] == "bounded"


def test_too_few_units_are_insufficient():
    few = Moments.from_values([1, 2, 3] * 33)
    many = Moments.from_values([1, 2, 3] * 34)
    flat = Moments.from_values([1] * 200)
    assert mean_sequence(few, tuned_at=500) is None
    assert mean_sequence(flat, tuned_at=500) is None
    assert difference_sequence(many, few, tuned_at=500) is None
    assert difference_sequence(flat, flat, tuned_at=500) is None
    assert rate_sequence(0, 0, tuned_at=500) is None
    assert bounded_mean_sequence(Moments(), smallest=0, largest=1, tuned_at=500) is None
    assert bounded_difference_sequence(Moments(), many, smallest=0, largest=5, tuned_at=500) is None
    assert rate_difference_sequence(1, 9, 1, 20, tuned_at=500) is None
    assert rate_difference_sequence(0, 20, 0, 20, tuned_at=500) is None
    assert rate_difference_sequence(0, 0, 0, 20, tuned_at=500, treatment_share=0.5) is None
    assert log_e_rate(0, 0, 0.5, 10) == 0.0


def test_impossible_outcomes_are_numbers():
    """Law: all e-values and p-values are finite, and no p-value reads as 0."""
    look = rate_sequence(10**6, 10**6, tuned_at=500, null=1e-9)
    assert (look.log_e_larger, look.p_smaller) == (1000.0, 1.0)
    assert -1000 <= look.log_e_smaller < 0
    assert 0 < look.p_larger < 1e-300


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: mixture_units(0, 0.025), "tuned_at == 0, must be > 0"),
        (lambda: mixture_units(100, 0.5), "alpha == 0.5"),
        (lambda: normal_mixture_bound(0, 0.025, 10), "units == 0"),
        (lambda: normal_mixture_bound(10, 0.025, math.nan), "n0 == nan"),
        (lambda: mean_sequence(Moments(), alpha=0.7, tuned_at=10), "alpha == 0.7"),
        (lambda: mean_sequence(Moments(200, 10, 10), tuned_at=10, null=math.inf), "null == inf"),
        (lambda: rate_sequence(5, 4, tuned_at=10), "events == 5"),
        (lambda: rate_sequence(1, 4, tuned_at=10, null=1.0), "null == 1.0"),
        (lambda: log_e_rate(5, 4, 0.5, 10), "total == 5, must be >= 0 and <= n == 4"),
        (lambda: log_e_rate(1, 4, 0.0, 10), "rate == 0.0"),
        (lambda: bounded_mean_sequence(Moments(2, 9, 41), smallest=0, largest=4, tuned_at=10), "mean == 4.5"),
        (lambda: bounded_mean_sequence(Moments(2, 9, 41), smallest=5, largest=5, tuned_at=10), "smallest == 5"),
        (lambda: rate_difference_sequence(1, 9, 2, 9, tuned_at=10, null=1.0), "delta0 == 1.0"),
        (lambda: rate_difference_sequence(1, 9, 2, 9, tuned_at=10, treatment_share=0.0), "treatment_share == 0.0"),
    ],
)
def test_unusable_numbers_are_refused_with_value_and_hint(call, words):
    with pytest.raises(StatisticsError, match=words) as caught:
        call()
    assert caught.value.hint

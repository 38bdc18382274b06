from __future__ import annotations

import itertools
import math
import sys
from fractions import Fraction

import pytest
from scipy.special import log_ndtr
from scipy.stats import binomtest

from staged_rollout.errors import StatisticsError
from staged_rollout.stats import goodness_of_fit
from staged_rollout.stats.goodness_of_fit import LARGEST_ENUMERATION, log_chi_squared_tail, outcomes_visited


def outcomes(total, variants):
    for head in itertools.product(range(total + 1), repeat=variants - 1):
        if sum(head) <= total:
            yield *head, total - sum(head)


def by_enumeration(counts, weights):
    """The exact p-value in rational arithmetic, by visiting every outcome; whole weights."""

    def statistic(outcome):
        return sum(Fraction(n * n, w) for n, w in zip(outcome, weights, strict=True))

    observed, p = statistic(counts), Fraction(0)
    for outcome in outcomes(sum(counts), len(weights)):
        if statistic(outcome) >= observed:
            ways = math.factorial(sum(counts))
            for n, w in zip(outcome, weights, strict=True):
                ways *= Fraction(w, sum(weights)) ** n / math.factorial(n)
            p += ways
    return float(p)


@pytest.mark.parametrize(
    "weights", [(1, 1), (9, 1), (1, 3), (1, 1, 1), (8, 1, 1), (2, 3, 5), (1, 1, 1, 1), (5, 3, 1, 1)], ids=str
)
@pytest.mark.parametrize("total", [1, 2, 5, 8])
def test_few_units_are_tested_exactly(weights, total):
    """Law: below 5 expected units p is the probability of every outcome whose chi-squared is at least as large."""
    for counts in outcomes(total, len(weights)):
        fit = goodness_of_fit(counts, weights)
        assert fit.method == "exact"
        assert by_enumeration(counts, weights) == pytest.approx(fit.p_value, rel=1e-12)


@pytest.mark.parametrize("total", [1, 4, 9])
def test_two_equal_variants_are_a_binomial_test(total):
    """References: scipy.stats.binomtest, whose order of outcomes is the same at 1:1."""
    for k in range(total + 1):
        assert binomtest(k, total, 0.5).pvalue == pytest.approx(goodness_of_fit((k, total - k), (1, 1)).p_value)


def test_few_units_in_one_variant_of_many():
    """References: P(Poisson(1) >= 3) = 1 - 2.5 / e, the limit of a billion units of which one is expected."""
    fit = goodness_of_fit((10**9, 3), (10**9, 1))
    assert fit.method == "exact"
    assert 1 - 2.5 / math.e == pytest.approx(fit.p_value, rel=1e-7)


def test_five_expected_units_are_enough_for_chi_squared():
    assert [goodness_of_fit((4, n), (1, 1)).method for n in (5, 6)] == ["exact", "chi-squared"]


def test_what_is_too_much_to_visit_is_said():
    """Law: the cost is bounded, and the method names the approximation."""
    assert outcomes_visited(10**9, 2) == 1
    assert outcomes_visited(300, 5) > LARGEST_ENUMERATION
    assert goodness_of_fit((296, 1, 1, 1, 1), (296, 1, 1, 1, 1)).method == "chi-squared"
    assert goodness_of_fit((199_998, 0, 2), (199_998, 1, 1)).method == "exact"


@pytest.mark.parametrize("statistic", [0.001, 0.5, 2.0, 30.0, 1300.0, 1400.0, 4000.0, 1e6])
def test_the_tail_of_chi_squared_does_not_underflow(statistic):
    """References: with one degree p = 2 Phi(-sqrt(x)), with two exp(-x / 2), with four exp(-x / 2)(1 + x / 2)."""
    expected = [
        math.log(2) + float(log_ndtr(-math.sqrt(statistic))),
        -statistic / 2,
        -statistic / 2 + math.log1p(statistic / 2),
    ]
    assert expected == pytest.approx([log_chi_squared_tail(statistic, k) for k in (1, 2, 4)], rel=1e-12, abs=1e-15)


def test_no_p_value_reads_as_zero():
    """Law: log p is finite however far out, and p then is the smallest float, not 0."""
    many = goodness_of_fit((0, 51_088), (1, 1))
    few = goodness_of_fit((0, 400), (99, 1))
    assert sys.float_info.min == many.p_value == few.p_value
    assert math.log(2) + float(log_ndtr(-math.sqrt(51_088))) == pytest.approx(many.log_p, rel=1e-12)
    assert (few.method, 400 * math.log(0.01)) == ("exact", pytest.approx(few.log_p, rel=1e-12))


def test_far_tails_add_up_over_three_variants():
    """References: all 600 units in a variant of share 1 / 200: only one outcome of the other rare one is as extreme."""
    fit = goodness_of_fit((0, 600, 0), (198, 1, 1))
    assert math.log(2) - 600 * math.log(200) == pytest.approx(fit.log_p, rel=1e-12)


def test_counts_as_planned_give_exactly_zero():
    """Law: weights are read as the decimals that they are written as."""
    fit = goodness_of_fit((7_000, 2_000, 1_000), (0.7, 0.2, 0.1))
    assert (fit.chi_squared, fit.p_value, fit.residuals) == (0.0, 1.0, (0.0, 0.0, 0.0))


def test_the_largest_residual_says_which_variant_is_off():
    """References: (n - N w) / sqrt(N w (1 - w)) by hand; with two variants its square is chi-squared."""
    fit = goodness_of_fit((5_000, 2_600, 2_400), (2, 1, 1))
    assert fit.residuals == pytest.approx((0.0, 100 / math.sqrt(1875), -100 / math.sqrt(1875)))
    two = goodness_of_fit((48_912, 51_088), (1, 1))
    assert two.residuals[1] ** 2 == pytest.approx(two.chi_squared, rel=1e-14)


def test_no_units_are_no_evidence():
    fit = goodness_of_fit((0, 0), (1, 1))
    assert (fit.chi_squared, fit.p_value, fit.log_p, fit.residuals) == (0.0, 1.0, 0.0, (0.0, 0.0))


@pytest.mark.parametrize(
    ("counts", "weights", "words"),
    [
        ((5, math.nan), (1, 1), r"counts\[1\] == nan, must be a whole number >= 0"),
        ((5, math.inf), (1, 1), r"counts\[1\] == inf, must be a whole number >= 0"),
        ((5, 0.5), (1, 1), r"counts\[1\] == 0.5, must be a whole number >= 0"),
        ((-5, 5), (1, 1), r"counts\[0\] == -5, must be a whole number >= 0"),
        ((5, 5), (0, 0), r"weights\[0\] == 0, must be > 0"),
        ((5, 5), (1, -1), r"weights\[1\] == -1, must be > 0"),
        ((5, 5), (1, math.nan), r"weights\[1\] == nan, must be finite"),
        ((), (), "0 counts and 0 weights, must be the same number and >= 2"),
    ],
)
def test_unusable_numbers_are_refused_with_value_bound_and_hint(counts, weights, words):
    with pytest.raises(StatisticsError, match=words) as caught:
        goodness_of_fit(counts, weights)
    assert caught.value.hint


@pytest.mark.parametrize(("statistic", "degrees"), [(-1.0, 1), (math.nan, 1), (1.0, 0)])
def test_a_tail_of_what_is_no_chi_squared_is_refused(statistic, degrees):
    with pytest.raises(StatisticsError):
        log_chi_squared_tail(statistic, degrees)

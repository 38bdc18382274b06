from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import ndtri
from statsmodels.stats.power import TTestIndPower
from statsmodels.stats.proportion import samplesize_proportions_2indep_onetail

from staged_rollout.errors import StatisticsError
from staged_rollout.stats import (
    RatioMoments,
    Spending,
    bounds,
    crossing_probabilities,
    effective_units,
    inflation,
    information_fraction,
    maximum_information_units,
    ratio_unit_sd,
    score_z,
    two_means_units,
    two_proportions_units,
)
from staged_rollout.stats.fixed_sample import score_deviations

OBF = Spending("obrien-fleming", 0.025)


def test_rates_from_ten_to_twelve_percent():
    assert round(two_proportions_units(0.10, 0.12, 0.025, 0.8), 2) == 7681.69
    assert round(two_proportions_units(0.12, 0.10, 0.025, 0.8), 2) == 7681.69


def test_a_single_look_needs_no_inflation():
    assert inflation((1.0,), OBF, 0.8) == pytest.approx(1.0, abs=1e-12)


def test_inflated_drift_gives_the_power_asked_for():
    information = (0.3, 0.55, 1.0)
    found = bounds(information, OBF)
    drift = (1.959963984540054 + 1.2815515655446004) * inflation(information, OBF, 0.9) ** 0.5
    power = crossing_probabilities(information, [bound.z for bound in found], drift).sum()
    assert pytest.approx(float(power), abs=1e-11) == 0.9


def test_information_counts_the_smaller_variant():
    assert effective_units(0, 500) == 0.0
    assert pytest.approx(effective_units(900, 100)) == 90.0
    n_eff_max = maximum_information_units(8000, 1.02, treatment_share=0.5)
    assert pytest.approx(n_eff_max) == 2040.0
    assert pytest.approx(information_fraction(2040, 2040, n_eff_max)) == 0.5
    assert pytest.approx(information_fraction(5100, 5100, n_eff_max)) == 1.25


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: inflation((0.5, 0.9), OBF, 0.8), "last planned information fraction == 0.9"),
        (lambda: inflation((), OBF, 0.8), "== None"),
        (lambda: inflation((1.0,), OBF, 1.2), "power == 1.2"),
        (lambda: two_proportions_units(0.1, 0.1, 0.025, 0.8), "delta == 0"),
        (lambda: two_proportions_units(0.0, 0.1, 0.025, 0.8), "p_control == 0"),
        (lambda: two_proportions_units(0.1, 0.12, 0.025, 0.8, delta0=0.02), "delta == 0"),
        (lambda: two_proportions_units(0.1, 0.12, 0.025, 0.8, delta0=1.0), "delta0 == 1"),
        (lambda: two_proportions_units(0.1, math.nan, 0.025, 0.8), "p_treatment == nan"),
        (lambda: two_proportions_units(0.1, 0.12, 0.025, 0.8, ratio=0), "ratio == 0"),
        (lambda: two_means_units(1, 1, 0.025, 0.8, method="u"), "method == 'u', must be 'z' or 't'"),
        (lambda: two_means_units(1, math.inf, 0.025, 0.8), "delta == inf"),
        (lambda: two_means_units(1e9, 1e-300, 0.025, 0.8), "delta / sd == 1e-309, must be > 1e-06 and < 1000"),
        (lambda: two_proportions_units(0.01, 0.05, 0.025, 0.03, ratio=1 / 9), "power == 0.03 at alpha == 0.025"),
        (lambda: two_means_units(0, 1, 0.025, 0.8), "sd == 0"),
        (lambda: two_means_units(1, 1, 0.025, 0.01), "power == 0.01"),
        (lambda: maximum_information_units(100, 0.9), "inflation_factor == 0.9"),
        (lambda: maximum_information_units(100, 1.0, 1.0), "treatment_share == 1"),
        (lambda: information_fraction(10, 10, 0), "n_eff_max == 0"),
        (lambda: effective_units(-1, 10), "n_treatment == -1"),
    ],
)
def test_impossible_plans_are_refused(call, words):
    with pytest.raises(StatisticsError, match=words) as error:
        call()
    assert error.value.hint


@pytest.mark.parametrize(
    ("control", "treatment", "delta0", "ratio"),
    [(0.85, 0.85, -0.03, 1.0), (0.85, 0.87, -0.02, 0.25), (0.02, 0.02, 0.01, 3.0), (0.1, 0.12, 0.0, 0.5)],
)
def test_rates_are_planned_for_the_test_that_is_made(control, treatment, delta0, ratio):
    """Law: at the counts that the rates give, the test's own z is z_alpha where its power is one half."""
    total = two_proportions_units(control, treatment, alpha=0.025, power=0.5, ratio=ratio, delta0=delta0)
    n_c, n_t = total / (1 + ratio), total * ratio / (1 + ratio)
    scale = 10**9  # whole counts, to nine digits
    counts = [round(count * scale) for count in (n_t * treatment, n_t, n_c * control, n_c)]
    z = score_z(*counts, delta0=delta0) / scale**0.5
    assert pytest.approx(abs(z), rel=1e-8) == 1.959963984540054


def test_the_restricted_variance_is_that_of_the_papers_closed_form():
    """References: Farrington and Manning (1990), appendix: the cubic's root in closed form."""
    p_t, p_c, delta0, ratio = 0.80, 0.85, -0.10, 0.5
    theta = 1 / ratio  # control per treatment
    a, b = 1 + theta, -(1 + theta + p_t + theta * p_c + delta0 * (theta + 2))
    c, d = delta0**2 + delta0 * (2 * p_t + theta + 1) + p_t + theta * p_c, -p_t * delta0 * (1 + delta0)
    v = b**3 / (27 * a**3) - b * c / (6 * a**2) + d / (2 * a)
    u = math.copysign(math.sqrt(b**2 / (9 * a**2) - c / (3 * a)), v)
    w = (math.pi + math.acos(v / u**3)) / 3
    null_t = 2 * u * math.cos(w) - b / (3 * a)
    null_c = null_t - delta0
    share = 1 / (1 + theta)
    null = math.sqrt(null_t * (1 - null_t) / share + null_c * (1 - null_c) / (1 - share))
    assert pytest.approx(score_deviations(p_c, p_t, ratio, delta0)[0], rel=1e-12) == null


def test_pooled_rates_are_those_of_statsmodels():
    """References: statsmodels samplesize_proportions_2indep_onetail, which two_proportions_units asks at delta0 = 0."""
    null, planned = score_deviations(0.1, 0.12, ratio=0.25)
    own = ((1.959963984540054 * null + 0.8416212335729143 * planned) / 0.02) ** 2
    assert pytest.approx(two_proportions_units(0.1, 0.12, 0.025, 0.8, ratio=0.25), rel=1e-12) == own


def test_statsmodels_has_no_margin_yet():
    """Guard: when it has, its answer should be compared with ours, and take its place."""
    with pytest.raises(NotImplementedError, match="not yet implemented"):
        samplesize_proportions_2indep_onetail(0.0, 0.85, 0.8, value=-0.03, alternative="larger")


@pytest.mark.parametrize(("effect", "ratio"), [(0.05, 1.0), (0.5, 0.25), (1.0, 3.0), (3.0, 1.0)])
def test_student_units_have_their_power(effect, ratio):
    """References: statsmodels' power function, its solver left aside: that answers nan for large effects."""
    total = two_means_units(2.0, 2 * effect, 0.025, 0.8, ratio, method="t")
    found = TTestIndPower().power(effect, total / (1 + ratio), 0.025, ratio, alternative="larger")
    assert pytest.approx(found, abs=1e-10) == 0.8
    assert total > two_means_units(2.0, 2 * effect, 0.025, 0.8, ratio)


def test_student_needs_three_units_however_large_the_effect():
    assert two_means_units(1.0, 999.0, 0.025, 0.8, method="t") == 3.0


def test_student_units_are_found_where_scipy_has_no_number():
    """Guard: 16 units with a noncentrality of 60 are nan to nctdtr; the root below them is found all the same."""
    total = two_means_units(1.0, 30.0, 1e-4, 0.99, method="t")
    found = TTestIndPower().power(30.0, total / 2, 1e-4, 1.0, alternative="larger")
    assert pytest.approx(found, abs=1e-9) == 0.99


def test_a_margin_moves_the_null_hypothesis_of_means():
    assert two_means_units(1, 0.0, 0.025, 0.8, delta0=-0.1) == two_means_units(1, 0.1, 0.025, 0.8)


def test_a_ratios_unit_deviation_is_that_of_the_linearised_ratio():
    """References: numpy on y - R d over units, divided by the mean denominator."""
    random = np.random.default_rng(7)
    requests = random.integers(1, 20, size=500)
    errors = random.binomial(requests, 0.1)
    ratio, sd = ratio_unit_sd(RatioMoments.from_values(errors.tolist(), requests.tolist()))
    assert pytest.approx(ratio, rel=1e-14) == errors.sum() / requests.sum()
    assert pytest.approx(sd, rel=1e-12) == np.std((errors - ratio * requests) / requests.mean(), ddof=1)


def test_a_pilot_without_variance_is_insufficient():
    assert ratio_unit_sd(RatioMoments.from_values([1, 2], [10, 20])) is None
    assert ratio_unit_sd(RatioMoments.from_values([1], [10])) is None
    assert ratio_unit_sd(RatioMoments()) is None


@pytest.mark.parametrize("looks", [1, 2, 28])
@pytest.mark.parametrize(("alpha", "power"), [(1e-4, 0.99), (0.025, 0.8), (0.2, 0.21)])
def test_inflation_is_exact_in_rare_corners(looks, alpha, power):
    """Law: the drift that R stands for gives the power, by the crossing probabilities, to 1e-11."""
    spending = Spending("pocock", alpha)
    information = [k / looks for k in range(1, looks + 1)]
    factor = inflation(information, spending, power)
    drift = (ndtri(power) - ndtri(alpha)) * factor**0.5
    crossing = crossing_probabilities(information, [bound.z for bound in bounds(information, spending)], float(drift))
    assert pytest.approx(float(crossing.sum()), abs=1e-11) == power
    assert factor >= 1

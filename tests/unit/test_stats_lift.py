from __future__ import annotations

import math

import numpy as np
import pytest

from staged_rollout.errors import StatisticsError
from staged_rollout.stats import (
    Difference,
    Moments,
    RatioMoments,
    RelativeLift,
    cohens_d,
    cohens_h,
    difference,
    rate_difference,
    rate_lift,
    ratio_difference,
    relative_lift,
    score_z,
)

Z = 1.959963984540054


def compared(treatment, control, se_treatment, se_control, covariance=0.0):
    variance = se_treatment**2 + se_control**2 - 2 * covariance
    return Difference(
        treatment - control, math.sqrt(variance), treatment, control, 500, 500, se_treatment, se_control, covariance
    )


def distance(found, lift):
    """|T - r C| / sd(T - r C), from its definition."""
    r = 1 + lift
    variance = found.se_treatment**2 + (r * found.se_control) ** 2 - 2 * r * found.covariance
    return abs(found.treatment - r * found.control) / math.sqrt(variance)


@pytest.mark.parametrize("z_crit", [0.5, 1.96, 4.8769, 8.3])
@pytest.mark.parametrize("covariance", [-0.3, 0.0, 0.4])
def test_fieller_inverts_the_test_of_the_ratio(z_crit, covariance):
    """Law: at either limit T - r C is exactly z_crit standard errors from 0. References: Fieller (1954)."""
    found = compared(11.0, 10.0, 0.8, 0.9, covariance)
    lift = relative_lift(found, z_crit)
    assert lift.bounded
    assert (z_crit, z_crit) == pytest.approx((distance(found, lift.low), distance(found, lift.high)), rel=1e-11)
    assert lift.low < lift.estimate < lift.high
    assert pytest.approx(0.1) == lift.estimate


def test_fieller_is_the_published_formula():
    """References: the closed form with g = z^2 v_C / C^2, in Cox (1990), Statistica Neerlandica; here v_TC = 0."""
    t, c, v_t, v_c = 5.0, 4.0, 0.25, 0.16
    g, r = Z * Z * v_c / c**2, t / c
    half = Z / c * math.sqrt(v_t * (1 - g) + r * r * v_c)
    expected = ((r - half) / (1 - g) - 1, (r + half) / (1 - g) - 1)
    lift = relative_lift(compared(t, c, 0.5, 0.4), Z)
    assert expected == pytest.approx((lift.low, lift.high), rel=1e-13)


def test_a_control_near_zero_has_no_finite_interval():
    """Law: what is rejected, and nothing else, lies outside of the set, whatever its shape."""
    outside = relative_lift(compared(10.0, 1.0, 1.0, 1.0), Z)
    assert (None, None, False) == (outside.low, outside.high, outside.bounded)
    a, b = outside.excluded
    assert a < b
    everything = relative_lift(compared(1.0, 1.0, 1.0, 1.0), Z)
    assert (None, None, None) == (everything.low, everything.high, everything.excluded)
    for found, lift in [(compared(10.0, 1.0, 1.0, 1.0), outside), (compared(1.0, 1.0, 1.0, 1.0), everything)]:
        for value in np.linspace(-60, 60, 2401):
            if abs(distance(found, value) - Z) > 1e-9:
                assert (distance(found, value) < Z) == lift.contains(value)
    assert relative_lift(compared(1.0, 0.0, 1.0, 1.0), Z) is None


def test_a_half_line_has_one_limit():
    """Law: with the control's mean exactly z_crit standard errors from 0, one side has no limit."""
    half = relative_lift(compared(8.0, 2.0, 1.0, 1.0), 2.0)
    assert half.high is None
    assert half.excluded is None
    assert pytest.approx(2.0) == distance(compared(8.0, 2.0, 1.0, 1.0), half.low)
    assert half.contains(1e9)
    assert not half.contains(half.low - 1e-9)
    mirrored = relative_lift(compared(-8.0, 2.0, 1.0, 1.0), 2.0)
    assert (None, -half.low) == pytest.approx((mirrored.low, mirrored.high + 2))
    assert (None, None) == (relative_lift(compared(0.0, 2.0, 1.0, 1.0), 2.0).low, mirrored.excluded)


def test_a_treatment_that_is_exactly_nothing_has_one_lift():
    lift = relative_lift(compared(0.0, 2.0, 0.0, 0.5), Z)
    assert (-1.0, -1.0, -1.0, None) == (lift.estimate, lift.low, lift.high, lift.excluded)


def test_fieller_limits_are_held_by_their_probability():
    """Law: 95% of the intervals hold the true lift, where dividing by the control's mean as if known holds fewer.

    4,000 runs: the Monte-Carlo standard error is 0.34%, the tolerance four of them.
    """
    rng = np.random.default_rng(31)
    t, c = rng.normal(15, 3, 4000), rng.normal(10, 3, 4000)
    held = simple = 0
    for mean_t, mean_c in zip(t, c, strict=True):
        found = compared(mean_t, mean_c, 3.0, 3.0)
        held += relative_lift(found, Z).contains(0.5)
        low, high = found.interval(Z)
        simple += low / mean_c <= 0.5 <= high / mean_c
    assert pytest.approx(0.95, abs=0.014) == held / 4000
    assert simple / 4000 < 0.93


def test_ratios_and_means_have_the_same_lift():
    rng = np.random.default_rng(3)
    t, c = rng.poisson(6, 400).tolist(), rng.poisson(5, 300).tolist()
    means = relative_lift(difference(Moments.from_values(t), Moments.from_values(c)), Z)
    ratios = ratio_difference(RatioMoments.from_values(t, [1] * 400), RatioMoments.from_values(c, [1] * 300))
    assert means == relative_lift(ratios, Z)


@pytest.mark.parametrize(
    "counts", [(60, 500, 50, 500), (1200, 10_000, 1000, 10_000), (3, 40, 9, 70), (1, 1000, 2, 900), (39, 40, 60, 70)]
)
def test_rate_lift_is_koopmans(counts):
    """References: statsmodels `confint_proportions_2indep(compare="ratio", method="score", correction=False)`."""
    from statsmodels.stats.proportion import confint_proportions_2indep

    expected = confint_proportions_2indep(*counts, compare="ratio", method="score", correction=False)
    lift = rate_lift(*counts, Z)
    assert (expected[0] - 1, expected[1] - 1) == pytest.approx((lift.low, lift.high), rel=1e-6)


def ratio_score(x_t, n_t, x_c, n_c, r):
    """Score statistic of p_T = r p_C with the likelihood maximised by bisection on its derivative."""
    low, high = 0.0, min(1.0, 1 / r)
    for _ in range(200):
        p = 0.5 * (low + high)
        slope = x_t / p - r * (n_t - x_t) / (1 - r * p) + x_c / p - (n_c - x_c) / (1 - p)
        low, high = (p, high) if slope > 0 else (low, p)
    variance = r * p * (1 - r * p) / n_t + r * r * p * (1 - p) / n_c
    return (x_t / n_t - r * x_c / n_c) / math.sqrt(variance)


@pytest.mark.parametrize("z_crit", [1.0, 1.96, 4.8769])
@pytest.mark.parametrize("counts", [(60, 500, 50, 500), (3, 40, 9, 70), (990, 1000, 995, 1000), (1, 7, 5, 9)])
def test_rate_lift_inverts_the_score_test(counts, z_crit):
    """Law: at either limit the score statistic, its likelihood maximised by another route, equals z_crit."""
    lift = rate_lift(*counts, z_crit)
    assert z_crit == pytest.approx(ratio_score(*counts, 1 + lift.low), rel=1e-8)
    assert -z_crit == pytest.approx(ratio_score(*counts, 1 + lift.high), rel=1e-8)


@pytest.mark.parametrize("counts", [(60, 500, 50, 500), (80, 500, 50, 500), (9, 9, 3, 9), (0, 30, 8, 30)])
def test_rate_lift_never_disagrees_with_the_score_test(counts):
    """Law: lift 0 is a limit exactly at z_crit = |score_z|, which pools the rates."""
    z = score_z(*counts)
    assert rate_lift(*counts, abs(z) * (1 + 1e-9)).contains(0.0)
    assert not rate_lift(*counts, abs(z) * (1 - 1e-9)).contains(0.0)


def test_rate_lift_at_the_edges():
    none = rate_lift(0, 100, 10, 100, 1.96)
    assert (-1.0, -1.0) == (none.estimate, none.low)
    assert -1.96 == pytest.approx(ratio_score(0, 100, 10, 100, 1 + none.high), rel=1e-9)
    every = rate_lift(50, 50, 50, 50, 1.96)
    bound = 50 / (50 + 1.96**2)
    assert (bound - 1, 1 / bound - 1) == pytest.approx((every.low, every.high), abs=1e-9)
    sure = rate_lift(10**12, 10**12, 10**12, 10**12, 0.1)
    assert (0.0, 0.0) == pytest.approx((sure.low, sure.high), abs=2e-12)
    assert sure.low <= 0 <= sure.high
    assert rate_lift(10, 100, 0, 100, 1.96) is None
    assert rate_lift(0, 0, 10, 100, 1.96) is None


def test_cohens_h_is_statsmodels():
    from statsmodels.stats.proportion import proportion_effectsize

    for rates in [(0.12, 0.10), (0.0, 1.0), (0.5, 0.5), (1e-9, 0.3)]:
        assert float(proportion_effectsize(*rates)) == pytest.approx(cohens_h(*rates), rel=1e-12, abs=1e-15)
    assert math.pi == pytest.approx(cohens_h(1, 0))


def test_cohens_d_is_the_t_statistic_rescaled():
    """References: scipy `ttest_ind(equal_var=True)`: t = d sqrt(n_T n_C / (n_T + n_C))."""
    from scipy.stats import ttest_ind

    rng = np.random.default_rng(4)
    t, c = rng.normal(3, 2, 50).round(3), rng.normal(2, 1, 70).round(3)
    d = cohens_d(Moments.from_values(t, 0.001), Moments.from_values(c, 0.001))
    assert ttest_ind(t, c).statistic == pytest.approx(d * math.sqrt(50 * 70 / 120), rel=1e-12)
    constant = Moments.from_values([2, 2])
    assert cohens_d(constant, Moments.from_values([3, 3, 3])) is None
    assert cohens_d(Moments.from_values([1]), constant) is None


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: relative_lift(compared(1.0, 1.0, 1.0, 1.0), 0.0), "z_crit == 0"),
        (lambda: relative_lift(compared(1.0, 1.0, 1.0, 1.0), math.nan), "z_crit == nan"),
        (lambda: rate_lift(5, 10, 5, 10, math.inf), "z_crit == inf"),
        (lambda: rate_lift(11, 10, 5, 10, 1.96), "x_treatment == 11, must be <= n_treatment == 10"),
        (lambda: rate_lift(5, 10, -1, 10, 1.96), "x_control == -1"),
        (lambda: rate_difference(5, 10, 11, 10), "x_control == 11"),
        (lambda: rate_difference(5, math.nan, 1, 10), "n_treatment == nan"),
        (lambda: cohens_h(1.1, 0.1), "rate_treatment == 1.1"),
        (lambda: cohens_h(0.1, math.nan), "rate_control == nan"),
        (lambda: compared(1.0, 1.0, 1.0, 1.0).interval(-1.0), "z_crit == -1"),
        (lambda: difference(Moments(), Moments(), 0.0), "resolution == 0"),
        (lambda: difference(Moments(2, 1, 1), Moments(2, 1, 1), 1e300), r"resolution == 1e\+300"),
        (lambda: Moments(2, 1.5, 4), "s == 1.5, must be a whole number"),
        (lambda: Moments(2, 1e300, 4), "s == 1e"),
        (lambda: Moments(2, math.nan, 4), "s == nan"),
        (lambda: RatioMoments(3, 3, 5, 3, 5, 9), "syd == 9, must not correlate beyond 1"),
        (lambda: Moments().merge(RatioMoments()), "Moments and RatioMoments"),
    ],
)
def test_what_has_no_effect_is_refused(call, words):
    with pytest.raises(StatisticsError, match=words) as error:
        call()
    assert error.value.hint


def test_results_print_and_become_frames():
    lift = rate_lift(1200, 10_000, 1000, 10_000, 1.96)
    assert "estimate  0.2" in str(lift)
    assert isinstance(lift, RelativeLift)
    assert [0.2] == pytest.approx(lift.to_frame()["estimate"].tolist())

"""Variances and intervals of effects against other libraries and against resampling."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import bootstrap, ttest_ind

from staged_rollout.stats import Moments, RatioMoments, difference, rate_difference, ratio_difference

Z = 1.959963984540054


def test_difference_of_means_is_that_of_statsmodels_and_scipy():
    """References: statsmodels `CompareMeans` (unequal variances, normal interval); scipy `ttest_ind`."""
    from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

    rng = np.random.default_rng(1)
    t, c = rng.gamma(2, 3, 300).round(2), rng.gamma(2, 2, 150).round(2)
    found = difference(Moments.from_values(t, 0.01), Moments.from_values(c, 0.01), 0.01)
    oracle = CompareMeans(DescrStatsW(t), DescrStatsW(c))
    assert oracle.zconfint_diff(usevar="unequal") == pytest.approx(found.interval(Z), rel=1e-10)
    assert ttest_ind(t, c, equal_var=False).statistic == pytest.approx(found.z(), rel=1e-11)
    parts = found.se_treatment**2 + found.se_control**2
    assert found.se == pytest.approx(math.sqrt(parts), rel=1e-14)


def test_difference_of_rates_is_walds():
    """References: statsmodels `confint_proportions_2indep(method="wald")`."""
    from statsmodels.stats.proportion import confint_proportions_2indep

    found = rate_difference(60, 480, 45, 500)
    expected = confint_proportions_2indep(60, 480, 45, 500, method="wald", compare="diff")
    assert expected == pytest.approx(found.interval(Z), rel=1e-10)
    assert rate_difference(0, 10, 0, 20) is None
    assert rate_difference(0, 0, 3, 20) is None


def test_a_small_difference_of_large_means_keeps_its_digits():
    """Law: the difference is taken before it is rounded."""
    offset = 2**39
    found = difference(Moments.from_values([offset + 1, offset + 2]), Moments.from_values([offset, offset + 1]))
    assert (1.0, 0.5**0.5) == (found.estimate, found.se)
    fine = difference(Moments(3, 3 * 10**30 + 1, 3 * 10**60 + 2 * 10**30 + 1), Moments(3, 3 * 10**30, 3 * 10**60))
    assert 1 / 3 == pytest.approx(fine.estimate, rel=1e-15)


def test_standard_errors_match_the_bootstrap():
    """References: scipy `bootstrap`, 4,000 resamples of units: 1.1% Monte-Carlo error, tolerance 5%."""
    rng = np.random.default_rng(2)
    requests_t, requests_c = rng.integers(1, 40, 400), rng.integers(1, 40, 300)
    errors_t = rng.binomial(requests_t, rng.beta(2, 20, 400))
    errors_c = rng.binomial(requests_c, rng.beta(2, 30, 300))
    ratio = ratio_difference(
        RatioMoments.from_values(errors_t.tolist(), requests_t.tolist()),
        RatioMoments.from_values(errors_c.tolist(), requests_c.tolist()),
    )

    def statistic(i, j, axis=-1):
        share_t = errors_t[i].sum(axis) / requests_t[i].sum(axis)
        return share_t - errors_c[j].sum(axis) / requests_c[j].sum(axis)

    resampled = bootstrap(
        (np.arange(400), np.arange(300)), statistic, n_resamples=4000, method="basic", rng=np.random.default_rng(3)
    )
    assert resampled.standard_error == pytest.approx(ratio.se, rel=0.05)

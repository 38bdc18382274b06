from __future__ import annotations

import math

import numpy as np
import pytest

from staged_rollout.errors import StatisticsError
from staged_rollout.stats import (
    Moments,
    RatioMoments,
    difference,
    ratio_difference,
    relative_lift,
    stratified_difference,
)

DAYS = [(40, 3), (55, 9), (20, 20), (12, 61)]


def days(rng, effects=(0.5, 0.5, 0.5, 0.5)):
    out = []
    for (n_c, n_t), level, effect in zip(DAYS, (0.0, 4.0, -2.0, 9.0), effects, strict=True):
        out.append((rng.normal(level + effect, 1, n_t).round(3), rng.normal(level, 2, n_c).round(3)))
    return out


def summed(pairs):
    return [(Moments.from_values(t, 0.001), Moments.from_values(c, 0.001)) for t, c in pairs]


def test_precision_weights_are_a_regression_with_one_intercept_per_day():
    """References: numpy `lstsq` of y on variant and a dummy per day."""
    pairs = days(np.random.default_rng(1))
    found = stratified_difference(summed(pairs), 0.001)
    rows, y = [], []
    for day, (t, c) in enumerate(pairs):
        for values, treated in ((t, 1.0), (c, 0.0)):
            rows += [[treated, *(float(day == k) for k in range(4))]] * len(values)
            y += values.tolist()
    effect = np.linalg.lstsq(np.array(rows), np.array(y))[0][0]
    assert effect == pytest.approx(found.estimate, rel=1e-11)
    assert (93, 127, 4, 0, 0) == (
        found.n_treatment,
        found.n_control,
        found.strata,
        found.strata_left_out,
        found.units_left_out,
    )


@pytest.mark.parametrize("weights", ["precision", "size"])
def test_weights_and_variance_are_as_defined(weights):
    """Law: sum w (T - C) / sum w, with the variance of that sum."""
    pairs = days(np.random.default_rng(2), (0.0, 1.0, 2.0, 3.0))
    found = stratified_difference(summed(pairs), 0.001, weights=weights)
    sizes = np.array([(len(t), len(c)) for t, c in pairs], float)
    w = sizes.prod(1) / sizes.sum(1) if weights == "precision" else sizes.sum(1)
    effects = np.array([t.mean() - c.mean() for t, c in pairs])
    variances = np.array([t.var(ddof=1) / len(t) + c.var(ddof=1) / len(c) for t, c in pairs])
    assert (w @ effects / w.sum(), math.sqrt(w**2 @ variances) / w.sum()) == pytest.approx(
        (found.estimate, found.se), rel=1e-11
    )
    assert found.estimate == pytest.approx(found.treatment - found.control, abs=1e-12)
    assert relative_lift(found, 1.96).estimate == pytest.approx(found.treatment / found.control - 1)


def test_one_stratum_is_the_plain_difference():
    ((t, c),) = summed(days(np.random.default_rng(3))[1:2])
    plain, found = difference(t, c, 0.001), stratified_difference([(t, c)], 0.001)
    assert (plain.estimate, plain.se) == pytest.approx((found.estimate, found.se), rel=1e-14)
    ratios = [RatioMoments.from_values([1, 0, 2, k], [3, 3, 4, 9]) for k in (1, 2)]
    plain, found = ratio_difference(*ratios), stratified_difference([tuple(ratios)])
    assert (plain.estimate, plain.se) == pytest.approx((found.estimate, found.se), rel=1e-14)


def test_strata_without_two_units_a_variant_are_left_out_and_counted():
    full = summed(days(np.random.default_rng(4)))
    thin = (Moments.from_values([5.0], 0.001), Moments.from_values([1.0, 2.0, 3.0], 0.001))
    found = stratified_difference([*full, thin], 0.001)
    assert (1, 4) == (found.strata_left_out, found.units_left_out)
    assert stratified_difference(full, 0.001).estimate == found.estimate
    assert stratified_difference([thin]) is None
    assert stratified_difference([]) is None
    constant = Moments.from_values([2, 2])
    assert stratified_difference([(constant, constant)]) is None


def test_a_ramp_under_a_seasonal_baseline_gives_no_false_effect():
    """Law: 5 -> 50% over fourteen days, conversion rising from 6% to 18% for everybody, no effect at all.

    Pooled over days, |z| > 1.96 nearly always; stratified in 5% of 1,000 runs (error 0.7%, tolerance four of them).
    """
    rng = np.random.default_rng(5)
    share = np.linspace(0.05, 0.5, 14)
    rate = np.linspace(0.06, 0.18, 14)
    n_t = rng.binomial(2000, share, (1000, 14))
    n_c = 2000 - n_t
    x_t, x_c = rng.binomial(n_t, rate), rng.binomial(n_c, rate)
    pooled = stratified = 0
    for row in zip(n_t.tolist(), x_t.tolist(), n_c.tolist(), x_c.tolist(), strict=True):
        strata = [(Moments(a, b, b), Moments(c, d, d)) for a, b, c, d in zip(*row, strict=True)]
        a, b, c, d = map(sum, row)
        pooled += abs(difference(Moments(a, b, b), Moments(c, d, d)).z()) > 1.96
        stratified += abs(stratified_difference(strata).z()) > 1.96
    assert pooled / 1000 > 0.99
    assert pytest.approx(0.05, abs=0.028) == stratified / 1000


@pytest.mark.parametrize("weights", ["precision", "size"])
def test_an_effect_is_found_where_it_is(weights):
    """Law: size weights estimate the effect on the units as they came, precision weights the units that compare well.

    100 runs; tolerance: four standard errors of their mean.
    """
    effects = (0.0, 1.0, 2.0, 3.0)
    rng = np.random.default_rng(6)
    sizes = np.array([(t, c) for c, t in DAYS], float)
    w = sizes.prod(1) / sizes.sum(1) if weights == "precision" else sizes.sum(1)
    found = [stratified_difference(summed(days(rng, effects)), 0.001, weights=weights).estimate for _ in range(100)]
    assert w @ np.array(effects) / w.sum() == pytest.approx(np.mean(found), abs=4 * np.std(found) / 10)


def test_unknown_weights_are_refused():
    with pytest.raises(StatisticsError, match="weights == 'equal'") as error:
        stratified_difference([], weights="equal")
    assert error.value.hint
    with pytest.raises(StatisticsError, match="resolution == 0"):
        stratified_difference([], 0.0)

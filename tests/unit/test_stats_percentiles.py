from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import ndtri

from staged_rollout.errors import StatisticsError
from staged_rollout.stats import ExceedanceMoments, quantile_worsening, threshold_grid

UNIT_SD, REQUEST_SD = 0.2, 0.3


def latencies(rng, units, requests, factor=1.0):
    """Lognormal requests whose units differ: (units, requests) in ms, with median 60 times the factor."""
    return 60 * factor * np.exp(rng.normal(0, UNIT_SD, (units, 1)) + rng.normal(0, REQUEST_SD, (units, requests)))


def percentile(level, factor=1.0):
    return 60 * factor * math.exp(math.hypot(UNIT_SD, REQUEST_SD) * ndtri(level))


def summed(values, grid):
    """The sums of `ExceedanceMoments.from_latencies`, vectorised over units."""
    units, requests = values.shape
    exceed = (values[:, :, None] > np.asarray(grid)).sum(1)
    return ExceedanceMoments(
        units,
        units * requests,
        units * requests**2,
        tuple(exceed.sum(0)),
        tuple((exceed * exceed).sum(0)),
        tuple(requests * exceed.sum(0)),
    )


def test_vectorised_sums_are_those_of_the_latencies():
    grid = threshold_grid(100)
    values = latencies(np.random.default_rng(1), 20, 5)
    assert ExceedanceMoments.from_latencies(values.tolist(), grid) == summed(values, grid)
    assert all(type(total) is int for total in summed(values, grid).exceed_squared)


@pytest.mark.parametrize("level", [0.5, 0.95, 0.99])
def test_percentile_is_the_samples_within_a_step_of_the_grid(level):
    rng = np.random.default_rng(2)
    grid = threshold_grid(percentile(0.95))
    slow, fast = latencies(rng, 2000, 10, 1.3), latencies(rng, 2000, 10)
    found = quantile_worsening(summed(slow, grid), summed(fast, grid), grid, margin_ms=0, level=level)
    assert np.quantile(slow, level) == pytest.approx(found.q_treatment, rel=0.02)
    assert np.quantile(fast, level) == pytest.approx(found.q_control, rel=0.02)
    assert level == found.level


@pytest.mark.parametrize("level", [0.95, 0.99])
def test_error_is_that_of_a_bootstrap_over_units(level):
    """References: 500 resamples of units: 3% Monte-Carlo error, and steps of 2%: tolerance 15%."""
    rng = np.random.default_rng(3)
    grid = threshold_grid(percentile(0.95))
    slow, fast = latencies(rng, 1500, 10, 1.2), latencies(rng, 1500, 10)
    found = quantile_worsening(summed(slow, grid), summed(fast, grid), grid, margin_ms=0, level=level)
    draws = rng.integers(0, 1500, (500, 2, 1500))
    gaps = [np.quantile(slow[i], level) - np.quantile(fast[j], level) for i, j in draws]
    assert np.std(gaps) == pytest.approx(found.se, rel=0.15)


@pytest.mark.parametrize("level", [0.95, 0.99])
def test_interval_holds_the_true_worsening(level):
    """Law: 95% of the intervals hold the true difference of percentiles of clustered requests.

    400 runs: the standard error is 1.1%, the tolerance four of them.
    """
    rng = np.random.default_rng(4)
    grid = threshold_grid(percentile(0.95))
    true = percentile(level, 1.15) - percentile(level)
    held = 0
    for _ in range(400):
        sides = summed(latencies(rng, 200, 8, 1.15), grid), summed(latencies(rng, 200, 8), grid)
        low, high = quantile_worsening(*sides, grid, margin_ms=0, level=level).interval(1.96)
        held += low <= true <= high
    assert pytest.approx(0.95, abs=0.044) == held / 400


def test_interval_and_margin_never_disagree():
    """Law: the upper end lies at the margin exactly at z_crit = z_non_inferiority."""
    rng = np.random.default_rng(5)
    grid = threshold_grid(percentile(0.95))
    sides = summed(latencies(rng, 300, 10, 1.05), grid), summed(latencies(rng, 300, 10), grid)
    found = quantile_worsening(*sides, grid, margin_ms=40)
    assert found.z_non_inferiority > 0
    assert found.interval(found.z_non_inferiority)[1] == pytest.approx(40, rel=1e-12)
    with pytest.raises(StatisticsError, match="z_crit == 0"):
        found.interval(0.0)
    assert "q_treatment" in str(found)


def test_a_99th_percentile_off_the_grid_or_unclear_is_insufficient():
    """Law: a percentile needs exceedances above its upper error, within the grid."""
    rng = np.random.default_rng(6)
    grid = threshold_grid(percentile(0.95))
    few = summed(latencies(rng, 8, 10), grid)
    assert quantile_worsening(few, few, grid, margin_ms=0, level=0.99) is None
    short = threshold_grid(percentile(0.95) / 8)
    sides = summed(latencies(rng, 500, 10), short), summed(latencies(rng, 500, 10), short)
    assert quantile_worsening(*sides, short, margin_ms=0, level=0.9) is not None
    assert quantile_worsening(*sides, short, margin_ms=0, level=0.99) is None

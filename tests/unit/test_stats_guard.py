from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest

from staged_rollout.errors import StatisticsError
from staged_rollout.stats import (
    ExceedanceMoments,
    RatioMoments,
    exceedances,
    guard_quantile,
    guard_worsening,
    log_e_which_variant,
    log_normal_mixture,
    quantile_worsening,
    threshold_grid,
)


def constant(n, y, d):
    return RatioMoments(n, n * y, n * y * y, n * d, n * d * d, n * y * d)


def look(treatment, control, error_units, *, margin=0.01, alpha=0.025 / 6, design_share=0.5):
    return guard_worsening(
        treatment, control, margin=margin, alpha=alpha, error_units=error_units, design_share=design_share
    )


def test_a_candidate_that_fails_every_request_alarms_within_a_few_dozen_units():
    assert look(constant(16, 20, 20), constant(16, 0, 20), (16, 0)).alarm
    assert look(constant(16, 1, 1), constant(16, 0, 1), (16, 0)).alarm
    assert look(constant(30, 20, 20), constant(30, 0, 20), (30, 0), margin=0.05).alarm


def test_rare_events_are_judged_by_units_and_common_ones_by_totals():
    rare = look(constant(19, 1, 20), constant(500, 0, 20), (19, 0), margin=0.0)
    common = look(constant(20, 1, 20), constant(500, 0, 20), (20, 0), margin=0.0)
    assert (rare.method, common.method) == ("beta-binomial", "normal-mixture")
    assert rare.log_e == log_e_which_variant(19, 0, 0.5)
    assert -math.log(0.025 / 6 / 4) == pytest.approx(rare.threshold_log)
    assert -math.log(0.025 / 6 * 3 / 4) == pytest.approx(common.threshold_log)


def test_a_small_holdback_without_events_is_no_harm():
    """At 1% errors, 100 of 2,000 units see none with probability .37: no variance of its own is not certainty."""
    treatment = RatioMoments(1900, 22, 22, 38000, 760000, 440)
    found = look(treatment, constant(100, 0, 20), (22, 0), margin=0.0, design_share=0.95)
    assert found.method == "normal-mixture"
    assert found.log_e < 1


def test_without_units_in_both_variants_nothing_is_said():
    found = look(constant(30, 20, 20), RatioMoments(), (30, 0))
    assert (
        found.worsening,
        found.se,
        found.z_non_inferiority,
        found.log_e,
        found.alarm,
        found.method,
    ) == (None, None, None, 0.0, False, "insufficient")


def test_everything_failing_in_both_variants_is_no_worsening():
    found = look(constant(30, 20, 20), constant(30, 20, 20), (30, 30), margin=0.0)
    assert (found.worsening, found.se, found.log_e, found.alarm) == (0.0, None, 0.0, False)


def test_worsening_and_its_error_are_reported():
    treatment = RatioMoments.from_values([1, 0, 2, 0] * 20, [20] * 80)
    control = RatioMoments.from_values([1, 0, 0, 0] * 20, [20] * 80)
    found = look(treatment, control, (40, 20), margin=0.05)
    assert pytest.approx(found.worsening) == 0.025
    # At the margin the ratios are .05 and 0: the squared residuals are 60, and 20, raised to the pooled 40.
    assert (0.05 - 0.025) / (math.sqrt(60 + 40) / 1600) == pytest.approx(found.z_non_inferiority)
    assert found.z_non_inferiority < (0.05 - 0.025) / found.se


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"margin": -0.01}, "margin == -0.01"),
        ({"alpha": 0.0}, "alpha == 0"),
        ({"design_share": 1.0}, "design_share == 1"),
        ({"error_units": (31, 0)}, "error_units of the treatment == 31"),
        ({"error_units": (0, -1)}, "error_units of the control == -1"),
    ],
)
def test_impossible_guards_are_refused(changes, words):
    arguments = {"margin": 0.01, "alpha": 0.01, "error_units": (0, 0), "design_share": 0.5} | changes
    with pytest.raises(StatisticsError, match=words):
        guard_worsening(constant(30, 0, 20), constant(30, 0, 20), **arguments)


def test_normal_mixture_is_the_average_likelihood_ratio():
    """References: numerical integration over the half-normal prior."""
    n, n0, z = 80.0, 25.0, 2.3
    theta = np.linspace(0, 3, 200_001)
    density = 2 * math.sqrt(n0 / (2 * math.pi)) * np.exp(-0.5 * n0 * theta**2)
    ratio = np.exp(theta * z * math.sqrt(n) - 0.5 * n * theta**2)
    assert math.log(np.trapezoid(density * ratio, theta)) == pytest.approx(log_normal_mixture(z, n, n0), abs=1e-9)


def test_the_grid_has_steps_below_two_percent():
    grid = threshold_grid(66.4)
    assert (grid[0], grid[72], grid[-1]) == (16.6, 66.4, 531.2)
    assert max(b / a for a, b in pairwise(grid)) < 1.02
    with pytest.raises(StatisticsError, match="p95_ms == 0"):
        threshold_grid(0)


def latencies(rng, units, mean, sd, requests=3):
    return rng.normal(mean, sd, (units, requests)).tolist()


def test_percentile_and_its_error_match_the_sample():
    rng = np.random.default_rng(8)
    grid = threshold_grid(66.4)
    slow, fast = latencies(rng, 4000, 60, 10), latencies(rng, 4000, 50, 10)
    found = quantile_worsening(
        ExceedanceMoments.from_latencies(slow, grid), ExceedanceMoments.from_latencies(fast, grid), grid, margin_ms=20
    )
    assert np.quantile(slow, 0.95) == pytest.approx(found.q_treatment, abs=0.3)
    assert np.quantile(fast, 0.95) == pytest.approx(found.q_control, abs=0.3)
    density = math.exp(-0.5 * 1.6449**2) / math.sqrt(2 * math.pi) / 10
    assert math.sqrt(0.95 * 0.05 / 12000) / density == pytest.approx(found.se_control, rel=0.15)
    assert (20 - found.worsening_ms) / math.hypot(found.se_control, found.se_treatment) == pytest.approx(
        found.z_non_inferiority
    )


def test_off_the_grid_is_insufficient_but_timeouts_still_alarm():
    rng = np.random.default_rng(9)
    grid = threshold_grid(66.4)
    control = ExceedanceMoments.from_latencies(latencies(rng, 150, 50, 10), grid)
    dead = ExceedanceMoments.from_latencies([[math.inf] * 3] * 150, grid)
    assert quantile_worsening(dead, control, grid, margin_ms=50) is None
    found = guard_quantile(dead, control, grid, margin_ms=50, alpha=0.025 / 6)
    assert (found.alarm, found.z_non_inferiority) == (True, None)
    unknown = guard_quantile(control, dead, grid, margin_ms=50, alpha=0.025 / 6)
    assert (unknown.method, unknown.alarm) == ("insufficient", False)
    far = guard_quantile(dead, control, grid, margin_ms=600, alpha=0.025 / 6)
    assert (far.method, far.alarm) == ("insufficient", False)


@pytest.mark.parametrize(("mean", "sd"), [(50, 10), (100, 5), (500, 2), (80, 15)])
def test_eighty_milliseconds_slower_at_a_margin_of_fifty_alarms(mean, sd):
    rng = np.random.default_rng(10)
    grid = threshold_grid(mean + 1.645 * sd)
    for _ in range(20):
        treatment = ExceedanceMoments.from_latencies(latencies(rng, 100, mean + 80, sd), grid)
        control = ExceedanceMoments.from_latencies(latencies(rng, 100, mean, sd), grid)
        assert guard_quantile(treatment, control, grid, margin_ms=50, alpha=0.025 / 6).alarm
        same = ExceedanceMoments.from_latencies(latencies(rng, 100, mean, sd), grid)
        assert not guard_quantile(same, control, grid, margin_ms=50, alpha=0.025 / 6).alarm


def test_no_units_are_insufficient():
    grid = threshold_grid(100)
    empty = ExceedanceMoments.empty(len(grid))
    assert quantile_worsening(empty, empty, grid, margin_ms=50) is None
    assert guard_quantile(empty, empty, grid, margin_ms=50, alpha=0.01).method == "insufficient"


def test_exceedances_that_cannot_be_are_refused():
    grid = threshold_grid(100)
    with pytest.raises(StatisticsError, match="latency == nan"):
        exceedances([math.nan], grid)
    with pytest.raises(StatisticsError, match="rise along the grid"):
        ExceedanceMoments(1, 2, 4, (1, 2), (1, 4), (2, 4))
    with pytest.raises(StatisticsError, match="2, 2 and 1 sums"):
        ExceedanceMoments(1, 2, 4, (1, 1), (1, 1), (2,))
    with pytest.raises(StatisticsError, match="1 exceedances of a unit"):
        ExceedanceMoments.from_units([(3, (1,))], 2)
    with pytest.raises(StatisticsError, match="the same grid"):
        ExceedanceMoments.empty(2).merge(ExceedanceMoments.empty(3))
    with pytest.raises(StatisticsError, match="same ascending grid"):
        quantile_worsening(ExceedanceMoments.empty(2), ExceedanceMoments.empty(2), grid, margin_ms=1)

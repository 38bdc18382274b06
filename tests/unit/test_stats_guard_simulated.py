"""The guards' operating characteristics, simulated under clustered requests and repeated looks; fixed seeds."""

from __future__ import annotations

import numpy as np
import pytest

from staged_rollout.stats import ExceedanceMoments, RatioMoments, guard_quantile, guard_worsening, threshold_grid

REQUESTS = 20


def clustered(rate, icc=0.3):
    """Errors of units whose own error rates are beta-distributed: design effect 1 + 19 icc."""

    def draw(rng, n):
        if rate == 0:
            return np.zeros(n, dtype=np.int64)
        k = (1 - icc) / icc
        return rng.binomial(REQUESTS, rng.beta(rate * k, (1 - rate) * k, n))

    return draw


def outage(rate):
    """All of a unit's requests fail, or none."""
    return lambda rng, n: REQUESTS * (rng.random(n) < rate)


def units_to_alarm(treatment, control, *, margin, alpha, units, every, share, runs, seed):
    """Units seen at the alarm in each run, or nothing for the runs without one."""
    rng = np.random.default_rng(seed)
    alarms = []
    for _ in range(runs):
        arm = rng.random(units) < share
        y = np.where(arm, treatment(rng, units), control(rng, units))
        sums = [[np.cumsum(v * side) for v in (np.ones_like(arm), y, y * y, y > 0)] for side in (arm, ~arm)]
        for i in range(every - 1, units, every):
            moments, errors = [], []
            for n, sy, syy, e in ([int(column[i]) for column in side] for side in sums):
                moments.append(RatioMoments(n, sy, syy, n * REQUESTS, n * REQUESTS**2, sy * REQUESTS))
                errors.append(e)
            found = guard_worsening(*moments, margin=margin, alpha=alpha, error_units=tuple(errors), design_share=share)
            if found.alarm:
                alarms.append(i + 1)
                break
    return alarms


@pytest.mark.slow
@pytest.mark.parametrize(
    ("treatment", "control", "margin", "share"),
    [
        pytest.param(clustered(0.05), clustered(0.05), 0.0, 0.5, id="no-difference"),
        pytest.param(clustered(0.06), clustered(0.05), 0.01, 0.5, id="at-the-margin"),
    ],
)
def test_false_alarms_over_forty_looks_stay_within_alpha(treatment, control, margin, share):
    """Law: twenty clustered requests per unit, a look every 50 of 2,000 units: at most alpha of the runs ever alarm."""
    alarms = units_to_alarm(
        treatment, control, margin=margin, alpha=0.05, units=2000, every=50, share=share, runs=2000, seed=1
    )
    assert len(alarms) <= 0.05 * 2000


@pytest.mark.parametrize(
    ("treatment", "control", "margin", "share"),
    [
        pytest.param(clustered(0.001), clustered(0.001), 0.0, 0.5, id="rare-clustered"),
        pytest.param(outage(0.001), outage(0.001), 0.0, 0.5, id="rare-outages"),
        pytest.param(outage(0.01), clustered(0), 0.01, 0.5, id="none-in-control"),
        pytest.param(clustered(0.01, 0.01), clustered(0), 0.01, 0.5, id="none-in-control-spread"),
        pytest.param(outage(0.01), outage(0.01), 0.0, 0.95, id="holdback"),
        pytest.param(outage(0.02), outage(0.01), 0.01, 0.05, id="small-canary"),
    ],
)
def test_false_alarms_of_rare_events_stay_within_alpha(treatment, control, margin, share):
    """Law: at most alpha of the runs ever alarm when events are rare, absent in the control, or a variant is small."""
    alarms = units_to_alarm(
        treatment, control, margin=margin, alpha=0.05, units=2000, every=100, share=share, runs=300, seed=2
    )
    assert len(alarms) <= 0.05 * 300


def test_five_points_worse_at_a_margin_of_one_alarms_within_a_thousand_units():
    alarms = units_to_alarm(
        clustered(0.06),
        clustered(0.01),
        margin=0.01,
        alpha=0.025 / 6,
        units=1000,
        every=20,
        share=0.5,
        runs=200,
        seed=3,
    )
    assert len(alarms) >= 0.95 * 200
    assert np.median(alarms) <= 700


def test_total_failure_alarms_within_a_few_dozen_units():
    alarms = units_to_alarm(
        outage(1.0), clustered(0.01), margin=0.01, alpha=0.025 / 6, units=60, every=2, share=0.5, runs=200, seed=4
    )
    assert len(alarms) == 200
    assert np.quantile(alarms, 0.9) <= 40


@pytest.mark.parametrize("margin", [0.0, 50.0])
def test_latency_guard_does_not_alarm_at_the_margin(margin):
    """Law: clustered, skewed latencies at the margin, a look every 40 of 800 units: at most alpha ever alarm."""
    rng = np.random.default_rng(5)
    grid = threshold_grid(110)
    thresholds = np.array(grid)
    runs, alarms = 100, 0
    for _ in range(runs):
        arm = rng.random(800) < 0.5
        latency = np.exp(4 + rng.normal(0, 0.4, (800, 1)) + rng.normal(0, 0.4, (800, 3))) + margin * arm[:, None]
        y = (latency[:, :, None] > thresholds).sum(axis=1)
        for i in range(40, 801, 40):
            sides = []
            for side in (arm[:i], ~arm[:i]):
                chosen, n = y[:i][side], int(side.sum())
                total, squares = chosen.sum(axis=0), (chosen * chosen).sum(axis=0)
                sides.append(
                    ExceedanceMoments(
                        n, 3 * n, 9 * n, *(tuple(column.tolist()) for column in (total, squares, 3 * total))
                    )
                )
            if guard_quantile(*sides, grid, margin_ms=margin, alpha=0.05).alarm:
                alarms += 1
                break
    assert alarms <= 0.05 * runs

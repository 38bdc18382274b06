"""What plans promise, by simulation of units: seeded, within four Monte-Carlo standard errors."""

from __future__ import annotations

import math

import numpy as np
import pytest

from staged_rollout.stats import RatioMoments, Spending, plan_means, plan_rates, plan_ratio, score_z


def looks(plan):
    """Units of champion and candidate that come in between looks, shape (2, K)."""
    ends = np.round(np.outer(plan.units_per_variant, plan.design.information))
    return np.diff(ends, axis=1, prepend=0).astype(int)


def stopped(z, plan):
    """Whether the test was won, and the units seen when it stopped, per run; z has the shape (runs, K)."""
    design = plan.design
    up = z >= np.array(design.efficacy)
    down = np.zeros_like(up) if design.futility is None else z <= np.array(design.futility)
    stop = up | down
    stop[:, -1] = True
    at = stop.argmax(axis=1)
    return up[np.arange(len(z)), at], np.array(design.information)[at] * plan.total


def within(found, promised, runs_sd, systematic=0.0):
    """Four standard errors of the mean of what was found, and what a normal approximation may leave."""
    error = runs_sd / math.sqrt(len(found))
    assert abs(found.mean() - promised) <= 4 * error + systematic, (found.mean(), promised, error)


def simulated_rates(random, plan, effect, runs):
    """Score z of rates at each look, pooled, from binomial counts."""
    rates = (plan.outcome.baseline, plan.outcome.baseline + effect)
    new = looks(plan)
    champion, candidate = (
        random.binomial(n, p, size=(runs, len(n))).cumsum(axis=1) for n, p in zip(new, rates, strict=True)
    )
    n_c, n_t = new.cumsum(axis=1)
    pooled = (champion + candidate) / (n_c + n_t)
    return (candidate / n_t - champion / n_c) / np.sqrt(pooled * (1 - pooled) * (1 / n_c + 1 / n_t))


@pytest.mark.parametrize("split", [(0.5, 0.5), (0.8, 0.2), (0.2, 0.8)])
def test_a_plan_for_rates_keeps_its_promises(split):
    """Law: type-I error, the power at half of the effect and at the effect, and expected units, from counts.

    160,000 runs: standard errors of .0004 and .0012. Of a rate of 3% split 80/20 or 20/80, a curve from the design's
    drift alone would miss the power at half of the effect by .013.
    """
    random, runs = np.random.default_rng(20260101), 160_000
    plan = plan_rates(0.03, 0.01, looks=5, split=split, futility=Spending("obrien-fleming", 0.2))
    law = plan.power_curve([0.0, 0.005, 0.01])
    for effect, power in zip((0.0, 0.005, 0.01), law, strict=True):
        won, units = stopped(simulated_rates(random, plan, effect, runs), plan)
        within(won, power, math.sqrt(power * (1 - power)), systematic=0.004)
        within(units, plan.expected_units(effect), units.std(), systematic=0.004 * plan.total)
    assert abs(law[2] - 0.8) < 0.01


def test_non_inferiority_keeps_its_promises():
    """Law: a candidate exactly at its margin passes with alpha, one as good as the champion with the power planned for.

    1,500 runs of score_z with Farrington and Manning's variance: standard errors of .004 and .010.
    """
    random, runs = np.random.default_rng(20260102), 1500
    plan = plan_rates(0.85, 0.0, margin=0.05, looks=(0.5, 1.0), power=0.8)
    n_c, n_t = looks(plan).cumsum(axis=1)
    for effect, promised in ((-0.05, 0.025), (0.0, 0.8)):
        events = [
            random.binomial(n, p, size=(runs, 2)).cumsum(axis=1)
            for n, p in zip(looks(plan), (0.85, 0.85 + effect), strict=True)
        ]
        z = np.array(
            [
                [score_z(t, n_t[k], c, n_c[k], delta0=-0.05) for k, (c, t) in enumerate(zip(*run, strict=True))]
                for run in zip(*events, strict=True)
            ]
        )
        won, _ = stopped(z, plan)
        within(won, promised, math.sqrt(promised * (1 - promised)), systematic=0.003)


def test_a_plan_for_means_keeps_its_promises():
    """Law: type-I error and power with the variance estimated at each look; 8,000 runs, errors of .0017 and .0045."""
    random, runs = np.random.default_rng(20260103), 8000
    plan = plan_means(5.0, 2.0, 0.5, looks=3, split=(2, 1))
    ends = looks(plan).cumsum(axis=1)
    for effect, promised in ((0.0, 0.025), (0.5, 0.8)):
        z = np.empty((runs, 3))
        values = [
            random.normal(mean, 2.0, size=(runs, n[-1])) for mean, n in zip((5.0, 5.0 + effect), ends, strict=True)
        ]
        for k in range(3):
            champion, candidate = (v[:, : n[k]] for v, n in zip(values, ends, strict=True))
            variance = champion.var(axis=1, ddof=1) / ends[0, k] + candidate.var(axis=1, ddof=1) / ends[1, k]
            z[:, k] = (candidate.mean(axis=1) - champion.mean(axis=1)) / np.sqrt(variance)
        won, _ = stopped(z, plan)
        within(won, promised, math.sqrt(promised * (1 - promised)), systematic=0.003)


def requests_and_seconds(random, ratio, shape):
    """Requests of each unit, and their seconds: units differ in how slow theirs are."""
    requests = 1 + random.poisson(4, size=shape)
    return requests, requests * random.normal(ratio, 0.3, size=shape)


def test_a_plan_for_a_ratio_keeps_its_promises():
    """Law: seconds per request, clustered by unit, by the delta method; 4,000 runs, errors of .0025 and .0063."""
    random, runs = np.random.default_rng(20260104), 4000
    requests, seconds = requests_and_seconds(random, 1.0, 100_000)
    pilot = RatioMoments.from_values(seconds.tolist(), requests.tolist(), resolution=0.001)
    plan = plan_ratio(pilot, 0.08, looks=2, resolution=0.001)
    half = plan.units_per_variant[0] // 2
    for effect, promised in ((0.0, 0.025), (0.08, 0.8)):
        z = np.empty((runs, 2))
        drawn = [requests_and_seconds(random, ratio, (runs, 2 * half)) for ratio in (1.0, 1.0 + effect)]
        for k in (1, 2):
            ratios, variances = [], []
            for denominators, numerators in drawn:
                d, y = denominators[:, : k * half], numerators[:, : k * half]
                ratios.append(y.sum(axis=1) / d.sum(axis=1))
                residuals = y - ratios[-1][:, None] * d
                variances.append(residuals.var(axis=1, ddof=1) / d.mean(axis=1) ** 2 / (k * half))
            z[:, k - 1] = (ratios[1] - ratios[0]) / np.sqrt(sum(variances))
        won, _ = stopped(z, plan)
        within(won, promised, math.sqrt(promised * (1 - promised)), systematic=0.003)

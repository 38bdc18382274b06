"""Confidence sequences looked at after every unit; fixed seeds. The exact ones are followed exactly elsewhere."""

from __future__ import annotations

import math

import numpy as np
import pytest

from staged_rollout.stats import mixture_units, normal_mixture_bound, rate_difference_sequence
from staged_rollout.stats.confidence_sequence import LEAST_UNITS

ALPHA = 0.025
N0 = mixture_units(500, ALPHA)
RUNS = 4000
SLACK = 5 * math.sqrt(2 * ALPHA * (1 - 2 * ALPHA) / RUNS)
"""Five Monte Carlo errors: a law that holds fails once in three million seeds."""


def left_out(values, clock, scale):
    """Share of runs in which the true value 0 lies outside the limits at any look from `LEAST_UNITS` on."""
    units = np.arange(LEAST_UNITS, 2001)
    bound = np.array([normal_mixture_bound(clock * n, ALPHA, N0) for n in units])
    rng, erred = np.random.default_rng(21), []
    for _ in range(8):
        sums = [(y.cumsum(axis=1), (y * y).cumsum(axis=1)) for y in values(rng, (RUNS // 8, 2000))]
        n = np.arange(1, 2001)
        total = sum(sign * s for sign, (s, _) in zip((1, -1), sums, strict=False))
        variance = sum((ss - s * s / n) / np.maximum(n - 1, 1) for s, ss in sums)
        z = np.abs(total / np.sqrt(np.maximum(variance * n, 1e-12)))[:, LEAST_UNITS - 1 :]
        erred.append((z > scale * bound).any(axis=1).mean())
    return float(np.mean(erred))


NORMAL = (lambda rng, shape: [rng.normal(0, 1, shape)], 1.0)
EXPONENTIAL = (lambda rng, shape: [rng.exponential(1, shape) - 1], 1.0)
TWO_EXPONENTIALS = (lambda rng, shape: [rng.exponential(1, shape), rng.exponential(1, shape)], 0.5)


@pytest.mark.parametrize(
    ("values", "clock"), [NORMAL, EXPONENTIAL, TWO_EXPONENTIALS], ids=["normal", "exponential", "difference"]
)
def test_the_means_interval_covers_at_all_looks(values, clock):
    """Law: from 100 to 2,000 units a variant, a look after each: both limits hold in >= 1 - 2 alpha of 4,000 runs.

    Limits shrunk to 1.96 standard errors at 500 units err in more than a fifth, so that the law can fail.
    """
    assert left_out(values, clock, 1.0) <= 2 * ALPHA + SLACK
    assert left_out(values, clock, 1.96 / normal_mixture_bound(500, ALPHA, N0)) > 0.2


@pytest.mark.parametrize(("p_t", "p_c", "share"), [(0.1, 0.1, 0.5), (0.02, 0.02, 0.2), (0.6, 0.5, 0.5)])
def test_the_asymptotic_difference_of_rates_covers_at_all_looks(p_t, p_c, share):
    """Law: from 20 treatment units on, the true difference is left out at any of 60 looks in <= 2 alpha of runs."""
    rng = np.random.default_rng(22)
    looks, runs = 60, 1000
    n_t = np.round(np.geomspace(20, 4000 * share, looks)).astype(int)
    n_c = np.round(n_t * (1 - share) / share).astype(int)
    x_t, x_c = (
        rng.binomial(np.diff(n, prepend=0), p, size=(runs, looks)).cumsum(axis=1) for n, p in ((n_t, p_t), (n_c, p_c))
    )
    # The Wald z finds the looks that may err; whether they do is for the function under test to say.
    with np.errstate(divide="ignore", invalid="ignore"):
        r_t, r_c = x_t / n_t, x_c / n_c
        wald = np.abs(r_t - r_c - p_t + p_c) / np.sqrt(r_t * (1 - r_t) / n_t + r_c * (1 - r_c) / n_c)
    erred = set()
    for run, look in np.argwhere(~(wald < 2)).tolist():
        if run not in erred:
            counts = (int(x_t[run, look]), int(n_t[look]), int(x_c[run, look]), int(n_c[look]))
            found = rate_difference_sequence(*counts, tuned_at=500, null=p_t - p_c)
            if found is not None and not found.low <= p_t - p_c <= found.high:
                erred.add(run)
    assert len(erred) / runs <= 2 * ALPHA + 5 * math.sqrt(2 * ALPHA * (1 - 2 * ALPHA) / runs)

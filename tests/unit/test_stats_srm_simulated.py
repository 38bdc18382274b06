"""The sequential SRM test looked at after every unit: exactly where all paths can be followed, else simulated."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy.special import gammaln

from staged_rollout.stats import sequential_srm


@pytest.mark.parametrize("weights", [(0.5, 0.5), (0.9, 0.1), (0.6, 0.3, 0.1), (0.4, 0.3, 0.2, 0.1)], ids=str)
@pytest.mark.parametrize("prior", [1.0, 100.0])
def test_the_expected_e_value_is_one(weights, prior):
    """Law: over every sequence of n <= 8 units drawn as planned, E[e] = 1, to rounding."""
    e_values = {}
    for n in range(1, 9 if len(weights) < 4 else 7):
        terms = []
        for units in itertools.product(range(len(weights)), repeat=n):
            counts = tuple(units.count(i) for i in range(len(weights)))
            if counts not in e_values:
                e_values[counts] = sequential_srm(counts, weights, alpha=0.001, prior=prior).e_value
            terms.append(e_values[counts] * math.prod(weights[i] for i in units))
        assert math.fsum(terms) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("share", [0.5, 0.95])
def test_looked_at_after_each_of_thousand_units_it_alarms_with_at_most_alpha(share):
    """Law: P(alarm at any of 1,000 looks) <= alpha. Exact: the probability of every count without alarm so far."""
    alpha, units = 0.05, 1000
    alive, alarmed = np.ones(1), 0.0  # alive[k]: k of n units in the treatment and no alarm yet
    log_start = gammaln(100.0) - gammaln(100 * share) - gammaln(100 * (1 - share))
    for n in range(1, units + 1):
        alive = np.append(alive * (1 - share), 0.0) + np.insert(alive * share, 0, 0.0)
        k = np.arange(n + 1)
        log_e = log_start + gammaln(100 * share + k) + gammaln(100 * (1 - share) + n - k) - gammaln(100.0 + n)
        log_e -= k * math.log(share) + (n - k) * math.log(1 - share)
        if n in (1, 7, 500, 1000):  # the formula above is the one under test
            found = [sequential_srm((n - j, j), (1 - share, share), alpha=alpha).log_e for j in (0, n // 2, n)]
            assert log_e[[0, n // 2, n]] == pytest.approx(found, abs=1e-9)
        alarm = log_e >= -math.log(alpha)
        alarmed += alive[alarm].sum()
        alive = np.where(alarm, 0.0, alive)
    assert alive.sum() + alarmed == pytest.approx(1.0, abs=1e-12)
    assert 0.1 * alpha < alarmed <= alpha


def alarms(weights, drawn, *, alpha, looks, per_look, runs, seed):
    """Look of the first alarm per run, 0 without one; units arrive in batches."""
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(per_look, drawn, size=(runs, looks)).cumsum(axis=1)
    w = np.asarray(weights)
    log_e = gammaln(100.0) - gammaln(100.0 + counts.sum(axis=2))
    log_e += (gammaln(100 * w + counts) - gammaln(100 * w) - counts * np.log(w)).sum(axis=2)
    for run in range(0, runs, runs // 20):  # the vectorised formula is the one under test
        found = sequential_srm(counts[run, -1].tolist(), weights, alpha=alpha)
        assert log_e[run, -1] == pytest.approx(found.log_e, abs=1e-7)
        assert found.alarm == (log_e[run, -1] >= -math.log(alpha))
    crossed = log_e >= -math.log(alpha)
    return np.where(crossed.any(axis=1), crossed.argmax(axis=1) + 1, 0)


@pytest.mark.parametrize(
    "weights",
    [(0.5, 0.5), (0.99, 0.01), (0.8, 0.1, 0.1), (0.4, 0.3, 0.2, 0.1), (0.96, 0.01, 0.01, 0.01, 0.01)],
    ids=str,
)
def test_false_alarms_over_five_hundred_looks_stay_within_alpha(weights):
    """Law: one unit a look, from the first: at most alpha of 2,000 runs ever alarm; 5 Monte Carlo errors are .024."""
    alpha, runs = 0.05, 2000
    alarmed = (alarms(weights, weights, alpha=alpha, looks=500, per_look=1, runs=runs, seed=11) > 0).mean()
    assert alarmed <= alpha + 5 * math.sqrt(alpha * (1 - alpha) / runs)


def test_a_mismatch_of_one_point_is_found():
    """Law: drawn 48.912% to 51.088%, 1,000 units a look, nearly every run alarms within 100,000 units at alpha .001."""
    looks = alarms((0.5, 0.5), (0.48912, 0.51088), alpha=0.001, looks=100, per_look=1000, runs=2000, seed=12)
    assert (looks > 0).mean() >= 0.98
    assert np.median(looks[looks > 0]) <= 60

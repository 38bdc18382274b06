from __future__ import annotations

import math

import numpy as np
import pytest

from staged_rollout.errors import StatisticsError
from staged_rollout.stats import Moments, Spending, bounds, inflation, reestimate_blinded


def test_twice_the_variance_doubles_the_maximum():
    values = [-1.0, 1.0] * 500
    moments = Moments.from_values(values)
    found = reestimate_blinded(300, 0.5, moments, largest=1000)
    assert np.var(values, ddof=1) == pytest.approx(found.variance, rel=1e-14)
    assert (600 * 1000 / 999, 2 * 1000 / 999) == pytest.approx((found.n_eff_max, found.factor), rel=1e-14)
    assert (found.capped, found.units) == (False, 1000)
    assert "n_eff_max" in str(found)


def test_the_resolution_is_the_metrics_unit():
    coarse = reestimate_blinded(300, 0.5, Moments.from_values([0, 2.5, 5], 0.5), largest=1e9, resolution=0.5)
    assert coarse.variance == 6.25


def test_the_maximum_never_falls():
    found = reestimate_blinded(300, 0.25, (30, 1000), largest=1000)
    assert (found.n_eff_max, found.factor, found.capped) == (300, 1.0, False)
    assert found.variance == pytest.approx(0.03 * 0.97)
    assert reestimate_blinded(300, 0.25, (0, 1000), largest=1000).n_eff_max == 300


def test_the_cap_holds_and_says_so():
    found = reestimate_blinded(300, 0.05, (500, 1000), largest=450)
    assert (found.n_eff_max, found.factor, found.capped) == (450, 1.5, True)


@pytest.mark.parametrize("share", [0.5, 0.1])
def test_the_effect_within_the_pooled_variance_can_be_taken_out(share):
    """Law: units of two variants, each with variance 1 and s (1 - s) effect^2 between them: adjusted, 1 is left."""
    n, effect = 100_000, 0.8
    treatment = round(share * n)
    y = np.concatenate([effect + np.resize([-1, 1], treatment), np.resize([-1, 1], n - treatment)])
    moments = Moments.from_values(y, 0.1)
    lumped = reestimate_blinded(100, 1.0, moments, largest=1e6, resolution=0.1)
    adjusted = reestimate_blinded(
        100, 1.0, moments, largest=1e6, resolution=0.1, planned_effect=effect, treatment_share=share
    )
    assert 1 + share * (1 - share) * effect**2 == pytest.approx(lumped.variance, rel=2e-5)
    assert pytest.approx(adjusted.variance, rel=2e-5) == 1


def test_one_unit_is_insufficient():
    assert reestimate_blinded(300, 0.5, Moments(1, 5, 25), largest=1000) is None
    assert reestimate_blinded(300, 0.5, (0, 0), largest=1000) is None


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"n_eff_max": 0}, "n_eff_max == 0, must be > 0"),
        ({"planned_variance": math.nan}, "planned_variance == nan"),
        ({"largest": 200}, "largest == 200, must be >= n_eff_max == 300"),
        ({"largest": math.inf}, "largest == inf"),
        ({"pooled": (6, 5)}, "events == 6"),
        ({"pooled": (-1, 5)}, "events == -1"),
        ({"planned_effect": math.nan}, "planned_effect == nan"),
        ({"treatment_share": 1.0}, "treatment_share == 1.0"),
    ],
)
def test_unusable_numbers_are_refused_with_value_and_hint(changed, words):
    numbers = {"n_eff_max": 300, "planned_variance": 0.5, "pooled": (10, 100), "largest": 1000, **changed}
    with pytest.raises(StatisticsError, match=words) as caught:
        reestimate_blinded(**numbers)
    assert caught.value.hint


RUNS = 20_000
T = (0.5, 0.75, 1.0)
SPENDING = Spending("obrien-fleming", 0.025)


def crossings(effect, sd, *, reestimate, seed):
    """Share of runs that cross: planned for an effect of 0.25 at a standard deviation of 1, an equal split.

    The variance is looked at when a third of the planned units are closed; efficacy looks follow at `T` of the maximum.
    """
    rng = np.random.default_rng(seed)
    planned = inflation(T, SPENDING, power=0.8) * ((1.959964 + 0.841621) / 0.25) ** 2
    plan = [bound.z for bound in bounds(T, SPENDING)]
    step = 1e-4
    crossed = 0
    per_variant = round(2 * planned / 3)
    pilots = rng.normal(0, sd, (RUNS, 2, per_variant))
    pilots[:, 0] += effect
    quanta = np.round(pilots / step).astype(np.int64)
    s, ss = quanta.sum(axis=(1, 2)), (quanta * quanta).sum(axis=(1, 2))
    delta = pilots[:, 0].sum(axis=1) - pilots[:, 1].sum(axis=1)
    within = ((pilots - pilots.mean(axis=2, keepdims=True)) ** 2).sum(axis=(1, 2))
    for run in range(RUNS):
        maximum = planned
        if reestimate:
            pooled = Moments(2 * per_variant, int(s[run]), int(ss[run]))
            maximum = reestimate_blinded(planned, 1.0, pooled, largest=4 * planned, resolution=step).n_eff_max
        n, total, squares = per_variant, delta[run], within[run]
        for t, bound in zip(T, plan, strict=True):
            more = round(2 * t * maximum) - n
            if more > 0:
                # Sums over further units of both variants, drawn as such: their difference, and their squares.
                added = rng.normal(more * effect, sd * math.sqrt(2 * more))
                squares += sd**2 * rng.chisquare(2 * more)
                total += added
                n += more
            if total / n / math.sqrt(2 * squares / (2 * n - 2) / n) >= bound:
                crossed += 1
                break
    return crossed / RUNS


@pytest.mark.parametrize("sd", [1.0, 1.5])
def test_the_type_one_error_stays_at_alpha(sd):
    """Law: with the maximum re-estimated, alpha .025 holds; 20,000 runs, five Monte Carlo errors are .0055."""
    assert crossings(0.0, sd, reestimate=True, seed=41) <= 0.025 + 5 * math.sqrt(0.025 * 0.975 / RUNS)


def test_the_power_comes_back_under_a_wrong_variance():
    """Law: at 1.5 times the planned standard deviation a power of .8 falls to about .48, and is restored.

    Monte Carlo error .003.
    """
    assert 0.42 <= crossings(0.25, 1.5, reestimate=False, seed=42) <= 0.54
    assert 0.78 <= crossings(0.25, 1.5, reestimate=True, seed=43) <= 0.84

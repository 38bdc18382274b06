from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats.mstats import winsorize

from staged_rollout.errors import QuantisationError, StatisticsError
from staged_rollout.stats import Cap, Moments, WinsorisedMoments, difference, winsorise


@pytest.mark.parametrize("shares", [(0.01, 0.0), (0.05, 0.05), (0.0, 0.1), (0.003, 0.4)])
def test_a_cap_on_its_own_past_is_scipys_winsorising(shares):
    """References: scipy `mstats.winsorize` with the same shares (inclusive, rounding counts down)."""
    above, below = shares
    values = np.random.default_rng(1).lognormal(2, 1.5, 1234).round(3)
    capped = winsorise(values, Cap.from_past(values, share_above=above, share_below=below), 0.001)
    expected = np.asarray(winsorize(values, limits=(below, above), inclusive=(True, True)))
    assert (expected.mean(), expected.var(ddof=1)) == pytest.approx((capped.mean(0.001), capped.variance(0.001)))
    assert (int((expected > values).sum()), int((expected < values).sum())) == (
        capped.capped_below,
        capped.capped_above,
    )
    assert math.floor(above * 1234) == capped.capped_above


def test_a_symmetric_cap_mirrors():
    """Law: equal shares on mirrored values give mirrored limits."""
    values = np.random.default_rng(2).normal(0, 3, 500).round(3)
    cap = Cap.from_past(values, share_above=0.05, share_below=0.05)
    mirrored = Cap.from_past(-values, share_above=0.05, share_below=0.05)
    assert (-cap.high, -cap.low) == (mirrored.low, mirrored.high)


def test_capped_moments_are_moments():
    """Law: a frozen cap is part of the metric: the same sums as of values capped beforehand."""
    rng = np.random.default_rng(3)
    cap = Cap.from_past(rng.lognormal(3, 2, 5000), share_above=0.01)
    t, c = rng.lognormal(3, 2, 2000), rng.lognormal(3, 2, 2000)
    found = difference(winsorise(t, cap, 0.01), winsorise(c, cap, 0.01), 0.01)
    assert found == difference(
        Moments.from_values(np.minimum(t, cap.high), 0.01), Moments.from_values(np.minimum(c, cap.high), 0.01), 0.01
    )
    raw = difference(Moments.from_values(t, 0.01), Moments.from_values(c, 0.01), 0.01)
    assert found.se < 0.8 * raw.se


def test_infinite_values_are_capped_and_nan_is_not():
    assert WinsorisedMoments(2, 11, 101, 0, 1) == winsorise([1.0, math.inf], Cap(high=10.0))
    with pytest.raises(QuantisationError):
        winsorise([-math.inf, 1.0], Cap(high=10.0))
    with pytest.raises(QuantisationError):
        winsorise([math.nan], Cap(-1.0, 1.0))
    assert WinsorisedMoments(3, 6, 14) == winsorise([1, 2, 3], Cap())


def test_counts_of_capped_values_merge():
    cap = Cap(-1.0, 2.0)
    parts = [winsorise([5, -5, 0], cap), winsorise([3, 1], cap)]
    assert WinsorisedMoments(5, 4, 10, 1, 2) == parts[0].merge(parts[1]) == parts[1].merge(parts[0])
    with pytest.raises(StatisticsError, match="WinsorisedMoments and Moments"):
        parts[0].merge(Moments())


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: Cap(high=math.inf), "high == inf"),
        (lambda: Cap(low=math.nan), "low == nan"),
        (lambda: Cap(2.0, 2.0), "low == 2.0, must be < high == 2.0"),
        (lambda: Cap.from_past([]), "values == 0"),
        (lambda: Cap.from_past([1.0, math.nan]), "past value == nan"),
        (lambda: Cap.from_past([1.0], share_above=0.5), "share_above == 0.5"),
        (lambda: Cap.from_past([1.0], share_below=-0.1), "share_below == -0.1"),
        (lambda: Cap.from_past([1.0, 1.0], share_below=0.1, share_above=0.1), "must be < high"),
        (lambda: WinsorisedMoments(1, 1, 1, 1, 1), "2 capped units"),
        (lambda: WinsorisedMoments(1, 1, 1, -1, 1), "capped_below == -1"),
    ],
)
def test_caps_that_cannot_be_are_refused(call, words):
    with pytest.raises(StatisticsError, match=words) as error:
        call()
    assert error.value.hint

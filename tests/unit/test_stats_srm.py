from __future__ import annotations

import math

import pytest

from staged_rollout.errors import StatisticsError
from staged_rollout.stats import fixed_srm, sequential_srm


def test_the_prior_is_a_total_weight_in_units():
    """References: 440/560 at 1:1 gives log e 5.4 at a prior of 100 and 0.6 at 10,000."""
    found = sequential_srm((440, 560), (1, 1), alpha=0.001)
    assert pytest.approx(found.log_e, abs=1e-8) == 5.363268896
    assert pytest.approx(sequential_srm((440, 560), (1, 1), alpha=0.001, prior=10_000).log_e, abs=1e-8) == 0.606960587
    assert not found.alarm
    assert (found.prior, found.weights) == (100.0, (0.5, 0.5))
    assert fixed_srm((440, 560), (1, 1)) == (found.chi_squared, found.p_value)


def test_alarm_at_one_over_alpha():
    found = sequential_srm((400, 600), (50, 50), alpha=0.001)
    assert found.alarm
    assert math.log(1000) == pytest.approx(found.threshold_log)


def test_no_units_no_alarm():
    found = sequential_srm((0, 0, 0), (8, 1, 1), alpha=0.001)
    assert (found.log_e, found.alarm, found.chi_squared, found.p_value) == (0.0, False, 0.0, 1.0)


@pytest.mark.parametrize(
    ("counts", "weights", "words"),
    [
        ((5,), (1,), "must be the same number and >= 2"),
        ((5, 5), (1, 1, 1), "2 counts and 3 weights"),
        ((5, -1), (1, 1), r"counts\[1\] == -1"),
        ((5, 5), (1, 0), r"weights\[1\] == 0"),
    ],
)
def test_unusable_counts_are_refused(counts, weights, words):
    with pytest.raises(StatisticsError, match=words):
        sequential_srm(counts, weights, alpha=0.001)

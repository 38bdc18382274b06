from __future__ import annotations

import math
import sys

import pytest

from staged_rollout.errors import StatisticsError
from staged_rollout.stats import fixed_srm, goodness_of_fit, sequential_srm


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


def test_an_e_value_is_a_number_however_large():
    """References: log e = 20.1965 for 48,912 against 51,088, an e-value of 5.9e8."""
    found = sequential_srm((48_912, 51_088), (1, 1), alpha=0.001)
    assert (found.alarm, round(found.e_value / 1e8, 1)) == (True, 5.9)
    assert math.exp(found.log_e) == pytest.approx(found.e_value, rel=1e-14)
    endless = sequential_srm((0, 51_088), (1, 1), alpha=0.001)
    assert (endless.e_value, math.isfinite(endless.log_e)) == (pytest.approx(sys.float_info.max, rel=1e-12), True)


def test_the_result_carries_the_fixed_test():
    found, fit = sequential_srm((3, 9, 1), (2, 1, 1), alpha=0.001), goodness_of_fit((3, 9, 1), (2, 1, 1))
    assert (fit.chi_squared, fit.p_value, fit.log_p, fit.method, fit.residuals) == (
        found.chi_squared,
        found.p_value,
        found.log_p,
        found.method,
        found.residuals,
    )
    assert "method         exact" in str(found)
    assert found.to_frame().loc[0, "counts"] == (3, 9, 1)


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


@pytest.mark.parametrize(("name", "value"), [("alpha", 0), ("alpha", 1), ("alpha", math.nan), ("prior", 0)])
def test_unusable_alpha_and_prior_are_refused(name, value):
    with pytest.raises(StatisticsError, match=f"{name} == {value}"):
        sequential_srm((5, 5), (1, 1), **{"alpha": 0.001, name: value})

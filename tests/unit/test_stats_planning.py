from __future__ import annotations

import pytest

from staged_rollout.errors import StatisticsError
from staged_rollout.stats import (
    Spending,
    bounds,
    crossing_probabilities,
    effective_units,
    inflation,
    information_fraction,
    maximum_information_units,
    two_means_units,
    two_proportions_units,
)

OBF = Spending("obrien-fleming", 0.025)


def test_rates_from_ten_to_twelve_percent():
    assert round(two_proportions_units(0.10, 0.12, 0.025, 0.8), 2) == 7681.69
    assert round(two_proportions_units(0.12, 0.10, 0.025, 0.8), 2) == 7681.69


def test_a_single_look_needs_no_inflation():
    assert inflation((1.0,), OBF, 0.8) == pytest.approx(1.0, abs=1e-12)


def test_inflated_drift_gives_the_power_asked_for():
    information = (0.3, 0.55, 1.0)
    found = bounds(information, OBF)
    drift = (1.959963984540054 + 1.2815515655446004) * inflation(information, OBF, 0.9) ** 0.5
    power = crossing_probabilities(information, [bound.z for bound in found], drift).sum()
    assert pytest.approx(float(power), abs=1e-11) == 0.9


def test_information_counts_the_smaller_variant():
    assert effective_units(0, 500) == 0.0
    assert pytest.approx(effective_units(900, 100)) == 90.0
    n_eff_max = maximum_information_units(8000, 1.02, treatment_share=0.5)
    assert pytest.approx(n_eff_max) == 2040.0
    assert pytest.approx(information_fraction(2040, 2040, n_eff_max)) == 0.5
    assert pytest.approx(information_fraction(5100, 5100, n_eff_max)) == 1.25


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: inflation((0.5, 0.9), OBF, 0.8), "last planned information fraction == 0.9"),
        (lambda: inflation((), OBF, 0.8), "== None"),
        (lambda: inflation((1.0,), OBF, 1.2), "power == 1.2"),
        (lambda: two_proportions_units(0.1, 0.1, 0.025, 0.8), "delta == 0"),
        (lambda: two_proportions_units(0.0, 0.1, 0.025, 0.8), "p_control == 0"),
        (lambda: two_means_units(0, 1, 0.025, 0.8), "sd == 0"),
        (lambda: two_means_units(1, 1, 0.025, 0.01), "power == 0.01"),
        (lambda: maximum_information_units(100, 0.9), "inflation_factor == 0.9"),
        (lambda: maximum_information_units(100, 1.0, 1.0), "treatment_share == 1"),
        (lambda: information_fraction(10, 10, 0), "n_eff_max == 0"),
        (lambda: effective_units(-1, 10), "n_treatment == -1"),
    ],
)
def test_impossible_plans_are_refused(call, words):
    with pytest.raises(StatisticsError, match=words) as error:
        call()
    assert error.value.hint

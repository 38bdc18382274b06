from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import ndtr, ndtri

from staged_rollout.errors import StatisticsError
from staged_rollout.stats import (
    RatioMoments,
    Spending,
    design,
    plan_means,
    plan_rates,
    plan_ratio,
    ratio_unit_sd,
    two_means_units,
    two_proportions_units,
)

FIVE = (0.2, 0.4, 0.6, 0.8, 1.0)


def test_the_plan_of_the_command_line():
    """References: rpact 3.3.4, five equal looks: 7871.5856 units (golden g, asOF), fixed 7681.6950."""
    plan = plan_rates(0.10, 0.02, looks=5, daily_units=5000, matures_after_days=1)
    assert plan.units_per_variant == (3936, 3936)
    assert plan.total == 7872
    assert pytest.approx(plan.fixed_sample_total, abs=5e-5) == 7681.6950
    assert pytest.approx(plan.maximum_units, rel=2e-8) == 7871.58561237442
    assert plan.looks == 5
    assert plan.days == math.ceil(7872 / 5000 + 1) == 3
    assert plan.expected_days_h0 == plan.expected_units_h0 / 5000 + 1
    assert plan.expected_days_h1 == plan.expected_units_h1 / 5000 + 1


def test_expected_units_are_those_of_the_design():
    """References: rpact 3.3.4, golden e, asOF one-sided 0.025, power 0.8, ten looks."""
    plan = plan_rates(0.10, 0.02, looks=10)
    assert pytest.approx(plan.expected_units_h1 / plan.fixed_sample_total, rel=7e-8) == 0.794331511176514
    assert pytest.approx(plan.expected_units_h0 / plan.fixed_sample_total, rel=7e-8) == 1.0332512687861


def test_one_look_is_the_fixed_test():
    plan = plan_means(12.0, 4.0, 0.2, power=0.9)
    assert plan.fixed_sample_total == two_means_units(4.0, 0.2, 0.025, 0.9)
    same = [plan.maximum_units, plan.expected_units_h0, plan.expected_units_h1]
    assert same == pytest.approx([plan.fixed_sample_total] * 3, rel=1e-14)
    assert plan.days is plan.expected_days_h0 is plan.expected_days_h1 is None


def test_fixed_power_is_the_textbooks():
    """References: Farrington and Manning (1990): Phi((sqrt(N) delta - z_alpha sd_0) / sd_1), at any effect."""
    plan = plan_rates(0.01, 0.003, split=(4, 1))
    effects = np.array([-0.002, 0.0, 0.001, 0.003, 0.005])
    rates = 0.01 + effects
    pooled = 0.8 * 0.01 + 0.2 * rates
    null = np.sqrt(pooled * (1 - pooled) / 0.16)
    actual = np.sqrt(rates * (1 - rates) / 0.2 + 0.01 * 0.99 / 0.8)
    expected = ndtr((np.sqrt(plan.fixed_sample_total) * effects + ndtri(0.025) * null) / actual)
    assert pytest.approx(plan.power_curve(effects), abs=1e-12) == expected
    assert pytest.approx(expected[[1, 3]], abs=1e-12) == [0.025, 0.8]


def test_the_power_of_a_mean_at_its_effect_is_exact():
    plan = plan_means(0.0, 1.0, 0.1, looks=14, power=0.9, split=(0.3, 0.7))
    assert pytest.approx(plan.power_curve([0.0, 0.1]), abs=1e-11) == [0.025, 0.9]
    assert pytest.approx(plan.expected_units(0.1)) == plan.expected_units_h1
    assert pytest.approx(plan.expected_units(0.0)) == plan.expected_units_h0
    assert plan.expected_units_h1 < plan.expected_units(0.05) < plan.expected_units_h0


def test_more_units_are_worth_a_smaller_effect():
    plan = plan_rates(0.10, 0.02, looks=5)
    found = plan.minimum_detectable_effect(20_000)
    assert pytest.approx(plan_rates(0.10, found, looks=5).maximum_units, rel=1e-11) == 20_000
    assert pytest.approx(plan.minimum_detectable_effect(plan.maximum_units), rel=1e-12) == 0.02
    assert pytest.approx(plan.power_curve([found], total_units=20_000)[0], abs=1e-4) == 0.8


def test_units_too_few_for_any_rate_are_refused():
    with pytest.raises(StatisticsError, match=r"total_units == 8, too few to find any effect up to 0\.1") as error:
        plan_rates(0.9, 0.05).minimum_detectable_effect(8)
    assert error.value.facts["total_units"] == 8
    assert plan_means(0.9, 0.3, 0.05).minimum_detectable_effect(8) == pytest.approx(0.5943, abs=1e-4)


def test_several_candidates_share_alpha_and_the_champion():
    """Law: alpha / m each; the candidate with the smallest share decides how many units all need."""
    plan = plan_rates(0.10, 0.02, split=(0.4, 0.4, 0.2), looks=5)
    fixed = two_proportions_units(0.10, 0.12, 0.0125, 0.8, ratio=0.5) / 0.6
    assert plan.design.alpha == 0.0125
    assert plan.alpha == 0.025
    assert pytest.approx(plan.fixed_sample_total) == fixed
    champion, larger, smaller = plan.units_per_variant
    assert champion == larger == math.ceil(0.4 * plan.maximum_units)
    assert smaller == math.ceil(0.2 * plan.maximum_units)
    assert pytest.approx(plan.power_curve([0.02])[0], abs=2e-3) == 0.8
    pair = plan_rates(0.10, 0.02, split=(0.4, 0.2), looks=5, alpha=0.0125)
    assert pytest.approx(pair.maximum_units) == plan.maximum_units * 0.6


def test_shares_are_weights():
    assert plan_rates(0.1, 0.02, split=(40, 30, 30)) == plan_rates(0.1, 0.02, split=(0.4, 0.3, 0.3))


def test_lower_is_better_mirrors_higher():
    """Law: fewer events at rate p are planned as more non-events at 1 - p."""
    down, up = plan_rates(0.12, 0.02, better="lower", looks=5), plan_rates(0.88, 0.02, looks=5)
    assert pytest.approx(down.maximum_units, rel=1e-12) == up.maximum_units
    assert pytest.approx(down.power_curve([0.01]), rel=1e-12) == up.power_curve([0.01])


def test_non_inferiority_is_planned_at_no_difference():
    plan = plan_rates(0.85, 0.0, margin=0.03, looks=5)
    assert plan.fixed_sample_total == two_proportions_units(0.85, 0.85, 0.025, 0.8, delta0=-0.03)
    assert pytest.approx(plan.power_curve([-0.03, 0.0]), abs=1e-3) == [0.025, 0.8]
    means = plan_means(10.0, 2.0, 0.0, margin=0.1)
    assert means.fixed_sample_total == two_means_units(2.0, 0.1, 0.025, 0.8)
    # A candidate that is a little worse is still planned for, at a price.
    assert plan_means(10.0, 2.0, -0.05, margin=0.1).fixed_sample_total == pytest.approx(4 * means.fixed_sample_total)


def test_a_ratio_is_planned_from_its_pilot():
    pilot = RatioMoments.from_values([1, 0, 2, 0], [10, 20, 10, 20])
    ratio, sd = ratio_unit_sd(pilot)
    assert plan_ratio(pilot, 0.01, looks=5) == plan_means(ratio, sd, 0.01, looks=5)
    coarse = RatioMoments.from_values([0.1, 0, 0.2, 0], [10, 20, 10, 20], resolution=0.1)
    assert plan_ratio(coarse, 0.001, resolution=0.1, looks=5).units_per_variant == (1073, 1073)


def test_futility_and_two_sides_are_the_designs():
    spending = Spending("pocock", 0.025)
    beta = Spending("obrien-fleming", 0.2)
    plan = plan_rates(0.10, 0.02, looks=FIVE, efficacy=spending, futility=beta, binding=True)
    assert plan.design == design(FIVE, spending, futility=beta, binding=True)
    assert plan.inflation == plan.design.inflation
    assert plan.expected_units_h0 < 0.8 * plan.fixed_sample_total
    assert plan_rates(0.10, 0.02, looks=FIVE, sides=2).design == design(FIVE, sides=2, power=0.8)


def test_a_plan_prints_and_becomes_a_frame():
    plan = plan_rates(0.10, 0.02, looks=5)
    assert "units_per_variant   (3936, 3936)" in str(plan).splitlines()
    frame = plan.to_frame()
    assert frame.loc[0, "total"] == 7872
    assert "design" not in frame.columns


def test_a_whole_number_of_units_costs_no_unit_more():
    """Law: 16 * 1.96^2-like products that are whole but for rounding stay whole."""
    plan = plan_means(0.0, 1.0, 0.1, looks=5)
    exact = plan_means(0.0, 1.0, plan.minimum_detectable_effect(4000.0), looks=5)
    assert exact.units_per_variant == (2000, 2000)


@pytest.mark.parametrize(("rate", "mde"), [(1e-5, 1e-6), (0.5, 1e-5), (1 - 1e-5, 5e-6)])
def test_rare_corners_are_planned(rate, mde):
    """Law: tiny rates and effects, power 0.99 and alpha 1e-4 at 28 looks: finite, and of that power."""
    plan = plan_rates(rate, mde, alpha=1e-4, power=0.99, looks=28)
    assert plan.maximum_units == pytest.approx(
        two_proportions_units(rate, rate + mde, 1e-4, 0.99) * plan.inflation, rel=1e-12
    )
    assert plan.design.power(plan.design.drift) == pytest.approx(0.99, abs=1e-11)
    assert plan.power_curve([mde])[0] == pytest.approx(0.99, abs=1e-3)
    assert plan.minimum_detectable_effect(plan.maximum_units) == pytest.approx(mde, rel=1e-9)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: plan_rates(0.97, 0.05), r"candidate's rate 0.97 \+ 0.05 == 1.02, must be > 0 and < 1"),
        (lambda: plan_rates(0.05, 0.05, better="lower"), "candidate's rate 0.05 - 0.05 == 0.0, must be > 0 and < 1"),
        (lambda: plan_rates(1.0, 0.02), "rate == 1.0, must be > 0 and < 1"),
        (lambda: plan_rates(0.1, 0.0), "mde == 0.0, must be > 0"),
        (lambda: plan_rates(0.1, -0.02), "mde == -0.02, must be > 0"),
        (lambda: plan_rates(0.1, -0.02, margin=0.02), "mde == -0.02, must be > -0.02"),
        (lambda: plan_rates(0.1, math.nan), "mde == nan"),
        (lambda: plan_rates(0.1, 0.02, margin=-0.01), "margin == -0.01, must be >= 0"),
        (lambda: plan_rates(0.1, 0.02, better="up"), "better == 'up', must be 'higher' or 'lower'"),
        (lambda: plan_rates(0.1, 0.02, looks=0), "looks == 0, must be a whole number >= 1"),
        (lambda: plan_rates(0.1, 0.02, looks=2.5), "looks == 2.5, must be a whole number >= 1"),
        (lambda: plan_rates(0.1, 0.02, looks=math.inf), "looks == inf, must be a whole number >= 1"),
        (lambda: plan_rates(0.1, 0.02, looks=(0.5, 0.9)), "last of looks == 0.9, must be 1"),
        (lambda: plan_rates(0.1, 0.02, looks=()), "last of looks == None, must be 1"),
        (lambda: plan_rates(0.1, 0.02, looks=np.array([0.5, 0.4, 1])), "information rises from 0.5 to 0.4"),
        (lambda: plan_rates(0.1, 0.02, alpha=0.5), "alpha == 0.5"),
        (lambda: plan_rates(0.1, 0.02, power=1.0), "power == 1.0"),
        (lambda: plan_rates(0.1, 0.02, power=0.02), "power == 0.02, must be > 0.025"),
        (lambda: plan_rates(0.1, 0.02, split=(1.0,)), r"split == \(1.0,\)"),
        (lambda: plan_rates(0.1, 0.02, split=(1.0, 0.0)), r"split\[1\] == 0.0, must be > 0"),
        (lambda: plan_rates(0.1, 0.02, daily_units=0), "daily_units == 0, must be > 0"),
        (lambda: plan_rates(0.1, 0.02, matures_after_days=-1), "matures_after_days == -1, must be >= 0"),
        (lambda: plan_rates(0.1, 0.02, efficacy=Spending("pocock", 0.05)), "efficacy spends an alpha of 0.05"),
        (lambda: plan_rates(0.1, 0.02, futility=Spending("pocock", 0.1)), "power == 0.8 and beta == 0.1"),
        (lambda: plan_means(math.inf, 1.0, 0.1), "mean == inf"),
        (lambda: plan_means(0.0, 0.0, 0.1), "sd == 0"),
        (lambda: plan_ratio(RatioMoments(), 0.1), "pilot of 0 units"),
        (lambda: plan_rates(0.1, 0.02).power_curve([0.95]), r"candidate's rate 0.1 \+ 0.95 == 1.05"),
        (lambda: plan_rates(0.1, 0.02).power_curve([0.01], total_units=0), "total_units == 0, must be > 0"),
        (lambda: plan_means(0, 1, 0.1).power_curve([math.nan]), "effect == nan"),
        (lambda: plan_means(0, 1, 0.1).minimum_detectable_effect(math.inf), "total_units == inf"),
    ],
)
def test_impossible_whole_plans_are_refused(call, words):
    with pytest.raises(StatisticsError, match=words) as error:
        call()
    assert error.value.hint

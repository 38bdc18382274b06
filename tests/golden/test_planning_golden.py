"""Sample sizes, inflation factors and expected sample numbers; see data/README.md for where each comes from."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from statsmodels.stats.power import TTestIndPower

from staged_rollout.stats import (
    Spending,
    classic_design,
    design,
    inflation,
    plan_means,
    plan_rates,
    two_means_units,
    two_proportions_units,
)

DATA = Path(__file__).parent / "data"
SHAPES = {"OF": "obrien-fleming", "P": "pocock", "asOF": "obrien-fleming", "asP": "pocock"}
FIVE = (0.2, 0.4, 0.6, 0.8, 1.0)


def rows(name, **wanted):
    with (DATA / name).open(newline="") as file:
        return [row for row in csv.DictReader(file) if all(row[key] == value for key, value in wanted.items())]


def designed(name, information, alpha, sides, power):
    if name.startswith("as"):
        return design(information, Spending(SHAPES[name], alpha), sides=sides, power=power)
    return classic_design(information, SHAPES[name], alpha, sides=sides, power=power)


@pytest.mark.parametrize(("sided", "count"), [("1", 30), ("2", 15)])
@pytest.mark.parametrize("name", SHAPES)
def test_inflation_and_expected_sample_numbers_reach_rpact(name, sided, count):
    """Law: R, and the expected over the fixed sample, at the effect planned for, half of it and none.

    References: rpact 3.3.4. `alpha` is total where two-sided. rpact's one-sided spending designs spend 0.02499999 of
    0.025, which moves R by up to 1.6e-7 (asP, ten looks); all other rows agree to 7e-8.
    """
    chosen = rows("e_inflation_asn.csv", type=name, sided=sided)
    assert count == len(chosen)
    for row in chosen:
        K, sides = int(row["K"]), int(sided)
        information = [k / K for k in range(1, K + 1)]
        found = designed(name, information, float(row["alpha"]) / sides, sides, float(row["power"]))
        expected = (found.inflation * found.expected_information(share * found.drift) for share in (1.0, 0.5, 0.0))
        theirs = [float(row[column]) for column in ("shift", "inflation", "ASN_H1", "ASN_H01", "ASN_H0")]
        tolerance = 2e-7 if (name, sided) == ("asP", "1") else 7e-8
        assert theirs == pytest.approx([found.drift**2, found.inflation, *expected], rel=tolerance)


@pytest.mark.parametrize(("name", "sided"), [("asOF", "1"), ("asP", "1")])
def test_the_one_sided_factor_is_the_designs(name, sided):
    for row in rows("e_inflation_asn.csv", type=name, sided=sided):
        K, spending = int(row["K"]), Spending(SHAPES[name], float(row["alpha"]))
        found = inflation([k / K for k in range(1, K + 1)], spending, float(row["power"]))
        assert float(row["inflation"]) == pytest.approx(found, rel=2e-7)


def fixed_units(row, alpha, power):
    ratio = float(row["ratio_n1_n2"])
    if row["endpoint"] == "rates":
        return two_proportions_units(float(row["p_control"]), float(row["p_treat"]), alpha, power, ratio)
    return two_means_units(float(row["sd"]), float(row["delta"]), alpha, power, ratio, method=row["method"])


@pytest.mark.parametrize("sided", ["1", "2"])
@pytest.mark.parametrize("name", ["fixed", "OF", "asOF"])
def test_sample_sizes_reach_rpact(name, sided):
    """Law: units of the fixed test times R; two sides of alpha each are planned as one of them.

    References: rpact 3.3.4, five equal looks; two means by z and by t, two rates with the pooled variance under H0.
    rpact stops short of the root of Student's power by up to 4e-7 for samples of about 130 units (next test).
    """
    chosen = rows("g_sample_sizes.csv", design=name, sided=sided)
    assert len(chosen) == 31
    for row in chosen:
        sides, power = int(sided), float(row["power"])
        alpha = float(row["alpha"]) / sides
        factor = 1.0 if name == "fixed" else designed(name, FIVE, alpha, sides, power).inflation
        tolerance = 1e-12 if name == "fixed" else 2e-8
        if row["method"] == "t":
            tolerance = 4e-7 if row["delta"] == "0.5" else max(tolerance, 1e-9)
        assert float(row["n_total"]) == pytest.approx(factor * fixed_units(row, alpha, power), rel=tolerance)


def test_student_sizes_have_the_power_that_rpacts_miss():
    """References: the power function of statsmodels at our units, and at those of rpact, whose power is 2e-7 off."""
    for row in rows("g_sample_sizes.csv", design="fixed", method="t", sided="1"):
        ratio, alpha, power = float(row["ratio_n1_n2"]), float(row["alpha"]), float(row["power"])

        def found(total, row=row, ratio=ratio, alpha=alpha):
            effect = float(row["delta"]) / float(row["sd"])
            return TTestIndPower().power(effect, total / (1 + ratio), alpha, ratio, alternative="larger")

        ours = abs(found(fixed_units(row, alpha, power)) - power)
        assert ours < 1e-12
        if row["delta"] == "0.5":
            assert abs(found(float(row["n_total"])) - power) > 5e-8


# Whole plans are normal, never Student's: looks have hundreds of units.
normal = [row for row in rows("g_sample_sizes.csv", design="asOF", sided="1") if row["method"] != "t"]


@pytest.mark.parametrize("row", normal, ids=lambda row: row["n_total"])
def test_whole_plans_reach_rpact(row):
    """Law: a plan's units before rounding are rpact's, its whole units the next ones above."""
    ratio, power = float(row["ratio_n1_n2"]), float(row["power"])
    options = {"power": power, "looks": 5, "split": (1, ratio)}
    if row["endpoint"] == "rates":
        control, treatment = float(row["p_control"]), float(row["p_treat"])
        plan = plan_rates(control, treatment - control, **options)
    else:
        plan = plan_means(0.0, float(row["sd"]), float(row["delta"]), **options)
    assert float(row["n_total"]) == pytest.approx(plan.maximum_units, rel=2e-8)
    champion, candidate = plan.units_per_variant
    assert 0 <= champion - plan.maximum_units / (1 + ratio) < 1
    assert 0 <= candidate - plan.maximum_units * ratio / (1 + ratio) < 1


def test_non_inferiority_of_rates_reaches_gsdesign():
    """References: gsDesign's manual, nBinomial(p1=.677, p2=.677, delta0=.07, ratio=2) is 685.5569 and 1371.114."""
    total = two_proportions_units(0.677, 0.677, alpha=0.025, power=0.9, ratio=0.5, delta0=0.07)
    assert pytest.approx(total / 3, abs=5e-5) == 685.5569
    assert pytest.approx(total * 2 / 3, abs=5e-4) == 1371.114
    mirrored = plan_rates(0.677, 0.0, margin=0.07, better="lower", power=0.9, split=(2, 1))
    assert pytest.approx(mirrored.fixed_sample_total, rel=1e-12) == total

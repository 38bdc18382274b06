"""Whole designs against reference values: see data/README.md for where each comes from."""

from __future__ import annotations

import csv
from itertools import groupby
from pathlib import Path

import pytest

from staged_rollout.stats import Spending, classic_design, design

DATA = Path(__file__).parent / "data"
KINDS = {
    "asOF": "obrien-fleming",
    "asP": "pocock",
    "asKD": "power",
    "asHSD": "hsd",
    "bsOF": "obrien-fleming",
    "bsP": "pocock",
    "bsKD": "power",
    "bsHSD": "hsd",
    "OF": "obrien-fleming",
    "P": "pocock",
}


def rows(name):
    with (DATA / name).open(newline="") as file:
        return list(csv.DictReader(file))


def series(name, *keys):
    return [
        pytest.param(list(group), id="-".join(key))
        for key, group in groupby(rows(name), key=lambda row: tuple(row[k] for k in keys))
    ]


def spending(kind, alpha, parameter=""):
    return Spending(KINDS[kind], alpha, float(parameter) if parameter else None)


def information(looks):
    return [float(row["info"]) for row in looks]


@pytest.mark.parametrize("row", rows("a_consensus_constants.csv"), ids=lambda r: "-".join(list(r.values())[:4]))
def test_classic_constants_reach_the_reference(row):
    """References: 34-digit arithmetic (C_ref); C_B(5, .05) = 2.040073 of Jennison and Turnbull (2000), table 2.3."""
    K, sides = int(row["K"]), int(row["sided"])
    equal = [(k + 1) / K for k in range(K)]
    found = classic_design(equal, KINDS[row["type"]], float(row["alpha"]) / sides, sides=sides)
    assert float(row["C_ref"]) == pytest.approx(found.efficacy[-1], abs=2e-13)
    assert float(row["alpha"]) / sides == pytest.approx(found.alpha_spent[-1], rel=1e-13)


@pytest.mark.parametrize("looks", series("c_other_spending.csv", "schedule", "spending", "param", "sided"))
def test_other_spendings_reach_rpact(looks):
    """References: rpact spends 1e-8 less than alpha on one side, so its last bound is 7e-8 off; on two sides 1e-9."""
    row, sides = looks[0], int(looks[0]["sided"])
    efficacy = spending(row["spending"], float(row["alpha"]) / sides, row["param"])
    found = design(information(looks), efficacy, sides=sides)
    tolerance = 1e-7 if sides == 1 else 2e-9
    assert [float(look["z"]) for look in looks] == pytest.approx(list(found.efficacy), abs=tolerance)
    spent = [float(look["alpha_spent"]) for look in looks]
    assert spent == pytest.approx([sides * alpha for alpha in found.alpha_spent], abs=1.1e-8)


@pytest.mark.parametrize(
    "looks", series("d_futility.csv", "schedule", "efficacy", "futility", "gammaB", "binding", "alpha", "beta")
)
def test_futility_bounds_and_their_price_reach_rpact(looks):
    """References: rpact's own tolerance; where it spends 1e-8 less than alpha (not binding), all follows by 1e-7."""
    row = looks[0]
    found = design(
        information(looks),
        spending(row["efficacy"], float(row["alpha"])),
        futility=spending(row["futility"], float(row["beta"]), row["gammaB"]),
        binding=row["binding"] == "TRUE",
    )
    assert [float(look["z_efficacy"]) for look in looks] == pytest.approx(list(found.efficacy), abs=5e-8)
    assert [float(look["z_futility"]) for look in looks] == pytest.approx(list(found.futility), abs=5e-8)
    assert [float(look["beta_spent"]) for look in looks] == pytest.approx(list(found.beta_spent), abs=2e-9)
    powers = found.exits(found.drift).upper.cumsum()
    assert [float(look["power_cum"]) for look in looks] == pytest.approx(list(powers), abs=1e-8)
    assert float(row["shift"]) == pytest.approx(found.drift**2, abs=2e-7)
    assert float(row["inflation"]) == pytest.approx(found.inflation, abs=2e-8)
    for share, name in ((1.0, "ASN_H1"), (0.5, "ASN_H01"), (0.0, "ASN_H0")):
        expected = found.inflation * found.expected_information(share * found.drift)
        assert float(row[name]) == pytest.approx(expected, abs=2e-8)

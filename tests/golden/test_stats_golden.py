"""Reference values: see data/README.md for where each comes from."""

from __future__ import annotations

import csv
from itertools import groupby
from pathlib import Path

import pytest

from staged_rollout.stats import Spending, bounds

DATA = Path(__file__).parent / "data"


def rows(name):
    with (DATA / name).open(newline="") as file:
        return list(csv.DictReader(file))


def series(name, *keys):
    return [
        pytest.param(list(group), id="-".join(key))
        for key, group in groupby(rows(name), key=lambda row: tuple(row[k] for k in keys))
    ]


@pytest.mark.parametrize("looks", series("b_consensus_ld_obf.csv", "schedule", "alpha"))
def test_obrien_fleming_bounds_reach_the_reference(looks):
    """References: 34-digit arithmetic; accuracy 1e-12 for z <= 8, finite and relative 1e-12 beyond."""
    found = bounds([float(row["info"]) for row in looks], Spending("obrien-fleming", float(looks[0]["alpha"])))
    assert [float(row["z_ref"]) for row in looks] == pytest.approx([bound.z for bound in found], abs=1e-12, rel=1e-13)


@pytest.mark.parametrize("looks", series("b2_under_over_running.csv", "case", "method"))
def test_over_and_under_running_spend_what_is_left_with_true_covariances(looks):
    """References: rpact's own tolerance is 1e-10 in alpha; its last look spends 1e-8 less."""
    final = looks[0]["method"] == "asUser_last_spends_all"
    spending = Spending("obrien-fleming", float(looks[0]["alpha"]))
    found = bounds([float(row["t_planned"]) for row in looks], spending, final=final)
    assert [float(row["z"]) for row in looks] == pytest.approx([bound.z for bound in found], abs=4e-6)
    assert [float(row["alpha_spent"]) for row in looks] == pytest.approx([b.alpha_spent for b in found], abs=1.1e-8)


@pytest.mark.parametrize(
    ("information", "final", "last"),
    [
        ((0.3, 0.6, 1.1), False, 1.98564608),
        ((0.25, 0.5, 0.75, 1.3), False, 2.05465320),
        ((0.25, 0.5, 0.75, 0.8), True, 1.96870812),
    ],
)
def test_over_and_under_running_to_eight_decimals(information, final, last):
    found = bounds(information, Spending("obrien-fleming", 0.025), final=final)
    assert last == pytest.approx(found[-1].z, abs=5e-9)
    assert found[-1].alpha_spent == 0.025


def test_classic_table_of_five_looks():
    """References: Lan and DeMets (1983); the wrong f(t; .05) / 2 would start at 4.3826."""
    found = bounds((0.2, 0.4, 0.6, 0.8, 1.0), Spending("obrien-fleming", 0.025))
    assert [round(bound.z, 4) for bound in found] == [4.8769, 3.3570, 2.6803, 2.2898, 2.0310]

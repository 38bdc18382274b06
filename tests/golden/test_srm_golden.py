"""Pearson's chi-squared of counts against planned shares; where the reference values come from is in data/README.md."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from staged_rollout.stats import goodness_of_fit

ROWS = list(csv.DictReader((Path(__file__).parent / "data" / "h_srm.csv").read_text().splitlines()))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["counts"])
def test_chi_squared_p_and_log_p_reach_the_reference(row):
    fit = goodness_of_fit([int(n) for n in row["counts"].split()], [float(w) for w in row["expected"].split()])
    reference = [float(row[name]) for name in ("chi2", "p_value", "log_p")]
    assert reference == pytest.approx([fit.chi_squared, fit.p_value, fit.log_p], rel=1e-12, abs=0)
    assert (int(row["df"]), "chi-squared") == (len(fit.counts) - 1, fit.method)

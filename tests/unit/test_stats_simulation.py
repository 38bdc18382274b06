"""simulate_test against exact recursion, published figures of peeking, and its own promises."""

from __future__ import annotations

import math

import numpy as np
import pytest

from staged_rollout.errors import StatisticsError
from staged_rollout.stats import Spending, crossing_probabilities, exit_probabilities
from staged_rollout.stats.simulation import critical_values, simulate_test

OBF = Spending("obrien-fleming", 0.025)
RUNS = 100_000

# Exact recursion, true type I error at a nominal two-sided 5%, of 5, 14 and 28 equally spaced looks. The row of peeking
# at 5 looks is that of Armitage, McPherson and Rowe (1969), table 2: 0.142.
EXACT_TWO_SIDED = {
    5: {"peeking": 0.1417, "spent-alpha-as-p": 0.0610, "bonferroni": 0.0327, "design": 0.05, "fixed": 0.05},
    14: {"peeking": 0.2196, "spent-alpha-as-p": 0.0721, "bonferroni": 0.0219, "design": 0.05, "fixed": 0.05},
    28: {"peeking": 0.2747, "spent-alpha-as-p": 0.0787, "bonferroni": 0.0158, "design": 0.05, "fixed": 0.05},
}


def equal(looks: int) -> list[float]:
    return [k / looks for k in range(1, looks + 1)]


@pytest.mark.parametrize("looks", EXACT_TWO_SIDED)
def test_two_sided_errors_are_those_of_exact_recursion(looks):
    """Within four Monte-Carlo standard errors; the exact figures have four digits."""
    found = simulate_test(equal(looks), OBF, sides=2, runs=RUNS, seed=20)
    for rule in found.rules:
        exact = EXACT_TWO_SIDED[looks][rule.rule]
        assert abs(rule.type_one_error - exact) <= 4 * rule.type_one_error_se + 5e-5, rule


@pytest.mark.parametrize("spending", [OBF, Spending("pocock", 0.05), Spending("power", 0.01, 3)])
def test_one_sided_error_and_power_are_those_of_the_recursion(spending):
    """Every rule, under the null hypothesis and under the effect, against first-crossing probabilities."""
    information = [0.1, 0.3, 0.35, 0.7, 1.0]
    found = simulate_test(information, spending, runs=RUNS, seed=21)
    critical = critical_values(information, spending)
    for rule in found.rules:
        taken = [(t, z) for t, z in zip(information, critical[rule.rule], strict=True) if math.isfinite(z)]
        t, z = zip(*taken, strict=True)
        error = crossing_probabilities(t, z).sum()
        crossed = crossing_probabilities(t, z, found.drift)
        mean = float(crossed @ np.array(t)) + (1 - float(crossed.sum()))
        assert abs(rule.type_one_error - error) <= 4 * rule.type_one_error_se, rule
        assert abs(rule.power - crossed.sum()) <= 4 * rule.power_se, rule
        assert abs(rule.expected_information - mean) <= 4 * rule.expected_information_se + 1e-12, rule


def test_two_sided_power_counts_only_the_effects_direction():
    """Peeking often rejects on the wrong side first; that finds nothing."""
    information = equal(20)
    found = simulate_test(information, Spending("pocock", 0.2), sides=2, power=0.3, runs=RUNS, seed=22)
    for rule, z in critical_values(information, Spending("pocock", 0.2), sides=2).items():
        (simulated,) = [performance for performance in found.rules if performance.rule == rule]
        if math.isinf(z[0]):
            continue
        exits = exit_probabilities(information, z, [-bound for bound in z], found.drift)
        assert exits.lower.sum() > 0.01
        assert abs(simulated.power - exits.upper.sum()) <= 4 * simulated.power_se


def test_the_fixed_test_has_the_power_that_sets_the_effect():
    for information in ([0.5, 1.0], [0.2, 0.6]):
        (fixed,) = [rule for rule in simulate_test(information, OBF, power=0.9, seed=23).rules if rule.rule == "fixed"]
        assert abs(fixed.power - 0.9) <= 4 * fixed.power_se
        assert fixed.expected_information == pytest.approx(information[-1])


def test_fourteen_looks_cost_little_power_and_bonferroni_much():
    """Exact: 0.783 and 0.545 at the fixed test's 80% effect, 14 looks."""
    power = {rule.rule: rule for rule in simulate_test(equal(14), OBF, sides=2, seed=24).rules}
    for rule, exact in (("design", 0.783), ("bonferroni", 0.545)):
        assert abs(power[rule].power - exact) <= 4 * power[rule].power_se + 5e-4


def test_the_same_seed_gives_the_same_figures_and_another_one_others():
    again = [simulate_test(equal(3), OBF, runs=2000, seed=seed).rules for seed in (7, 7, 8)]
    assert again[0] == again[1]
    assert again[0] != again[2]


def test_chunks_do_not_change_the_figures(monkeypatch):
    """Memory is bounded by chunks of runs; where they are cut must not matter."""
    whole = simulate_test(equal(4), OBF, runs=1001, seed=9)
    monkeypatch.setattr("staged_rollout.stats.simulation._CELLS", 400)
    done: list[int] = []
    assert whole == simulate_test(equal(4), OBF, runs=1001, seed=9, progress=done.append)
    assert done == [*range(100, 1001, 100), 1001]


def test_standard_errors_are_those_of_repeated_simulations():
    rules = [simulate_test(equal(5), OBF, runs=1000, seed=seed).rules[1] for seed in range(200)]
    for figure in ("type_one_error", "power", "expected_information"):
        spread = np.std([getattr(rule, figure) for rule in rules], ddof=1)
        said = np.mean([getattr(rule, f"{figure}_se") for rule in rules])
        assert spread == pytest.approx(said, rel=0.25)  # five standard errors of a standard deviation from 200


def test_no_rejection_in_few_runs_is_not_called_exact():
    rule = simulate_test([1.0], Spending("pocock", 1e-6), runs=100).rules[0]
    assert rule.type_one_error == 0
    assert rule.type_one_error_se > 0


def test_with_one_look_every_rule_is_the_fixed_test():
    for values in critical_values([1.0], OBF).values():
        assert values == pytest.approx((1.959963984540054,))


def test_a_result_is_a_table_with_a_row_per_rule():
    found = simulate_test(equal(2), OBF, runs=500)
    frame = found.to_frame()
    assert list(frame["rule"]) == ["design", "peeking", "spent-alpha-as-p", "bonferroni", "fixed"]
    assert "spent-alpha-as-p" in str(found)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"sides": 3}, "sides == 3, must be 1 or 2"),
        ({"power": 0.01}, "power == 0.01, must be > 0.025 and < 1"),
        ({"power": math.nan}, "power == nan"),
        ({"runs": 99}, "runs == 99, must be >= 100"),
        ({"runs": 100.5}, "runs == 100.5, must be a whole number"),
        ({"seed": -1}, "seed == -1, must be a whole number >= 0"),
        ({"information": []}, "no looks"),
        ({"information": [0.5, 0.4]}, "information rises from 0.5 to 0.4"),
        ({"spending": Spending("pocock", 0.3), "sides": 2}, "alpha == 0.3, must be > 0 and < 0.25"),
    ],
)
def test_what_cannot_be_simulated_is_refused_with_value_and_bound(changed, words):
    options = {"information": [0.5, 1.0], "spending": OBF, **changed}
    with pytest.raises(StatisticsError) as refused:
        simulate_test(options.pop("information"), options.pop("spending"), **options)
    assert words in refused.value.message
    assert refused.value.hint

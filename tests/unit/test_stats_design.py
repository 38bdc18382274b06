from __future__ import annotations

import math

import pytest
from scipy.special import ndtri

from staged_rollout.errors import StatisticsError
from staged_rollout.stats import Spending, classic_design, design, exit_probabilities, infer, stage_wise

OBF = Spending("obrien-fleming", 0.025)
EQUAL = (0.2, 0.4, 0.6, 0.8, 1.0)


def test_two_sided_five_percent_is_the_same_function_on_each_side():
    """Reference: Lan and DeMets (1983); f(t; .05) / 2 per side would be another design, from 4.3826 on."""
    found = design(EQUAL, OBF, sides=2)
    assert [round(z, 4) for z in found.efficacy] == [4.8769, 3.3570, 2.6803, 2.2898, 2.0310]


def test_up_to_365_daily_looks():
    found = design([day / 365 for day in range(1, 366)], OBF)
    assert found.exits().upper.sum() == pytest.approx(0.025, rel=1e-10)
    assert found.efficacy[0] == pytest.approx(-ndtri(0.0125) * math.sqrt(365), rel=0.02)
    assert all(math.isfinite(z) for z in found.efficacy)


@pytest.mark.parametrize("spending", [OBF, Spending("power", 0.025, 3), Spending("hsd", 0.025, -4)])
def test_a_first_look_at_a_thousandth_is_finite(spending):
    found = design((0.001, 1.0), spending, futility=Spending(spending.kind, 0.2, spending.parameter))
    assert all(math.isfinite(z) for z in (*found.efficacy, *found.futility))
    assert found.exits(found.drift).upper.sum() == pytest.approx(0.8, rel=1e-10)


def test_the_last_look_may_under_run_over_run_or_be_declared():
    assert design((0.3, 0.6, 1.1)).efficacy[-1] == pytest.approx(1.98564608, abs=5e-9)
    assert design((0.25, 0.5, 0.75, 1.3)).efficacy[-1] == pytest.approx(2.05465320, abs=5e-9)
    declared = design((0.25, 0.5, 0.75, 0.8), final=True)
    assert declared.efficacy[-1] == pytest.approx(1.96870812, abs=5e-9)
    assert declared.ended
    assert not design((0.25, 0.5, 0.75, 0.8)).ended


def test_futility_of_looks_so_far_is_planned_for_one_more_at_full_information():
    so_far = design((0.4, 0.7), OBF, futility=Spending("obrien-fleming", 0.2))
    whole = design((0.4, 0.7, 1.0), OBF, futility=Spending("obrien-fleming", 0.2))
    assert (so_far.efficacy, so_far.futility, so_far.drift) == (whole.efficacy[:2], whole.futility[:2], whole.drift)
    assert not so_far.ended
    assert so_far.appended(1.0) == whole


def test_a_look_that_was_planned_elsewhere_keeps_the_frozen_drift():
    planned = design((0.5, 1.0), OBF, futility=Spending("pocock", 0.2))
    moved = design((0.5,), OBF, futility=Spending("pocock", 0.2)).appended(0.8, final=True)
    assert moved.drift == planned.drift
    assert moved.futility[0] == planned.futility[0]
    assert moved.futility[-1] == moved.efficacy[-1]


def test_bounds_that_meet_early_end_the_design():
    """At a drift far above what the looks were planned for, futility reaches efficacy: whoever goes on cannot win."""
    planned = design((0.9, 1.0), OBF, futility=Spending("power", 0.45, 0.05))
    assert planned.futility[0] <= planned.efficacy[0]
    assert planned.exits(planned.drift).upper.sum() == pytest.approx(0.55, rel=1e-9)


def test_harm_has_a_spending_of_its_own_and_costs_efficacy_nothing():
    with_harm = design(EQUAL, OBF, harm=Spending("pocock", 0.020))
    assert with_harm.efficacy == design(EQUAL, OBF).efficacy
    below = exit_probabilities(EQUAL, [20.0] * 5, with_harm.harm)
    assert below.lower.sum() == pytest.approx(0.020, rel=1e-9)


def test_inflation_is_the_price_of_looking():
    plain = design(EQUAL, OBF, power=0.8)
    assert plain.power(plain.drift) == pytest.approx(0.8, rel=1e-11)
    assert plain.inflation == pytest.approx(1.02472, abs=1e-5)
    assert design((1.0,), OBF, power=0.8).inflation == pytest.approx(1.0, abs=1e-12)
    assert plain.inflation < design(EQUAL, Spending("pocock", 0.025), power=0.8).inflation


def test_results_print_and_become_frames():
    found = design(EQUAL, OBF, futility=Spending("hsd", 0.2, -2))
    frame = found.to_frame()
    assert list(frame.columns) == ["look", "information", "efficacy", "futility", "alpha_spent", "beta_spent"]
    assert list(frame["efficacy"]) == list(found.efficacy)
    assert len(str(found).splitlines()) == 6
    said = infer(found, (1.0, 1.5), max_information=100)
    assert list(said.to_frame()["low"]) == [low for low, _ in said.repeated_confidence_intervals]


def test_non_binding_futility_may_be_overruled_and_binding_may_not():
    free = design((0.5, 1.0), OBF, futility=Spending("obrien-fleming", 0.2))
    low = free.futility[0] - 0.1
    assert infer(free, (low,), 100).stopped_for == "futility"
    assert infer(free, (low, 2.5), 100).stopped_for == "efficacy"
    bound = design((0.5, 1.0), OBF, futility=Spending("obrien-fleming", 0.2), binding=True)
    ended = infer(bound, (bound.futility[0] - 0.1, 2.5), 100)
    assert (ended.stopped_at, ended.stopped_for) == (1, "futility")
    assert ended.p_value > 0.025


@pytest.mark.parametrize("z", [-30.0, -9.0, 0.0, 9.0, 36.0])
def test_inference_is_finite_however_extreme_the_statistic(z):
    for sides in (1, 2):
        said = stage_wise(design(EQUAL, OBF, sides=sides), z, 1.0)
        assert all(math.isfinite(x) for x in (said.p_value, said.median_unbiased_estimate, *said.confidence_interval))
        assert said.confidence_interval[0] < said.median_unbiased_estimate < said.confidence_interval[1]
    assert all(0 <= p <= 1 for p in infer(design(EQUAL, OBF), [z] * 5, 100).repeated_p_values)


def test_the_first_crossing_counts_and_later_looks_change_nothing():
    found = design(EQUAL, OBF)
    once, again = (infer(found, z, 100) for z in ((1.0, 3.5), (1.0, 3.5, 1.0)))
    assert (once.stopped_at, once.p_value) == (again.stopped_at, again.p_value)
    assert once.median_unbiased_estimate == again.median_unbiased_estimate


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: design(()), "no information fractions"),
        (lambda: design((0.5, 0.5)), "must be >= 0.0001"),
        (lambda: design((0.5, math.nan)), "must be finite"),
        (lambda: design((0.5, math.inf)), "must be finite"),
        (lambda: design((0.5, 1.0, 1.2)), "information 1.2 after 1.0"),
        (lambda: design((-0.1, 1.0)), "information == -0.1, must be > 0"),
        (lambda: design(EQUAL, OBF, sides=3), "sides == 3"),
        (lambda: design(EQUAL, OBF, sides=2, futility=OBF), "sides == 2, must be with sides == 1"),
        (lambda: design(EQUAL, OBF, binding=True), "binding without futility"),
        (lambda: design(EQUAL, OBF, power=1.0), "power == 1.0"),
        (lambda: design(EQUAL, OBF, power=0.02), "power == 0.02"),
        (lambda: design(EQUAL, OBF, futility=Spending("pocock", 0.2), power=0.9), "must add up to 1"),
        (lambda: design((1.0,)).appended(1.2), "after the final one"),
        (lambda: classic_design(EQUAL, "haybittle"), "classic == 'haybittle'"),
        (lambda: classic_design((0.5, 0.8)).appended(1.0), "classic constants"),
        (lambda: Spending("power", 0.025), "parameter == None of power"),
        (lambda: Spending("power", 0.025, -1), "must be > 0"),
        (lambda: Spending("pocock", 0.025, 2), "takes none"),
        (lambda: Spending("hsd", 0.025, math.nan), "must be finite"),
        (lambda: Spending.parse("power:x", 0.025), "spending == 'power:x'"),
        (lambda: Spending.parse("haybittle", 0.025), "obrien-fleming, pocock, power:RHO, hsd:GAMMA"),
        (lambda: design(EQUAL, Spending(lambda t: 2 * t, 0.025)), "must be >= 0 and <= 1"),
        (lambda: design(EQUAL, Spending(lambda t: float(t > 0.5), 0.025)), "alpha spent before == 0"),
        (lambda: exit_probabilities((0.5,), (2.0,), (3.0,)), "lower bound of look 1 == 3.0"),
        (lambda: exit_probabilities((0.5,), (2.0,), ()), "1 upper and 0 lower bounds"),
        (lambda: infer(design(EQUAL), (), 100), "0 statistics"),
        (lambda: infer(design((0.5,)), (1.0, 2.0), 100), "2 statistics"),
        (lambda: infer(design((0.5,)), (math.nan,), 100), "z of look 1 == nan"),
        (lambda: infer(design((0.5,)), (1.0,), 0), "max_information == 0"),
        (lambda: infer(design((0.5,)), (1.0,)), "either one or the other"),
        (lambda: infer(design((0.5,)), (1.0,), se=()), "0 standard errors"),
        (lambda: stage_wise(design((0.5,)), 1.0, 1.0, look=2), "look == 2"),
    ],
)
def test_bad_input_is_refused_with_value_bound_and_hint(call, words):
    with pytest.raises(StatisticsError, match=words) as error:
        call()
    assert error.value.hint

"""Laws of group-sequential designs and of the inference on them."""

from __future__ import annotations

import math
from itertools import accumulate

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from staged_rollout.stats import (
    Bound,
    Spending,
    classic_design,
    design,
    exit_probabilities,
    infer,
    next_bound,
    repeated_p_value,
    stage_wise,
)

some = settings(max_examples=25, deadline=None)
few = settings(max_examples=15, deadline=None)

alphas = st.sampled_from([0.001, 0.01, 0.025, 0.05, 0.1])
shapes = st.one_of(
    st.sampled_from([("obrien-fleming", None), ("pocock", None)]),
    st.tuples(st.just("power"), st.floats(0.5, 4.0)),
    st.tuples(st.just("hsd"), st.floats(-6.0, 3.0)),
)


@st.composite
def schedules(draw, most=6):
    steps = draw(st.lists(st.floats(0.02, 1.0), min_size=1, max_size=most))
    total = sum(steps)
    return (*accumulate(step / total for step in steps[:-1]), 1.0)


@st.composite
def spendings(draw):
    kind, parameter = draw(shapes)
    return Spending(kind, draw(alphas), parameter)


@some
@given(schedules(), spendings(), st.sampled_from([1, 2]))
def test_the_bounds_spend_alpha_per_side_and_no_more(schedule, efficacy, sides):
    found = design(schedule, efficacy, sides=sides)
    stops = found.exits(0.0)
    assert stops.upper.sum() == pytest.approx(efficacy.alpha, rel=1e-11)
    assert list(found.alpha_spent) == pytest.approx(list(stops.upper.cumsum()), rel=1e-9, abs=1e-300)
    if sides == 2:
        assert list(stops.lower) == pytest.approx(list(stops.upper), rel=1e-9)


@some
@given(schedules(), spendings(), st.sampled_from([1, 2]))
def test_a_design_grows_look_by_look_without_moving_a_bound(schedule, efficacy, sides):
    grown = design(schedule[:1], efficacy, sides=sides)
    for t in schedule[1:]:
        longer = grown.appended(t)
        assert longer.efficacy[: len(grown)] == grown.efficacy
        grown = longer
    assert design(schedule, efficacy, sides=sides) == grown


@some
@given(schedules(), spendings())
def test_one_side_without_futility_is_the_series_of_next_bounds(schedule, efficacy):
    """What operations freeze look by look, and what a whole plan says, are the same bounds."""
    past: list[Bound] = []
    for t in schedule:
        past.append(next_bound(past, t, efficacy))
    assert tuple(bound.z for bound in past) == design(schedule, efficacy).efficacy


@some
@given(schedules(), spendings(), st.floats(-3.0, 4.0))
def test_two_sides_are_mirrors(schedule, efficacy, drift):
    found = design(schedule, efficacy, sides=2)
    assert list(found.exits(drift).upper) == pytest.approx(list(found.exits(-drift).lower), rel=1e-9, abs=1e-15)


@few
@given(schedules(4), spendings(), shapes, st.sampled_from([0.05, 0.1, 0.2]), st.booleans())
def test_futility_spends_beta_at_the_drift_planned_for(schedule, efficacy, shape, beta, binding):
    assume(len(schedule) > 1)
    found = design(schedule, efficacy, futility=Spending(shape[0], beta, shape[1]), binding=binding)
    stops = found.exits(found.drift)
    assert stops.upper.sum() == pytest.approx(1 - beta, rel=1e-9)
    assert list(found.beta_spent) == pytest.approx(list(stops.lower.cumsum()), rel=1e-8)
    assert all(low <= high for low, high in zip(found.futility, found.efficacy, strict=True))
    assert found.futility[-1] == found.efficacy[-1]
    null = exit_probabilities(found.information, found.efficacy, found.futility if binding else None)
    assert null.upper.sum() == pytest.approx(efficacy.alpha, rel=1e-9)
    # Whoever overrules non-binding futility, and whoever obeys it, keeps alpha.
    assert found.exits(0.0).upper.sum() <= efficacy.alpha * (1 + 1e-9)


@few
@given(schedules(4), shapes)
def test_binding_futility_lowers_efficacy_bounds_and_power_costs_less(schedule, shape):
    assume(len(schedule) > 1)
    futility = Spending(shape[0], 0.2, shape[1])
    free, bound = (design(schedule, futility=futility, binding=binding) for binding in (False, True))
    assert all(b <= f + 1e-12 for b, f in zip(bound.efficacy, free.efficacy, strict=True))
    assert bound.inflation <= free.inflation + 1e-9


@some
@given(schedules(), spendings())
def test_a_function_of_t_is_a_spending_function(schedule, efficacy):
    def share(t):
        return efficacy.cumulative(t) / efficacy.alpha

    assume(share(schedule[0]) > 1e-200)
    found = design(schedule, Spending(share, efficacy.alpha))
    assert list(design(schedule, efficacy).efficacy) == pytest.approx(list(found.efficacy), rel=1e-9)


@some
@given(schedules(), st.sampled_from(["obrien-fleming", "pocock"]), alphas, st.sampled_from([1, 2]))
def test_classic_bounds_keep_their_shape_and_alpha(schedule, kind, alpha, sides):
    found = classic_design(schedule, kind, alpha, sides=sides)
    constants = [
        z * (math.sqrt(t) if kind == "obrien-fleming" else 1.0) for z, t in zip(found.efficacy, schedule, strict=True)
    ]
    assert constants == pytest.approx([constants[0]] * len(constants), rel=1e-12)
    assert found.exits(0.0).upper.sum() == pytest.approx(alpha, rel=1e-12)


@some
@given(schedules(), spendings(), st.floats(-2.0, 5.0))
def test_the_expected_information_lies_between_the_first_look_and_the_last(schedule, efficacy, drift):
    found = design(schedule, efficacy)
    assert schedule[0] - 1e-12 <= found.expected_information(drift) <= schedule[-1] + 1e-12


@few
@given(schedules(4), spendings(), st.sampled_from([1, 2]), st.floats(-5.0, 7.0), st.data())
def test_p_interval_and_bound_agree(schedule, efficacy, sides, z, data):
    """At a first crossing p <= alpha, limits beyond 0, repeated p <= alpha and z >= bound are one and the same."""
    k = data.draw(st.integers(1, len(schedule)))
    found = design(schedule, efficacy, sides=sides)
    bound = found.efficacy[k - 1]
    assume(abs(abs(z) - bound) > 1e-6)
    # Up to the look before, nothing was crossed.
    said = stage_wise(found, z, 0.1, look=k)
    low, high = said.confidence_interval
    wins = z >= bound
    if wins or k == len(schedule):
        assert (low > 0) is wins
        assert (said.p_value <= efficacy.alpha * sides) is (wins or (sides == 2 and -z >= bound))
    assert low < said.median_unbiased_estimate < high
    level = repeated_p_value(found, z, k)
    assert (level <= efficacy.alpha * sides) is (wins or (sides == 2 and -z >= bound))


@few
@given(schedules(4), st.floats(-5.0, 5.0), st.data())
def test_with_two_sides_a_mirrored_statistic_gives_mirrored_inference(schedule, z, data):
    k = data.draw(st.integers(1, len(schedule)))
    found = design(schedule, sides=2)
    one, other = (stage_wise(found, sign * z, 2.0, look=k) for sign in (1, -1))
    assert one.p_value == pytest.approx(other.p_value, rel=1e-9)
    assert one.median_unbiased_estimate == pytest.approx(-other.median_unbiased_estimate, rel=1e-9, abs=1e-9)
    assert one.confidence_interval == pytest.approx([-x for x in reversed(other.confidence_interval)], rel=1e-9)


@few
@given(schedules(4), spendings(), st.floats(-4.0, 6.0), st.data())
def test_the_confidence_interval_is_where_its_error_probabilities_are(schedule, efficacy, z, data):
    """At each limit, something as large (as small) as this has probability alpha; at the estimate, one half.

    Reference: the definition, Jennison and Turnbull (2000), section 8.5, by the probabilities of the stops themselves.
    """
    k = data.draw(st.integers(1, len(schedule)))
    found = design(schedule, efficacy)
    said = stage_wise(found, z, 1 / math.sqrt(schedule[k - 1]), look=k)

    def as_large(drift):
        return exit_probabilities(schedule[:k], (*found.efficacy[: k - 1], z), drift=drift).upper.sum()

    low, high = said.confidence_interval
    assert as_large(0.0) == pytest.approx(said.p_value, rel=1e-9, abs=1e-14)
    assert as_large(low) == pytest.approx(efficacy.alpha, rel=1e-8)
    assert as_large(said.median_unbiased_estimate) == pytest.approx(0.5, rel=1e-9)
    assert as_large(high) == pytest.approx(1 - efficacy.alpha, rel=1e-9)


def test_stage_wise_intervals_cover_and_the_estimate_is_median_unbiased():
    """1,500 tests that stop early or late at an effect: coverage .95 and median .5, within 4 Monte-Carlo errors."""
    found, drift, runs = design((0.3, 0.6, 1.0)), 2.5, 1500
    t = np.array(found.information)
    rng = np.random.default_rng(20)
    steps = rng.normal(drift * np.diff(t, prepend=0.0), np.sqrt(np.diff(t, prepend=0.0)), (runs, 3))
    covered, below, seen = 0, 0, []
    for path in steps.cumsum(axis=1) / np.sqrt(t):
        said = infer(found, path, max_information=1.0)
        low, high = said.confidence_interval
        covered += low <= drift <= high
        below += said.median_unbiased_estimate < drift
        seen.append(said.estimate)
    assert covered / runs == pytest.approx(0.95, abs=4 * math.sqrt(0.95 * 0.05 / runs))
    assert below / runs == pytest.approx(0.5, abs=4 * math.sqrt(0.25 / runs))
    assert np.mean(seen) - drift > 2 * np.std(seen) / math.sqrt(runs)  # as seen, it is too large on average


def test_where_futility_is_obeyed_the_upper_limit_counts_on_it():
    """Stopping below without saying so misses the upper limit too often; said, it is missed in 2.5% (4 errors)."""
    found, runs = design((0.2, 0.4, 0.6, 0.8, 1.0), futility=Spending("pocock", 0.2)), 1500
    t, drift = np.array(found.information), 1.2 * found.drift
    rng = np.random.default_rng(21)
    steps = rng.normal(drift * np.diff(t, prepend=0.0), np.sqrt(np.diff(t, prepend=0.0)), (runs, 5))
    missed = {True: 0, False: 0}
    for path in (steps.cumsum(axis=1) / np.sqrt(t)).tolist():
        k = next(k for k, z in enumerate(path) if z >= found.efficacy[k] or z <= found.futility[k] or k == 4)
        said = {obeyed: stage_wise(found, path[k], t[k] ** -0.5, look=k + 1, obeyed=obeyed) for obeyed in missed}
        assert said[True].p_value == said[False].p_value
        assert said[True].confidence_interval[0] == said[False].confidence_interval[0]
        for obeyed, one in said.items():
            missed[obeyed] += drift > one.confidence_interval[1]
    assert missed[True] / runs == pytest.approx(0.025, abs=4 * math.sqrt(0.025 * 0.975 / runs))
    assert missed[False] / runs > 0.025 + 2 * math.sqrt(0.025 * 0.975 / runs)

from __future__ import annotations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.special import ndtr, ndtri

from staged_rollout.stats import Spending, inflation, plan_means, plan_rates, two_means_units, two_proportions_units
from staged_rollout.stats.fixed_sample import score_deviations

rates = st.floats(1e-4, 1 - 1e-4)
ratios = st.floats(0.05, 20)
differences = st.floats(-0.2, 0.2)
alphas = st.floats(1e-4, 0.2)
powers = st.floats(0.5, 0.99)
looks = st.integers(1, 6)
shares = st.floats(0.05, 0.95)


@settings(deadline=None)
@given(rates, rates, ratios, differences, alphas, powers)
def test_swapping_variants_or_events_needs_the_same_units(control, treatment, ratio, delta0, alpha, power):
    """Law: which variant is called the control, and which outcome an event, is a matter of names."""
    assume(abs(treatment - control - delta0) > 1e-6)
    found = two_proportions_units(control, treatment, alpha, power, ratio, delta0=delta0)
    swapped = two_proportions_units(treatment, control, alpha, power, 1 / ratio, delta0=-delta0)
    relabelled = two_proportions_units(1 - control, 1 - treatment, alpha, power, ratio, delta0=-delta0)
    assert found == pytest.approx(swapped, rel=1e-6) == pytest.approx(relabelled, rel=1e-6)


@settings(deadline=None)
@given(rates, rates, ratios, differences, alphas, powers)
def test_units_of_rates_have_their_power(control, treatment, ratio, delta0, alpha, power):
    """Law: Phi((sqrt(N) |distance| - z_alpha sd_0) / sd_1) is the power, at a margin and without."""
    distance = abs(treatment - control - delta0)
    assume(distance > 1e-6)
    total = two_proportions_units(control, treatment, alpha, power, ratio, delta0=delta0)
    null, planned = score_deviations(control, treatment, ratio, delta0)
    assert power == pytest.approx(float(ndtr((total**0.5 * distance + ndtri(alpha) * null) / planned)), abs=1e-8)


@given(st.floats(1e-6, 1e6), st.floats(0.01, 2), st.floats(-1, 1), ratios, alphas, powers, st.sampled_from("zt"))
def test_units_of_means_do_not_depend_on_the_unit_of_the_metric(scale, effect, delta0, ratio, alpha, power, method):
    """Law: only the distance from the null hypothesis in standard deviations counts, and never its sign."""
    plain = two_means_units(1.0, effect, alpha, power, ratio, method=method)
    scaled = two_means_units(
        scale, scale * (delta0 - effect), alpha, power, 1 / ratio, delta0=scale * delta0, method=method
    )
    assert plain == pytest.approx(scaled, rel=1e-9)


@given(st.floats(0.01, 2), ratios, alphas, powers)
def test_student_needs_more_units_than_normal(effect, ratio, alpha, power):
    """Law: not knowing the variance costs units."""
    found = two_means_units(1.0, effect, alpha, power, ratio, method="t")
    assert found > two_means_units(1.0, effect, alpha, power, ratio) or found == 3.0


@settings(deadline=None, max_examples=40)
@given(st.sampled_from(["obrien-fleming", "pocock"]), alphas, powers, looks)
def test_looks_cost_units(kind, alpha, power, K):
    """Law: R is 1 with one look, and more with more."""
    factor = inflation([k / K for k in range(1, K + 1)], Spending(kind, alpha), power)
    assert (factor > 1) if K > 1 else (factor == pytest.approx(1.0, abs=1e-12))


@settings(deadline=None, max_examples=40)
@given(st.floats(0.01, 10), st.floats(0.01, 1), alphas, powers, looks, shares)
def test_a_plan_agrees_with_itself(sd, mde, alpha, power, K, share):
    """Law: power at the mde, the mde of the units, and the units of the mde are one and the same plan."""
    plan = plan_means(0.0, sd, mde, alpha=alpha, power=power, looks=K, split=(share, 1 - share))
    assert plan.power_curve([0.0, mde]).tolist() == pytest.approx([alpha, power], rel=1e-9)
    assert plan.minimum_detectable_effect(plan.maximum_units) == pytest.approx(mde, rel=1e-12)
    assert plan.total == sum(plan.units_per_variant)
    assert 0 <= plan.total - plan.maximum_units * (1 - 1e-12) < 2 + 1e-9 * plan.total
    first = plan.maximum_units / K
    assert first * (1 - 1e-12) <= plan.expected_units_h1 <= plan.expected_units_h0 * (1 + 1e-12)
    assert plan.expected_units_h0 <= plan.maximum_units * (1 + 1e-12)


@settings(deadline=None, max_examples=40)
@given(st.floats(0.01, 0.9), st.floats(0.005, 0.09), looks, shares, st.floats(1.05, 20))
def test_more_units_find_less_and_larger_effects_are_found_more(rate, mde, K, share, more):
    """Law: the curve of power over effects rises, and so does power over units; the detectable effect falls."""
    plan = plan_rates(rate, mde, looks=K, split=(share, 1 - share))
    curve = plan.power_curve([mde * step for step in (0.0, 0.3, 0.6, 0.9, 1.05)])
    assert (curve[1:] > curve[:-1]).all()
    assert curve[0] == pytest.approx(0.025, rel=1e-9)
    units = more * plan.maximum_units
    assert plan.power_curve([mde], total_units=units)[0] > plan.power_curve([mde])[0]
    found = plan.minimum_detectable_effect(units)
    assert 0 < found < mde
    assert plan_rates(rate, found, looks=K, split=(share, 1 - share)).maximum_units == pytest.approx(units, rel=1e-9)


@settings(deadline=None, max_examples=25)
@given(st.integers(2, 5), st.floats(0.1, 0.9), looks)
def test_candidates_of_one_size_are_planned_as_a_pair_at_their_share_of_alpha(m, champion, K):
    """Law: m candidates against one champion are m pairs with alpha / m each, and a common champion."""
    each = (1 - champion) / m
    plan = plan_rates(0.1, 0.02, looks=K, split=(champion, *[each] * m))
    pair = plan_rates(0.1, 0.02, looks=K, split=(champion, each), alpha=0.025 / m)
    assert plan.maximum_units * (champion + each) == pytest.approx(pair.maximum_units, rel=1e-12)
    assert len(set(plan.units_per_variant[1:])) == 1

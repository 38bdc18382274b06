from __future__ import annotations

import math
from functools import reduce
from itertools import pairwise

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from staged_rollout.stats import (
    ExceedanceMoments,
    Moments,
    RatioMoments,
    Spending,
    bounds,
    crossing_probabilities,
    difference,
    guard_worsening,
    log_e_difference,
    log_e_which_variant,
    next_bound,
    ratio_difference,
    score_interval,
    score_test,
    score_z,
    sequential_srm,
)

kinds = st.sampled_from(["obrien-fleming", "pocock"])
alphas = st.sampled_from([0.005, 0.02, 0.025, 0.05, 0.2])
spendings = st.builds(Spending, kinds, alphas)
increments = st.lists(st.floats(0.01, 0.5), min_size=1, max_size=6)
counts = st.tuples(st.integers(1, 400), st.integers(1, 400)).flatmap(
    lambda n: st.tuples(st.integers(0, n[0]), st.just(n[0]), st.integers(0, n[1]), st.just(n[1]))
)


def looks(steps):
    total, out = 0.0, []
    for step in steps:
        total += step
        out.append(total)
        if total >= 1:
            break
    return out


@given(spendings, st.lists(st.floats(1e-4, 1.0), min_size=1, max_size=8, unique=True))
def test_increments_sum_to_the_alpha_spent(spending, fractions):
    """Law: what becomes free between looks adds up to what is spent, and to alpha at t = 1."""
    times = [0.0, *sorted(fractions)]
    assume(all(b - a > 1e-9 for a, b in pairwise(times)))
    total = math.fsum(math.exp(spending.log_increment(a, b)) for a, b in pairwise(times))
    assert spending.cumulative(times[-1]) == pytest.approx(total, rel=1e-9, abs=1e-300)
    assert spending.alpha == spending.cumulative(1.0) == spending.cumulative(1.7)


@settings(deadline=None, max_examples=40)
@given(spendings, increments)
def test_bounds_cross_with_the_alpha_spent(spending, steps):
    """Law: under H0, the probability of a first crossing by look k is the alpha spent by look k."""
    found = bounds(looks(steps), spending, final=True)
    crossing = crossing_probabilities([b.information for b in found], [b.z for b in found])
    assert [b.alpha_spent for b in found] == pytest.approx(list(crossing.cumsum()), rel=1e-11, abs=1e-300)
    assert found[-1].alpha_spent == spending.alpha


@settings(deadline=None, max_examples=40)
@given(spendings, increments, st.floats(0.01, 0.5))
def test_an_appended_look_changes_no_past_bound(spending, steps, step):
    """Law: past bounds are frozen; the series is the looks one by one."""
    times = looks(steps)
    assume(times[-1] < 1)
    past = bounds(times, spending)
    whole = bounds([*times, times[-1] + step], spending)
    assert past == whole[:-1]
    assert next_bound(past, times[-1] + step, spending) == whole[-1]


@settings(deadline=None, max_examples=40)
@given(spendings, increments, st.floats(0, 4), st.floats(0.01, 1))
def test_power_rises_with_the_drift(spending, steps, drift, more):
    """Law: a larger effect is found more often, and never more often than always."""
    found = bounds(looks(steps), spending, final=True)
    infos, zs = [b.information for b in found], [b.z for b in found]
    low, high = (float(crossing_probabilities(infos, zs, d).sum()) for d in (drift, drift + more))
    assert 0 < low < high <= 1 + 1e-12


@given(counts, st.floats(-0.9, 0.9))
def test_swapping_variants_mirrors_the_score(n, delta0):
    """Law: exchanging treatment and control changes the sign of z and nothing else."""
    x_t, n_t, x_c, n_c = n
    z, mirrored = score_z(x_t, n_t, x_c, n_c, delta0=delta0), score_z(x_c, n_c, x_t, n_t, delta0=-delta0)
    assert (z is None) == (mirrored is None)
    if z is not None:
        assert z == pytest.approx(-mirrored, rel=1e-9, abs=1e-9)


@settings(max_examples=300, deadline=None)
@given(counts, st.floats(-0.99, 0.99), st.floats(0.5, 9.0))
def test_interval_and_test_never_disagree(n, delta0, z_crit):
    """Law: score_z(delta0) > c exactly when delta0 lies below the interval's lower limit, and mirrored above."""
    low, high = score_interval(*n, z_crit)
    z = score_z(*n, delta0=delta0)
    assume(z is not None and min(abs(delta0 - low), abs(delta0 - high)) > 1e-9)
    assert (delta0 < low) == (z > z_crit)
    assert (delta0 > high) == (z < -z_crit)


margins = st.one_of(st.just(0.0), st.floats(1e-4, 0.5))  # below 0.01pp only rounding is left of both statistics


@given(counts, margins, st.sampled_from(["higher", "lower"]))
def test_relabelling_events_mirrors_the_direction(n, margin, better):
    """Law: counting non-events with the opposite direction gives the same verdict."""
    x_t, n_t, x_c, n_c = n
    other = "lower" if better == "higher" else "higher"
    found = score_test(x_t, n_t, x_c, n_c, margin=margin, better=better)
    mirrored = score_test(n_t - x_t, n_t, n_c - x_c, n_c, margin=margin, better=other)
    assert (found is None) == (mirrored is None)
    if found is not None:
        assert found.z == pytest.approx(mirrored.z, rel=1e-8, abs=1e-8)


values = st.lists(st.integers(-(2**40), 2**40), max_size=12)
pairs = st.lists(st.tuples(st.integers(0, 1000), st.integers(1, 1000)), max_size=12)


@given(st.lists(values, min_size=1, max_size=4), st.randoms())
def test_moments_do_not_depend_on_order_or_grouping(groups, random):
    """Law: merging is associative, commutative and exact, with the empty moments as identity."""
    everything = [value for group in groups for value in group]
    random.shuffle(everything)
    parts = [Moments.from_values(group) for group in groups]
    merged = reduce(Moments.merge, parts, Moments())
    random.shuffle(parts)
    assert merged == reduce(lambda a, b: b.merge(a), parts) == Moments.from_values(everything)


@given(st.lists(pairs, min_size=1, max_size=4), st.randoms())
def test_ratio_moments_do_not_depend_on_order_or_grouping(groups, random):
    """Law: as for moments, products included."""
    everything = [pair for group in groups for pair in group]
    random.shuffle(everything)
    parts = [RatioMoments.from_values([y for y, _ in group], [d for _, d in group]) for group in groups]
    merged = reduce(RatioMoments.merge, parts, RatioMoments())
    random.shuffle(parts)
    assert merged == reduce(lambda a, b: b.merge(a), parts)
    assert merged == RatioMoments.from_values([y for y, _ in everything], [d for _, d in everything])


latencies = st.lists(st.lists(st.sampled_from([1.0, 5.0, 10.0, 30.0, math.inf]), min_size=1, max_size=4), max_size=8)


@given(latencies, latencies)
def test_exceedances_do_not_depend_on_order_or_grouping(first, second):
    """Law: as for moments, at every threshold."""
    grid = (2.0, 5.0, 20.0)
    a, b = ExceedanceMoments.from_latencies(first, grid), ExceedanceMoments.from_latencies(second, grid)
    assert a.merge(b) == b.merge(a) == ExceedanceMoments.from_latencies([*second, *first], grid)
    assert a.merge(ExceedanceMoments.empty(3)) == a


@given(
    st.lists(st.integers(-1000, 1000), min_size=2, max_size=9),
    st.lists(st.integers(-1000, 1000), min_size=2, max_size=9),
)
def test_swapping_variants_mirrors_a_difference_of_means(a, b):
    """Law: exchanging treatment and control changes the sign and nothing else."""
    found = difference(Moments.from_values(a), Moments.from_values(b), 0.1)
    mirrored = difference(Moments.from_values(b), Moments.from_values(a), 0.1)
    assert (found is None) == (mirrored is None)
    if found is not None:
        assert (-found.estimate, found.se, -found.z()) == (mirrored.estimate, mirrored.se, mirrored.z())


@given(pairs, pairs)
def test_a_ratio_with_equal_denominators_is_a_mean(a, b):
    """Law: with one request per unit the delta method is the ordinary variance."""
    y_a, y_b = [y for y, _ in a], [y for y, _ in b]
    ratio = ratio_difference(RatioMoments.from_values(y_a, [1] * len(a)), RatioMoments.from_values(y_b, [1] * len(b)))
    mean = difference(Moments.from_values(y_a), Moments.from_values(y_b))
    assert (ratio is None) == (mean is None)
    if ratio is not None:
        assert (mean.estimate, mean.se) == pytest.approx((ratio.estimate, ratio.se), rel=1e-12)


@given(st.lists(st.tuples(st.integers(0, 60), st.floats(0.05, 20)), min_size=2, max_size=5), st.floats(0.5, 5000))
def test_srm_e_value_is_a_martingale(variants, prior):
    """Law: under the planned weights one more unit leaves the expected e-value as it is; it starts at 1."""
    now, weights = [n for n, _ in variants], [w for _, w in variants]
    result = sequential_srm(now, weights, alpha=0.001, prior=prior)
    after = []
    for i, share in enumerate(result.weights):
        more = [n + (i == j) for j, n in enumerate(now)]
        step = sequential_srm(more, weights, alpha=0.001, prior=prior).log_e - result.log_e
        after.append(share * math.exp(step))
    assert math.fsum(after) == pytest.approx(1.0, rel=1e-9)
    assert sequential_srm([0] * len(now), weights, alpha=0.001, prior=prior).log_e == 0.0


@given(st.integers(0, 30), st.integers(0, 30), st.floats(0.05, 0.95), st.floats(0, 1))
def test_which_variant_e_value_is_a_supermartingale(k_t, k_c, share, part):
    """Law: a fair game at the planned share, a losing one below it; always positive, starting at 1."""
    now = log_e_which_variant(k_t, k_c, share)
    up = math.exp(log_e_which_variant(k_t + 1, k_c, share) - now)
    down = math.exp(log_e_which_variant(k_t, k_c + 1, share) - now)
    assert share * up + (1 - share) * down == pytest.approx(1.0, rel=1e-8)
    assert part * share * up + (1 - part * share) * down <= 1 + 1e-8
    assert abs(log_e_which_variant(0, 0, share)) < 1e-12


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 15), st.integers(1, 15), st.floats(0, 1), st.floats(0, 1), st.floats(0, 0.9))
def test_difference_e_value_is_worth_at_most_one_under_the_null(n_t, n_c, p_c, part, allowed):
    """Law: for every pi_T <= pi_C + allowed the expected e-value is at most 1 (exact enumeration)."""
    p_c, part = round(p_c, 9), round(part, 9)  # scipy's binomial overflows at subnormal probabilities
    p_t = part * min(1.0, p_c + allowed)
    expected = math.fsum(
        binom.pmf(k_t, n_t, p_t) * binom.pmf(k_c, n_c, p_c) * math.exp(log_e_difference(k_t, n_t, k_c, n_c, allowed))
        for k_t in range(n_t + 1)
        for k_c in range(n_c + 1)
    )
    assert expected <= 1 + 1e-9


errors = st.lists(st.integers(0, 20), min_size=1, max_size=60)


@settings(max_examples=100, deadline=None)
@given(errors, errors, st.floats(0, 0.3), st.floats(0.1, 0.9))
def test_guard_is_total_and_never_blames_both(a, b, margin, share):
    """Law: any totals give finite evidence, and of two variants at most one is worse than the other."""
    sides = [RatioMoments.from_values(y, [20] * len(y)) for y in (a, b)]
    units = [sum(y > 0 for y in side) for side in (a, b)]
    found = guard_worsening(*sides, margin=margin, alpha=0.05, error_units=(units[0], units[1]), design_share=share)
    mirrored = guard_worsening(
        *reversed(sides), margin=margin, alpha=0.05, error_units=(units[1], units[0]), design_share=1 - share
    )
    assert all(math.isfinite(g.log_e) and g.alarm == (g.log_e >= g.threshold_log) for g in (found, mirrored))
    assert not (found.alarm and mirrored.alarm)

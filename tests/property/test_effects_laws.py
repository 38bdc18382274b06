"""Laws of effects from moments: exact sums, mirrored variants, units of measurement, and what a shift cannot change."""

from __future__ import annotations

import dataclasses
import math
import pickle
from functools import reduce

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from staged_rollout.stats import (
    Cap,
    CovariateMoments,
    ExceedanceMoments,
    Moments,
    RatioMoments,
    cohens_d,
    cohens_h,
    cuped_difference,
    difference,
    quantise,
    rate_difference,
    rate_lift,
    ratio_difference,
    relative_lift,
    score_z,
    stratified_difference,
    threshold_grid,
    winsorise,
)

ints = st.integers(-(10**9), 10**9)
values = st.lists(st.integers(-1000, 1000), min_size=2, max_size=12)
pairs = st.lists(st.tuples(ints, ints), max_size=6)
counts = st.tuples(st.integers(1, 300), st.integers(1, 300)).flatmap(
    lambda n: st.tuples(st.integers(0, n[0]), st.just(n[0]), st.integers(0, n[1]), st.just(n[1]))
)
GRID = threshold_grid(10.0)

KINDS = {
    "mean": lambda units: Moments.from_values([y for y, _ in units], 0.001),
    "ratio": lambda units: RatioMoments.from_values([y for y, _ in units], [abs(x) for _, x in units], 0.5),
    "covariate": lambda units: CovariateMoments.from_values([y for y, _ in units], [x for _, x in units], 0.5, 2),
    "winsorised": lambda units: winsorise([y for y, _ in units], Cap(-1000.0, 10.0**6)),
    "exceedance": lambda units: ExceedanceMoments.from_latencies([(y % 97, x % 89) for y, x in units], GRID),
}


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=40, deadline=None)
@given(groups=st.lists(pairs, min_size=1, max_size=5), random=st.randoms(use_true_random=False))
def test_sums_are_the_same_bytes_in_every_order_and_split(kind, groups, random):
    """Law: merge is associative and commutative, and the bytes are those of all units at once."""
    build = KINDS[kind]
    everything = [unit for group in groups for unit in group]
    random.shuffle(everything)
    parts = [build(group) for group in groups]
    left = reduce(lambda a, b: a.merge(b), parts)
    right = reduce(lambda a, b: b.merge(a), reversed(parts))
    random.shuffle(parts)
    mixed = reduce(lambda a, b: b.merge(a), parts)
    whole = build(everything)
    assert 1 == len({pickle.dumps(dataclasses.astuple(sums)) for sums in (left, right, mixed, whole)})
    assert whole.merge(build([])) == whole


def mirrored(found, other):
    """Whether `other` is `found` with treatment and control exchanged."""
    if found is None or other is None:
        return found is other
    return (-found.estimate, found.se, found.control, found.treatment, found.se_control, found.n_control) == (
        other.estimate,
        other.se,
        other.treatment,
        other.control,
        other.se_treatment,
        other.n_treatment,
    )


@given(values, values)
def test_swapping_variants_mirrors_every_difference(a, b):
    """Law: exchanging treatment and control changes the sign and nothing else."""
    t, c = Moments.from_values(a), Moments.from_values(b)
    assert mirrored(difference(t, c, 0.1), difference(c, t, 0.1))
    d_a = [abs(x) + 1 for x in reversed(a)]
    r_t, r_c = RatioMoments.from_values(a, d_a), RatioMoments.from_values(b, [1] * len(b))
    assert mirrored(ratio_difference(r_t, r_c, 0.1), ratio_difference(r_c, r_t, 0.1))
    for weights in ("precision", "size"):
        found = stratified_difference([(t, c), (c, c)], 0.1, weights=weights)
        assert mirrored(found, stratified_difference([(c, t), (c, c)], 0.1, weights=weights))
    d, swapped = cohens_d(t, c), cohens_d(c, t)
    assert (d is None and swapped is None) or -d == swapped


@given(counts)
def test_swapping_variants_mirrors_rates(counts):
    """Law: differences change sign, ratios turn over."""
    x_t, n_t, x_c, n_c = counts
    assert mirrored(rate_difference(*counts), rate_difference(x_c, n_c, x_t, n_t))
    assert -cohens_h(x_t / n_t, x_c / n_c) == cohens_h(x_c / n_c, x_t / n_t)
    lift, turned = rate_lift(*counts, 1.96), rate_lift(x_c, n_c, x_t, n_t, 1.96)
    if lift is not None and turned is not None:
        assert (1 / (1 + lift.high), 1 / (1 + lift.low)) == pytest.approx((1 + turned.low, 1 + turned.high), rel=1e-9)


@given(counts, st.floats(0.01, 9.0))
def test_rate_lift_agrees_with_the_score_test(counts, z_crit):
    """Law: lift 0 is possible exactly if the score test at margin 0 does not reject at the same bound."""
    z, lift = score_z(*counts), rate_lift(*counts, z_crit)
    assume(z is not None and lift is not None and abs(abs(z) - z_crit) > 1e-7)
    assert lift.bounded
    assert math.isfinite(lift.high)
    assert -1 <= lift.low <= lift.estimate <= lift.high
    assert (abs(z) < z_crit) == lift.contains(0.0)


@given(values, values, st.floats(0.01, 9.0), st.floats(-20, 20))
def test_fieller_agrees_with_the_difference(a, b, z_crit, other):
    """Law: lift 0 is possible exactly if |z| <= z_crit, and any lift exactly if its own test says so."""
    found = difference(Moments.from_values(a), Moments.from_values(b))
    assume(found is not None)
    lift = relative_lift(found, z_crit)
    if lift is None:
        assert found.control == 0
        return
    for value in (0.0, other):
        r = 1 + value
        se = math.hypot(found.se_treatment, r * found.se_control)
        assume(se > 0)
        z = (found.treatment - r * found.control) / se
        assume(abs(abs(z) - z_crit) > 1e-6 * max(1.0, z_crit))
        assert (abs(z) < z_crit) == lift.contains(value)


@given(values, values, st.integers(-(10**11), 10**11), st.sampled_from([0.001, 0.5, 3.0, 1e6]))
def test_means_shift_and_scale(a, b, shift, resolution):
    """Law: a common shift leaves difference and error as they are, to the last bit; a resolution multiplies both."""
    plain = difference(Moments.from_values(a), Moments.from_values(b))
    assume(plain is not None)
    moved = difference(Moments.from_values([x + shift for x in a]), Moments.from_values([x + shift for x in b]))
    assert (plain.estimate, plain.se) == (moved.estimate, moved.se)
    scaled = difference(Moments.from_values(a), Moments.from_values(b), resolution)
    assert (plain.estimate * resolution, plain.se * resolution) == pytest.approx(
        (scaled.estimate, scaled.se), rel=1e-14
    )
    assert plain.z() == pytest.approx(scaled.z(), rel=1e-14)


@given(values, st.floats(0.001, 1000))
def test_quantised_values_are_the_moments_at_their_resolution(a, resolution):
    """Law: a mean is within half a step of that of the values."""
    numbers = [x * 0.37 for x in a]
    moments = Moments.from_values(numbers, resolution)
    assert sum(quantise(x, resolution) for x in numbers) == moments.s
    assert abs(moments.mean(resolution) - np.mean(numbers)) <= resolution * (0.5 + 1e-9)


def units(rng, n):
    x = rng.integers(-50, 50, n)
    return (2 * x + rng.integers(-60, 60, n)).tolist(), x.tolist()


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 2**32 - 1), st.integers(200, 260), st.integers(200, 260), st.integers(-999, 999), st.integers(1, 9)
)
def test_cuped_is_least_squares_and_does_not_care_how_the_past_is_measured(seed, n_t, n_c, shift, scale):
    """Law: the estimate of the analysis of covariance; shifting or scaling x changes theta's unit and no bit else."""
    rng = np.random.default_rng(seed)
    (y_t, x_t), (y_c, x_c) = units(rng, n_t), units(rng, n_c)
    found = cuped_difference(CovariateMoments.from_values(y_t, x_t), CovariateMoments.from_values(y_c, x_c))
    design = np.column_stack([np.ones(n_t + n_c), np.repeat([1.0, 0.0], [n_t, n_c]), x_t + x_c])
    _, effect, theta = np.linalg.lstsq(design, np.array(y_t + y_c, float))[0]
    assert (effect, theta) == pytest.approx((found.estimate, found.theta), rel=1e-9, abs=1e-9)
    sides = [([scale * x + shift for x in xs], ys) for xs, ys in ((x_t, y_t), (x_c, y_c))]
    moved = cuped_difference(*(CovariateMoments.from_values(ys, xs) for xs, ys in sides))
    same = dataclasses.replace(moved, theta=found.theta)
    assert found == same
    assert found.theta / scale == pytest.approx(moved.theta, rel=1e-14)
    swapped = cuped_difference(CovariateMoments.from_values(y_c, x_c), CovariateMoments.from_values(y_t, x_t))
    assert mirrored(found, swapped)
    assert found.theta == swapped.theta


@given(st.lists(st.tuples(values, values), min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_strata_add_up_in_any_order(strata, random):
    """Law: the order of days leaves no trace, and a baseline of each day's own none beyond rounding."""
    days = [(Moments.from_values(t), Moments.from_values(c)) for t, c in strata]
    moved = [
        (Moments.from_values([x + 1000 * day for x in t]), Moments.from_values([x + 1000 * day for x in c]))
        for day, (t, c) in enumerate(strata)
    ]
    for weights in ("precision", "size"):
        found = stratified_difference(days, weights=weights)
        again = stratified_difference(random.sample(days, len(days)), weights=weights)
        assert found == again
        shifted = stratified_difference(moved, weights=weights)
        assert (found is None) == (shifted is None)
        if found is not None:
            assert (found.estimate, found.se) == pytest.approx((shifted.estimate, shifted.se), rel=1e-9, abs=1e-9)


@given(values, st.integers(-500, 0), st.integers(1, 500))
def test_capping_is_idempotent_and_never_widens(a, low, high):
    """Law: capped values stay as they are when capped again, and vary no more than before."""
    cap = Cap(float(low), float(high))
    once = winsorise(a, cap)
    again = winsorise([cap.apply(x) for x in a], cap)
    assert (once.s, once.ss, 0, 0) == (again.s, again.ss, again.capped_below, again.capped_above)
    assert once.variance() <= Moments.from_values(a).variance()
    assert once.capped_below == sum(x < low for x in a)
    assert once.capped_above == sum(x > high for x in a)


@given(st.lists(st.tuples(values, values), min_size=1, max_size=4), st.sampled_from([0.001, 0.5, 3.0, 1e6]))
def test_ratios_and_strata_scale(strata, resolution):
    """Law: a resolution multiplies difference and error, and leaves z and lift as they are."""
    days = [(Moments.from_values(t), Moments.from_values(c)) for t, c in strata]
    ratios = [
        RatioMoments.from_values([y for ys in side for y in ys], [abs(y) + 1 for ys in side for y in ys])
        for side in zip(*strata, strict=True)
    ]
    for plain, scaled in (
        (stratified_difference(days), stratified_difference(days, resolution)),
        (ratio_difference(*ratios), ratio_difference(*ratios, resolution)),
    ):
        assert (plain is None) == (scaled is None)
        if plain is not None:
            expected = plain.estimate * resolution, plain.se * resolution
            assert expected == pytest.approx((scaled.estimate, scaled.se), rel=1e-12, abs=1e-12 * resolution)
            assert plain.z() == pytest.approx(scaled.z(), rel=1e-9, abs=1e-9)

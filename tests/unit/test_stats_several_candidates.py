from __future__ import annotations

import math

import numpy as np
import pytest

from staged_rollout.errors import StatisticsError
from staged_rollout.stats import Spending, bounds, candidate_alpha, choose_winner


def test_the_largest_z_among_those_that_pass_wins():
    found = choose_winner([2.9, 3.4, None, 2.95], [2.4, 2.4, 2.4, 3.0], eligible=[True, True, True, True])
    assert (found.passed, found.winner) == ((True, True, False, False), 1)
    assert [row["winner"] for row in found.rows()] == [False, True, False, False]
    assert found.to_frame().shape == (4, 5)


def test_who_may_not_be_promoted_does_not_win():
    assert choose_winner([2.9, 3.4], [2.4, 2.4], eligible=[True, False]).winner == 0


def test_nobody_wins_below_the_bounds():
    assert choose_winner([2.3, None], [2.4, 2.4]).winner is None


def test_at_the_bound_it_passes_and_of_equals_the_first_wins():
    assert choose_winner([2.4, 2.4], [2.4, 2.4]).winner == 0


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: choose_winner([], []), "0 statistics, 0 bounds"),
        (lambda: choose_winner([1.0], [2.0, 2.0]), "1 statistics, 2 bounds"),
        (lambda: choose_winner([math.nan], [2.0]), r"z\[0\] == nan"),
        (lambda: choose_winner([1.0], [math.inf]), r"bounds\[0\] == inf"),
        (lambda: candidate_alpha(0.025, 0), "candidates == 0"),
        (lambda: candidate_alpha(0.6, 2), "alpha == 0.6"),
    ],
)
def test_unusable_numbers_are_refused_with_value_and_hint(call, words):
    with pytest.raises(StatisticsError, match=words) as caught:
        call()
    assert caught.value.hint


@pytest.mark.parametrize("better", [0, 1], ids=["none-is-better", "one-is-better"])
def test_any_false_promotion_has_at_most_alpha(better):
    """Law: three candidates, one shared control, five looks: P(a candidate that is no better wins) <= alpha.

    20,000 runs: five Monte Carlo errors are 0.0055. One of them being better by 3.5 standard errors at the last look
    adds nothing, and it is found.
    """
    alpha, runs, m = 0.025, 20_000, 3
    rng = np.random.default_rng(31)
    t = np.array([0.2, 0.4, 0.6, 0.8, 1.0])
    steps = rng.normal(0, np.sqrt(0.2), (runs, 5, m + 1)).cumsum(axis=1)
    z = (steps[:, :, :m] - steps[:, :, m:]) / np.sqrt(2 * t)[None, :, None]
    z[:, :, :better] += 3.5 * np.sqrt(t)[None, :, None]
    plan = [bound.z for bound in bounds(t, Spending("obrien-fleming", candidate_alpha(alpha, m)))]
    false, found = 0, 0
    for run in np.flatnonzero((z >= np.array(plan)[:, None]).any(axis=(1, 2))):
        for look, bound in enumerate(plan):
            winner = choose_winner(z[run, look].tolist(), [bound] * m).winner
            if winner is not None:
                false += winner >= better
                found += winner < better
                break
    assert false / runs <= alpha + 5 * math.sqrt(alpha * (1 - alpha) / runs)
    assert false / runs >= 0.015 * (better == 0)
    assert found / runs >= 0.8 * better

"""The harm budget: a rollout that does no harm is rolled back for harm in at most 5% of cases, all tests together."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from staged_rollout.operations.look_guardrails import HARM_ALPHA_GUARDRAILS, guard_alpha
from staged_rollout.operations.look_success import HARM_ALPHA_BAKE, HARM_ALPHA_LIVE
from staged_rollout.state import State, candidate_share
from staged_rollout.stats import RatioMoments, guard_worsening

REQUESTS = 20
"""Per unit and stay, clustered: a unit's own error rate is beta-distributed with an intra-class correlation of 0.3."""
UNITS = 500
"""Units of each stay."""
LOOKS = 5
"""Evenly spread over the units of each stay."""
RATE, MARGIN, ICC = 0.05, 0.01, 0.3
SUM = 0.05


def changed(churn, guardrails=1, canary=3, promote=2, watched=0):
    """The churn example with other numbers of guardrails and steps; shares still rise, and end at 1 - holdback."""
    rule = {"worse_by": {"value": MARGIN, "kind": "absolute"}}
    names = {f"guardrail_{number}": rule for number in range(guardrails)}
    names |= {f"watched_{number}": rule | {"action": "watch"} for number in range(watched)}
    stages = churn["stages"] | {
        "canary": [{"share": 0.4 * (step + 1) / canary, "for": "1d"} for step in range(canary)],
        "promote": [{"share": 0.5 + 0.45 * (step + 1) / promote, "for": "1d"} for step in range(promote)],
    }
    return churn | {"guardrails": names, "stages": stages}


def stays(rollouts, churn):
    """A state of every stay in which rows of its own are read by a guardrail's guard."""
    built = rollouts(churn)
    stages = built.spec.stages
    path = [
        *((State.CANARY, step) for step in range(1, len(stages.canary) + 1)),
        (State.LIVE, 0),
        *((State.PROMOTING, step) for step in range(1, len(stages.promote) + 1)),
        (State.BAKING, 0),
    ]
    built.register().enter(State.SHADOW)
    found = []
    for state, step in path:
        found.append(built.enter(state, step).publish().state)
    return found


@pytest.mark.parametrize("guardrails", [1, 2, 3])
@pytest.mark.parametrize("canary", [1, 3, 9])
@pytest.mark.parametrize("promote", [1, 2, 7])
def test_all_tests_of_harm_together_have_five_percent(rollouts, churn, guardrails, canary, promote):
    """Primary harm in LIVE .020 and BAKE .005, guardrails .025, for any number of guardrails and steps."""
    found = stays(rollouts, changed(churn, guardrails, canary, promote))
    assert len(found) == canary + 1 + promote + 1
    of_guardrails = guardrails * sum(guard_alpha(state) for state in found)
    assert of_guardrails == pytest.approx(HARM_ALPHA_GUARDRAILS)
    assert HARM_ALPHA_LIVE + HARM_ALPHA_BAKE + of_guardrails <= SUM + 1e-12


def test_the_budget_is_split_equally_over_canary_live_and_what_follows(rollouts, churn):
    found = stays(rollouts, changed(churn, guardrails=2))
    by_third = {"canary": 0.0, "live": 0.0, "after": 0.0}
    for state in found:
        third = {State.CANARY: "canary", State.LIVE: "live"}.get(state.state, "after")
        by_third[third] += guard_alpha(state)
    assert by_third == pytest.approx(dict.fromkeys(by_third, 0.025 / 2 / 3))


def test_a_guardrail_that_is_only_watched_takes_nothing_from_the_budget(rollouts, churn):
    acting = [guard_alpha(state) for state in stays(rollouts, changed(churn, guardrails=1))]
    beside = [guard_alpha(state) for state in stays(rollouts, changed(churn, guardrails=1, watched=2))]
    assert beside == acting


def test_waiting_for_an_approval_spends_nothing_more(rollouts):
    """AWAITING_APPROVAL reads LIVE's document and rows: the guard goes on at LIVE's alpha, on the same data."""
    built = rollouts().at(State.LIVE)
    live = guard_alpha(built.state)
    assert guard_alpha(built.enter(State.AWAITING_APPROVAL).state) == live


def alarms_in_a_stay(rng, alpha, share):
    """Whether the guard ever alarms on one stay's units at the margin: errors cluster within units."""
    arm = rng.random(UNITS) < share
    k = (1 - ICC) / ICC
    rates = np.where(arm, RATE + MARGIN, RATE)
    y = rng.binomial(REQUESTS, rng.beta(rates * k, (1 - rates) * k))
    edges = [UNITS * look // LOOKS for look in range(LOOKS + 1)]
    assert all(before < after for before, after in pairwise(edges))
    for seen in edges[1:]:
        moments, errors = [], []
        for side in (arm[:seen], ~arm[:seen]):
            mine, n = y[:seen][side], int(side.sum())
            sy, syy = int(mine.sum()), int((mine * mine).sum())
            moments.append(RatioMoments(n, sy, syy, n * REQUESTS, n * REQUESTS**2, sy * REQUESTS))
            errors.append(int((mine > 0).sum()))
        result = guard_worsening(*moments, margin=MARGIN, alpha=alpha, error_units=tuple(errors), design_share=share)
        if result.alarm:
            return True
    return False


@pytest.mark.slow
def test_the_guard_of_a_harmless_rollout_alarms_in_at_most_five_percent(rollouts, churn):
    """Law: 2,000 rollouts at the margin, each stay with fresh clustered units and its own alpha, watched repeatedly."""
    plan = []
    for state in stays(rollouts, changed(churn, canary=2, promote=1)):
        promoting = state.state in {State.PROMOTING, State.BAKING}
        plan.append((guard_alpha(state), candidate_share(state) if promoting else 0.5))
    assert sum(alpha for alpha, _ in plan) == pytest.approx(HARM_ALPHA_GUARDRAILS)
    rng = np.random.default_rng(20260302)
    runs = 2000
    alarmed = sum(any(alarms_in_a_stay(rng, *stay) for stay in plan) for _ in range(runs))
    assert alarmed <= SUM * runs

"""What routers and endpoint should be in each state of the churn example, figure by figure."""

from __future__ import annotations

import pytest

from staged_rollout.assignment import VariantRef
from staged_rollout.state import (
    DesiredEndpoint,
    DesiredRouting,
    DesiredVariant,
    State,
    candidate_share,
    desired,
    stage_label,
)

CHAMPION = VariantRef(name="v2", version="2")
CANDIDATE = VariantRef(name="v3", version="3")


def champion(weight: float) -> DesiredVariant:
    return DesiredVariant("v2", "2", "models:/churn/2", weight)


def candidate(weight: float) -> DesiredVariant:
    return DesiredVariant("v3", "3", "models:/churn/3", weight)


IDLE = DesiredRouting(None, None, 0, CHAMPION, None, 0.0, 0.0)
ALONE = DesiredEndpoint((champion(1.0),), None)
WARM = DesiredEndpoint((champion(1.0), candidate(0.0)), None)


@pytest.mark.parametrize(
    ("state", "routing", "endpoint"),
    [
        (State.REGISTERED, IDLE, ALONE),
        (
            State.SHADOW,
            DesiredRouting("churn-v3", "shadow", 0, CHAMPION, None, 0.0, 0.0),
            DesiredEndpoint((champion(1.0),), candidate(1.0)),
        ),
        (State.CANARY, DesiredRouting("churn-v3", "canary", 1, CHAMPION, CANDIDATE, 0.02, 0.0), WARM),
        (State.LIVE, DesiredRouting("churn-v3", "live", 0, CHAMPION, CANDIDATE, 1.0, 0.0), WARM),
        (State.AWAITING_APPROVAL, DesiredRouting("churn-v3", "live", 0, CHAMPION, CANDIDATE, 1.0, 0.0), WARM),
        (
            State.PROMOTING,
            DesiredRouting("churn-v3", "promoting", 1, CHAMPION, CANDIDATE, 1.0, 0.75),
            DesiredEndpoint((champion(0.25), candidate(0.75)), None),
        ),
        (
            State.BAKING,
            DesiredRouting("churn-v3", "baking", 0, CHAMPION, CANDIDATE, 1.0, 0.95),
            DesiredEndpoint((champion(1.0 - 0.95), candidate(0.95)), None),
        ),
        (
            State.PROMOTED,
            DesiredRouting(None, None, 0, CANDIDATE, None, 0.0, 0.0),
            DesiredEndpoint((candidate(1.0),), None),
        ),
        (State.ROLLING_BACK, IDLE, ALONE),
        (State.ROLLED_BACK, IDLE, ALONE),
        (State.KEPT_CHAMPION, IDLE, ALONE),
        (State.CANCELLED, IDLE, ALONE),
    ],
    ids=str,
)
def test_the_target_of_each_state(rollouts, state, routing, endpoint):
    target = desired(rollouts().at(state).state)
    assert target.routing == routing
    assert target.endpoint == endpoint


@pytest.mark.parametrize(("step", "share", "enrolled"), [(1, 0.01, 0.02), (2, 0.05, 0.1), (3, 0.25, 0.5)])
def test_a_canary_step_enrols_twice_its_share_of_a_half_split(rollouts, step, share, enrolled):
    """Of a 50/50 rollout, a 5% canary means 10% enrolled, 5% on the candidate, 5% on the champion as its control."""
    built = rollouts().at(State.CANARY)
    for following in range(2, step + 1):
        built.enter(State.CANARY, following)
    assert candidate_share(built.state) == share
    assert desired(built.state).routing.enrolled == pytest.approx(enrolled)


def test_waiting_for_approval_publishes_the_document_of_live(rollouts):
    """Nothing outside changes while a person thinks."""
    assert desired(rollouts().at(State.AWAITING_APPROVAL).state) == desired(rollouts().at(State.LIVE).state)


def test_the_last_promote_step_is_the_share_of_baking(rollouts):
    last = rollouts().at(State.PROMOTING).enter(State.PROMOTING, 2).state
    assert candidate_share(last) == candidate_share(rollouts().at(State.BAKING).state) == 0.95


def test_stages_have_names_while_a_rollout_runs():
    assert {state: stage_label(state) for state in State if stage_label(state)} == {
        State.SHADOW: "shadow",
        State.CANARY: "canary",
        State.LIVE: "live",
        State.AWAITING_APPROVAL: "live",
        State.PROMOTING: "promoting",
        State.BAKING: "baking",
    }

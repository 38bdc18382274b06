"""Laws of the fold and of the target, over any walk through the states and any lawful shares."""

from __future__ import annotations

import copy
from dataclasses import fields, replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from staged_rollout.assignment import AssignmentDocument, assign
from staged_rollout.errors import LedgerCorruptError
from staged_rollout.state import (
    EXPOSED,
    TERMINAL,
    TRANSITIONS,
    EventType,
    HoldReason,
    RolloutState,
    State,
    apply,
    candidate_share,
    desired,
    fold,
)

BEFORE_PROMOTION = {State.REGISTERED, State.SHADOW, State.CANARY, State.LIVE, State.AWAITING_APPROVAL}
CHAMPION_ONLY = {State.REGISTERED, State.ROLLING_BACK, State.ROLLED_BACK, State.KEPT_CHAMPION, State.CANCELLED}

states = st.sampled_from(State)
reasons = st.sampled_from(HoldReason)
choices = st.lists(st.integers(0, 10**6), max_size=25)
percent = st.integers(1, 99).map(lambda value: value / 100)


@st.composite
def shares(draw: st.DrawFn) -> dict[str, Any]:
    """Split, canary, promotion and holdback as the linter would let them pass: rising, canary <= split <= promotion."""
    split = draw(percent)
    canary = sorted(draw(st.lists(st.floats(0.001, split), min_size=1, max_size=4)))
    promote = sorted(draw(st.lists(st.floats(split, 1.0), min_size=1, max_size=3)))
    return {
        "canary": [{"share": share, "for": "1d"} for share in canary],
        "live": {"split": [1 - split, split], "looks": {"every": "1d"}, "min": "7d", "max": "14d"},
        "promote": [{"share": share} for share in promote],
        "bake": {"for": "2d", "holdback": draw(st.floats(0.0, 1 - promote[-1]))},
    }


def walk(built: Any, choices: list[int]) -> Any:
    """A registered rollout after one lawful event for each choice."""
    built.register()
    for choice in choices:
        step(built, choice)
    return built


def step(built: Any, choice: int) -> None:
    """One lawful event: more often than not a move, so that walks come far."""
    state = built.state
    moves = [move for move in sorted(TRANSITIONS[state.state]) if lawful(state, move)]
    kind = choice % 8
    if kind < 4 and moves:
        move = moves[choice // 8 % len(moves)]
        first = 1 if move in {State.CANARY, State.PROMOTING} else 0
        endings = sorted(TRANSITIONS[State.ROLLING_BACK])
        ending = endings[choice // 64 % 3] if move is State.ROLLING_BACK else None
        built.enter(move, state.step + 1 if move is state.state else first, ending)
    elif kind == 4:
        built.publish()
    elif kind == 5:
        built.hold(list(HoldReason)[choice // 8 % len(HoldReason)])
    elif kind == 6:
        built.release(list(HoldReason)[choice // 8 % len(HoldReason)])
    elif state.planned is None:
        built.plan_look(state.looks[-1].slot + 1 + choice // 8 % 3 if state.looks else 1)
    else:
        built.take_look(state.planned.slot)


def lawful(state: RolloutState, move: State) -> bool:
    stages = state.spec.stages
    if state.state is State.ROLLING_BACK:
        return move is state.ending
    if move is state.state:
        return state.step < len(stages.canary if move is State.CANARY else stages.promote)
    return True


def document(state: RolloutState) -> AssignmentDocument:
    """The document that would be published for a state; it validates, or this raises."""
    routing = desired(state).routing
    return AssignmentDocument(
        endpoint=state.spec.endpoint,
        epoch=1,
        rollout=routing.rollout,
        stage=routing.stage,
        step=routing.step,
        champion=routing.champion,
        candidate=routing.candidate,
        split=state.spec.stages.live.split[1],
        enrolled=routing.enrolled,
        share=routing.share,
        published_at=state.last_at,
    )


@given(choices=choices)
def test_the_fold_is_a_function_and_can_be_taken_in_two_parts(rollouts, choices):
    """fold(events) == apply(fold(prefix), rest), for every prefix; folding again gives the same."""
    events = walk(rollouts(), choices).events
    whole = fold(events)
    state = None
    for count, event in enumerate(events, start=1):
        state = apply(state, event)
        assert state == fold(events[:count])
        assert (state.seq, state.prefix_hash, state.last_at) == (event.seq, event.hash, event.at)
    assert state == whole == fold(copy.deepcopy(events))


@given(choices=choices)
def test_folding_an_event_leaves_the_state_before_it_alone(rollouts, choices):
    """A state is a value: what was read before an event still says what it said."""
    built = walk(rollouts(), choices)
    before = built.state
    kept = copy.deepcopy(before)
    step(built, 5)
    apply(before, built.events[-1])
    assert before == kept


@given(ending=st.sampled_from(sorted(TERMINAL)), choices=choices)
def test_terminal_states_stay_terminal(rollouts, ending, choices):
    """Whatever happens after an ending, the state, its stays and its reason remain."""
    built = rollouts().at(ending)
    ended = built.state
    for choice in choices:
        step(built, choice)
    after = built.state
    for name in ("state", "step", "ending", "reason", "stages"):
        assert getattr(after, name) == getattr(ended, name)


@given(ended=st.sampled_from(sorted(TERMINAL)), move=states, steps=st.integers(0, 4))
def test_no_event_leaves_an_ending(rollouts, ended, move, steps):
    """Every move out of a terminal state is refused."""
    built = rollouts().at(ended).enter(move, steps, State.ROLLED_BACK)
    with pytest.raises(LedgerCorruptError):
        fold(built.events)


@given(choices=choices)
def test_each_move_is_one_of_the_table(rollouts, choices):
    """The stays of any rollout are a path through TRANSITIONS, with steps that count up from 1."""
    stays = walk(rollouts(), choices).state.stages
    assert stays[0].state is State.REGISTERED
    for before, after in pairwise(stays):
        assert after.state in TRANSITIONS[before.state]
        stepped = after.state in {State.CANARY, State.PROMOTING}
        expected = before.step + 1 if before.state is after.state else 1
        assert after.step == (expected if stepped else 0)


@given(choices=choices, reason=reasons)
def test_a_hold_is_an_overlay(rollouts, choices, reason):
    """Holding and releasing change `holds` and nothing else, in any state."""
    built = walk(rollouts(), choices)
    before = built.state
    held = built.hold(str(reason)).state
    released = built.release(str(reason)).state

    overlay = {"holds", "seq", "prefix_hash", "last_at"}
    same = [field.name for field in fields(RolloutState) if field.name not in overlay]
    for after in (held, released):
        assert [getattr(after, name) for name in same] == [getattr(before, name) for name in same]
        assert desired(after) == desired(before)
    assert reason in held.holds
    assert released.holds == {kept: since for kept, since in before.holds.items() if kept is not reason}


@given(choices=choices)
def test_a_look_is_never_taken_twice(rollouts, choices):
    """Slots of taken looks rise strictly; planning any of them again is refused."""
    built = walk(rollouts(), choices)
    slots = [look.slot for look in built.state.looks]
    assert slots == sorted(set(slots))
    for slot in slots:
        again = rollouts()
        again.events, again.now = list(built.events), built.now
        with pytest.raises(LedgerCorruptError):
            fold(again.plan_look(slot).events)


@given(state=states, stages=shares())
def test_invariant_01_shares_are_not_negative_and_sum_to_one(rollouts, churn, state, stages):
    """In each state, for any lawful shares: the weights of production variants, and the routers' document."""
    reached = _reach(rollouts({**churn, "stages": stages}), state)
    weights = [variant.weight for variant in desired(reached).endpoint.production]
    assert min(weights) >= 0.0
    assert sum(weights) == pytest.approx(1.0, abs=1e-12)
    published = document(reached)
    assert 0.0 <= published.exposure <= 1.0
    if reached.state in EXPOSED:
        assert published.exposure == pytest.approx(candidate_share(reached))


@given(choices=choices)
def test_invariant_01_desired_is_not_observed(rollouts, choices):
    """Entering a state publishes nothing: epochs come from observations, and the target from the state alone."""
    built = walk(rollouts(), choices)
    before = desired(built.state)
    unpublished = replace(
        built.state, stages=tuple(replace(stay, effective_at=None, epoch=None) for stay in built.state.stages)
    )
    assert desired(unpublished) == before
    assert [unpublished.epochs_of(state) for state in State] == [()] * len(State)
    published = [event for event in built.events if event.type is EventType.OBSERVED]
    epochs = [stay.epoch for stay in built.state.stages if stay.epoch is not None]
    assert set(epochs) <= {event.payload["result"]["epoch"] for event in published}


@given(state=states, stages=shares())
def test_a_shadow_stands_beside_one_production_variant(rollouts, churn, state, stages):
    """SageMaker allows a shadow beside exactly one production variant; only SHADOW has one, and it is the candidate."""
    reached = _reach(rollouts({**churn, "stages": stages}), state)
    endpoint = desired(reached).endpoint
    assert (endpoint.shadow is not None) is (reached.state is State.SHADOW)
    if endpoint.shadow:
        assert [variant.name for variant in endpoint.production] == [reached.champion.variant]
        assert endpoint.shadow.name == reached.candidate.variant


@given(state=st.sampled_from(sorted(BEFORE_PROMOTION)), stages=shares())
def test_callers_outside_the_router_meet_no_candidate_before_promotion(rollouts, churn, state, stages):
    """Endpoint weights stay champion 1, candidate 0 until PROMOTING."""
    reached = _reach(rollouts({**churn, "stages": stages}), state)
    weights = {variant.name: variant.weight for variant in desired(reached).endpoint.production}
    assert weights[reached.champion.variant] == 1.0
    assert weights.get(reached.candidate.variant, 0.0) == 0.0


@given(stages=shares(), units=st.lists(st.text(min_size=1), min_size=1, max_size=30))
def test_invariant_05_the_split_of_live_does_not_change(rollouts, churn, stages, units):
    """Documents of CANARY, LIVE, PROMOTING and BAKING draw every counted unit for the same arm."""
    published = [document(_reach(rollouts({**churn, "stages": stages}), state)) for state in sorted(EXPOSED)]
    for unit in units:
        arms = {assign(each, unit).arm for each in published}
        assert len(arms - {None}) == 1


@given(
    state=st.sampled_from(sorted({*EXPOSED, State.SHADOW})),
    holds=st.sets(reasons),
    ending=st.sampled_from(sorted(TRANSITIONS[State.ROLLING_BACK])),
    failing=st.booleans(),
)
def test_invariant_03_rollback_is_reachable_whatever_else_is_wrong(rollouts, state, holds, ending, failing):
    """Held for any reasons, an endpoint change in flight, quality failing: routers get the champion at once."""
    built = rollouts().at(state)
    for reason in holds:
        built.hold(str(reason))
    built.add(EventType.INTENDED, effect="endpoint", key="endpoint:1", target={})
    built.add(EventType.OBSERVED, effect="endpoint", key="endpoint:1", result={"applied": "started"})
    if failing:
        built.quality("2026-03-05", "no nulls")

    rolling = built.enter(State.ROLLING_BACK, ending=ending).state

    assert (rolling.state, rolling.ending) == (State.ROLLING_BACK, ending)
    assert document(rolling).exposure == 0.0
    assert assign(document(rolling), "anybody").variant.name == rolling.champion.variant
    assert built.enter(ending).state.terminal


@given(state=states, stages=shares())
def test_invariant_10_the_champion_keeps_its_capacity_until_promoted(rollouts, churn, state, stages):
    """The champion is a production variant, never the shadow, in every state but PROMOTED, whatever its weight."""
    reached = _reach(rollouts({**churn, "stages": stages}), state)
    names = [variant.name for variant in desired(reached).endpoint.production]
    assert (reached.champion.variant in names) is (reached.state is not State.PROMOTED)
    if reached.state in CHAMPION_ONLY:
        assert names == [reached.champion.variant]
        assert document(reached).candidate is None


@given(choices=choices)
def test_invariant_13_no_event_changes_the_spec(rollouts, choices):
    """The spec of a rollout is that of REGISTERED after any walk, and so are its id, candidate and forecast."""
    built = walk(rollouts(), choices)
    first, last = fold(built.events[:1]), built.state
    for name in ("spec", "spec_hash", "rollout", "candidate", "registered_at", "cost_usd"):
        assert getattr(last, name) == getattr(first, name)
    assert last.spec == built.spec


def _reach(built: Any, state: State) -> RolloutState:
    """A state reached with as many steps as the spec has."""
    built.register()
    stages = built.spec.stages
    forward = [
        (State.SHADOW, 0),
        *((State.CANARY, number) for number in range(1, len(stages.canary) + 1)),
        (State.LIVE, 0),
        (State.AWAITING_APPROVAL, 0),
        *((State.PROMOTING, number) for number in range(1, len(stages.promote) + 1)),
        (State.BAKING, 0),
        (State.PROMOTED, 0),
    ]
    if state is State.CANCELLED:
        return built.enter(State.CANCELLED).state
    back = state in {State.ROLLING_BACK, State.ROLLED_BACK, State.KEPT_CHAMPION}
    goal = State.BAKING if back else state
    for entered, number in forward:
        if built.state.state is goal and entered is not goal:
            break
        built.enter(entered, number)
    if back:
        ending = State.KEPT_CHAMPION if state is State.KEPT_CHAMPION else State.ROLLED_BACK
        built.enter(State.ROLLING_BACK, ending=ending)
        if state is not State.ROLLING_BACK:
            built.enter(state)
    assert built.state.state is state
    return built.state

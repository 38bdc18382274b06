"""Which look is due."""

from __future__ import annotations

from datetime import timedelta

import pytest

from staged_rollout.policy import due_look
from staged_rollout.state import EventType, LookKind, State
from tests.fakes.figures import PLAN

DAY = timedelta(days=1)


@pytest.fixture
def live(rollouts):
    return rollouts().at(State.LIVE).add(EventType.PLAN_FROZEN, **PLAN)


def due(built, served, batch=7):
    state = built.state
    return due_look(state, state.effective_at(State.LIVE) + served, batch)


@pytest.mark.parametrize(
    ("served", "slot", "kind"),
    [
        (2 * DAY, 1, LookKind.HARM),
        (7.9 * DAY, 6, LookKind.HARM),
        (8 * DAY, 7, LookKind.EFFICACY),
        (14 * DAY, 13, LookKind.EFFICACY),
        (15 * DAY, 14, LookKind.FINAL),
        (40 * DAY, 14, LookKind.FINAL),
    ],
)
def test_the_newest_slot_that_has_passed_is_due(live, served, slot, kind):
    found = due(live, served)
    assert (found.slot, found.kind, found.batch) == (slot, kind, 7)
    assert found.cut_off == live.state.effective_at(State.LIVE) + (slot + 1) * DAY


def test_nothing_is_due_before_the_first_slot_or_when_it_is_taken(live):
    assert due(live, 2 * DAY - timedelta(seconds=1)) is None
    live.plan_look(1, "harm").take_look(1, "harm")
    assert due(live, 2.9 * DAY) is None
    assert due(live, 3 * DAY).slot == 2


def test_a_late_harm_slot_makes_up_for_a_missed_efficacy_look(rollouts):
    """Looks every third day, harm daily: late on day nine, the newest slot tests efficacy as well."""
    plan = PLAN | {"efficacy": [value for value in PLAN["efficacy"] if value in {"P8D", "P11D", "P15D"}]}
    live = rollouts().at(State.LIVE).add(EventType.PLAN_FROZEN, **plan)
    assert len(plan["efficacy"]) == 3
    assert due(live, 9 * DAY).kind is LookKind.EFFICACY
    live.plan_look(7).take_look(7)
    assert due(live, 9 * DAY).kind is LookKind.HARM


def test_a_planned_slot_keeps_its_cut_off_however_late_it_is(live):
    live.plan_look(7)
    assert due(live, 30 * DAY, batch=99) == live.state.planned


def test_nothing_is_due_while_held_not_even_what_was_planned(live):
    live.plan_look(7)
    planned = live.state.planned
    live.hold("operator")
    assert due(live, 9 * DAY) is None
    live.release("operator")
    assert due(live, 9 * DAY) == planned


@pytest.mark.parametrize("state", [state for state in State if state is not State.LIVE])
def test_looks_belong_to_live_alone(rollouts, state):
    built = rollouts().at(state).add(EventType.PLAN_FROZEN, **PLAN)
    assert due_look(built.state, built.now + 40 * DAY, 7) is None


def test_nothing_is_due_before_routers_have_taken_up_live_or_without_a_plan(rollouts):
    built = rollouts().at(State.LIVE)
    assert due_look(built.state, built.now + 40 * DAY, 7) is None
    built = rollouts().at(State.CANARY).enter(State.CANARY, 2).enter(State.CANARY, 3)
    built.add(EventType.PLAN_FROZEN, **PLAN).enter(State.LIVE)
    assert due_look(built.state, built.now + 40 * DAY, 7) is None

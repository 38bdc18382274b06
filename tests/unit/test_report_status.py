"""The status line: where a rollout is, what was decided last, and how long it will take."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from staged_rollout.report.status import StatusRow, status_row
from staged_rollout.state import EventType, State

DAY = timedelta(days=1)


def row(builder: Any, later: timedelta = timedelta()) -> StatusRow:
    """The status at the moment of the last event, or later."""
    state = builder.state
    return status_row(state, state.last_at + later)


def test_registered_has_the_whole_plan_before_it(rollouts: Any) -> None:
    status = row(rollouts().register())

    assert status.place == "REGISTERED"
    assert status.verdict == "churn version 3 is approved"
    assert (status.z, status.stage_days_left, status.test) == (None, None, "-")
    # shadow 2d, canary 2h + 12h + 1d, live 14d + 1d, promote 1d, bake 2d
    assert pytest.approx(2 + 14 / 24 + 1 + 15 + 1 + 2) == status.plan_days_left
    assert status.spent_usd == 0.0


def test_a_canary_step_counts_down_and_the_plan_with_it(rollouts: Any) -> None:
    builder = rollouts().at(State.CANARY).enter(State.CANARY, 2).publish()
    published = builder.state.stage.effective_at
    status = status_row(builder.state, published + timedelta(hours=3))

    assert status.place == "CANARY 2/3"
    assert pytest.approx(9 / 24) == status.stage_days_left
    assert pytest.approx(9 / 24 + 1 + 15 + 1 + 2) == status.plan_days_left


def test_a_stage_that_has_not_taken_effect_has_no_days_yet(rollouts: Any) -> None:
    status = row(rollouts().register().enter(State.SHADOW))

    assert status.stage_days_left is None
    assert pytest.approx(2 + 14 / 24 + 1 + 15 + 1 + 2) == status.plan_days_left


def test_an_overdue_stage_has_no_days_left_not_negative_ones(rollouts: Any) -> None:
    assert row(rollouts().at(State.SHADOW), 30 * DAY).stage_days_left == 0.0


@pytest.mark.parametrize(
    ("kind", "z", "shown"),
    [
        ("efficacy", 1.25, "z 1.25 < 2.50"),
        ("final", 2.5, "z 2.50 >= 2.50"),
        ("harm", -1.0, "z -1.00 > -2.50"),
        ("harm", -2.5, "z -2.50 <= -2.50"),
    ],
)
def test_the_last_look_is_held_against_its_bound(rollouts: Any, kind: str, z: float, shown: str) -> None:
    status = row(rollouts().at(State.LIVE).plan_look(1, kind).take_look(1, kind, z))

    assert shown == status.test
    assert status.information == 0.1
    assert ("harm" if kind == "harm" else "efficacy") == status.bound_kind


def test_a_look_without_a_test_has_no_z(rollouts: Any) -> None:
    assert row(rollouts().at(State.LIVE).plan_look(1).take_look(1, z=None)).test == "-"


def test_the_newest_decision_is_the_verdict(rollouts: Any) -> None:
    builder = rollouts().at(State.LIVE).plan_look(1).take_look(1).decide("continue")

    assert row(builder).verdict == "continue: z 1.25 < 2.5"


def test_what_a_person_did_after_the_decision_is_the_verdict(rollouts: Any) -> None:
    builder = rollouts().at(State.LIVE).plan_look(1).take_look(1).decide("continue")
    builder.enter(State.ROLLING_BACK, ending=State.ROLLED_BACK, reason="rolled back by ana: errors doubled")

    assert row(builder).verdict == "rolled back by ana: errors doubled"


def test_holds_are_named(rollouts: Any) -> None:
    assert row(rollouts().at(State.LIVE).hold("srm").hold("operator")).place == "LIVE held: srm, operator"


def test_spending_begins_with_shadow_and_ends_with_the_rollout(rollouts: Any) -> None:
    builder = rollouts().at(State.ROLLED_BACK)
    state = builder.state
    hours = (state.stage.entered_at - state.effective_at(State.SHADOW)) / timedelta(hours=1)

    assert pytest.approx(0.96 * hours) == row(builder, 100 * DAY).spent_usd
    assert row(builder).budget_usd == 900.0


def test_an_ended_rollout_is_cleaned_up_or_says_so(rollouts: Any) -> None:
    builder = rollouts().at(State.PROMOTED)

    assert row(builder).place == "PROMOTED (cleaning up)"
    assert row(builder.add(EventType.SETTLED)).place == "PROMOTED"
    assert row(builder).plan_days_left is None


@pytest.mark.parametrize("state", list(State))
def test_every_state_has_a_line(rollouts: Any, state: State) -> None:
    """status_row is total: no state is without a line."""
    status = row(rollouts().at(state), DAY)

    assert str(state) == status.state
    assert status.verdict

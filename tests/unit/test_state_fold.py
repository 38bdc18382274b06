"""State is what the events add up to: every kind of event, and what no rollout can have."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import product

import pytest

from staged_rollout.errors import LedgerCorruptError, NotFoundError
from staged_rollout.spec.model import spec_hash
from staged_rollout.state import (
    EXPOSED,
    TERMINAL,
    TRANSITIONS,
    Actor,
    BoundRecord,
    Candidate,
    Champion,
    EventType,
    HoldReason,
    LookKind,
    Plan,
    PlannedLook,
    State,
    fold,
    from_payload,
    to_payload,
)

ORDER = list(State)
PLAN = Plan(
    baseline=0.86,
    baseline_units=412,
    mde=0.05,
    n_eff_max=780.5,
    inflation=1.02,
    latency_grid_ms=(5.0, 7.5),
    slots=(timedelta(days=2), timedelta(days=15, hours=1)),
    efficacy=(timedelta(days=15, hours=1),),
    last=timedelta(days=15, hours=1),
)


def test_no_events_is_no_rollout():
    with pytest.raises(NotFoundError):
        fold([])


def test_registration_is_the_first_state(rollouts):
    built = rollouts().register()
    state = built.state
    assert state.rollout == "churn-v3"
    assert (state.state, state.step, state.ending) == (State.REGISTERED, 0, None)
    assert state.candidate == Candidate("churn", "3", "models:/churn/3", "c3", "v3")
    assert state.champion == Champion("2", "models:/churn/2", "v2")
    assert (state.cost_usd, state.usd_per_hour) == (412.5, 0.96)
    assert (state.seq, state.prefix_hash) == (1, built.events[0].hash)
    assert state.registered_at == state.last_at == built.events[0].at
    assert not state.exposed
    assert not state.terminal
    assert not state.held


@pytest.mark.parametrize("state", State, ids=str)
def test_every_state_can_be_reached(rollouts, state):
    reached = rollouts().at(state).state
    assert reached.state is state
    assert reached.exposed is (state in EXPOSED)
    assert reached.terminal is (state in TERMINAL)
    assert reached.stage.state is state


@pytest.mark.parametrize(("before", "after"), list(product(ORDER, ORDER)), ids=str)
def test_only_the_table_of_transitions_is_possible(rollouts, before, after):
    """For each pair of states, whatever step and ending the event names."""
    built = rollouts().at(before)
    start = built.state
    for step, ending in product(range(5), [None, State.ROLLED_BACK, State.KEPT_CHAMPION, State.CANCELLED, State.LIVE]):
        steps = {State.CANARY: 3, State.PROMOTING: 2}.get(after, 0)
        expected_step = start.step + 1 if before is after else min(steps, 1)
        lawful = (
            after in TRANSITIONS[before]
            and step == expected_step <= steps
            and (after is not State.ROLLING_BACK or ending in TRANSITIONS[State.ROLLING_BACK])
            and (before is not State.ROLLING_BACK or after is State.ROLLED_BACK)
        )
        attempt = rollouts()
        attempt.events, attempt.now = list(built.events), built.now
        attempt.enter(after, step, ending)
        if lawful:
            assert (attempt.state.state, attempt.state.step) == (after, step)
        else:
            with pytest.raises(LedgerCorruptError, match=f"event {start.seq + 1} "):
                fold(attempt.events)


def test_every_exposed_state_and_shadow_can_be_rolled_back():
    assert {state for state in State if State.ROLLING_BACK in TRANSITIONS[state]} == {*EXPOSED, State.SHADOW}


def test_endings_are_reached_through_a_rollback_or_a_promotion_only():
    into = {ending: {state for state in State if ending in TRANSITIONS[state]} for ending in TERMINAL}
    assert into == {
        State.PROMOTED: {State.BAKING},
        State.ROLLED_BACK: {State.ROLLING_BACK},
        State.KEPT_CHAMPION: {State.ROLLING_BACK},
        State.CANCELLED: {State.REGISTERED, State.ROLLING_BACK},
    }


def test_entering_a_state_ends_what_belonged_to_the_one_before(rollouts):
    built = rollouts().at(State.AWAITING_APPROVAL).plan_look(1)
    built.add(EventType.APPROVED, decision_seq=3, reason="fine")
    built.add(EventType.OBSERVED, effect="endpoint", key="endpoint:1", result={"applied": "started"})
    assert built.state.attempts == {"endpoint:1": 1}

    state = built.enter(State.PROMOTING, 1, reason="approved by tests").state

    assert (state.planned, state.approval, state.attempts) == (None, None, {})
    assert state.reason == "approved by tests"
    assert [record.state for record in state.stages][-2:] == [State.AWAITING_APPROVAL, State.PROMOTING]


def test_a_stay_counts_from_its_published_document(rollouts):
    built = rollouts().at(State.SHADOW).enter(State.CANARY, 1)
    assert built.state.stage.effective_at is None
    entered = built.now
    built.publish()
    first = built.state.stage
    assert (first.effective_at, first.epoch) == (entered, 2)

    built.publish()  # the same document again, under a later epoch: time served does not start anew

    assert built.state.stage == first
    assert built.state.effective_at(State.CANARY) == entered
    assert built.state.effective_at(State.LIVE) is None


def test_a_document_of_another_stage_starts_no_stay(rollouts):
    built = rollouts().at(State.SHADOW).enter(State.CANARY, 1)
    stale = {"epoch": 9, "stage": "shadow", "published_at": built.now.isoformat()}
    built.add(EventType.OBSERVED, effect="assignment", key="assignment:9", result=stale)
    assert built.state.stage.effective_at is None


def test_epochs_tell_a_rows_stage(rollouts):
    state = rollouts().at(State.LIVE).state
    assert state.epochs_of(State.SHADOW) == (1,)
    assert state.epochs_of(State.CANARY) == (2, 3, 4)
    assert state.epochs_of(State.CANARY, step=2) == (3,)
    assert state.epochs_of(State.LIVE) == (5,)
    assert state.epochs_of(State.BAKING) == ()


def test_an_intent_is_open_until_its_result(rollouts):
    built = rollouts().at(State.LIVE)
    built.add(EventType.INTENDED, effect="endpoint", key="endpoint:1", target={})
    built.add(EventType.INTENDED, effect="assignment", key="assignment:9", target={})
    built.add(EventType.INTENDED, effect="endpoint", key="endpoint:1", target={})
    assert [intent.key for intent in built.state.intents] == ["assignment:9", "endpoint:1"]

    for _ in range(2):
        built.add(EventType.OBSERVED, effect="endpoint", key="endpoint:1", result={"applied": "started"})
    assert [intent.key for intent in built.state.intents] == ["assignment:9", "endpoint:1"]
    assert built.state.attempts == {"endpoint:1": 2}

    built.add(EventType.OBSERVED, effect="endpoint", key="endpoint:1", result={"status": "InService"})
    assert [intent.key for intent in built.state.intents] == ["assignment:9"]


def test_a_look_is_planned_then_taken_once(rollouts):
    built = rollouts().at(State.LIVE).plan_look(1, "harm")
    assert built.state.planned == PlannedLook(1, LookKind.HARM, built.events[-1].at, 1)
    built.take_look(1, "harm", z=None).plan_look(2).take_look(2)

    state = built.state
    assert state.planned is None
    assert [(look.slot, look.kind, look.z) for look in state.looks] == [
        (1, LookKind.HARM, None),
        (2, LookKind.EFFICACY, 1.25),
    ]
    assert state.efficacy_bounds() == (BoundRecord(2, 0.2, 2.5, 0.002),)
    assert [bound.look for bound in state.harm_bounds()] == [1, 2]


@pytest.mark.parametrize("slot", [1, 2, 3])
def test_a_slot_that_was_taken_or_passed_cannot_be_planned_again(rollouts, slot):
    built = rollouts().at(State.LIVE).plan_look(3).take_look(3).plan_look(slot)
    with pytest.raises(LedgerCorruptError, match=f"slot {slot} was taken already"):
        fold(built.events)


@pytest.mark.parametrize("planned", [None, 2])
def test_a_look_that_was_not_planned_cannot_be_taken(rollouts, planned):
    built = rollouts().at(State.LIVE)
    if planned:
        built.plan_look(planned)
    built.take_look(1)
    with pytest.raises(LedgerCorruptError, match="slot 1 was not planned"):
        fold(built.events)


def test_holds_add_up_and_keep_their_beginning(rollouts):
    built = rollouts().at(State.LIVE).hold("srm", "e-value 4,000").hold("quality", "two columns")
    since = built.events[-2].at
    built.hold("srm", "e-value 5,000")
    assert built.state.holds[HoldReason.SRM] == (since, "e-value 5,000")

    built.release("quality")
    assert built.state.held
    assert set(built.state.holds) == {HoldReason.SRM}
    built.release("srm").release("srm")
    assert not built.state.held


def test_the_plan_is_frozen_once(rollouts):
    built = rollouts().at(State.CANARY).add(EventType.PLAN_FROZEN, **to_payload(PLAN))
    assert built.state.plan == PLAN
    built.add(EventType.PLAN_FROZEN, **to_payload(PLAN))
    with pytest.raises(LedgerCorruptError, match="frozen already"):
        fold(built.events)


def test_records_survive_their_payload():
    assert from_payload(Plan, to_payload(PLAN)) == PLAN
    bound = BoundRecord(3, 0.1 + 0.2, 2.0000000000000004, 1e-17)
    assert from_payload(BoundRecord, to_payload(bound)) == bound


def test_decisions_are_kept_in_order(rollouts):
    built = rollouts().at(State.LIVE).decide().decide("promote", State.PROMOTING)
    first, second = built.state.decisions
    assert (first.seq, first.to, second.to) == (second.seq - 1, None, State.PROMOTING)
    assert second.reasons == ("z 1.25 < 2.5",)


@pytest.mark.parametrize(("kind", "approved"), [(EventType.APPROVED, True), (EventType.REJECTED, False)])
def test_an_answer_keeps_who_gave_it_and_whether_that_was_proven(rollouts, kind, approved):
    built = rollouts().at(State.AWAITING_APPROVAL).add(kind, Actor("ada", verified=True), decision_seq=9, reason="so")
    answer = built.state.approval
    assert (answer.approved, answer.actor, answer.verified, answer.decision_seq) == (approved, "ada", True, 9)


def test_an_answer_needs_a_question(rollouts):
    built = rollouts().at(State.LIVE).add(EventType.APPROVED, decision_seq=9, reason="so")
    with pytest.raises(LedgerCorruptError, match="nothing to approve"):
        fold(built.events)


def test_a_note_changes_nothing(rollouts):
    built = rollouts().at(State.LIVE)
    before = built.state
    after = built.add(EventType.NOTED, text="watching").state
    assert (after.state, after.stages, after.holds, after.spec) == (
        before.state,
        before.stages,
        before.holds,
        before.spec,
    )


@pytest.mark.parametrize("state", State, ids=str)
def test_only_an_ended_rollout_settles(rollouts, state):
    built = rollouts().at(state).add(EventType.SETTLED)
    if state in TERMINAL:
        assert built.state.settled
    else:
        with pytest.raises(LedgerCorruptError, match="is not an ending"):
            fold(built.events)


def test_a_rollback_that_must_end_one_way_ends_no_other(rollouts):
    built = rollouts().at(State.LIVE).enter(State.ROLLING_BACK, ending=State.KEPT_CHAMPION).enter(State.ROLLED_BACK)
    with pytest.raises(LedgerCorruptError, match="ends in KEPT_CHAMPION, not in ROLLED_BACK"):
        fold(built.events)


def test_events_out_of_order_or_of_another_rollout_are_refused(rollouts):
    events = rollouts().at(State.LIVE).events
    other = rollouts(rollout="churn-v4").at(State.LIVE).events
    for broken in (events[1:], [*events[:2], events[3]], [*events, events[-1]], [events[0], other[1]]):
        with pytest.raises(LedgerCorruptError):
            fold(broken)


def test_a_rollout_is_registered_once(rollouts):
    with pytest.raises(LedgerCorruptError, match="registered already"):
        fold(rollouts().register().register().events)


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        (EventType.STAGE_ENTERED, {}),
        (EventType.STAGE_ENTERED, {"state": "NOWHERE", "step": 0, "reason": ""}),
        (EventType.STAGE_ENTERED, {"state": "ROLLING_BACK", "step": None, "reason": ""}),
        (EventType.PLAN_FROZEN, {"baseline": "high"}),
        (EventType.LOOK_PLANNED, {"slot": 1}),
        (EventType.HELD, {"reason": "mood", "detail": ""}),
        (EventType.OBSERVED, {"effect": "assignment", "key": "assignment:9", "result": "text"}),
        (EventType.OBSERVED, {"effect": "assignment", "key": "k", "result": {"stage": "live", "epoch": 1}}),
        (EventType.DECIDED, {"action": "promote", "to": None, "reasons": [], "hashes": {}}),
        (EventType.QUALITY_CHECKED, {"day": "someday", "passed": True, "failures": []}),
    ],
)
def test_a_payload_that_cannot_be_read_is_named_by_its_number(rollouts, kind, payload):
    built = rollouts().at(State.CANARY).enter(State.CANARY, 2).enter(State.CANARY, 3).enter(State.LIVE)
    built.add(kind, **payload)
    seq = len(built.events)
    with pytest.raises(LedgerCorruptError, match=f"event {seq} .* of churn-v3 cannot be read") as found:
        fold(built.events)
    assert found.value.facts == {"rollout": "churn-v3", "seq": seq}
    assert found.value.hint


@pytest.mark.parametrize(
    ("verdicts", "failures"),
    [
        ({}, 0),
        ({1: True}, 0),
        ({1: False}, 1),
        ({1: False, 2: False, 3: False}, 3),
        ({3: False, 1: False, 2: False}, 3),
        ({1: False, 2: True, 3: False}, 1),
        ({1: False, 2: False, 3: True}, 0),
        ({1: False, 2: False, 4: False}, 1),
    ],
)
def test_invariant_13_three_in_a_row_means_consecutive_event_days(rollouts, verdicts, failures):
    """Not three checks in a row: the order of checking and days without data do not make a row."""
    built = rollouts().at(State.LIVE)
    for day, passed in verdicts.items():
        built.quality(date(2026, 3, day).isoformat(), *([] if passed else ["no nulls"]))
    assert built.state.quality_failures_in_a_row() == failures


def test_a_day_that_is_checked_again_counts_as_checked_last(rollouts):
    state = rollouts().at(State.LIVE).quality("2026-03-05", "no nulls").quality("2026-03-05").state
    assert state.quality == {date(2026, 3, 5): True}
    assert state.quality_failures == ()


def test_what_failed_is_told_of_the_newest_day(rollouts):
    """Checking an older day again, when late rows came, does not hide what is wrong today."""
    state = rollouts().at(State.LIVE).quality("2026-03-05", "no nulls").quality("2026-03-04", "row count").state
    assert state.quality_failures == ("no nulls: 3 (accepted: 0)",)


def test_invariant_13_the_spec_is_the_one_that_was_registered(rollouts, churn):
    """Editing the file changes nothing for a running rollout: its spec is read from its own first event."""
    built = rollouts().at(State.LIVE)
    edited = rollouts({**churn, "success": {**churn["success"], "alpha": 0.1}})
    assert edited.spec != built.spec
    state = fold(built.events)
    assert state.spec == built.spec
    assert state.spec_hash == spec_hash(state.spec) == built.events[0].payload["spec_hash"]

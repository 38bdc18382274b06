"""What people may do to a rollout."""

from __future__ import annotations

from datetime import timedelta

import pytest

from staged_rollout.errors import NotApproverError, NotFoundError, RefusedError, StaleSequenceError
from staged_rollout.operations.journal import load, write
from staged_rollout.operations.operate import ATTEMPTS, Act, operate
from staged_rollout.ports import EndpointStatus
from staged_rollout.state import EXPOSED, TERMINAL, Actor, EventType, HoldReason, NewEvent, State
from tests.fakes.platform import ENDPOINT, PERSON, ROLLOUT, TICK, reached

LEADER = Actor("growth-ml")
ASK = {"win": {"action": "ask", "who": "growth-ml", "within": "3d"}}
NOTE = NewEvent(EventType.NOTED, {"text": "meanwhile"})
STEPS = {State.CANARY: 2, State.PROMOTING: 1}
RUNNING = sorted({State.SHADOW, *EXPOSED})


def at(tmp_path, churn, state):
    decide = {"decide": ASK} if state is State.AWAITING_APPROVAL else {}
    return reached(tmp_path, churn, state, STEPS.get(state, 0), **decide)


@pytest.mark.parametrize("state", RUNNING)
def test_a_rollback_serves_the_champion_at_once_and_ends(tmp_path, churn, state):
    platform = at(tmp_path, churn, state)
    changes = len(platform.serving.started)

    after = operate(platform, ROLLOUT, Act.ROLLBACK, PERSON, "errors doubled")

    assert (after.state, after.ending, after.reason) == (
        State.ROLLING_BACK,
        State.ROLLED_BACK,
        "rolled back by ana: errors doubled",
    )
    document = platform.document()
    assert (document.rollout, document.candidate, document.champion.name) == (None, None, "v2")
    assert len(platform.serving.started) == changes  # the endpoint is left to reconcile
    assert after == load(platform, ROLLOUT)
    platform.settle(ROLLOUT)
    platform.tick(ROLLOUT)
    platform.settle(ROLLOUT)
    assert load(platform, ROLLOUT).state is State.ROLLED_BACK
    assert load(platform, ROLLOUT).settled


@pytest.mark.parametrize("state", RUNNING)
def test_a_rollback_does_not_wait_for_an_endpoint_that_is_updating_or_for_a_hold_or_a_lease(tmp_path, churn, state):
    platform = at(tmp_path, churn, state)
    found = platform.serving.endpoints[ENDPOINT]
    platform.serving.endpoints[ENDPOINT] = type(found)(
        ENDPOINT, EndpointStatus.UPDATING, found.production, found.shadow, found.config
    )
    operate(platform, ROLLOUT, Act.PAUSE, PERSON, "looking into it")
    now = platform.clock.wall()
    assert platform.ledger.lease(ENDPOINT, ROLLOUT, token="elsewhere:1:aa", now=now, until=now + 100)

    operate(platform, ROLLOUT, Act.ROLLBACK, PERSON, "errors doubled")

    assert platform.document().exposure == 0.0
    assert platform.document().rollout is None


def test_a_rollback_again_brings_the_routers_back(tmp_path, churn):
    platform = at(tmp_path, churn, State.LIVE)
    exposed = platform.document()
    first = operate(platform, ROLLOUT, Act.ROLLBACK, PERSON, "errors doubled")
    epoch = platform.document().epoch
    platform.assignments.publish(exposed.model_copy(update={"epoch": epoch + 1}), expected_epoch=epoch)

    again = operate(platform, ROLLOUT, Act.ROLLBACK, PERSON, "again")

    assert platform.document().rollout is None
    assert again.state is State.ROLLING_BACK
    assert again.reason == first.reason


def test_a_rollback_that_is_done_changes_nothing(tmp_path, churn):
    platform = at(tmp_path, churn, State.LIVE)
    first = operate(platform, ROLLOUT, Act.ROLLBACK, PERSON, "errors doubled")
    assert operate(platform, ROLLOUT, Act.ROLLBACK, PERSON, "again") == first


def test_a_rollback_wins_against_a_publication_at_the_same_moment(tmp_path, churn):
    """Another process publishes LIVE between our reading and our publishing: we read again and publish after it."""
    platform = at(tmp_path, churn, State.LIVE)
    read, meanwhile = platform.assignments.read, []

    def reading(endpoint):
        found = read(endpoint)
        if not meanwhile:
            meanwhile.append(found)
            later = found.document.model_copy(update={"epoch": found.document.epoch + 1})
            platform.assignments.publish(later, expected_epoch=found.document.epoch)
        return found

    platform.assignments.read = reading
    operate(platform, ROLLOUT, Act.ROLLBACK, PERSON, "errors doubled")
    assert platform.document().rollout is None


@pytest.mark.parametrize("act", [act for act in Act if act is not Act.APPROVE])
def test_an_act_is_tried_again_when_the_ledger_moves_on(tmp_path, churn, act):
    state = State.AWAITING_APPROVAL if act is Act.REJECT else State.SHADOW
    platform = at(tmp_path, churn, state)
    if act is Act.RESUME:
        operate(platform, ROLLOUT, Act.PAUSE, PERSON, "first")
    _busy(platform, 2)
    after = operate(platform, ROLLOUT, act, LEADER, "because")
    assert after.seq == platform.ledger.head(ROLLOUT)


def test_an_act_gives_up_when_the_ledger_never_stands_still(tmp_path, churn):
    platform = at(tmp_path, churn, State.LIVE)
    _busy(platform, ATTEMPTS)
    with pytest.raises(StaleSequenceError):
        operate(platform, ROLLOUT, Act.NOTE, PERSON, "because")


def _busy(platform, times):
    """Somebody else writes right before each of our next appends."""
    append, left = platform.ledger.append, [times]

    def appending(rollout, events, **more):
        if left[0] > 0:
            left[0] -= 1
            head = platform.ledger.head(rollout)
            append(rollout, [NOTE], expected_seq=head, at=platform.clock.now(), actor=TICK)
        return append(rollout, events, **more)

    platform.ledger.append = appending


@pytest.mark.parametrize("act", Act)
@pytest.mark.parametrize(("name", "reason"), [("ana", "  "), (" ", "because")])
def test_an_act_needs_a_name_and_a_reason(tmp_path, churn, act, name, reason):
    platform = at(tmp_path, churn, State.LIVE)
    with pytest.raises(RefusedError, match="needs a"):
        operate(platform, ROLLOUT, act, Actor(name), reason)


@pytest.mark.parametrize("act", Act)
def test_an_act_needs_a_rollout(tmp_path, churn, act):
    with pytest.raises(NotFoundError):
        operate(at(tmp_path, churn, State.LIVE), "churn-v9", act, PERSON, "because")


def test_nothing_is_served_yet_so_nothing_rolls_back(tmp_path, churn):
    with pytest.raises(RefusedError, match="nothing is served yet"):
        operate(at(tmp_path, churn, State.REGISTERED), ROLLOUT, Act.ROLLBACK, PERSON, "because")


@pytest.mark.parametrize("act", [Act.ROLLBACK, Act.PAUSE, Act.APPROVE, Act.REJECT, Act.CANCEL])
def test_an_ended_rollout_refuses(tmp_path, churn, act):
    platform = at(tmp_path, churn, State.PROMOTED)
    before = load(platform, ROLLOUT)
    with pytest.raises(RefusedError):
        operate(platform, ROLLOUT, act, LEADER, "because")
    assert load(platform, ROLLOUT) == before


def test_a_pause_holds_until_it_is_resumed_and_twice_is_once(tmp_path, churn):
    platform = at(tmp_path, churn, State.CANARY)
    paused = operate(platform, ROLLOUT, Act.PAUSE, PERSON, "incident 112")
    assert paused.holds[HoldReason.OPERATOR][1] == "paused by ana: incident 112"
    assert operate(platform, ROLLOUT, Act.PAUSE, Actor("bob"), "me too") == paused

    platform.clock.advance(timedelta(days=3))
    assert platform.tick(ROLLOUT).action == "hold"
    assert HoldReason.OPERATOR in load(platform, ROLLOUT).holds

    resumed = operate(platform, ROLLOUT, Act.RESUME, PERSON, "over")
    assert not resumed.held
    assert operate(platform, ROLLOUT, Act.RESUME, PERSON, "over") == resumed
    assert platform.tick(ROLLOUT).action == "promote"


@pytest.mark.parametrize("state", sorted(EXPOSED))
def test_a_rollout_that_people_meet_is_not_cancelled(tmp_path, churn, state):
    platform = at(tmp_path, churn, state)
    with pytest.raises(RefusedError, match="people meet the candidate"):
        operate(platform, ROLLOUT, Act.CANCEL, PERSON, "because")


def test_cancelling_a_registered_rollout_ends_it(tmp_path, churn):
    platform = at(tmp_path, churn, State.REGISTERED)
    assert operate(platform, ROLLOUT, Act.CANCEL, PERSON, "wrong one").state is State.CANCELLED
    assert operate(platform, ROLLOUT, Act.CANCEL, PERSON, "wrong one").state is State.CANCELLED
    platform.settle(ROLLOUT)
    assert load(platform, ROLLOUT).settled
    assert platform.registry.lifecycle("churn", "3") == "cancelled"


def test_cancelling_a_shadow_stops_copying_first(tmp_path, churn):
    platform = at(tmp_path, churn, State.SHADOW)
    state = operate(platform, ROLLOUT, Act.CANCEL, PERSON, "wrong one")
    assert (state.state, state.ending) == (State.ROLLING_BACK, State.CANCELLED)
    assert operate(platform, ROLLOUT, Act.CANCEL, PERSON, "again") == state
    assert platform.document().rollout is None
    platform.settle(ROLLOUT)
    assert platform.serving.endpoints[ENDPOINT].shadow is None
    platform.tick(ROLLOUT)
    platform.settle(ROLLOUT)
    assert load(platform, ROLLOUT).state is State.CANCELLED


def test_an_approval_names_the_decision_that_asked(tmp_path, churn):
    platform = at(tmp_path, churn, State.AWAITING_APPROVAL)
    asking = load(platform, ROLLOUT).decisions[-1]
    approved = operate(platform, ROLLOUT, Act.APPROVE, LEADER, "holds on both plans")
    assert approved.approval.decision_seq == asking.seq
    assert (approved.approval.approved, approved.approval.actor, approved.approval.verified) == (
        True,
        "growth-ml",
        False,
    )
    assert operate(platform, ROLLOUT, Act.APPROVE, LEADER, "again") == approved
    assert platform.tick(ROLLOUT).to is State.PROMOTING


def test_an_answer_stands(tmp_path, churn):
    platform = at(tmp_path, churn, State.AWAITING_APPROVAL)
    operate(platform, ROLLOUT, Act.REJECT, LEADER, "too early")
    with pytest.raises(RefusedError, match="was rejected by growth-ml already"):
        operate(platform, ROLLOUT, Act.APPROVE, LEADER, "changed my mind")
    assert platform.tick(ROLLOUT).to is State.ROLLING_BACK


@pytest.mark.parametrize("act", [Act.APPROVE, Act.REJECT])
def test_only_those_who_were_asked_answer(tmp_path, churn, act):
    platform = at(tmp_path, churn, State.AWAITING_APPROVAL)
    with pytest.raises(NotApproverError, match="ana is not among the approvers of this decision: growth-ml"):
        operate(platform, ROLLOUT, act, PERSON, "because")
    assert load(platform, ROLLOUT).approval is None


@pytest.mark.parametrize("state", [State.REGISTERED, State.SHADOW, State.LIVE, State.PROMOTING])
@pytest.mark.parametrize("act", [Act.APPROVE, Act.REJECT])
def test_there_is_nothing_to_answer_elsewhere(tmp_path, churn, state, act):
    with pytest.raises(RefusedError, match="no decision waits for approval"):
        operate(at(tmp_path, churn, state), ROLLOUT, act, LEADER, "because")


@pytest.mark.parametrize("state", [State.REGISTERED, State.LIVE, *sorted(TERMINAL - {State.PROMOTED})])
def test_a_note_is_possible_at_any_time(tmp_path, churn, state):
    platform = at(tmp_path, churn, State.REGISTERED if state in TERMINAL else state)
    if state in TERMINAL:
        operate(platform, ROLLOUT, Act.CANCEL, PERSON, "wrong one")
    before = load(platform, ROLLOUT)
    after = operate(platform, ROLLOUT, Act.NOTE, PERSON, " slow pages since 02:00 ")
    assert (after.state, after.holds, after.seq) == (before.state, before.holds, before.seq + 1)
    assert platform.ledger.events(ROLLOUT)[-1].payload == {"text": "slow pages since 02:00"}


def test_writing_against_an_act_loses_nothing(tmp_path, churn):
    """A decision made on what was read before a pause is not written after it."""
    platform = at(tmp_path, churn, State.CANARY)
    stale = load(platform, ROLLOUT)
    operate(platform, ROLLOUT, Act.PAUSE, PERSON, "incident 112")
    with pytest.raises(StaleSequenceError):
        write(platform, stale, [NOTE], TICK)

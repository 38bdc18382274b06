"""What people do from forms, what restores the champion, and what happens when nobody watches.

Three rollouts on three endpoints share the same days.
"""

from __future__ import annotations

from datetime import timedelta

import pytest

from demo import models
from flows.advance_rollout import advance_rollout
from flows.operate_rollout import operate_rollout
from flows.poll_registry import poll_registry
from flows.register_candidate import register_candidate
from flows.restore_champion import restore_champion
from flows.sweep_rollouts import sweep_rollouts
from staged_rollout.errors import RefusedError
from staged_rollout.state import EventType, HoldReason, State
from tests.e2e.small_world import Story

pytestmark = pytest.mark.slow
NAMES = ("operated", "restored", "forgotten")


@pytest.fixture(scope="module")
def trio(small):
    """Three rollouts whose shadow has served its day; the first was paused meanwhile."""
    champion, candidate = models.champion_v1(small.customers), models.candidate_v2(small.customers)
    stories = {}
    for name in NAMES:
        stories[name] = small.begin(Story(name, callers=150), champion)
        small.submit(stories[name], candidate)
    assert {story.rollout(2) for story in stories.values()} == set(small.run(poll_registry))
    small.run(sweep_rollouts, start="inline")
    assert {State.SHADOW} == {small.state(story.rollout(2)).state for story in stories.values()}
    small.run(operate_rollout, rollout="operated-v2", act="pause", name="Ada", reason="a look at it first")
    small.day(lambda: small.run(sweep_rollouts, start="inline"), *stories.values())
    return stories


def test_pause_blocks_forward_moves_and_resume_releases_them(small, trio):
    state = small.state("operated-v2")
    assert State.SHADOW is state.state
    assert [HoldReason.OPERATOR] == list(state.holds)
    assert {State.CANARY} == {small.state(f"{name}-v2").state for name in NAMES[1:]}

    small.run(operate_rollout, rollout="operated-v2", act="resume", name="Ada", reason="seen")
    assert State.SHADOW is small.state("operated-v2").state
    small.run(advance_rollout, rollout="operated-v2")
    state = small.state("operated-v2")
    assert (State.CANARY, {}) == (state.state, state.holds)


def test_advancing_again_at_the_same_time_adds_nothing(small, trio):
    for rollout in (f"{name}-v2" for name in NAMES):
        before = small.events(rollout)
        small.run(advance_rollout, rollout=rollout)
        assert before == small.events(rollout)


def test_a_rollback_from_the_form_needs_no_tick(small, trio):
    """operated-v2 is in CANARY; the flow alone brings everybody back to the champion, routers and endpoint."""
    assert State.CANARY is small.state("operated-v2").state
    small.run(operate_rollout, rollout="operated-v2", act="rollback", name="Ada", reason="complaints by phone")
    ended = small.state("operated-v2")
    assert (State.ROLLED_BACK, True) == (ended.state, ended.settled)
    assert "rolled back by Ada: complaints by phone" == ended.reason
    assert ["SHADOW", "CANARY 1", "ROLLING_BACK", "ROLLED_BACK"] == small.entered("operated-v2")
    document = small.platform.assignments.read("operated-prod").document
    assert (None, None) == (document.rollout, document.candidate)
    assert ["v1"] == [variant.name for variant in small.served(trio["operated"]).production]


def test_a_name_from_a_form_is_recorded_as_unverified(small, trio):
    """Self-hosted Prefect knows no users: a name typed in a form is a claim."""
    acts = [event for event in small.events("operated-v2") if event.actor.name == "Ada"]
    assert [EventType.HELD, EventType.RELEASED, EventType.STAGE_ENTERED] == [
        event.type for event in acts if event.type is not EventType.OBSERVED
    ]
    assert not any(event.actor.verified for event in acts)


def test_an_act_that_comes_too_late_is_refused(small, trio):
    before = small.events("operated-v2")
    with pytest.raises(RefusedError, match="too late to pause"):
        small.run(operate_rollout, rollout="operated-v2", act="pause", name="Ada", reason="once more")
    assert before == small.events("operated-v2")


def test_restoring_the_champion_twice_is_restoring_it_once(small, trio):
    assert State.CANARY is small.state("restored-v2").state
    small.run(restore_champion, rollout="restored-v2", reason="3 a.m.")
    ended, events = small.state("restored-v2"), small.events("restored-v2")
    assert (State.ROLLED_BACK, True, "3 a.m.") == (ended.state, ended.settled, ended.reason)
    assert ["v1"] == [variant.name for variant in small.served(trio["restored"]).production]
    document = small.platform.assignments.read("restored-prod").document
    assert (None, None) == (document.rollout, document.candidate)

    small.run(restore_champion, rollout="restored-v2", reason="3 a.m. again")
    assert events == small.events("restored-v2")
    assert document == small.platform.assignments.read("restored-prod").document


def test_a_rollout_that_nobody_watched_is_rolled_back(small, trio):
    """blind_after is 36 h: after 36 h the sweep still advances it, a minute later it takes the candidate away."""
    state = small.state("forgotten-v2")
    assert State.CANARY is state.state
    watched = small.platform.ledger.last_watched("forgotten-v2")
    small.clock.set(watched + state.spec.blind_after + timedelta(minutes=1))
    small.run(sweep_rollouts, start="inline")
    ended = small.state("forgotten-v2")
    assert (State.ROLLED_BACK, True) == (ended.state, ended.settled)
    assert ended.reason.startswith("blind: nobody has watched since")
    assert ["v1"] == [variant.name for variant in small.served(trio["forgotten"]).production]
    small.clock.set((small.clock.now() + timedelta(days=1)).replace(hour=0, minute=0, second=0))


def test_a_version_is_registered_once_whoever_asks(small, trio):
    """The event, the form and the poll may all bring the same version."""
    small.submit(trio["operated"], models.candidate_v2(small.customers))
    for _ in range(2):
        assert "operated-v3" == small.run(register_candidate, rollout_file="operated", version="3")
    assert [] == small.run(poll_registry)
    assert [EventType.REGISTERED] == [event.type for event in small.events("operated-v3")]
    small.run(operate_rollout, rollout="operated-v3", act="cancel", name="Ada", reason="only a trial")
    assert State.CANCELLED is small.state("operated-v3").state


def test_a_version_that_is_not_approved_is_refused_until_it_is(small, trio):
    candidate = models.candidate_v2(small.customers)
    version = small.submit(trio["restored"], candidate, status="pending")
    with pytest.raises(RefusedError, match="version 3 is pending, not approved"):
        small.run(register_candidate, rollout_file="restored", version=version)
    assert [] == small.run(poll_registry)
    assert "restored-v3" not in small.platform.ledger.rollouts()

    small.platform.registry.set_status("restored", version, "approved")
    assert ["restored-v3"] == small.run(poll_registry)
    small.run(operate_rollout, rollout="restored-v3", act="cancel", name="Ada", reason="only a trial")

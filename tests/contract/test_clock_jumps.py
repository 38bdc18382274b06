"""Clocks that jump: a laptop that slept for a day, a machine whose time was set back by an hour."""

from __future__ import annotations

import os
from datetime import timedelta

import pytest

from staged_rollout.adapters.assignments_file import FileAssignments
from staged_rollout.errors import StagedRolloutError
from staged_rollout.operations.journal import load
from staged_rollout.operations.lease import LEASE_S, leased
from staged_rollout.operations.look import gather
from staged_rollout.operations.operate import Act, operate
from staged_rollout.operations.restore import blind, restore_champion
from staged_rollout.operations.watch import watch
from staged_rollout.state import EXPOSED, EventType, HoldReason, State
from tests.fakes.platform import ENDPOINT, PERSON, ROLLOUT, TICK
from tests.fakes.worlds import DAY, end, world

HOUR = timedelta(hours=1)
STAYS = (State.SHADOW, State.CANARY, State.LIVE, State.AWAITING_APPROVAL, State.PROMOTING, State.BAKING)


def set_back(platform, step=HOUR):
    """What a clock does only outside of a simulation."""
    platform.clock._path.write_text(f'{{"now": "{(platform.clock.now() - step).isoformat()}"}}')


@pytest.mark.parametrize("state", STAYS)
def test_a_day_asleep_is_a_day_that_nobody_watched(tmp_path, churn, state):
    """Forwards by a day: exposed, the champion is restored, once; in SHADOW nobody met the candidate."""
    platform = world(tmp_path, churn, state)
    platform.ledger.watched(ROLLOUT, platform.clock.now())
    platform.clock.advance(DAY)
    found = blind(platform)
    assert bool(found) is (state in EXPOSED)
    for asleep, reason in found * 2:  # the sweep and the guard both notice
        restore_champion(platform, asleep.rollout, reason, TICK)
        assert platform.document().exposure == 0.0
    end(platform)
    if state in EXPOSED:
        after = load(platform, ROLLOUT)
        assert (State.ROLLED_BACK, True) == (after.state, "blind" in after.reason)
        entered = [event.payload["state"] for event in platform.ledger.events(ROLLOUT) if is_entered(event)]
        assert entered.count("ROLLING_BACK") == 1
    platform.ledger.verify()


def is_entered(event):
    return event.type is EventType.STAGE_ENTERED


def look_now(platform):
    """A tick of a rollout that has traffic and fresh logs, so that nothing holds it."""
    now = platform.clock.now()
    platform.health.calls, platform.health.last_call_at = 9, now
    platform.lake.answers["freshness"] = [{"newest": now}]
    platform.lake.number += 1
    platform.act(*gather(platform, ROLLOUT, TICK))
    state = load(platform, ROLLOUT)
    assert not {HoldReason.NO_DATA, HoldReason.NO_TRAFFIC} & set(state.holds)
    return [look.slot for look in state.looks]


@pytest.mark.parametrize("state", STAYS)
def test_an_hour_back_is_no_reason_for_anything(tmp_path, churn, state):
    """Backwards by an hour: ticks and guards work, nothing is decided twice, and the same end is reached."""
    platform = world(tmp_path, churn, state)
    platform.clock.advance(timedelta(minutes=10))
    platform.tick(ROLLOUT)
    platform.settle(ROLLOUT)
    before = load(platform, ROLLOUT)
    set_back(platform)
    platform.tick(ROLLOUT)
    watch(platform, ROLLOUT, TICK)
    platform.settle(ROLLOUT)
    after = load(platform, ROLLOUT)
    assert (before.state, before.step, before.looks) == (after.state, after.step, after.looks)
    assert blind(platform) == []
    platform.ledger.verify()
    if state is not State.AWAITING_APPROVAL:
        platform.reach(ROLLOUT, State.PROMOTED)
        platform.ledger.verify()


def test_a_look_that_was_taken_is_not_taken_again_an_hour_earlier(tmp_path, churn):
    """Back before its cut-off and forwards again: the slot is spent, and the next is the next."""
    platform = world(tmp_path, churn, State.LIVE)
    platform.clock.advance(8 * DAY + timedelta(minutes=30))
    first = look_now(platform)
    assert len(first) == 1
    set_back(platform)
    assert first == look_now(platform)
    set_back(platform, -2 * HOUR)
    assert first == look_now(platform)


@pytest.mark.parametrize("state", sorted(EXPOSED))
def test_a_clock_that_was_set_back_does_not_hide_that_nobody_watches(tmp_path, churn, state):
    """One watch after the jump, then none: blind after `blind_after`, and not an hour later."""
    platform = world(tmp_path, churn, state)
    platform.ledger.watched(ROLLOUT, platform.clock.now())
    set_back(platform)
    platform.ledger.watched(ROLLOUT, platform.clock.now())
    platform.clock.advance(load(platform, ROLLOUT).spec.blind_after)
    assert blind(platform) == []
    platform.clock.advance(timedelta(seconds=1))
    assert len(blind(platform)) == 1


def test_a_rollback_waits_for_no_clock(tmp_path, churn):
    """An hour back in both clocks, a foreign lease that now ends in an hour: the routers go back at once."""
    platform = world(tmp_path, churn, State.LIVE)
    now = platform.clock.wall()
    assert platform.ledger.lease(ENDPOINT, ROLLOUT, token="elsewhere:1:aa", now=now, until=now + LEASE_S)
    platform.clock.skip(-3600)
    set_back(platform)
    operate(platform, ROLLOUT, Act.ROLLBACK, PERSON, "errors doubled")
    assert platform.document().exposure == 0.0
    with pytest.raises(StagedRolloutError):
        platform.settle(ROLLOUT)
    platform.clock.skip(3600 + LEASE_S + 1)
    assert State.ROLLED_BACK is end(platform).state


def test_a_lease_whose_time_a_jump_ended_is_lost_to_whoever_takes_it(tmp_path, churn):
    """Forwards by a day in the middle of a change: who was asleep notices before the next outside call."""
    platform = world(tmp_path, churn, State.SHADOW)
    state = load(platform, ROLLOUT)
    with leased(platform, ENDPOINT, ROLLOUT) as asleep:
        platform.clock.skip(86_400)
        with leased(platform, ENDPOINT, ROLLOUT) as awake:
            awake.confirm(state)
            with pytest.raises(StagedRolloutError):
                asleep.confirm(state)


def test_a_drain_lasts_no_longer_because_the_clock_was_set_back(tmp_path, churn):
    """The document's file is an hour ahead of the clock: its age counts from now, not from in an hour."""
    platform = world(tmp_path, churn, State.CANARY)
    ahead = [platform.clock.wall()]
    assignments = FileAssignments(platform.home.assignments, wall=lambda: ahead[0])
    path = platform.home.assignments / f"{ENDPOINT}.json"
    os.utime(path, (ahead[0] + 3600, ahead[0] + 3600))
    assert assignments.read(ENDPOINT).age_s == 0.0
    ahead[0] += 30
    assert assignments.read(ENDPOINT).age_s == pytest.approx(30, abs=1)

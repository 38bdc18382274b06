"""Back to the champion, and who is blind."""

from __future__ import annotations

from datetime import timedelta

import pytest

from staged_rollout.errors import NotFoundError
from staged_rollout.operations.journal import load
from staged_rollout.operations.restore import blind, restore_champion
from staged_rollout.state import EXPOSED, EventType, NewEvent, State
from tests.fakes.platform import ROLLOUT, TICK, reached

STEPS = {State.CANARY: 2, State.PROMOTING: 1}
ASK = {"decide": {"win": {"action": "ask", "who": "growth-ml", "within": "3d"}}}


class Unreachable:
    """A part that must not be needed."""

    def __getattr__(self, name):
        raise AssertionError(f"{name} was needed")


def at(tmp_path, churn, state):
    return reached(tmp_path, churn, state, STEPS.get(state, 0), **(ASK if state is State.AWAITING_APPROVAL else {}))


@pytest.mark.parametrize("state", sorted({*EXPOSED, State.SHADOW}))
def test_restoring_needs_nothing_but_the_ledger_and_the_assignments(tmp_path, churn, state):
    platform = at(tmp_path, churn, state)
    platform.serving = platform.registry = platform.lake = platform.health = Unreachable()
    after = restore_champion(platform, ROLLOUT, "blind", TICK)
    assert (after.state, after.ending) == (State.ROLLING_BACK, State.ROLLED_BACK)
    assert platform.document().exposure == 0.0
    assert restore_champion(platform, ROLLOUT, "blind", TICK) == after


@pytest.mark.parametrize("state", [State.REGISTERED, State.PROMOTED])
def test_restoring_changes_nothing_where_nothing_is_exposed(tmp_path, churn, state):
    platform = at(tmp_path, churn, state)
    before, document = load(platform, ROLLOUT), platform.document()
    assert restore_champion(platform, ROLLOUT, "blind", TICK) == before
    assert platform.document() == document


def test_restoring_needs_a_rollout(tmp_path, churn):
    with pytest.raises(NotFoundError):
        restore_champion(at(tmp_path, churn, State.LIVE), "churn-v9", "blind", TICK)


def test_restoring_is_not_stopped_by_a_note_at_the_same_moment(tmp_path, churn):
    platform = at(tmp_path, churn, State.LIVE)
    append, note = platform.ledger.append, NewEvent(EventType.NOTED, {"text": "meanwhile"})

    def appending(rollout, events, **more):
        platform.ledger.append = append
        append(rollout, [note], expected_seq=platform.ledger.head(rollout), at=platform.clock.now(), actor=TICK)
        return append(rollout, events, **more)

    platform.ledger.append = appending
    assert restore_champion(platform, ROLLOUT, "blind", TICK).state is State.ROLLING_BACK


@pytest.mark.parametrize("state", sorted(EXPOSED))
def test_an_exposed_rollout_is_blind_after_its_time(tmp_path, churn, state):
    platform = at(tmp_path, churn, state)
    platform.ledger.watched(ROLLOUT, platform.clock.now())
    limit = load(platform, ROLLOUT).spec.blind_after
    platform.clock.advance(limit)
    assert blind(platform) == []
    platform.clock.advance(timedelta(seconds=1))
    [(found, reason)] = blind(platform)
    assert found.rollout == ROLLOUT
    assert "nobody has watched since" in reason


def test_what_nobody_meets_is_never_blind(tmp_path, churn):
    for state in (State.REGISTERED, State.SHADOW, State.PROMOTED):
        platform = at(tmp_path / state, churn, state)
        platform.clock.advance(timedelta(days=9))
        assert blind(platform) == []


def test_a_stay_that_was_never_watched_counts_from_its_beginning(tmp_path, churn):
    platform = at(tmp_path, churn, State.CANARY)
    platform.clock.advance(timedelta(minutes=31))
    assert [state.rollout for state, _ in blind(platform)] == [ROLLOUT]

"""The journal: what no rollout can have is never written."""

from __future__ import annotations

import pytest

from staged_rollout.errors import NotFoundError, StaleSequenceError
from staged_rollout.operations.journal import active, entering, load, write
from staged_rollout.state import EventType, NewEvent, State
from tests.fakes.platform import ENDPOINT, ROLLOUT, TICK, FakePlatform, reached

NOTE = NewEvent(EventType.NOTED, {"text": "watching"})


def test_an_unknown_rollout_is_named_beside_those_that_are_known(tmp_path, churn):
    with pytest.raises(NotFoundError, match="'churn-v9' in the ledger; known: churn-v3"):
        load(reached(tmp_path, churn, State.REGISTERED), "churn-v9")
    with pytest.raises(NotFoundError, match="known: none"):
        load(FakePlatform.at(tmp_path / "empty"), "churn-v9")


def test_writing_answers_what_reading_would(tmp_path, churn):
    platform = reached(tmp_path, churn, State.LIVE)
    after = write(platform, load(platform, ROLLOUT), [NOTE, NOTE], TICK)
    assert after == load(platform, ROLLOUT)


def test_writing_nothing_writes_nothing(tmp_path, churn):
    platform = reached(tmp_path, churn, State.LIVE)
    state = load(platform, ROLLOUT)
    assert write(platform, state, [], TICK) is state
    assert platform.ledger.head(ROLLOUT) == state.seq


@pytest.mark.parametrize(
    "impossible",
    [
        entering(State.PROMOTED, "a jump"),
        entering(State.ROLLING_BACK, "without an ending"),
        NewEvent(EventType.LOOK_TAKEN, {"slot": 1}),
        NewEvent(EventType.APPROVED, {"decision_seq": 1, "reason": "nobody asked"}),
        NewEvent(EventType.SETTLED, {}),
        NewEvent(EventType.NOTED, {"value": float("nan")}),
    ],
    ids=lambda event: str(event.type),
)
def test_an_impossible_event_leaves_the_ledger_readable(tmp_path, churn, impossible):
    """Law: the fold runs before the append, so that an append-only ledger never holds what it cannot read."""
    platform = reached(tmp_path, churn, State.LIVE)
    before = load(platform, ROLLOUT)
    with pytest.raises((KeyError, TypeError, ValueError)):
        write(platform, before, [NOTE, impossible], TICK)
    assert load(platform, ROLLOUT) == before


def test_two_writers_cannot_both_win(tmp_path, churn):
    platform = reached(tmp_path, churn, State.LIVE)
    state = load(platform, ROLLOUT)
    write(platform, state, [NOTE], TICK)
    with pytest.raises(StaleSequenceError):
        write(platform, state, [entering(State.ROLLING_BACK, "late", ending=State.ROLLED_BACK)], TICK)
    assert load(platform, ROLLOUT).state is State.LIVE


def test_an_ended_rollout_is_active_until_it_is_cleaned_up(tmp_path, churn):
    platform = reached(tmp_path, churn, State.REGISTERED)
    state = write(platform, load(platform, ROLLOUT), [entering(State.CANCELLED, "superseded")], TICK)
    assert [known.rollout for known in active(platform)] == [ROLLOUT]
    write(platform, state, [NewEvent(EventType.SETTLED, {})], TICK, release=ENDPOINT)
    assert active(platform) == []

"""The ledger's contract beside events: claims, leases, cursors and watches, on SQLite and on PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone

import pytest

from staged_rollout.adapters.ledger_sql import SqlLedger, open_ledger
from staged_rollout.errors import ConflictError, StaleSequenceError
from staged_rollout.ports import Claim
from staged_rollout.state import Actor, EventType, NewEvent

AT = datetime(2026, 3, 2, 9, 30, 0, 123456, tzinfo=UTC)


@pytest.fixture
def ledger(ledger_url: str) -> Iterator[SqlLedger]:
    with open_ledger(ledger_url) as opened:
        yield opened


@pytest.fixture
def claimed(ledger: SqlLedger) -> SqlLedger:
    note(ledger, "a-v1", claim="churn-prod")
    return ledger


def note(ledger: SqlLedger, rollout: str, after: int = 0, **more: str) -> None:
    event = NewEvent(EventType.NOTED, {})
    ledger.append(rollout, [event], expected_seq=after, at=AT, actor=Actor("ada"), **more)


def test_an_endpoint_has_one_owner_until_it_is_released(claimed):
    assert claimed.claim_of("churn-prod") == Claim("churn-prod", "a-v1", "", 0.0)
    assert claimed.claim_of("other-prod") is None
    with pytest.raises(ConflictError):
        note(claimed, "b-v1", claim="churn-prod")

    note(claimed, "a-v1", after=1, release="churn-prod")

    assert claimed.claim_of("churn-prod") is None
    note(claimed, "b-v1", claim="churn-prod")
    assert claimed.claim_of("churn-prod") == Claim("churn-prod", "b-v1", "", 0.0)


def test_claiming_again_changes_nothing_not_even_the_lease(claimed):
    assert claimed.lease("churn-prod", "a-v1", token="h:1:x", now=100.0, until=160.0)
    note(claimed, "a-v1", after=1, claim="churn-prod")
    assert claimed.claim_of("churn-prod") == Claim("churn-prod", "a-v1", "h:1:x", 160.0)


def test_only_the_owner_releases(claimed):
    note(claimed, "b-v1", release="churn-prod")
    assert claimed.claim_of("churn-prod") == Claim("churn-prod", "a-v1", "", 0.0)


def test_a_refused_append_neither_claims_nor_releases(claimed):
    with pytest.raises(StaleSequenceError):
        note(claimed, "a-v1", after=7, claim="other-prod", release="churn-prod")
    assert claimed.claim_of("churn-prod") is not None
    assert claimed.claim_of("other-prod") is None


def test_a_release_and_a_claim_go_together(claimed):
    note(claimed, "a-v1", after=1, release="churn-prod", claim="other-prod")
    assert claimed.claim_of("churn-prod") is None
    assert claimed.claim_of("other-prod") == Claim("other-prod", "a-v1", "", 0.0)


def test_a_lease_excludes_other_tokens_until_it_ends(claimed):
    assert claimed.lease("churn-prod", "a-v1", token="h:1:x", now=100.0, until=160.5)

    assert not claimed.lease("churn-prod", "a-v1", token="h:2:y", now=160.0, until=220.0)
    assert claimed.claim_of("churn-prod") == Claim("churn-prod", "a-v1", "h:1:x", 160.5)

    assert claimed.lease("churn-prod", "a-v1", token="h:2:y", now=160.5, until=220.0)
    assert claimed.claim_of("churn-prod") == Claim("churn-prod", "a-v1", "h:2:y", 220.0)


def test_the_holder_renews(claimed):
    assert claimed.lease("churn-prod", "a-v1", token="h:1:x", now=100.0, until=160.0)
    assert claimed.lease("churn-prod", "a-v1", token="h:1:x", now=120.0, until=180.0)
    assert claimed.claim_of("churn-prod") == Claim("churn-prod", "a-v1", "h:1:x", 180.0)


def test_wall_seconds_keep_their_fraction(claimed):
    until = 1_790_000_000.123456
    assert claimed.lease("churn-prod", "a-v1", token="h:1:x", now=until - 60, until=until)
    assert claimed.claim_of("churn-prod").lease_until == until


def test_the_lease_of_a_dead_process_is_seized_by_its_token(claimed):
    assert claimed.lease("churn-prod", "a-v1", token="h:1:x", now=100.0, until=160.0)
    assert not claimed.lease("churn-prod", "a-v1", token="h:2:y", now=101.0, until=161.0, seize="h:9:z")
    assert claimed.lease("churn-prod", "a-v1", token="h:2:y", now=101.0, until=161.0, seize="h:1:x")
    assert claimed.claim_of("churn-prod").token == "h:2:y"


def test_an_ended_lease_is_free_for_all(claimed):
    assert claimed.lease("churn-prod", "a-v1", token="h:1:x", now=100.0, until=160.0)
    claimed.unlease("churn-prod", token="h:2:y")
    assert claimed.claim_of("churn-prod").token == "h:1:x"

    claimed.unlease("churn-prod", token="h:1:x")

    assert claimed.claim_of("churn-prod") == Claim("churn-prod", "a-v1", "", 0.0)
    assert claimed.lease("churn-prod", "a-v1", token="h:2:y", now=101.0, until=161.0)


def test_another_rollout_gets_no_lease_even_when_it_is_free(claimed):
    assert not claimed.lease("churn-prod", "b-v1", token="h:1:x", now=100.0, until=160.0)
    assert not claimed.lease("other-prod", "a-v1", token="h:1:x", now=100.0, until=160.0)


def test_nobody_is_no_token(claimed):
    with pytest.raises(ValueError, match="must name a process"):
        claimed.lease("churn-prod", "a-v1", token="", now=100.0, until=160.0)


def test_a_cursor_moves_by_compare_and_set(ledger):
    assert ledger.cursor("notify") == 0
    assert not ledger.move_cursor("notify", expected=3, value=4)
    assert ledger.move_cursor("notify", expected=0, value=4)
    assert not ledger.move_cursor("notify", expected=0, value=9)
    assert ledger.move_cursor("notify", expected=4, value=2**40)
    assert ledger.cursor("notify") == 2**40
    assert ledger.cursor("other") == 0


def test_a_cursor_that_is_back_at_zero_moves_again(ledger):
    assert ledger.move_cursor("notify", expected=0, value=4)
    assert ledger.move_cursor("notify", expected=4, value=0)
    assert ledger.move_cursor("notify", expected=0, value=1)
    assert ledger.cursor("notify") == 1


MOVER = """
import json, sys
from staged_rollout.adapters.ledger_sql import open_ledger

with open_ledger(sys.argv[1]) as ledger:
    print("ready", flush=True)
    sys.stdin.readline()
    won = sum(ledger.move_cursor("notify", expected=n, value=n + 1) for n in range(50))
print(json.dumps(won), flush=True)
"""


def test_each_move_of_a_cursor_has_one_winner(ledger_url, python):
    movers = [python(MOVER, ledger_url) for _ in range(2)]
    for mover in movers:
        assert mover.stdout.readline() == "ready\n"
    wins = [json.loads(mover.communicate("go\n", timeout=60)[0]) for mover in movers]

    with open_ledger(ledger_url) as ledger:
        assert ledger.cursor("notify") == 50
    assert sum(wins) == 50


def test_a_watch_is_one_row_that_never_goes_back(ledger):
    assert ledger.last_watched("a-v1") is None
    for minutes in (0, 5, 3):
        ledger.watched("a-v1", AT + timedelta(minutes=minutes))
        ledger.watched("b-v1", AT)

    last = ledger.last_watched("a-v1")
    assert last == AT + timedelta(minutes=5)
    assert last.tzinfo is UTC
    assert ledger.last_watched("b-v1") == AT


def test_a_watch_goes_back_with_a_clock_that_was_set_back(ledger):
    """Else nobody would notice for an hour that nobody watches any more."""
    ledger.watched("a-v1", AT)
    ledger.watched("a-v1", AT - timedelta(hours=1))
    assert AT - timedelta(hours=1) == ledger.last_watched("a-v1")


def test_a_watch_compares_moments_not_spellings(ledger):
    """18:57 in Tokyo is 9:57 UTC: earlier than 10:00 UTC although it reads later."""
    ledger.watched("a-v1", AT.replace(hour=10))
    ledger.watched("a-v1", (AT.replace(hour=10) - timedelta(minutes=3)).astimezone(timezone(timedelta(hours=9))))
    assert ledger.last_watched("a-v1") == AT.replace(hour=10)

"""The lease: one process acts on an endpoint at a time."""

from __future__ import annotations

import os
import socket
import subprocess

import pytest

from staged_rollout.errors import LeaseHeldError, StaleSequenceError
from staged_rollout.operations.journal import load, write
from staged_rollout.operations.lease import LEASE_S, leased
from staged_rollout.state import EventType, NewEvent, State
from tests.fakes.platform import ENDPOINT, ROLLOUT, TICK, reached

NOTE = NewEvent(EventType.NOTED, {"text": "meanwhile"})


@pytest.fixture
def platform(tmp_path, churn):
    return reached(tmp_path, churn, State.SHADOW)


def dead_pid() -> int:
    gone = subprocess.Popen(["true"])
    gone.wait()
    return gone.pid


def held_by(platform, token, seconds=LEASE_S):
    now = platform.clock.wall()
    assert platform.ledger.lease(ENDPOINT, ROLLOUT, token=token, now=now, until=now + seconds)


def test_the_lease_ends_with_its_block(platform):
    with leased(platform, ENDPOINT, ROLLOUT) as lease:
        assert platform.ledger.claim_of(ENDPOINT).token == lease.token
    assert platform.ledger.claim_of(ENDPOINT).token == ""


def test_the_lease_ends_with_an_error_too(platform):
    with pytest.raises(ZeroDivisionError), leased(platform, ENDPOINT, ROLLOUT):
        _ = 1 / 0
    assert platform.ledger.claim_of(ENDPOINT).token == ""


def test_a_live_process_of_this_machine_keeps_its_lease(platform):
    held_by(platform, f"{socket.gethostname()}:{os.getpid()}:aa")
    named = f"{ENDPOINT} is acted on by {ROLLOUT}, process .*:aa"
    with pytest.raises(LeaseHeldError, match=named), leased(platform, ENDPOINT, ROLLOUT):
        pass


def test_a_dead_process_of_this_machine_is_followed_at_once(platform):
    held_by(platform, f"{socket.gethostname()}:{dead_pid()}:aa")
    with leased(platform, ENDPOINT, ROLLOUT) as lease:
        assert platform.ledger.claim_of(ENDPOINT).token == lease.token


def test_a_process_that_was_killed_is_followed_at_once(platform, python):
    child = python(
        """
        import os, sys, time
        from types import SimpleNamespace
        from staged_rollout.adapters.ledger_sql import open_ledger
        from staged_rollout.operations.lease import leased

        clock = SimpleNamespace(wall=time.time)
        with leased(SimpleNamespace(ledger=open_ledger(sys.argv[1]), clock=clock), sys.argv[2], sys.argv[3]):
            print("leased", flush=True)
            sys.stdin.read()
        """,
        platform.ledger.url,
        ENDPOINT,
        ROLLOUT,
    )
    assert child.stdout.readline() == "leased\n"
    with pytest.raises(LeaseHeldError), leased(platform, ENDPOINT, ROLLOUT):
        pass
    child.kill()
    child.communicate()
    with leased(platform, ENDPOINT, ROLLOUT):
        pass


def test_a_process_of_another_machine_is_waited_for_until_its_lease_ends(platform):
    held_by(platform, f"elsewhere:{dead_pid()}:aa")
    with pytest.raises(LeaseHeldError, match=r"elsewhere:\d+:aa"), leased(platform, ENDPOINT, ROLLOUT):
        pass
    platform.restarted()
    with leased(platform, ENDPOINT, ROLLOUT):
        pass


def test_only_the_owner_of_the_endpoint_may_act(platform):
    with pytest.raises(LeaseHeldError), leased(platform, ENDPOINT, "churn-v9"):
        pass


def test_confirming_renews(platform):
    with leased(platform, ENDPOINT, ROLLOUT) as lease:
        platform.clock.skip(LEASE_S - 1)
        lease.confirm(load(platform, ROLLOUT))
        platform.clock.skip(LEASE_S - 1)
        assert platform.ledger.claim_of(ENDPOINT).lease_until > platform.clock.wall()


def test_confirming_notices_that_the_ledger_moved_on(platform):
    state = load(platform, ROLLOUT)
    with leased(platform, ENDPOINT, ROLLOUT) as lease:
        write(platform, state, [NOTE], TICK)
        with pytest.raises(StaleSequenceError, match=f"moved from event {state.seq} to {state.seq + 1}"):
            lease.confirm(state)


def test_confirming_notices_that_somebody_else_took_over(platform):
    with leased(platform, ENDPOINT, ROLLOUT) as lease:
        platform.restarted()
        held_by(platform, "elsewhere:1:bb")
        with pytest.raises(LeaseHeldError, match="elsewhere:1:bb"):
            lease.confirm(load(platform, ROLLOUT))
    assert platform.ledger.claim_of(ENDPOINT).token == "elsewhere:1:bb"  # leaving does not end another's lease

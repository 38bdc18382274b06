"""One process acts on an endpoint at a time: a lease on the ledger's claim, re-read before every outside call."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from staged_rollout.errors import LeaseHeldError, StaleSequenceError
from staged_rollout.ports import Platform
from staged_rollout.state import RolloutState

LEASE_S = 120.0
"""Wall seconds; renewed before every outside call."""


@dataclass(frozen=True)
class Lease:
    """The right to act on an endpoint.

    Attributes:
        token: `HOST:PID:RANDOM`.
    """

    platform: Platform
    endpoint: str
    rollout: str
    token: str

    def confirm(self, state: RolloutState) -> None:
        """Check, right before an outside call, that nobody has been faster.

        Raises:
            StaleSequenceError: the ledger moved on since `state` was read.
            LeaseHeldError: the lease ended, and somebody else acts.
        """
        head = self.platform.ledger.head(state.rollout)
        if head != state.seq:
            raise StaleSequenceError(
                f"{state.rollout} moved from event {state.seq} to {head}",
                rollout=state.rollout,
                seq=state.seq,
                head=head,
            )
        if not _take(self.platform, self.endpoint, self.rollout, self.token):
            raise _held(self.platform, self.endpoint)


@contextmanager
def leased(platform: Platform, endpoint: str, rollout: str) -> Iterator[Lease]:
    """Hold the lease of a claimed endpoint for the time of one run.

    A lease whose process is dead on this host is taken over at once; on another host it ends by itself.

    Raises:
        LeaseHeldError: another live process acts on the endpoint.
    """
    token = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(6)}"
    if not _take(platform, endpoint, rollout, token):
        raise _held(platform, endpoint)
    try:
        yield Lease(platform, endpoint, rollout, token)
    finally:
        platform.ledger.unlease(endpoint, token=token)


def _take(platform: Platform, endpoint: str, rollout: str, token: str) -> bool:
    now = platform.clock.wall()
    if platform.ledger.lease(endpoint, rollout, token=token, now=now, until=now + LEASE_S):
        return True
    claim = platform.ledger.claim_of(endpoint)
    if claim is None or claim.rollout != rollout or not _dead(claim.token):
        return False
    return platform.ledger.lease(endpoint, rollout, token=token, now=now, until=now + LEASE_S, seize=claim.token)


def _dead(token: str) -> bool:
    """Whether the token's process ran on this host and is gone."""
    host, _, rest = token.rpartition(":")[0].rpartition(":")
    if host != socket.gethostname() or not rest.isdigit():
        return False
    try:
        os.kill(int(rest), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def _held(platform: Platform, endpoint: str) -> LeaseHeldError:
    claim = platform.ledger.claim_of(endpoint)
    holder = "nobody" if claim is None else f"{claim.rollout}, process {claim.token or 'none'}"
    return LeaseHeldError(
        f"{endpoint} is acted on by {holder}",
        hint=f"the lease ends by itself within {LEASE_S:.0f} s; a rollback needs no lease",
        endpoint=endpoint,
    )

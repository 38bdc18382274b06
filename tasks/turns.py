"""Taking turns, where a Prefect server has a global concurrency limit for it; it saves work, and decides nothing."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache

from prefect.client.orchestration import get_client
from prefect.concurrency.sync import concurrency
from prefect.exceptions import ObjectNotFound

LAKE_WRITER = "lake-writer"
"""A limit of 1: the lake has one writer, and its own lock is enough where there is no such limit."""
WAIT_S = 120.0
LEASE_S = 60.0
"""Until a killed holder's turn ends."""


def turn(name: str) -> AbstractContextManager[None]:
    """Wait for one's turn, where a person sees the run wait; nothing where the server has no such limit."""
    return concurrency(name, timeout_seconds=WAIT_S, lease_duration=LEASE_S) if _known(name) else nullcontext()


@lru_cache(maxsize=8)
def _known(name: str) -> bool:
    """Whether the server has the limit; asked once in a process."""
    with get_client(sync_client=True) as client:
        try:
            client.read_global_concurrency_limit_by_name(name)
        except ObjectNotFound:
            return False
    return True

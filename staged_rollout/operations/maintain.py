"""Housekeeping of the lake: what no look can ask for any more is forgotten."""

from __future__ import annotations

from datetime import timedelta

from staged_rollout.operations.journal import active
from staged_rollout.ports import Platform

RETENTION = timedelta(days=90)
"""How long a batch can be read again; replay needs none, since the ledger keeps each look's evidence."""


def forget(platform: Platform) -> str:
    """Expire the snapshots of batches beyond the retention time, but for those that a waiting look is pinned to.

    Returns:
        What was done, in words.
    """
    pinned = {state.planned.batch for state in active(platform) if state.planned is not None}
    before = platform.clock.now() - RETENTION
    count = platform.lake.forget(before, keep=pinned)
    return f"expired {count:,} snapshots of batches sealed before {before:%Y-%m-%d}"

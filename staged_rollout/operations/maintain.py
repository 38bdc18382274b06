"""Housekeeping of the lake: few large files, nothing older than the retention time, and no file that nobody needs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

from staged_rollout.operations.journal import active
from staged_rollout.ports import Platform
from staged_rollout.state import RolloutState, State

RETENTION = timedelta(days=90)
"""How long rows stay; replay needs none, since the ledger keeps each look's evidence."""

READABLE = timedelta(days=7)
"""How long a batch can be read again as it was; the newest one always can."""


def maintain(platform: Platform) -> list[str]:
    """Compact, take out rows beyond the retention time, expire old snapshots and delete what none of them needs.

    A look that is being taken keeps its rows, and so does every rollout that runs: its days stay, however old.

    Returns:
        What was done, in words.
    """
    states = active(platform)
    pinned = {state.planned.batch for state in states if state.planned is not None}
    now, upkeep = platform.clock.now(), platform.lake.upkeep
    first = first_day(now, states)
    removed = sum(change.removed for change in upkeep.retain(first, now))
    compacted = upkeep.compact(now)
    before = now - READABLE
    expired = platform.lake.forget(before, keep=pinned)
    deleted, size = upkeep.sweep()
    merged = sum(change.files_before - change.files_after for change in compacted)
    return [
        f"removed {removed:,} rows of days before {first}",
        f"compacted: {merged:,} fewer files",
        f"expired {expired:,} snapshots of batches sealed before {before:%Y-%m-%d}",
        f"deleted {deleted:,} files that no batch needs, {size / 1e6:,.1f} MB",
    ]


def first_day(now: datetime, states: Sequence[RolloutState]) -> date:
    """The first event day that stays: of the retention time, or earlier where a running rollout began before.

    Args:
        now: The clock's time.
        states: The rollouts that run.
    """
    begun = [began for state in states if (began := state.effective_at(State.SHADOW)) is not None]
    oldest = min([now - RETENTION, *(began - timedelta(days=1) for began in begun)])
    return oldest.astimezone(UTC).date()

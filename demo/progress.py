"""How far the demo has come: written after each phase of each day, so that a killed demo goes on where it was."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from staged_rollout.adapters.atomic_file import replace_file
from staged_rollout.errors import LedgerCorruptError
from staged_rollout.ports import Ledger

PHASES = ("morning", "noon", "afternoon", "evening")
"""A day: half of its calls, the guard, the other half, then outcomes and the sweep."""


@dataclass(frozen=True)
class Progress:
    """The next thing to do.

    Attributes:
        seed: The demo's.
        day: Days since the demo's first.
        phase: Index into `PHASES`.
        heads: Rollout to (sequence number, hash) when the phase began: what a resumed ledger must still begin with.
    """

    seed: int
    day: int
    phase: int
    heads: dict[str, tuple[int, str]]


def heads_of(ledger: Ledger) -> dict[str, tuple[int, str]]:
    """Each rollout's last event."""
    found: dict[str, tuple[int, str]] = {}
    for rollout in ledger.rollouts():
        last = ledger.events(rollout)[-1]
        found[rollout] = (last.seq, last.hash)
    return found


def save(path: Path, progress: Progress) -> None:
    """Replace the file atomically."""
    replace_file(path, json.dumps(asdict(progress), sort_keys=True).encode())


def resume(path: Path, ledger: Ledger) -> Progress | None:
    """The progress of a killed demo, checked against the ledger; None when there is none.

    Raises:
        LedgerCorruptError: the ledger no longer begins with what it held when the phase began.
    """
    try:
        stored = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    heads = {rollout: (int(seq), str(digest)) for rollout, (seq, digest) in stored["heads"].items()}
    for rollout, (seq, digest) in heads.items():
        events = ledger.events(rollout)
        found = events[seq - 1].hash if len(events) >= seq else "nothing"
        if found != digest:
            raise LedgerCorruptError(
                f"{rollout}: event {seq} had hash {digest[:12]} when the demo was killed, now {found[:12]}",
                hint="make demo starts again from nothing",
            )
    return Progress(int(stored["seed"]), int(stored["day"]), int(stored["phase"]), heads)

"""What looks counted, as the tables `units` and `moments`: for people who read the lake; no decision reads them.

Written from the ledger after a look was taken, by a cursor. A row's identity is its unit, or its look, day and variant:
a killed run that is repeated adds nothing twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from staged_rollout.errors import DataError
from staged_rollout.operations.look_moments import query_parameters
from staged_rollout.operations.window import Window
from staged_rollout.ports import Platform, Rows
from staged_rollout.ports.lake import BatchDraft
from staged_rollout.records.identities import row_identities
from staged_rollout.records.tables import TableName, arrow_schema
from staged_rollout.state import Event, EventType, PlannedLook, State, fold, from_payload

_SUMS = ("sy", "syy", "sd", "sdd", "syd")


@dataclass(frozen=True)
class Written:
    """What one look put into the tables.

    Attributes:
        slot: The look.
        units: Units that it counted first.
        moments: Rows of `moments`: exposure days and variants.
        skipped: Why nothing was written, or "".
    """

    slot: int
    units: int = 0
    moments: int = 0
    skipped: str = ""


def write_look_tables(platform: Platform, rollout: str) -> list[Written]:
    """Write the looks that were taken since the last time, oldest first.

    Args:
        platform: Where the rollout lives.
        rollout: Its id.

    Returns:
        What each look put in. One whose batch can no longer be read is skipped, and says so.

    Raises:
        LeaseHeldError: another process writes into the lake; the next run goes on.
        DataError: the lake cannot be written; nothing of that look is in it then.
    """
    name = f"look-tables:{rollout}"
    cursor = platform.ledger.cursor(name)
    events = platform.ledger.events(rollout)
    planned: PlannedLook | None = None
    written: list[Written] = []
    for event in events:
        if event.type is EventType.LOOK_PLANNED:
            planned = from_payload(PlannedLook, event.payload)
        if event.type is EventType.LOOK_TAKEN and event.seq > cursor and planned is not None:
            written.append(_write(platform, events[: event.seq], planned))
            platform.ledger.move_cursor(name, expected=cursor, value=event.seq)
            cursor = event.seq
    return written


def _write(platform: Platform, events: Sequence[Event], planned: PlannedLook) -> Written:
    try:
        window = Window(platform, fold(events), platform.lake.batch(planned.batch), planned.cut_off)
        units, moments = _units(window), _moments(window)
    except DataError as error:
        return Written(planned.slot, skipped=error.message)
    if not moments:
        return Written(planned.slot)
    with platform.lake.writer() as writer:
        batch = writer.begin()
        try:
            written = Written(
                planned.slot,
                units=_add(batch, "units", units, window, planned.slot),
                moments=_add(batch, "moments", moments, window, planned.slot),
            )
            batch.commit(BatchDraft(at=platform.clock.now(), claims=(), books=()))
        except BaseException:
            batch.discard()
            raise
    return written


def _add(batch: Any, table: TableName, rows: Rows, window: Window, slot: int) -> int:
    import pyarrow as pa

    spec = window.state.spec
    told = {
        "endpoint": spec.endpoint,
        "rollout": window.state.rollout,
        "slot": slot,
        "cut_off": window.cut_off,
        "metric": spec.success.metric,
        "resolution": spec.declared.step if spec.declared else 1.0,
    }
    records = [told | row | {"event_date": row["exposed_day"]} for row in rows]
    identities = pa.array([row_identities(table, record)[0] for record in records], pa.binary(16))
    added = batch.add(table, pa.Table.from_pylist(records, arrow_schema(table)), [identities])
    return int(added.sum())


def _units(window: Window) -> Rows:
    return _asked(window, "labelled_units", "counted_units")


def _moments(window: Window) -> Rows:
    rows = _asked(window, "success_days", "moments")
    if window.state.spec.declared is not None:
        return [row | {key: row[key] or "0" for key in _SUMS} for row in rows]
    # Of a share, every sum is a count: y is 1 or 0.
    return [
        row
        | {"n": row["with_outcome"], "holds": row["correct"], "capped": 0, "sd": "0", "sdd": "0", "syd": "0"}
        | dict.fromkeys(("sy", "syy"), str(row["correct"]))
        for row in rows
    ]


def _asked(window: Window, of_correct: str, of_declared: str) -> Rows:
    state = window.state
    metric = state.spec.declared
    more = {} if metric is None else query_parameters(metric)
    return window.ask(
        of_correct if metric is None else of_declared,
        state.epochs_of(State.LIVE),
        matures_after=state.spec.success.matures_after,
        **more,
    )

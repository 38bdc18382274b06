"""A whole ledger as one file, and back: the same lines for SQLite and PostgreSQL, as of one moment."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Table, func, insert, select

from staged_rollout.adapters.ledger_chain import row_of, verified
from staged_rollout.adapters.ledger_engine import transaction
from staged_rollout.adapters.ledger_sql import SqlLedger
from staged_rollout.adapters.ledger_tables import HEAD, cursors, endpoint_claims, metadata, watches
from staged_rollout.adapters.ledger_tables import events as events_table
from staged_rollout.errors import DataError, LedgerCorruptError, PlatformError, RefusedError
from staged_rollout.operations.ledger_lines import Links, event_line, event_of, objects
from staged_rollout.state import Event, canonical, fold

FORMAT = "staged-rollout/ledger/1"
_ROWS_AT_ONCE = 200


@dataclass
class Kept:
    """What a backup holds.

    Attributes:
        heads: Each rollout's last event number and hash, in the order of the file.
        claims: Endpoint to the rollout that owns it; who acted at that moment is not kept.
        cursors: Cursor to value.
        watches: Rollout to the last look of a guard.
    """

    heads: dict[str, tuple[int, str]] = field(default_factory=dict)
    claims: dict[str, str] = field(default_factory=dict)
    cursors: dict[str, int] = field(default_factory=dict)
    watches: dict[str, datetime] = field(default_factory=dict)

    @property
    def events(self) -> int:
        """How many events it holds."""
        return sum(seq for seq, _ in self.heads.values())


def backup_lines(ledger: SqlLedger, kept: Kept) -> Iterator[str]:
    """A ledger, line by line, as of one moment, while others write.

    Args:
        ledger: Read in one transaction that lasts until the last line.
        kept: Is filled on the way.

    Raises:
        LedgerCorruptError: a row is missing, moved or changed: what is broken does not replace a good backup.
        PlatformError: the database cannot be read.
    """
    order = ledger.rollouts()
    with transaction(ledger.engine, write=False) as connection:
        if ledger.engine.dialect.name == "postgresql":
            connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        yield canonical({"ledger": FORMAT, "revision": HEAD})
        names = set(connection.execute(select(events_table.c.rollout).distinct()).scalars())
        for rollout in sorted(names, key=lambda name: (order.index(name) if name in order else len(order), name)):
            events = _events(connection, rollout)
            fold(events)
            yield from map(event_line, events)
            kept.heads[rollout] = events[-1].seq, events[-1].hash
        for row in connection.execute(select(endpoint_claims)):
            kept.claims[row.endpoint] = row.rollout
            yield canonical({"claim": row.endpoint, "rollout": row.rollout})
        for row in connection.execute(select(cursors)):
            kept.cursors[row.name] = row.value
            yield canonical({"cursor": row.name, "value": row.value})
        for row in connection.execute(select(watches)):
            kept.watches[row.rollout] = row.at
            yield canonical({"watch": row.rollout, "at": row.at.isoformat(timespec="microseconds")})
        yield canonical({"end": kept.events})


def restore(ledger: SqlLedger, file: Path) -> Kept:
    """Put a backup into an empty ledger, all or nothing: every link is checked and every rollout folded first.

    Leases are not restored: whoever acted then acts no more.

    Args:
        ledger: Without any event.
        file: Of `backup_lines`.

    Raises:
        RefusedError: the ledger holds something.
        DataError: the file is no backup, or not whole, or was changed.
        PlatformError: the file cannot be read, or the ledger cannot be written.
    """
    kept = Kept()
    try:
        with file.open("rb") as lines, transaction(ledger.engine, write=True) as connection:
            _refuse_full(connection, ledger)
            _restore(connection, objects(lines, file.name), file.name, kept)
    except OSError as error:
        raise PlatformError(f"{file} cannot be read: {error.strerror}", file=str(file)) from error
    return kept


def _refuse_full(connection: Connection, ledger: SqlLedger) -> None:
    if connection.dialect.name == "postgresql":
        tables = ", ".join(table.name for table in metadata.sorted_tables)
        connection.exec_driver_sql(f"LOCK TABLE {tables} IN EXCLUSIVE MODE")
    for table in metadata.sorted_tables:
        rows = connection.execute(select(func.count()).select_from(table)).scalar_one()
        if rows:
            raise RefusedError(
                f"{ledger.url} is not empty: {rows:,} rows in {table.name}",
                hint="a backup is restored into a new ledger: move the old one away, do not delete it",
                ledger=ledger.url,
            )


def _restore(connection: Connection, values: Iterator[tuple[int, dict[str, Any]]], name: str, kept: Kept) -> None:
    first = next(values, (0, {}))[1]
    if first.get("ledger") != FORMAT:
        raise DataError(
            f"{name} is no backup of a ledger: its first line does not say {FORMAT}",
            hint="staged-rollout ledger backup writes one; an export of events cannot be restored",
        )
    links, rollout, waiting, whole = Links(), "", list[Event](), False
    for number, value in values:
        where = f"{name}:{number}"
        if whole:
            raise DataError(f"{where}: a line after the last one", hint="take another copy")
        if "hash" in value:
            event = event_of(value, where)
            if waiting and event.rollout != rollout:
                _insert(connection, waiting)
                waiting = []
            links.follow(event, where)
            rollout = event.rollout
            waiting.append(event)
            continue
        whole = _other(value, where, kept, links)
    if not whole:
        raise DataError(f"{name} is not whole: its last line is missing", hint="take another copy")
    if waiting:
        _insert(connection, waiting)
    kept.heads = links.heads
    claims = [
        {"endpoint": endpoint, "rollout": owner, "token": "", "lease_until": 0.0}
        for endpoint, owner in kept.claims.items()
    ]
    _rows(connection, endpoint_claims, claims)
    _rows(connection, cursors, [{"name": cursor, "value": value} for cursor, value in kept.cursors.items()])
    _rows(connection, watches, [{"rollout": watched, "at": at} for watched, at in kept.watches.items()])


def _other(value: dict[str, Any], where: str, kept: Kept, links: Links) -> bool:
    """A line that is no event; True for the last one.

    Raises:
        DataError: it is none that a backup has.
    """
    try:
        match value:
            case {"claim": str(endpoint), "rollout": str(rollout)}:
                kept.claims[endpoint] = rollout
            case {"cursor": str(cursor), "value": int(position)}:
                kept.cursors[cursor] = position
            case {"watch": str(rollout), "at": str(at)}:
                kept.watches[rollout] = _zoned(at)
            case {"end": int(events)}:
                held = sum(seq for seq, _ in links.heads.values())
                if events != held:
                    raise DataError(f"{where}: {events:,} events were written, here are {held:,}")
                return True
            case _:
                raise DataError(f"{where}: an unknown line with {', '.join(value) or 'nothing'}")
    except ValueError as error:
        raise DataError(f"{where}: {error}") from error
    return False


def _zoned(at: str) -> datetime:
    moment = datetime.fromisoformat(at)
    if moment.tzinfo is None:
        raise ValueError(f"{at} has no time zone")
    return moment


def _insert(connection: Connection, events: list[Event]) -> None:
    try:
        fold(events)
    except LedgerCorruptError as error:
        raise DataError(error.message, hint="take another copy, or the program that wrote it") from error
    _rows(connection, events_table, [row_of(event) for event in events])


def _rows(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        connection.execute(insert(table), rows[start : start + _ROWS_AT_ONCE])


def _events(connection: Connection, rollout: str) -> list[Event]:
    query = select(events_table).where(events_table.c.rollout == rollout).order_by(events_table.c.seq)
    return verified(rollout, connection.execute(query).mappings().all(), after=0)

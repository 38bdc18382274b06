"""Checks of the ledger as it lies there: schema, chain, leases and time; it is read and never opened for writing."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

from sqlalchemy import URL, Engine, column, create_engine, func, inspect, make_url, select, table
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from staged_rollout.adapters.diagnosis import UPDATE, Check, Found
from staged_rollout.adapters.ledger_engine import make_engine, transaction
from staged_rollout.adapters.ledger_sql import SqlLedger
from staged_rollout.adapters.ledger_tables import HEAD, VERSION_TABLE, endpoint_claims
from staged_rollout.adapters.ledger_tables import events as events_table
from staged_rollout.adapters.still_sqlite import read_still
from staged_rollout.errors import LedgerCorruptError, PlatformError
from staged_rollout.ports.clock import Clock
from staged_rollout.report.figures import count

T = TypeVar("T")

AHEAD = timedelta(minutes=1)
"""How far an event may lie in the future: clocks of several machines differ by that much."""
NETWORK_S = 2
_STATEMENT_MS = 20_000
_SHOWN = 3


def ledger_checks(url: Callable[[], str], clock: Callable[[], Clock]) -> list[Check]:
    """What a ledger must be.

    Args:
        url: The ledger's SQLAlchemy URL.
        clock: The environment's clock; asked for time only when there are events.
    """
    return [
        Check(
            "ledger",
            f"it opens, its tables are of revision {HEAD}, and every event is as it was written",
            "staged-rollout ledger verify",
            lambda: read_ledger(url(), chain_found) or nothing_yet(),
        ),
        Check(
            "leases",
            "no lease that ended without being given back",
            "staged-rollout sweep",
            lambda: read_ledger(url(), lambda engine: leases_found(engine, clock().wall())) or nothing_yet(),
        ),
        Check(
            "clock",
            f"no event more than {AHEAD.total_seconds():.0f} s in the future",
            "sudo timedatectl set-ntp true",
            lambda: read_ledger(url(), lambda engine: clock_found(engine, clock)) or nothing_yet(),
        ),
    ]


def nothing_yet() -> Found:
    """The answer where there is no ledger."""
    return Found("ok", "no ledger yet; the first command makes it")


def read_ledger(url: str, read: Callable[[Engine], T]) -> T | None:
    """Read a ledger that is not changed by it; None where there is none, or an empty one.

    Args:
        url: `sqlite:///PATH` or `postgresql://...`.
        read: Gets an engine that may only read.

    Raises:
        PlatformError: the database cannot be reached or read, or is no ledger.
    """
    try:
        parsed = make_url(url)
        backend = parsed.get_backend_name()
    except (ArgumentError, NoSuchModuleError, ValueError):  # their text would show a password
        raise PlatformError("the ledger's URL cannot be read: STAGED_ROLLOUT_LEDGER, or the environment's") from None
    if backend != "sqlite" or parsed.database in {None, "", ":memory:"}:
        bounded = parsed.update_query_dict({"connect_timeout": str(NETWORK_S), "options": _options(parsed)})
        return _closing(make_engine(bounded.render_as_string(hide_password=False)), read)
    name = str(parsed.database)
    if name.startswith("file:"):
        raise PlatformError(f"a ledger by a SQLite URI ({name}) cannot be read without leaving a trace")
    path = Path(name).absolute()
    try:
        if path.stat().st_size == 0:
            return None
    except (FileNotFoundError, NotADirectoryError):
        return None

    def still(uri: str) -> T | None:
        return _closing(create_engine(f"sqlite:///{path}", creator=lambda: _connection(uri)), read)

    return read_still(path, still)


def chain_found(engine: Engine) -> Found:
    """Revision, the database's own check, and every event's hash."""
    revision = _revision(engine)
    if revision != HEAD:
        older = (Path(__file__).parent / "migrations" / "versions").glob(f"{revision}_*.py")
        if any(older):
            return Found(
                "warning",
                f"its tables are of revision {revision}; the next command upgrades them",
                "staged-rollout status",
            )
        return Found("broken", f"its tables are of revision {revision}, which this program does not know", UPDATE)
    if engine.dialect.name == "sqlite":
        with transaction(engine, write=False) as connection:
            told = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one()
        if told != "ok":
            return Found("broken", f"SQLite finds it damaged: {told}")
    events, rollouts, broken = _verified(SqlLedger(engine))
    if broken:
        more = f", and {len(broken) - _SHOWN} more" if len(broken) > _SHOWN else ""
        return Found("broken", "; ".join(broken[:_SHOWN]) + more)
    where = engine.url.render_as_string(hide_password=True)
    return Found("ok", f"{count(events, 'event')} in {count(rollouts, 'rollout')}, intact, at {where}")


def leases_found(engine: Engine, wall: float) -> Found:
    """Leases whose process neither renewed them nor gave them back.

    Args:
        engine: The ledger's.
        wall: Now, in seconds since the epoch.
    """
    columns = endpoint_claims.c
    with transaction(engine, write=False) as connection:
        rows = connection.execute(select(endpoint_claims).where(columns.token != "").order_by(columns.endpoint)).all()
    lapsed = [row for row in rows if row.lease_until <= wall]
    if not lapsed:
        return Found("ok", f"{len(rows)} in force, none lapsed; file locks end with their process")
    told = [f"{row.endpoint}: process {row.token} of {row.rollout} ended in the middle" for row in lapsed]
    return Found("warning", "; ".join(told), f"staged-rollout advance {lapsed[0].rollout}")


def clock_found(engine: Engine, clock: Callable[[], Clock]) -> Found:
    """The newest event against the environment's time."""
    columns = events_table.c
    query = select(columns.rollout, columns.at).order_by(columns.at.desc()).limit(1)
    with transaction(engine, write=False) as connection:
        row = connection.execute(query).one_or_none()
    if row is None:
        return Found("ok", "no event yet to compare with")
    if not isinstance(row.at, datetime):
        return Found("broken", f"the newest event of {row.rollout} has no time: {row.at!r}", "staged-rollout history")
    now = clock().now()
    kind = "simulated time" if clock().simulated else "this machine's time"
    told = f"{kind} is {now:%Y-%m-%d %H:%M:%S} UTC, the newest event ({row.rollout}) is of {row.at:%Y-%m-%d %H:%M:%S}"
    return Found("broken" if row.at > now + AHEAD else "ok", told)


def _verified(ledger: SqlLedger) -> tuple[int, int, list[str]]:
    """Intact events, rollouts, and what is wrong with the others."""
    from staged_rollout.state import fold

    events, broken, rollouts = 0, [], ledger.rollouts()
    for rollout in rollouts:
        try:
            told = ledger.events(rollout)
            fold(told)
            events += len(told)
        except LedgerCorruptError as error:
            broken.append(error.message)
    return events, len(rollouts), broken


def _revision(engine: Engine) -> str:
    with transaction(engine, write=False) as connection:
        return str(
            connection.execute(select(func.max(column("version_num"))).select_from(table(VERSION_TABLE))).scalar()
        )


def _closing(engine: Engine, read: Callable[[Engine], T]) -> T | None:
    try:
        with transaction(engine, write=False) as connection:
            tables = inspect(connection).get_table_names()
        if not tables:
            return None
        if not {VERSION_TABLE, events_table.name} <= set(tables):
            where = engine.url.render_as_string(hide_password=True)
            raise PlatformError(f"{where} holds other tables ({', '.join(sorted(tables)[:_SHOWN])}) and no ledger")
        return read(engine)
    finally:
        engine.dispose()


def _options(url: URL) -> str:
    """The URL's own options of a PostgreSQL session, and: it may only read, and not for long."""
    own = url.query.get("options", "")
    given = own if isinstance(own, str) else " ".join(own)
    return f"{given} -c default_transaction_read_only=on -c statement_timeout={_STATEMENT_MS}".strip()


def _connection(uri: str) -> sqlite3.Connection:
    connection = sqlite3.connect(uri, uri=True, check_same_thread=False)
    connection.text_factory = lambda stored: stored.decode("utf-8", "surrogateescape")  # as the ledger reads it
    return connection

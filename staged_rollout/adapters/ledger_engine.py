"""Connections to the ledger's database: durable, one writer at a time, and with our own errors."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError

from staged_rollout.errors import ConflictError, PlatformError

BUSY_SECONDS = 30.0
"""How long a SQLite writer waits for another one, unless the URL says otherwise (`?timeout=5`)."""

_WRITE = "staged_rollout_write"
_HINTS = {
    "locked": "another process is writing for long: wait and try again; if it hangs, end it",
    "readonly": "give this user the right to write the ledger's file and its folder",
    "full": "free some space where the ledger lies; nothing was written",
    "unable to open": "check STAGED_ROLLOUT_LEDGER: the folder must exist and be writable",
    "disk i/o": "check the disk where the ledger lies, and restore the ledger from a backup if it is damaged",
    "not a database": "STAGED_ROLLOUT_LEDGER names a file that is not a ledger",
    "malformed": "restore the ledger from a backup",
}
_SERIALISATION = {"40001", "40P01"}  # PostgreSQL: serialization_failure, deadlock_detected


def make_engine(url: str) -> Engine:
    """An engine for a ledger's URL; nothing is opened yet.

    Args:
        url: `sqlite:///PATH` or `postgresql://...` (psycopg 3).

    Raises:
        PlatformError: the URL is none of these, names no file, or its folder cannot be made.
    """
    parsed = _parsed(url)
    if parsed.get_backend_name() == "postgresql":
        try:
            return create_engine(parsed.set(drivername="postgresql+psycopg"), pool_pre_ping=True)
        except ModuleNotFoundError as error:
            raise PlatformError(
                "a PostgreSQL ledger needs psycopg, which is not installed",
                hint="pip install 'staged-rollout[postgres]'",
            ) from error
    _make_folder(parsed)
    waits = {} if "timeout" in parsed.query else {"timeout": BUSY_SECONDS}
    engine = create_engine(parsed, connect_args=waits)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


@contextmanager
def transaction(engine: Engine, *, write: bool) -> Iterator[Connection]:
    """One transaction: committed at the end, rolled back whatever is raised.

    Args:
        engine: Of `make_engine`.
        write: In SQLite, take the write lock at the beginning, so that what is read stays true until the commit.

    Raises:
        ConflictError: PostgreSQL chose this transaction to give way to another one.
        PlatformError: the database cannot be reached, read or written.
    """
    with translated(engine.url), engine.connect() as connection:
        connection.execution_options(**{_WRITE: write})
        with connection.begin():
            yield connection


@contextmanager
def translated(url: URL) -> Iterator[None]:
    """The database client's errors as ours; the cause that stays attached is the driver's own."""
    try:
        yield
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) in _SERIALISATION:
            raise ConflictError(
                "the ledger gave way to another writer", hint="read again and try again"
            ) from error.orig
        raise _unusable(url, str(error.orig)) from error.orig
    except SQLAlchemyError as error:
        raise _unusable(url, str(error)) from None


def _unusable(url: URL, found: str) -> PlatformError:
    where = url.render_as_string(hide_password=True)
    text = found.strip().replace("\n", " ")
    hint = next((hint for sign, hint in _HINTS.items() if sign in text.lower()), "")
    return PlatformError(
        f"the ledger {where} cannot be used: {text}",
        hint=hint or "check STAGED_ROLLOUT_LEDGER, and that the database is running",
        ledger=where,
    )


def _parsed(url: str) -> URL:
    accepted = "sqlite:///PATH or postgresql://USER@HOST/DATABASE"
    try:
        parsed = make_url(url)
        backend = parsed.get_backend_name()
    except (ArgumentError, NoSuchModuleError, ValueError):
        raise PlatformError(
            "the ledger's URL cannot be read", hint=f"STAGED_ROLLOUT_LEDGER must be {accepted}"
        ) from None
    if backend not in {"sqlite", "postgresql"}:
        raise PlatformError(f"a ledger on {backend} is not supported", hint=f"use {accepted}", backend=backend)
    if backend == "sqlite" and parsed.database in {None, "", ":memory:"}:
        raise PlatformError("a ledger in memory would forget everything", hint="use sqlite:///PATH")
    return parsed


def _make_folder(url: URL) -> None:
    name = str(url.database)
    if name.startswith("file:"):
        return
    try:
        Path(name).absolute().parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unusable(url, f"unable to open its folder ({error.strerror})") from error


def _prepare_sqlite(connection: sqlite3.Connection, _: Any) -> None:
    connection.isolation_level = None  # the driver must not begin or commit on its own: `_begin_sqlite` does
    connection.text_factory = _text
    for pragma in ("synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")
    _write_ahead(connection)


def _text(stored: bytes) -> str:
    """Text that is not UTF-8 is kept, so that the reader can name the damaged row."""
    return stored.decode("utf-8", "surrogateescape")


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Switch to write-ahead logging; SQLite does not wait for a busy file here, so we do."""
    deadline = time.monotonic() + BUSY_SECONDS
    while connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def _begin_sqlite(connection: Connection) -> None:
    write = connection.get_execution_options().get(_WRITE, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

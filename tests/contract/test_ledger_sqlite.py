"""The ledger on SQLite when the disk or another process is in the way: our error, a hint, and nothing written."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import event
from sqlalchemy.exc import SQLAlchemyError

from staged_rollout.adapters.ledger_sql import SqlLedger, open_ledger
from staged_rollout.errors import LedgerCorruptError, PlatformError
from staged_rollout.state import Actor, EventType, NewEvent

AT = datetime(2026, 3, 2, tzinfo=UTC)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


def append(ledger: SqlLedger, after: int = 0, size: int = 0) -> None:
    note = NewEvent(EventType.NOTED, {"text": "x" * size})
    ledger.append("churn-v3", [note], expected_seq=after, at=AT, actor=Actor("ada"))


def refused(ledger: SqlLedger, after: int, size: int = 0) -> PlatformError:
    """What an append raises; it must not show the database client's own error type."""
    with pytest.raises(PlatformError) as caught:
        append(ledger, after, size)
    assert not isinstance(caught.value.__cause__, SQLAlchemyError)
    assert caught.value.__suppress_context__
    assert caught.value.hint
    return caught.value


def test_it_is_durable(path):
    with open_ledger(f"sqlite:///{path}") as ledger, ledger._engine.connect() as connection:
        pragma = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    assert pragma == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 30_000}


def test_another_writer_that_never_ends(path):
    with open_ledger(f"sqlite:///{path}?timeout=0.05") as ledger, closing(sqlite3.connect(path)) as other:
        append(ledger)
        other.execute("BEGIN IMMEDIATE")
        error = refused(ledger, after=1)
        assert ledger.head("churn-v3") == 1  # readers do not wait for writers
        other.rollback()
        append(ledger, after=1)
    assert "another process is writing" in error.hint


def test_a_file_that_must_not_be_written(path):
    with open_ledger(f"sqlite:///{path}") as ledger:
        append(ledger)
        with open_ledger(f"sqlite:///file:{path}?mode=ro&uri=true") as reader:
            error = refused(reader, after=1)
            assert len(reader.events("churn-v3")) == 1
    assert "right to write" in error.hint


def test_a_full_disk(path):
    with open_ledger(f"sqlite:///{path}") as ledger:
        append(ledger)
        ledger.close()
        event.listen(ledger._engine, "connect", lambda connection, _: connection.execute("PRAGMA max_page_count = 20"))

        error = refused(ledger, after=1, size=1_000_000)

        assert "free some space" in error.hint
        assert ledger.verify() == 1
        append(ledger, after=1)


def test_a_file_that_is_no_database(path):
    path.write_bytes(b"no database at all, and long enough to be looked at" * 40)
    with pytest.raises(PlatformError, match="cannot be used") as caught:
        open_ledger(f"sqlite:///{path}")
    assert "not a ledger" in caught.value.hint


def test_a_folder_that_cannot_be_made(path):
    path.write_text("a file where the folder should be")
    with pytest.raises(PlatformError) as caught:
        open_ledger(f"sqlite:///{path / 'home' / 'ledger.db'}")
    assert "STAGED_ROLLOUT_LEDGER" in caught.value.hint


@pytest.mark.parametrize("column", ["payload", "actor", "at", "hash"])
def test_bytes_that_are_no_text_are_found_and_named(path, column):
    with open_ledger(f"sqlite:///{path}") as ledger:
        append(ledger)
        append(ledger, after=1)
        with closing(sqlite3.connect(path)) as other, other:
            other.execute(f"UPDATE events SET {column} = CAST(X'ff22fe' AS TEXT) WHERE seq = 2")

        with pytest.raises(LedgerCorruptError) as found:
            ledger.events("churn-v3")
        assert found.value.facts == {"rollout": "churn-v3", "seq": 2}

"""The ledger's schema through time: one Alembic revision per change, applied when a ledger is opened."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, Engine, column, inspect, select, table, text

from staged_rollout.adapters.ledger_engine import transaction
from staged_rollout.adapters.ledger_tables import HEAD, VERSION_TABLE
from staged_rollout.errors import PlatformError

_ADVISORY_LOCK = 0x57A6ED  # any constant will do, as long as every version of this program uses the same


def bring_to_head(engine: Engine) -> None:
    """Make or upgrade the tables; quick, and without Alembic, when they are up to date.

    One process at a time (SQLite's write lock, PostgreSQL's advisory lock), and all or nothing: a killed upgrade leaves
    the old schema.

    Raises:
        PlatformError: the ledger cannot be upgraded, or was upgraded by a newer program.
    """
    with transaction(engine, write=False) as connection:
        if _revision(connection) == HEAD:
            return
    with transaction(engine, write=True) as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
        if _revision(connection) != HEAD:  # another process may have been first
            _upgrade(connection)


def _revision(connection: Connection) -> str | None:
    """The revision that a ledger has, None for an empty database."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    version: str | None = connection.execute(
        select(column("version_num")).select_from(table(VERSION_TABLE))
    ).scalar_one_or_none()
    return version


def _upgrade(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise PlatformError(
            f"the ledger's tables are of revision {_revision(connection)}, this program knows up to {HEAD}",
            hint="install the newer staged-rollout that upgraded this ledger",
        ) from error

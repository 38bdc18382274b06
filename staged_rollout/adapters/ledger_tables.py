"""The ledger's tables. Their columns are pinned: other programs read them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, DateTime, Dialect, Double, Integer, MetaData, Table, Text
from sqlalchemy.types import TypeDecorator, TypeEngine

HEAD = "0001"
"""The newest Alembic revision. Known here so that opening a ledger that has it needs no Alembic; a test compares."""

VERSION_TABLE = "alembic_version"
"""Where Alembic notes the revision that a ledger has."""


def utc(at: datetime) -> datetime:
    """The same moment in UTC, so that a moment has one spelling and one hash.

    Raises:
        ValueError: the time has no time zone.
    """
    if at.tzinfo is None:
        raise ValueError(f"at == {at.isoformat()}, must have a time zone")
    return at.astimezone(UTC)


class Moment(TypeDecorator[datetime]):
    """A moment in UTC with microseconds: `timestamptz` in PostgreSQL, ISO 8601 text that sorts by time in SQLite.

    Text that is no time comes back as it is, so that the reader can say which row is damaged.
    """

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """The column's type in one database."""
        if dialect.name == "postgresql":
            return dialect.type_descriptor(DateTime(timezone=True))
        return dialect.type_descriptor(Text())

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        """A moment as the database stores it."""
        if value is None:
            return None
        return utc(value) if dialect.name == "postgresql" else utc(value).isoformat(timespec="microseconds")

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:  # noqa: ARG002 -- the signature is SQLAlchemy's
        """A moment as the database gave it."""
        if isinstance(value, datetime):
            return value.astimezone(UTC)
        try:
            return datetime.fromisoformat(value)
        except (TypeError, ValueError):
            return value


metadata = MetaData()

events = Table(
    "events",
    metadata,
    Column("rollout", Text, primary_key=True),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("type", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("at", Moment, nullable=False),
    Column("actor", Text, nullable=False),
    Column("actor_verified", Boolean, nullable=False),
    Column("payload", Text, nullable=False),
    Column("prev_hash", Text, nullable=False),
    Column("hash", Text, nullable=False),
)
"""Append-only: nothing in this project updates or deletes a row of it."""

endpoint_claims = Table(
    "endpoint_claims",
    metadata,
    Column("endpoint", Text, primary_key=True),
    Column("rollout", Text, nullable=False),
    Column("token", Text, nullable=False),
    Column("lease_until", Double, nullable=False),
)

cursors = Table(
    "cursors",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", BigInteger, nullable=False),
)

watches = Table(
    "watches",
    metadata,
    Column("rollout", Text, primary_key=True),
    Column("at", Moment, nullable=False),
)

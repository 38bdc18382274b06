"""Alembic's entry: runs revisions on the connection, and in the transaction, that opened the ledger."""

from __future__ import annotations

from alembic import context

from staged_rollout.adapters.ledger_tables import VERSION_TABLE, metadata

context.configure(
    connection=context.config.attributes["connection"], target_metadata=metadata, version_table=VERSION_TABLE
)
with context.begin_transaction():
    context.run_migrations()

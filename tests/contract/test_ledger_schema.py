"""The ledger's tables: made and upgraded by Alembic when the ledger is opened, with pinned columns."""

from __future__ import annotations

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text

from staged_rollout.adapters import migrations
from staged_rollout.adapters.ledger_sql import open_ledger
from staged_rollout.adapters.ledger_tables import HEAD, metadata
from staged_rollout.errors import PlatformError

PINNED = {
    "events": [
        "rollout", "seq", "type", "version", "at", "actor", "actor_verified", "payload", "prev_hash", "hash",
    ],
    "endpoint_claims": ["endpoint", "rollout", "token", "lease_until"],
    "cursors": ["name", "value"],
    "watches": ["rollout", "at"],
}  # fmt: skip
KEYS = {"events": ["rollout", "seq"], "endpoint_claims": ["endpoint"], "cursors": ["name"], "watches": ["rollout"]}

OPEN = """
import sys
from staged_rollout.adapters.ledger_sql import open_ledger

print("ready", flush=True)
sys.stdin.readline()
with open_ledger(sys.argv[1]) as ledger:
    print(ledger.verify(), "alembic" in sys.modules, flush=True)
"""


def test_the_columns_are_pinned(ledger_url):
    with open_ledger(ledger_url) as ledger:
        found = inspect(ledger._engine)
        assert {*PINNED, "alembic_version"} == set(found.get_table_names())
        for table, columns in PINNED.items():
            assert columns == [column["name"] for column in found.get_columns(table)]
            assert KEYS[table] == found.get_pk_constraint(table)["constrained_columns"]
            assert not any(
                column["nullable"] for column in found.get_columns(table) if column["name"] not in KEYS[table]
            )


def test_the_revisions_make_what_the_program_expects(ledger_url):
    """Tables as migrated are the tables as declared: Alembic finds nothing to change."""
    with open_ledger(ledger_url) as ledger, ledger._engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_the_known_head_is_the_last_revision():
    config = Config()
    config.set_main_option("script_location", migrations.__path__[0])
    assert ScriptDirectory.from_config(config).get_heads() == [HEAD]


def test_opening_again_keeps_everything_and_needs_no_alembic(ledger_url, python):
    answers = []
    for _ in range(2):
        opener = python(OPEN, ledger_url)
        answers.append(opener.communicate("go\n", timeout=60)[0].splitlines()[-1])
    assert answers == ["0 True", "0 False"]


def test_processes_that_open_an_empty_database_at_once_all_succeed(ledger_url, python):
    openers = [python(OPEN, ledger_url) for _ in range(4)]
    for opener in openers:
        assert opener.stdout.readline() == "ready\n"
    for opener in openers:
        opener.stdin.write("go\n")
        opener.stdin.flush()
    answers = [opener.communicate(timeout=60)[0].split()[0] for opener in openers]
    assert answers == ["0"] * 4


def test_a_ledger_of_a_newer_program_is_left_alone(ledger_url):
    with open_ledger(ledger_url) as ledger, ledger._engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    with pytest.raises(PlatformError, match=f"revision 9999, this program knows up to {HEAD}") as refused:
        open_ledger(ledger_url)
    assert "newer staged-rollout" in refused.value.hint

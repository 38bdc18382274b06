"""What doctor reads, as the real thing makes it: servers, MLflow, PostgreSQL, writers that die, other users."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from staged_rollout.adapters.diagnosis import Found
from staged_rollout.adapters.kept_files import registry_found
from staged_rollout.adapters.kept_ledger import chain_found, read_ledger
from staged_rollout.adapters.local_servers import LocalServers, RunFile
from staged_rollout.adapters.running_services import servers_found
from staged_rollout.adapters.still_sqlite import read_still
from staged_rollout.spec.home import Home
from tests.kept_home import filled, registered, seen

ROOT = Path(__file__).parents[2]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def test_servers_that_run_are_found_and_those_that_ended_are_told(home):
    with LocalServers(home, endpoint="churn-prod"):
        running = servers_found(home)
        told = RunFile.read(home)
    assert told is not None
    assert "ok" == running.grade
    assert told.router_url in running.text
    assert "warning" == servers_found(home).grade

    told.write(home)
    assert ("warning", "not running: run.json names processes that have ended") == (
        servers_found(home).grade,
        servers_found(home).text,
    )


def test_a_registry_is_read_without_mlflow_and_missing_files_are_named(home):
    """Made by MLflow itself, in a process of its own so that this one stays without it."""
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from mlflow.tracking import MlflowClient\n"
        "uri = f'sqlite:///{sys.argv[1]}/mlflow.db'\n"
        "client = MlflowClient(tracking_uri=uri, registry_uri=uri)\n"
        "client.create_registered_model('churn')\n"
        "for name in ('one', 'two'):\n"
        "    folder = Path(sys.argv[1], 'artifacts', 'churn', name)\n"
        "    folder.mkdir(parents=True)\n"
        "    client.create_model_version('churn', source=str(folder))\n"
    )
    home.registry.mkdir(parents=True)
    environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"}
    subprocess.run([sys.executable, "-c", program, str(home.registry)], check=True, cwd=ROOT, env=environment)
    before = seen(home.root)
    assert Found("ok", "2 versions of 1 model") == registry_found(home)
    assert before == seen(home.root)

    (home.registry / "artifacts" / "churn" / "two").rmdir()
    assert "the files of churn/2 are gone" == registry_found(home).text

    with closing(sqlite3.connect(home.registry / "mlflow.db")) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = 'f5a4f2784254'")
    assert registry_found(home).mend == f"mlflow db upgrade sqlite:///{home.registry}/mlflow.db"


def test_a_ledger_whose_writer_was_killed_is_read_with_its_log_and_left_to_be_recovered(home):
    """The last events are in the -wal file alone; an ordinary reader would fold it into the ledger."""
    registered(home.ledger_url())
    program = (
        "import os, signal, sys\n"
        "from datetime import UTC, datetime\n"
        "from staged_rollout.adapters.ledger_sql import open_ledger\n"
        "from staged_rollout.state import Actor, EventType, NewEvent\n"
        "ledger = open_ledger(sys.argv[1])\n"
        "note = NewEvent(EventType.NOTED, {'text': 'late'})\n"
        "ledger.append('churn-v3', [note], expected_seq=1, at=datetime(2026, 3, 3, tzinfo=UTC), actor=Actor('a'))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program, home.ledger_url()], check=False, cwd=ROOT)
    assert -signal.SIGKILL == ended.returncode
    assert (home.root / "ledger.db-wal").stat().st_size
    before = seen(home.root)
    found = read_ledger(home.ledger_url(), chain_found)

    assert found is not None
    assert found.text.startswith("2 events in 1 rollout, intact")
    assert before == seen(home.root)


@pytest.mark.parametrize("fails", [False, True])
def test_what_was_read_while_a_file_changed_is_read_again(tmp_path, fails):
    """Also a failure counts only if the file held still."""
    path = tmp_path / "moved.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE numbers AS SELECT 1 AS number")
    calls = []

    def read(uri: str) -> int:
        calls.append(uri)
        with closing(sqlite3.connect(uri, uri=True)) as connection:
            number = connection.execute("SELECT number FROM numbers").fetchone()[0]
        if len(calls) == 1:
            with closing(sqlite3.connect(path)) as writer, writer:
                writer.execute("UPDATE numbers SET number = 2")
            if fails:
                raise sqlite3.DatabaseError("malformed")
        return int(number)

    assert (2, 2) == (read_still(path, read), len(calls))


def test_a_file_that_never_rests_is_still_read(tmp_path):
    """Under a writer that commits and folds its log all the time, a reader sees one moment and no damage."""
    path = tmp_path / "busy.db"
    ended = threading.Event()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE pairs (a INTEGER, b INTEGER)")
        connection.execute("INSERT INTO pairs VALUES (0, 0)")
        connection.commit()

    def write() -> None:
        with closing(sqlite3.connect(path)) as connection:
            number = 0
            while not ended.is_set():
                number += 1
                connection.execute("UPDATE pairs SET a = ?, b = ?", (number, -number))
                connection.execute("INSERT INTO pairs VALUES (?, ?)", (number, -number))
                connection.commit()
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                time.sleep(0.0005)

    def read(uri: str) -> tuple[str, int]:
        with closing(sqlite3.connect(uri, uri=True)) as connection:
            told = connection.execute("PRAGMA quick_check").fetchone()[0]
            return told, connection.execute("SELECT COALESCE(SUM(a + b), 0) FROM pairs").fetchone()[0]

    writer = threading.Thread(target=write)
    writer.start()
    try:
        answers = {read_still(path, read) for _ in range(30)}
    finally:
        ended.set()
        writer.join()

    assert {("ok", 0)} == answers


def test_a_postgres_ledger_is_verified_and_cannot_be_written(postgres_url):
    assert read_ledger(postgres_url, chain_found) is None
    registered(postgres_url)
    found = read_ledger(postgres_url, chain_found)

    assert found is not None
    assert "ok" == found.grade
    assert found.text.startswith("1 event in 1 rollout, intact")

    def write(engine: Engine) -> None:
        with engine.begin() as connection:
            connection.execute(text("DELETE FROM events"))

    with pytest.raises(DBAPIError, match="read-only transaction"):
        read_ledger(postgres_url, write)


@pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("setpriv"), reason="becoming somebody else needs root, setpriv"
)
def test_a_home_without_permission_is_told_by_every_check_that_needs_it():
    """Run as nobody, because root would be allowed everything."""
    nobody = 65534
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder) / "home")
        filled(home)
        home.root.chmod(0)
        os.chown(folder, nobody, nobody)
        python = ["setpriv", f"--reuid={nobody}", f"--regid={nobody}", "--clear-groups", sys.executable, "-B"]
        if subprocess.run([*python, "-c", ""], capture_output=True, check=False, cwd=ROOT, timeout=60).returncode:
            pytest.skip("nobody may not run this interpreter here")
        command = [*python, "-m", "staged_rollout.cli", "doctor", "--json", "--home", str(home.root)]
        ended = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, timeout=60)
    grades = {answer["check"]: answer["grade"] for answer in json.loads(ended.stdout)["checks"]}

    assert 9 == ended.returncode
    assert "Traceback" not in ended.stderr
    assert {"broken"} == {grades[name] for name in ("home", "ledger", "lake", "registry", "assignments", "counters")}
    assert {"ok"} == {grades[name] for name in ("python", "packages", "disk", "ports")}

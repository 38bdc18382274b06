"""`python -m demo`, killed and interrupted, and resumed to its end: one run of a few minutes tells everything."""

from __future__ import annotations

import json
import os
import queue
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
MARK = "STAGED_ROLLOUT_TEST_MARK"
KILL_AFTER, INTERRUPT_AFTER = 6, 11
GONE_WITHIN_S = 20.0
A_LINE_WITHIN_S = 180.0
GOLDEN = Path(__file__).with_name("demo_seed_7.txt")


class Demo:
    """One process of the demo, read line by line; everything that it starts carries its mark in the environment."""

    def __init__(self, home: Path, *options: str) -> None:
        self.mark = uuid.uuid4().hex
        self.lines: list[str] = []
        self._queue: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "demo", "--home", str(home), "--seed", "7", *options],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, MARK: self.mark, "COLUMNS": "150", "NO_COLOR": "1"},
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as output:
            for line in output:
                self._queue.put(line.rstrip("\n"))
        self._queue.put(None)

    def until(self, beginning: str) -> None:
        """Read on until a line begins so."""
        while True:
            line = self._queue.get(timeout=A_LINE_WITHIN_S)
            assert line is not None, "\n".join(self.lines[-20:])
            self.lines.append(line)
            if line.startswith(beginning):
                return

    def end(self) -> int:
        """Read to the end; the exit code."""
        while (line := self._queue.get(timeout=A_LINE_WITHIN_S)) is not None:
            self.lines.append(line)
        self._reader.join(10)
        return self.process.wait(30)

    def family(self) -> set[int]:
        """Living processes that this demo started, and itself."""
        found = set()
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
                if state != "Z" and f"{MARK}={self.mark}".encode() in (folder / "environ").read_bytes():
                    found.add(int(folder.name))
            except (OSError, IndexError):  # it ended meanwhile, or is not ours to read
                continue
        return found

    def leaves_nothing(self) -> bool:
        deadline = time.monotonic() + GONE_WITHIN_S
        while self.family():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.1)
        return True


@dataclass
class Told:
    """What the whole run left behind."""

    home: Path
    output: list[str] = field(default_factory=list)
    prefix: dict[str, list[str]] = field(default_factory=dict)
    alive_before_kill: int = 0
    gone: dict[str, bool] = field(default_factory=dict)
    codes: dict[str, int] = field(default_factory=dict)


def hashes(home: Path) -> dict[str, list[str]]:
    """Each rollout's chain of hashes, straight from the ledger's file."""
    with sqlite3.connect(f"file:{home / 'ledger.db'}?mode=ro", uri=True) as connection:
        rows = connection.execute("SELECT rollout, hash FROM events ORDER BY rollout, seq").fetchall()
    connection.close()
    chains: dict[str, list[str]] = {}
    for rollout, link in rows:
        chains.setdefault(rollout, []).append(link)
    return chains


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    """Killed in the middle of a day, resumed, interrupted in the middle of another, and resumed to the end."""
    told = Told(tmp_path_factory.mktemp("demo") / "home")

    first = Demo(told.home)
    first.until(f"day {KILL_AFTER:>2}")
    time.sleep(0.7)  # into the next day's calls
    told.alive_before_kill = len(first.family())
    first.process.kill()
    told.codes["killed"] = first.end()
    told.gone["killed"] = first.leaves_nothing()
    told.prefix = hashes(told.home)

    second = Demo(told.home, "--resume")
    second.until(f"day {INTERRUPT_AFTER:>2}")
    time.sleep(0.7)
    os.killpg(second.process.pid, signal.SIGINT)  # as Ctrl-C in a terminal does
    told.codes["interrupted"] = second.end()
    told.gone["interrupted"] = second.leaves_nothing()

    last = Demo(told.home, "--resume")
    told.codes["ended"] = last.end()
    told.gone["ended"] = last.leaves_nothing()
    told.output = [*first.lines, *second.lines, *last.lines]
    return told


def table(lines: list[str]) -> list[str]:
    """The final table."""
    start = next(number for number, line in enumerate(lines) if line.startswith("What was decided"))
    end = next(number for number, line in enumerate(lines) if line.startswith("└"))
    return lines[start : end + 1]


def test_it_ends_well_with_both_endings(told):
    assert 0 == told.codes["ended"], "\n".join(told.output[-30:])
    rows = [line for line in table(told.output) if line.startswith("│ churn-v")]
    assert ["churn-v2", "churn-v3"] == [row.split("│")[1].strip() for row in rows]
    assert ["PROMOTED", "ROLLED_BACK"] == [row.split("│")[2].strip() for row in rows]


def test_a_kill_takes_every_process_with_it(told):
    assert -signal.SIGKILL == told.codes["killed"]
    assert told.alive_before_kill >= 3
    assert told.gone["killed"]


def test_an_interrupt_leaves_no_process_behind(told):
    assert 130 == told.codes["interrupted"]
    assert any("make demo RESUME=1 goes on" in line for line in told.output)
    assert not any("Traceback" in line for line in told.output)
    assert told.gone["interrupted"]


def test_the_end_leaves_no_process_behind(told):
    assert told.gone["ended"]


def test_the_ledger_still_begins_as_it_did_when_it_was_killed(told):
    assert told.prefix
    chains = hashes(told.home)
    for rollout, links in told.prefix.items():
        assert links == chains[rollout][: len(links)]
        assert len(links) < len(chains[rollout])


def test_every_day_is_told_once_but_for_the_days_that_were_cut_short(told):
    days = [int(found[1]) for line in told.output if (found := re.match(r"day +(\d+) ", line))]
    assert list(range(1, max(days) + 1)) == days
    assert 2 == sum(line.startswith("resuming on day") for line in told.output)


def test_the_table_is_that_of_an_undisturbed_run(told):
    """demo_seed_7.txt is the table of a run that nobody disturbed; no latency stands in it."""
    assert GOLDEN.read_text(encoding="utf-8").splitlines() == [line.rstrip() for line in table(told.output)]


def test_the_books_are_balanced_and_no_call_was_made_twice(told):
    books = next(line for line in told.output if line.startswith("logs: "))
    assert "(balanced)" in books
    seen: set[str] = set()
    for file in (told.home / "logs" / "predictions").rglob("*.jsonl"):
        for line in file.read_bytes().splitlines():
            try:
                request = json.loads(line)["request_id"]
            except ValueError:  # cut short by the kill
                continue
            assert request not in seen
            seen.add(request)
    assert len(seen) > 5000

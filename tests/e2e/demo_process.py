"""One run of `python -m demo`: killed in the middle of a day, resumed, interrupted in another, resumed to its end."""

from __future__ import annotations

import os
import queue
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
MARK = "STAGED_ROLLOUT_TEST_MARK"
KILL_AFTER, INTERRUPT_AFTER = 6, 11
GONE_WITHIN_S = 20.0
A_LINE_WITHIN_S = 180.0


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


def run_disturbed(home: Path) -> Told:
    """The whole run; takes a few minutes.

    Args:
        home: The demo's home folder, which does not exist yet.
    """
    told = Told(home)

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

"""Processes that outlive the program which started them: noted with their start time, so that none is mistaken."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from staged_rollout.adapters.atomic_file import replace_file
from staged_rollout.errors import PlatformError

STOP_S = 25.0
"""Seconds that a process may take to stop before it is killed."""


@dataclass(frozen=True)
class Noted:
    """One process as it was started.

    Attributes:
        pid: Its id.
        began: When it began, in the kernel's seconds since 1970: an id alone may be somebody else's by now.
    """

    pid: int
    began: float

    def process(self) -> psutil.Process | None:
        """The process, or None when it has ended."""
        try:
            found = psutil.Process(self.pid)
            same = abs(found.create_time() - self.began) < 1.0 and found.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return None
        return found if same else None


class Processes:
    """The stack's processes, by name.

    Args:
        folder: Holds `processes.json` and a log of each.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = folder / "processes.json"
        folder.mkdir(parents=True, exist_ok=True)

    def running(self, name: str) -> bool:
        """Whether it lives."""
        noted = self._noted().get(name)
        return noted is not None and noted.process() is not None

    def names(self) -> list[str]:
        """Those that were started, in order."""
        return list(self._noted())

    def log(self, name: str) -> Path:
        """Where its output goes."""
        return self._folder / f"{name}.log"

    def start(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start it, unless it lives; it goes on when we end."""
        if self.running(name):
            return
        with self.log(name).open("ab") as output:
            begun = subprocess.Popen(  # noqa: S603 - our own command lines, no shell
                command,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        begun.returncode = 0  # it outlives us and nobody waits for it: Popen need not warn of that
        noted = Noted(begun.pid, psutil.Process(begun.pid).create_time())
        self._write({**self._noted(), name: noted})

    def must_live(self, name: str) -> None:
        """Say what a process said last when it has ended.

        Raises:
            PlatformError: it has.
        """
        if self.running(name):
            return
        lines = self.log(name).read_text(encoding="utf-8", errors="replace").splitlines()
        said = next((line for line in reversed(lines) if line.strip()), "nothing")
        raise PlatformError(f"{name} has ended; its last words: {said[:300]}", hint=f"read {self.log(name)}")

    def stop(self, name: str) -> bool:
        """Stop it and what it started; whether it lived. Somebody else's process is never touched."""
        noted = self._noted()
        found = noted[name].process() if name in noted else None
        if found is not None:
            family = [found, *found.children(recursive=True)]
            _ask_to_stop(family)
        self._write({other: each for other, each in noted.items() if other != name})
        return found is not None

    def _noted(self) -> dict[str, Noted]:
        try:
            told = json.loads(self._file.read_bytes())
            return {str(name): Noted(int(each["pid"]), float(each["began"])) for name, each in told.items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return {}

    def _write(self, noted: Mapping[str, Noted]) -> None:
        told = {name: asdict(each) for name, each in noted.items()}
        replace_file(self._file, json.dumps(told, indent=1).encode() + b"\n", durable=False)


def _ask_to_stop(family: Sequence[psutil.Process]) -> None:
    """The leader first, which ends its children in order; then whoever is left."""
    for some, act, seconds in ((family[:1], "terminate", STOP_S), (family, "terminate", 5), (family, "kill", 5)):
        for process in some:
            with suppress(psutil.Error):
                getattr(process, act)()
        psutil.wait_procs(some, seconds)


def wait_until(what: str, seconds: float, ready: Callable[[], bool]) -> None:
    """Wait for something.

    Args:
        what: For the message.
        seconds: How long at most.
        ready: Whether it is there.

    Raises:
        PlatformError: it did not come.
    """
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            raise PlatformError(f"{what} did not come within {seconds:g} s")
        time.sleep(0.3)

"""The wall clock, and a simulated one that all processes of a home share."""

from __future__ import annotations

import fcntl
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from staged_rollout.adapters.atomic_file import replace_file
from staged_rollout.errors import PlatformError, RefusedError


class RealClock:
    """The machine's clock; satisfies `ports.clock.Clock`."""

    @property
    def simulated(self) -> bool:
        """False: the time is the wall clock's."""
        return False

    def now(self) -> datetime:
        """The present, UTC."""
        return datetime.now(UTC)

    def wall(self) -> float:
        """Seconds since the epoch."""
        return time.time()


class SimulatedClock:
    """Stands still until it is set; satisfies `ports.clock.Clock`. All who name the file read the same time.

    Args:
        path: `HOME/clock.json`, which holds `{"now": "2026-03-02T00:00:00.000000+00:00"}`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def simulated(self) -> bool:
        """True: a program above sets the time."""
        return True

    def now(self) -> datetime:
        """The simulated present, UTC.

        Raises:
            PlatformError: nobody has set the clock yet, or its file is damaged.
        """
        present = self._read()
        if present is None:
            raise PlatformError(
                f"the simulated clock {self._path.name} was never set",
                hint="set it first (SimulatedClock.set), or use an environment with the real clock",
            )
        return present

    def wall(self) -> float:
        """Seconds since the epoch by the machine's clock: real processes wait in real time, also in a simulation."""
        return time.time()

    def set(self, moment: datetime) -> None:
        """Move to a moment, at or after the present one.

        Args:
            moment: With a time zone.

        Raises:
            RefusedError: the moment lies before the present.
            ValueError: the moment has no time zone.
            PlatformError: the file cannot be written.
        """
        if moment.tzinfo is None:
            raise ValueError(f"moment == {moment.isoformat()}, must have a time zone")
        with self._alone():
            self._move(moment.astimezone(UTC), self._read())

    def advance(self, step: timedelta) -> None:
        """Move on by a step of at least 0.

        Raises:
            RefusedError: the step is negative.
            PlatformError: the clock was never set, or its file cannot be written.
        """
        with self._alone():
            present = self.now()
            self._move(present + step, present)

    def _move(self, moment: datetime, present: datetime | None) -> None:
        if present is not None and moment < present:
            raise RefusedError(
                f"the simulated clock stands at {present.isoformat()}, {moment.isoformat()} lies before it",
                hint="time only goes forward; begin with a new home to start earlier",
                present=present,
                moment=moment,
            )
        replace_file(self._path, json.dumps({"now": moment.isoformat(timespec="microseconds")}).encode())

    def _read(self) -> datetime | None:
        try:
            moment = datetime.fromisoformat(json.loads(self._path.read_text(encoding="utf-8"))["now"])
        except FileNotFoundError:
            return None
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise PlatformError(
                f"the simulated clock {self._path.name} cannot be read: {error}", hint="begin with a new home"
            ) from error
        return moment.astimezone(UTC)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One process at a time reads and moves the clock; the lock ends with the process."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.with_name(f".{self._path.name}.lock").open("a") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield
        except OSError as error:
            raise PlatformError(
                f"the simulated clock {self._path.name} cannot be written: {error.strerror}",
                hint="give this user the right to write STAGED_ROLLOUT_HOME",
            ) from error

"""Reading a SQLite file without leaving a trace: no side files, no recovery, no lock, nothing changed.

An ordinary connection to a file in write-ahead mode makes `-wal` and `-shm` beside it, even when it only reads. So a
file at rest is opened as immutable; one with a log beside it (a writer is at work, or was killed) is read as a copy.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from staged_rollout.errors import PlatformError

T = TypeVar("T")

_TRIES = 4
_LOGS = ("-wal", "-journal")


def read_still(path: Path, read: Callable[[str], T]) -> T:
    """Read a SQLite file as of one moment.

    When the file changes under the reader, what was read is thrown away and read again; under a writer that never
    rests, the last try joins it as an ordinary reader, which adds nothing to the files that the writer keeps open.

    Args:
        path: The file.
        read: Gets a URI for `sqlite3.connect(uri, uri=True)`, good until it returns; it may be called several times.

    Returns:
        What `read` returned.

    Raises:
        OSError: the file cannot be read or copied.
        PlatformError: SQLite cannot read it.
    """
    for left in reversed(range(_TRIES)):
        before = _stamp(path)
        try:
            with _uri(path, live=left == 0) as uri:
                answer = read(uri)
        except Exception as error:
            if left and before != _stamp(path):
                continue
            if isinstance(error, sqlite3.Error):
                raise PlatformError(f"{path} cannot be read: {error}", path=str(path)) from error
            raise
        if left == 0 or before == _stamp(path):
            return answer
    raise AssertionError("unreachable: the last try returns or raises")


@contextmanager
def _uri(path: Path, *, live: bool) -> Iterator[str]:
    path = path.absolute()
    logs = [log for log in _LOGS if _size(Path(f"{path}{log}"))]
    if not logs:
        path.open("rb").close()  # the system's own reason, which SQLite would replace by "unable to open"
        yield f"file:{_quoted(path)}?mode=ro&immutable=1"
    elif live and Path(f"{path}-shm").exists():
        yield f"file:{_quoted(path)}?mode=ro"
    else:
        with tempfile.TemporaryDirectory(prefix="staged-rollout-doctor-") as folder:
            copy = Path(folder) / "copy.db"
            shutil.copyfile(path, copy)
            for log in logs:
                with suppress(FileNotFoundError):  # the writer has just put it away: the stamp tells
                    shutil.copyfile(f"{path}{log}", f"{copy}{log}")
            yield f"file:{_quoted(copy)}"


def _stamp(path: Path) -> tuple[tuple[int, int, int] | None, ...]:
    def of(name: str) -> tuple[int, int, int] | None:
        try:
            told = Path(name).stat()
        except OSError:
            return None
        return told.st_ino, told.st_size, told.st_mtime_ns

    return tuple(of(f"{path}{suffix}") for suffix in ("", *_LOGS))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _quoted(path: Path) -> str:
    return quote(os.fsencode(path))

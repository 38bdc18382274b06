"""LogSource over one machine's folders: router logs, outcomes, and Data Capture in SageMaker's key layout."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath

from staged_rollout.adapters.log_bytes import read_bytes
from staged_rollout.errors import DataError
from staged_rollout.ports.logs import LogFile, LogKind
from staged_rollout.spec.home import Home

_SUFFIXES = (".jsonl", ".jsonl.gz")
_HOUR = re.compile(r"/(\d{4})/(\d{2})/(\d{2})/(\d{2})/[^/]+$", re.ASCII)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*", re.ASCII)


@dataclass(frozen=True)
class Place:
    """What a file's place says of its lines."""

    kind: LogKind
    endpoint: str
    variant: str | None = None


def place_of(name: str) -> Place | None:
    """What a path below the root says, or None when no log belongs there.

    That shadow answers lie under the shadow variant's own prefix is not documented by AWS but inferred: this is the
    only place that relies on it.

    >>> place_of("capture/churn-prod/v2/2026/02/14/17/a.jsonl")
    Place(kind='capture', endpoint='churn-prod', variant='v2')
    """
    parts = PurePosixPath(name).parts
    if not name.endswith(_SUFFIXES) or len(parts) < 3:
        return None
    if parts[:2] == ("logs", "predictions") and len(parts) == 5 and _NAME.fullmatch(parts[2]):
        return Place("predictions", parts[2])
    if parts[:2] == ("logs", "outcomes") and len(parts) == 4 and _NAME.fullmatch(parts[2]):
        return Place("outcomes", parts[2])
    if parts[:2] == ("logs", "ground-truth") and len(parts) == 8 and _NAME.fullmatch(parts[2]) and hour_of(name):
        return Place("ground-truth", parts[2])
    if parts[0] == "capture" and len(parts) == 8 and _NAME.fullmatch(parts[1]) and _NAME.fullmatch(parts[2]):
        return Place("capture", parts[1], parts[2])
    return None


def hour_of(name: str) -> datetime | None:
    """The last moment of the hour that a path ends in, `yyyy/mm/dd/hh/FILE`; None when it does not."""
    match = _HOUR.search(name)
    if match is None:
        return None
    year, month, day, hour = map(int, match.groups())
    try:
        return datetime(year, month, day, hour, tzinfo=UTC) + timedelta(hours=1) - timedelta(microseconds=1)
    except ValueError:
        return None


class LogFolder:
    """The logs of one home.

    Args:
        home: Whose `logs/` and `capture/` are read.
    """

    def __init__(self, home: Home) -> None:
        self._root = home.root
        self._folders = (home.capture, home.logs)

    def list(self) -> list[LogFile]:
        """All files, ordered by name; links that lead out of the root are left out, and so is what is not a file."""
        found = []
        for folder in self._folders:
            for path in _files(folder):
                name = path.relative_to(self._root).as_posix()
                place = place_of(name)
                if place is None or not self._inside(path):
                    continue
                stat = path.stat()
                version = f"{stat.st_size}:{stat.st_mtime_ns}:{stat.st_ino}"
                found.append(
                    LogFile(
                        place.kind,
                        place.endpoint,
                        name,
                        stat.st_size,
                        place.variant,
                        version,
                        compressed=name.endswith(".gz"),
                        at=hour_of(name) if place.kind == "ground-truth" else None,
                    )
                )
        return sorted(found, key=lambda file: file.name)

    def read(self, file: LogFile, start: int = 0) -> Iterator[bytes]:
        """The file's bytes from a (decompressed) offset, in chunks of 1 MiB, at most to the size that was listed.

        Raises:
            DataError: the file is gone or leads out of the root, or a compressed one is broken or not complete.
        """
        path = self._root / file.name
        if not self._inside(path):
            raise DataError(
                f"{file.name} is gone, or leads out of {self._root}",
                hint="links out of the home are not followed",
                file=file.name,
            )
        yield from read_bytes(path, file.name, start=start, size=file.size, compressed=file.compressed)

    def settled(self) -> None:
        """Nothing is kept: a listing is cheap, and always whole."""

    def _inside(self, path: Path) -> bool:
        resolved = path.resolve()
        return resolved.is_file() and resolved.is_relative_to(self._root.resolve())


def _files(folder: Path) -> Iterator[Path]:
    # os.walk does not follow linked folders: a link to a parent would never end.
    for parent, _, names in os.walk(folder):
        yield from (Path(parent) / name for name in names)

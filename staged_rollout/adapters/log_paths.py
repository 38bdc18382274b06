"""LogSource over files that lie anywhere: single files, folders and globs, whatever they are called.

A file is known by its real path, links resolved, so that it is one file however it was named. What cannot be read as a
file (a pipe, a link to nothing, no permission) is listed all the same: reading it says why, and ingest reports that.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from glob import glob, has_magic
from pathlib import Path

from staged_rollout.adapters.log_bytes import read_bytes
from staged_rollout.adapters.log_folder import hour_of, place_of
from staged_rollout.errors import DataError, LineRejectedError, SpecError
from staged_rollout.ports.logs import LogFile, LogKind, LogSource
from staged_rollout.records.blocks import TABLE_OF
from staged_rollout.records.detect import kinds_of
from staged_rollout.records.field_rules import field_map, problems_of
from staged_rollout.records.json_line import json_object, stripped
from staged_rollout.spec.home import Home

DEFAULT_ENDPOINT = "local"
"""The endpoint of files whose place does not say one."""

_GZIP = b"\x1f\x8b"
_LEFT_OUT = (".", "_")
_CAPTURE = re.compile(r"/([A-Za-z0-9][\w.-]*)/([A-Za-z0-9][\w.-]*)/\d{4}/\d{2}/\d{2}/\d{2}/[^/]+$", re.ASCII)


@dataclass(frozen=True)
class LogEntry:
    """Files, and how they are read.

    Attributes:
        source: A file, a folder (all files below it, but hidden ones and those that begin with `_`) or a glob.
        kind: Kind of their lines; None: told by the first record of each.
        endpoint: Their endpoint; None: the one in a Data Capture path, or else `local`.
        variant: The variant that answered, where lines do not say; None: the one in a Data Capture path.
        fields: Our names to theirs, as `records/field_rules.py` reads them.
    """

    source: str
    kind: LogKind | None = None
    endpoint: str | None = None
    variant: str | None = None
    fields: Mapping[str, str | None] = field(default_factory=dict)


class LogPaths:
    """The files of some entries.

    Args:
        entries: What to read; a file that two of them read differently is an error.
        base: Where relative sources begin.
        home: Files in the default places of this home are known by their names there, so that they stay the same ones.
        apart: A folder that is never read: the lake itself.
        lenient: A file whose reading is not clear does not keep others from being read; reading it says why.
    """

    def __init__(
        self,
        entries: Sequence[LogEntry],
        base: Path,
        *,
        home: Home | None = None,
        apart: Path | None = None,
        lenient: bool = False,
    ) -> None:
        self._entries = entries
        self._base = base
        self._home = home
        self._lenient = lenient
        self._apart = apart.resolve() if apart else None
        self._broken: dict[str, str] = {}
        self._kinds: dict[tuple[str, str], LogKind] = {}

    def list(self) -> list[LogFile]:
        """All files, ordered by name.

        Raises:
            SpecError: a format cannot be told, a field map does not fit it, or two entries disagree on a file.
        """
        found: dict[str, LogFile] = {}
        for entry in self._entries:
            for path in self._paths(entry.source):
                file = self._listed(path, entry)
                other = found.setdefault(file.name, file)
                if other != file:
                    self._refuse(
                        other, SpecError(f"{file.name} is read in two ways: {_reading(other)}, and {_reading(file)}")
                    )
        return [found[name] for name in sorted(found)]

    def unmatched(self) -> Sequence[str]:
        """Sources that match no file."""
        return [entry.source for entry in self._entries if next(iter(self._paths(entry.source)), None) is None]

    def read(self, file: LogFile, start: int = 0) -> Iterator[bytes]:
        """The file's bytes from a (decompressed) offset, in chunks of 1 MiB, at most to the size that was listed.

        Raises:
            DataError: it is no file, is gone or cannot be read, or a compressed one is broken or not complete.
        """
        if file.name in self._broken:
            raise DataError(f"{file.name} {self._broken[file.name]}", file=file.name)
        path = self._home.root / file.name if self._home else Path(file.name)
        yield from read_bytes(path, file.name, start=start, size=file.size, compressed=file.compressed)

    def settled(self) -> None:
        """Nothing is kept: a listing is cheap, and always whole."""

    def _paths(self, source: str) -> Iterator[Path]:
        given = self._base / Path(source).expanduser()
        if os.path.lexists(given):
            yield from self._below(given)
        elif has_magic(source):
            for match in sorted(glob(str(given), recursive=True)):  # noqa: PTH207 - Path.glob takes no absolute one
                yield from self._below(Path(match))

    def _below(self, path: Path) -> Iterator[Path]:
        if not path.is_dir():
            if not self._is_apart(path):
                yield path
            return
        unreadable: list[OSError] = []
        # os.walk does not follow linked folders: a link to a parent would never end.
        for parent, folders, names in os.walk(path, onerror=unreadable.append):
            folders[:] = sorted(name for name in folders if not name.startswith(_LEFT_OUT))
            if self._is_apart(Path(parent)):
                folders.clear()
                continue
            yield from (Path(parent) / name for name in sorted(names) if not name.startswith(_LEFT_OUT))
        yield from (Path(error.filename) for error in unreadable)

    def _is_apart(self, path: Path) -> bool:
        return self._apart is not None and Path(os.path.realpath(path)).is_relative_to(self._apart)

    def _listed(self, path: Path, entry: LogEntry) -> LogFile:
        try:
            return self._file(path, entry)
        except SpecError as error:
            name = str(error.facts["file"])
            return self._refuse(
                LogFile(entry.kind or "predictions", entry.endpoint or DEFAULT_ENDPOINT, name, 0), error
            )

    def _refuse(self, file: LogFile, error: SpecError) -> LogFile:
        if not self._lenient:
            raise error
        return self._no_file(file, error.message.removeprefix(f"{file.name}: ").removeprefix(f"{file.name} "))

    def _file(self, path: Path, entry: LogEntry) -> LogFile:
        real = Path(os.path.realpath(path))
        name, given = real.as_posix(), path.absolute().as_posix()
        blank = LogFile(entry.kind or "predictions", entry.endpoint or DEFAULT_ENDPOINT, given, 0, entry.variant)
        try:
            name.encode()
            status = real.stat()
            if not stat.S_ISREG(status.st_mode):
                return self._no_file(blank, "is not a regular file")
            with real.open("rb") as stream:
                compressed = stream.read(2) == _GZIP
        except UnicodeEncodeError:
            plain = given.encode("utf-8", "backslashreplace").decode()
            return self._no_file(replace(blank, name=plain), "has a name that is not UTF-8")
        except OSError as error:
            return self._no_file(blank, f"cannot be read: {error.strerror or error}")
        version = f"{status.st_size}:{status.st_mtime_ns}:{status.st_ino}"
        file = replace(blank, name=name, size=status.st_size, version=version, compressed=compressed)
        return self._at_home(real, file, entry) or self._read_as(file, entry, status.st_mtime)

    def _no_file(self, file: LogFile, why: str) -> LogFile:
        self._broken[file.name] = why
        return file

    def _at_home(self, real: Path, file: LogFile, entry: LogEntry) -> LogFile | None:
        """The file as the home itself lists it, where it lies in one of its places and is read in no other way."""
        if self._home is None or not real.is_relative_to(self._home.root.resolve()):
            return None
        name = real.relative_to(self._home.root.resolve()).as_posix()
        place = place_of(name)
        if place is None or entry.fields:
            return None
        given = (entry.kind or place.kind, entry.endpoint or place.endpoint, entry.variant or place.variant)
        if given != (place.kind, place.endpoint, place.variant):
            return None
        return replace(file, kind=place.kind, endpoint=place.endpoint, variant=place.variant, name=name)

    def _read_as(self, file: LogFile, entry: LogEntry, written: float) -> LogFile:
        kind = entry.kind or self._kind(file, entry)
        problems = problems_of(kind, entry.fields)
        if problems:
            raise SpecError(f"{file.name}, read as {format_name(kind)}: {'; '.join(problems)}", file=file.name)
        fields = field_map(kind, entry.fields)
        endpoint, variant, at = entry.endpoint, entry.variant, None
        if kind == "capture":
            place = _CAPTURE.search(file.name)
            endpoint = endpoint or (place[1] if place else None)
            variant = variant or (place[2] if place else None)
            if variant is None and not fields.theirs.get("variant"):
                raise SpecError(
                    f"{file.name}: neither its lines nor its place say which variant answered",
                    hint="--variant NAME, or keep the folders ENDPOINT/VARIANT/yyyy/mm/dd/hh",
                    file=file.name,
                )
        if kind == "ground-truth":
            at = hour_of(file.name) or datetime.fromtimestamp(written, UTC)
        return replace(file, kind=kind, endpoint=endpoint or DEFAULT_ENDPOINT, variant=variant, fields=fields, at=at)

    def _kind(self, file: LogFile, entry: LogEntry) -> LogKind:
        known = (file.name, file.version)
        if known not in self._kinds:
            self._kinds[known] = self._detected(file, entry)
        return self._kinds[known]

    def _detected(self, file: LogFile, entry: LogEntry) -> LogKind:
        try:
            head = next(
                read_bytes(Path(file.name), file.name, start=0, size=file.size, compressed=file.compressed), b""
            )
        except DataError as error:
            self._broken[file.name] = error.message.removeprefix(f"{file.name} ")
            return "predictions"
        lines = [line for line in head.split(b"\n") if stripped(line)]
        for line in lines:
            try:
                kinds = kinds_of(json_object(line), entry.fields)
            except LineRejectedError:
                continue
            if len(kinds) == 1:
                return kinds[0]
            fits = " or ".join(map(format_name, kinds)) if kinds else "no format"
            raise _untold(file, f"its first record fits {fits}")
        if not lines:
            return "predictions"  # an empty file has no line that could be misread
        raise _untold(file, "no line of its beginning is a JSON object")


@dataclass(frozen=True)
class JoinedLogs:
    """Two sources as one: a home's own places, and what its environment names beside them."""

    home: LogSource
    others: LogSource

    def list(self) -> list[LogFile]:
        """All files, ordered by name; what lies in the home's places is the home's."""
        found = {file.name: file for file in (*self.others.list(), *self.home.list())}
        return [found[name] for name in sorted(found)]

    def read(self, file: LogFile, start: int = 0) -> Iterator[bytes]:
        """As the source that lists it."""
        return (self.others if Path(file.name).is_absolute() else self.home).read(file, start)

    def settled(self) -> None:
        """As both."""
        self.home.settled()
        self.others.settled()


def format_name(kind: LogKind) -> str:
    """What the command line calls a kind."""
    return "flat" if kind == "predictions" else kind


def _untold(file: LogFile, why: str) -> SpecError:
    formats = ", ".join(map(format_name, TABLE_OF))
    return SpecError(
        f"the format of {file.name} cannot be told: {why}",
        hint=f"--format {formats.replace(', ', '|')}",
        file=file.name,
    )


def _reading(file: LogFile) -> str:
    names = ", ".join(
        f"{ours}={theirs or ''}" for ours, theirs in {**file.fields.theirs, **file.fields.measures}.items()
    )
    return f"{format_name(file.kind)} of endpoint {file.endpoint}" + (f" with {names}" if names else "")

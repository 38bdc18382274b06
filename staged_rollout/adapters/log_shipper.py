"""A router's prediction log to S3: lines are appended to files here first, and pieces of the files become objects.

A piece is named after its file and its first byte, and is put only if there is none of that name. So S3 itself knows
how far a file was shipped: whoever comes to ship it, after a kill at any line or beside another process, finds the
piece that is there, goes on behind it, and neither loses nor doubles a line.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from staged_rollout.adapters.aws_client import told_as_ours
from staged_rollout.adapters.log_folder import place_of
from staged_rollout.adapters.s3_place import S3Place
from staged_rollout.errors import DataError

PIECE_BYTES = 16 << 20
"""The greatest piece that is put at a time."""

QUIET_S = 600.0
"""Seconds after which a last line without line end is shipped as it is: its writer was killed."""

KEPT_S = 172_800.0
"""Seconds without a new line after which a file that was shipped whole is removed: no router still writes it."""

_COMPARED = 65_536
_ROOT = "logs"
_SUFFIX = ".jsonl"


@dataclass(frozen=True)
class Shipped:
    """What one round did.

    Attributes:
        objects: Pieces that were put.
        bytes: Bytes in them.
        waiting_bytes: Bytes of half-written last lines that stay for the next round.
        removed: Files that were removed, long after they were shipped whole.
    """

    objects: int = 0
    bytes: int = 0
    waiting_bytes: int = 0
    removed: int = 0


class LogShipper:
    """Ships `predictions/ENDPOINT/yyyy-mm-dd/ROUTER.jsonl` as `ROUTER.FIRST-BYTE.jsonl` in the same place on S3.

    Args:
        folder: A home's `logs`.
        place: Where logs lie on S3.
        wall: Seconds since the epoch, as the files' own times.
    """

    def __init__(self, folder: Path, place: S3Place, *, wall: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._place = place
        self._wall = wall
        self._shipped: dict[str, int] = {}

    def ship(self) -> Shipped:
        """Put every line that is complete by now.

        Raises:
            PlatformError: S3 refused; what was put before is put, and the next round goes on.
            DataError: a file is shorter than what was shipped of it, or cannot be read.
        """
        total = Shipped()
        for path in sorted(self._folder.glob(f"predictions/*/*/*{_SUFFIX}")):
            name = path.relative_to(self._folder).as_posix()
            if place_of(f"{_ROOT}/{name}") is None or not path.resolve().is_relative_to(self._folder.resolve()):
                continue
            one = self._ship_file(path, name)
            total = Shipped(
                total.objects + one.objects,
                total.bytes + one.bytes,
                total.waiting_bytes + one.waiting_bytes,
                total.removed + one.removed,
            )
        return total

    def _ship_file(self, path: Path, name: str) -> Shipped:
        if name not in self._shipped:
            self._shipped[name] = self._found(path, name)
        objects, begin = 0, self._shipped[name]
        status = path.stat()
        if status.st_size < begin:
            raise DataError(
                f"{path} has {status.st_size:,} bytes, and {begin:,} were shipped",
                hint="a log is only ever appended to; rename what is new, and it is shipped under that name",
                file=str(path),
            )
        quiet = self._wall() - status.st_mtime
        for piece in _pieces(path, begin, status.st_size, torn=quiet > QUIET_S):
            at = self._shipped[name]
            objects += self._put(name, at, piece)
            if self._shipped[name] != at + len(piece):
                # Another process has put a piece of another length: the next round goes on behind it.
                return Shipped(objects, self._shipped[name] - begin)
        end = self._shipped[name]
        removed = 0
        if end == status.st_size and quiet > KEPT_S:
            path.unlink(missing_ok=True)
            removed = 1
        return Shipped(objects, end - begin, status.st_size - end, removed)

    def _put(self, name: str, at: int, piece: bytes) -> int:
        """Put a piece, or find the one that is there; how many were put."""
        key = _piece_name(name, at)
        put = self._place.put(key, piece, expected=None, ContentType="application/x-ndjson") is not None
        if put:
            self._shipped[name] = at + len(piece)
            return 1
        with told_as_ours(f"look at {self._place.uri(key)}"):
            found = self._place.client.head_object(Bucket=self._place.bucket, Key=f"{self._place.prefix}{key}")
        self._shipped[name] = at + int(found["ContentLength"])
        return 0

    def _found(self, path: Path, name: str) -> int:
        """The first byte that no piece on S3 holds."""
        end = 0
        for row in self._place.objects(f"{name.removesuffix(_SUFFIX)}."):
            if row.key == _piece_name(name, end):
                end += row.size
        if end:
            self._same(path, name)
        return end

    def _same(self, path: Path, name: str) -> None:
        """A router that took another's id on another disk would otherwise go on behind the other's lines."""
        key = _piece_name(name, 0)
        place = self._place
        with told_as_ours(f"read {place.uri(key)}"):
            answer = place.client.get_object(
                Bucket=place.bucket, Key=f"{place.prefix}{key}", Range=f"bytes=0-{_COMPARED - 1}"
            )
            there = answer["Body"].read()
        with path.open("rb") as file:
            here = file.read(len(there))
        if here != there:
            raise DataError(
                f"{path} does not begin as {place.uri(key)}, which was shipped from a file of the same name",
                hint="give each router an id of its own; rename this file after a new one, and nothing of it is lost",
                file=str(path),
            )


def _piece_name(name: str, at: int) -> str:
    # As wide as the greatest file: names sort as the bytes do.
    return f"{name.removesuffix(_SUFFIX)}.{at:016d}{_SUFFIX}"


def _pieces(path: Path, begin: int, end: int, *, torn: bool) -> Iterator[bytes]:
    """Whole lines from one byte to another, in pieces; a line that is longer than a piece is a piece.

    Args:
        path: The file.
        begin: First byte.
        end: Where it ended when it was looked at.
        torn: Whether a last line without line end is given too.
    """
    with path.open("rb") as file:
        file.seek(begin)
        left, held = end - begin, b""
        while left > 0:
            read = file.read(min(left, PIECE_BYTES))
            if not read:
                return
            left -= len(read)
            held += read
            cut = held.rfind(b"\n") + 1
            if cut:
                yield held[:cut]
                held = held[cut:]
        if held and torn:
            yield held

"""Bytes to lines, with bounded memory whatever comes in, and a hash of what was cut."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from staged_rollout.records.json_line import MAX_LINE_BYTES

KEPT_BYTES = MAX_LINE_BYTES
"""What is kept of a line, in bytes; the rest of a longer one is read, hashed and dropped."""


@dataclass(frozen=True)
class RawLine:
    """One line as it lies in its file.

    Attributes:
        offset: Its first byte.
        size: Its bytes, with the line end.
        content: Its bytes without the line end; cut at KEPT_BYTES.
        cut: Whether content is only its beginning.
    """

    offset: int
    size: int
    content: bytes
    cut: bool = False

    @property
    def end(self) -> int:
        """The byte after it."""
        return self.offset + self.size


class LineSplitter:
    """Cuts a stream of chunks into lines at LF.

    Args:
        offset: Where the stream begins in its file.
    """

    def __init__(self, offset: int = 0) -> None:
        self._begin = self._offset = offset
        self._held = bytearray()
        self._size = 0
        self._hash = hashlib.sha256()
        self._open_hash = self._hash.copy()

    def feed(self, chunk: bytes) -> Iterator[RawLine]:
        """The lines that this chunk completes, in order, one at a time."""
        *complete, last = chunk.split(b"\n")
        for part in complete:
            self._hold(part)
            yield self._take(b"\n")
        self._hold(last)

    def rest(self) -> RawLine | None:
        """What lies after the last LF, or None when there is nothing; it stays untaken."""
        return self._line(0) if self._size else None

    def take_rest(self) -> None:
        """Count what lies after the last LF as a line."""
        self._take(b"")

    def cut(self) -> tuple[int, int, str]:
        """The range of the lines given since the last cut: first byte, byte after it, SHA-256 in hexadecimal.

        Called between two lines, or at the end; what lies after the last LF is left out and not taken any more.
        """
        found = (self._begin, self._offset, self._hash.hexdigest())
        self._begin = self._offset
        self._hash = hashlib.sha256()
        self._open_hash = hashlib.sha256()
        return found

    def _line(self, line_end: int) -> RawLine:
        return RawLine(self._offset, self._size + line_end, bytes(self._held), self._size > len(self._held))

    def _hold(self, part: bytes) -> None:
        self._size += len(part)
        self._held += part[: max(KEPT_BYTES - len(self._held), 0)]
        self._open_hash.update(part)

    def _take(self, line_end: bytes) -> RawLine:
        line = self._line(len(line_end))
        self._open_hash.update(line_end)
        self._hash = self._open_hash.copy()
        self._offset = line.end
        self._held.clear()
        self._size = 0
        return line

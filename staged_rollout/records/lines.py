"""Bytes to blocks of whole lines, with bounded memory whatever comes in, and a hash of what was given."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator

from staged_rollout.records.blocks import LineBlock
from staged_rollout.records.json_line import MAX_LINE_BYTES

KEPT_BYTES = MAX_LINE_BYTES
"""What is kept of a line, in bytes; the rest of a longer one is read, hashed and dropped."""

BLOCK_BYTES = 8 << 20
"""Bytes that are read before lines are given: large enough that a block's fixed costs vanish, small beside a machine's
memory."""

Room = Callable[[], tuple[int, int]]
"""How many more lines and bytes the next block may hold; a block of one line may always be given."""


class LineReader:
    """Gives a stream's whole lines in blocks.

    Args:
        chunks: The stream, in pieces of bounded size.
        offset: Where it begins in its file.
        lines: Lines of the file that lie before it.
        inside_line: The last of those was taken without its line end: a line end that comes first is no new line.

    Attributes:
        lines: Lines given so far, those before included.
    """

    def __init__(self, chunks: Iterable[bytes], offset: int = 0, lines: int = 0, *, inside_line: bool = False) -> None:
        self._chunks = iter(chunks)
        self._begin = self._offset = offset
        self._claimed = self.lines = lines
        self._inside_line = inside_line
        self._hash = hashlib.sha256()
        self._failure: Exception | None = None
        self._unended: tuple[bytes, int, hashlib._Hash] | None = None

    def blocks(self, room: Room, whole: Callable[[LineBlock], bool]) -> Iterator[LineBlock]:
        """The lines in blocks; a line longer than KEPT_BYTES makes a block of its own, with its beginning.

        Args:
            room: Asked before each block.
            whole: Whether what lies after the last LF is a line, too.

        Raises:
            DataError: reading failed; the lines that came before have been given.
        """
        held = b""
        while True:
            held, more = self._fill(held)
            start = 0
            if self._inside_line and (end := held.find(b"\n")) >= 0:
                if held[:end] in {b"", b"\r"}:
                    start = end + 1
                    self._take(held[:start])
                self._inside_line = False
            last = held.rfind(b"\n") + 1
            while start < last:
                block = self._block(held, start, last, room)
                start += block.size
                yield block
            held = held[start:]
            if len(held) > BLOCK_BYTES:
                line = self._skip(held)
                if line is None:
                    break
                block, held = line
                yield block
            elif not more:
                break
        if self._failure is not None:
            raise self._failure
        yield from self._rest(held, whole)

    def cut(self) -> tuple[int, int, int, str]:
        """The range given since the last cut: first byte, byte after it, lines, SHA-256 in hexadecimal.

        Called between two blocks, or at the end; what was not given as lines is left out.
        """
        found = (self._begin, self._offset, self.lines - self._claimed, self._hash.hexdigest())
        self._begin, self._claimed, self._hash = self._offset, self.lines, hashlib.sha256()
        return found

    def _next(self) -> bytes | None:
        # A compressed file may break in its middle: its lines before are given first.
        try:
            return next(self._chunks, None)
        except Exception as error:  # noqa: BLE001 - raised again once the lines before it were given
            self._failure = error
            return None

    def _fill(self, held: bytes) -> tuple[bytes, bool]:
        parts, size = [held], len(held)
        while size <= BLOCK_BYTES:
            chunk = self._next()
            if chunk is None:
                return b"".join(parts), False
            parts.append(chunk)
            size += len(chunk)
        return b"".join(parts), True

    def _block(self, held: bytes, start: int, last: int, room: Room) -> LineBlock:
        most_lines, most_bytes = (max(1, most) for most in room())
        end = last if last - start <= most_bytes else held.find(b"\n", start + most_bytes - 1) + 1
        end = _before_long_line(held, start, end)
        if end == start:
            return self._cut_line(held[start : start + KEPT_BYTES], held[start : held.find(b"\n", start) + 1])
        lines = held.count(b"\n", start, end)
        if lines > most_lines:
            lines, end = most_lines, _after_lines(held, start, most_lines)
        content = held[start:end]
        block = LineBlock(content, self._offset, self.lines + 1, len(content))
        self._take(content, lines)
        return block

    def _cut_line(self, content: bytes, line: bytes) -> LineBlock:
        block = LineBlock(content, self._offset, self.lines + 1, len(line), cut=True)
        self._take(line, 1)
        return block

    def _skip(self, held: bytes) -> tuple[LineBlock, bytes] | None:
        """A line that no block can hold, and what follows it; None when the stream ends before the line does."""
        content, size, digest = held[:KEPT_BYTES], len(held), self._hash.copy()
        digest.update(held)
        self._inside_line = False
        while (chunk := self._next()) is not None:
            end = chunk.find(b"\n") + 1
            digest.update(chunk[:end] if end else chunk)
            size += end or len(chunk)
            if end:
                block = LineBlock(content, self._offset, self.lines + 1, size, cut=True)
                self._hash = digest
                self._offset += size
                self.lines += 1
                return block, chunk[end:]
        self._unended = (content, size, digest)
        return None

    def _rest(self, held: bytes, whole: Callable[[LineBlock], bool]) -> Iterator[LineBlock]:
        if not held:
            return
        content, size, digest = self._unended or (held[:KEPT_BYTES], len(held), self._hash.copy())
        if self._unended is None:
            digest.update(held)
        block = LineBlock(content, self._offset, self.lines + 1, size, cut=size > KEPT_BYTES)
        if whole(block):
            self._hash, self._offset, self.lines = digest, self._offset + size, self.lines + 1
            yield block

    def _take(self, content: bytes, lines: int = 0) -> None:
        self._hash.update(content)
        self._offset += len(content)
        self.lines += lines


def _before_long_line(content: bytes, start: int, end: int) -> int:
    """The end of the last line before the first one that is longer than KEPT_BYTES, or `end` when there is none."""
    found = start
    while found < end:
        # Each leap ends at the farthest line end within reach, so that a block needs as many as it has MiB.
        after = content.rfind(b"\n", found, min(found + KEPT_BYTES + 1, end)) + 1
        if not after:
            return found
        found = after
    return end


def _after_lines(content: bytes, start: int, lines: int) -> int:
    end = start
    for _ in range(lines):
        end = content.find(b"\n", end) + 1
    return end

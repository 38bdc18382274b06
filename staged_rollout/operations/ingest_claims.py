"""Reading a log file from where its claims end, once the claimed bytes are found unchanged."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Iterator, Sequence

from staged_rollout.errors import DataError
from staged_rollout.ports.lake import SourceClaim
from staged_rollout.ports.logs import LogFile, LogSource
from staged_rollout.records.blocks import LineBlock
from staged_rollout.records.lines import LineReader, Room


class Reading:
    """The new lines of one file.

    Args:
        logs: Where the file lies.
        file: As listed.
        claims: Its newest generation's claims in order of bytes; [] when it was never read.

    Attributes:
        finding: What somebody should know (the file was replaced), or "".
        pending_bytes: Bytes of a half-written last line, known once all blocks were given.

    Raises:
        DataError: the file cannot be read, or its claims have a gap.
    """

    def __init__(self, logs: LogSource, file: LogFile, claims: Sequence[SourceClaim]) -> None:
        self._file = file
        self.finding = ""
        self.pending_bytes = 0
        self._generation, lines, end, inside_line = 0, 0, 0, False
        self._stream = _Stream(logs.read(file))
        if claims:
            self._generation, end = claims[-1].generation, claims[-1].to_byte
            changed = self._changed(claims)
            if changed:
                self._stream.close()
                self.finding = (
                    f"{file.name} was replaced ({end:,} bytes were read before; {changed}): read again from its start"
                )
                self._generation, end = self._generation + 1, 0
                self._stream = _Stream(logs.read(file))
            else:
                lines = sum(claim.lines for claim in claims)
                inside_line = self._stream.last != b"\n"
        self._lines = LineReader(self._stream.chunks(), end, lines, inside_line=inside_line)

    def blocks(self, room: Room, whole: Callable[[LineBlock], bool]) -> Iterator[LineBlock]:
        """The new lines in blocks.

        Args:
            room: How many lines and bytes the next block may hold.
            whole: Whether a last line without line end is a whole record.

        Raises:
            DataError: a compressed file is broken or not complete; the blocks given before are good.
        """

        def taken(rest: LineBlock) -> bool:
            if self._file.compressed or (not rest.cut and whole(rest)):
                return True
            self.pending_bytes = rest.size
            return False

        return self._lines.blocks(room, taken)

    @property
    def lines(self) -> int:
        """Lines of the file so far: those claimed before, and those of the blocks given."""
        return self._lines.lines

    def claim(self) -> SourceClaim | None:
        """The range of the lines given since the last claim, or None when there are none."""
        begin, end, lines, digest = self._lines.cut()
        return None if begin == end else SourceClaim(self._file.name, self._generation, begin, end, digest, lines)

    def close(self) -> None:
        """Let go of the file."""
        self._stream.close()

    def _changed(self, claims: Sequence[SourceClaim]) -> str:
        expected = 0
        for claim in claims:
            if claim.from_byte != expected:
                raise DataError(f"claims of {self._file.name} have a gap: {claim.from_byte}, expected {expected}")
            expected = claim.to_byte
            digest, size = self._stream.hashed(claim.to_byte - claim.from_byte)
            if claim.from_byte + size < claim.to_byte:
                return f"it has {claim.from_byte + size:,} now"
            if digest != claim.digest:
                return "they changed"
        return ""


class _Stream:
    """Chunks of which an exact number of bytes can be taken first."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._held = b""
        self.last = b""

    def hashed(self, size: int) -> tuple[str, int]:
        """SHA-256 of the next `size` bytes, and how many there were."""
        digest, taken = hashlib.sha256(), 0
        while taken < size and self._fill():
            part, self._held = self._held[: size - taken], self._held[size - taken :]
            digest.update(part)
            taken += len(part)
            self.last = part[-1:]
        return digest.hexdigest(), taken

    def chunks(self) -> Iterator[bytes]:
        """What is left."""
        while self._fill():
            held, self._held = self._held, b""
            yield held

    def close(self) -> None:
        """Let go of the file, if reading it is a generator's work."""
        if isinstance(self._chunks, Generator):
            self._chunks.close()

    def _fill(self) -> bool:
        while not self._held:
            chunk = next(self._chunks, None)
            if chunk is None:
                return False
            self._held = chunk
        return True

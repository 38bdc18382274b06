"""Where a block's lines and strings begin and end: the index that the fast path walks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from staged_rollout.records.json_line import MAX_LINE_BYTES

Positions = npt.NDArray[np.int32]
Mask = npt.NDArray[np.bool_]

MAX_BLOCK_BYTES = 1 << 30
"""Largest block that positions of 32 bits can index with room to spare; blocks are 4 to 16 MiB."""

PAD_BYTES = 4096
"""NUL bytes put behind a block, so that looking at a literal's place never leaves the buffer. No literal has a NUL."""

_PIECE = 1 << 18  # bytes looked at together: masks of this size stay in the processor's cache
_QUOTE, _BACKSLASH, _LF, _CR, _BLANK = 34, 92, 10, 13, 32


@dataclass(frozen=True)
class LineIndex:
    """A block's lines and quotation marks, as positions in its content.

    Attributes:
        content: The block's bytes and PAD_BYTES of NUL behind them.
        size: The block's bytes, without the padding.
        letters: The content as bytes, `uint8[size + PAD_BYTES]`.
        words: The eight bytes that begin at each position, little-endian, `uint64[size + PAD_BYTES - 7]`; a view.
        starts: First byte of each line, `int32[lines]`.
        breaks: Its LF, or the end of the content, `int32[lines]`.
        ends: As `breaks`, without the CR of a CRLF, `int32[lines]`.
        quotes: Position of each quotation mark that no backslash escapes, then padding, `int32[quotes + PAD_BYTES]`.
        first_quotes: Each line's first place in `quotes`, and one more, `int32[lines + 1]`.
        usable: Lines that the fast path may look at, `bool[lines]`: UTF-8, no control character, not too long.
        escapes: Whether any line has a backslash.
    """

    content: bytes
    size: int
    letters: npt.NDArray[np.uint8]
    words: npt.NDArray[np.uint64]
    starts: Positions
    breaks: Positions
    ends: Positions
    quotes: Positions
    first_quotes: Positions
    usable: Mask
    escapes: bool

    def line(self, number: int) -> bytes:
        """The bytes of a line, counted from 0, without its LF."""
        return self.content[self.starts[number] : self.breaks[number]]


def index_lines(content: bytes | memoryview) -> LineIndex:
    """Index a block.

    Args:
        content: Whole lines, each with its LF but perhaps the last; at most MAX_BLOCK_BYTES.
    """
    size = len(content)
    padded = b"".join((content, bytes(PAD_BYTES)))
    letters = np.frombuffer(padded, np.uint8)
    quotes, lows = _marks(letters[:size])
    low_letters = letters[lows]
    breaks = lows[low_letters == _LF]
    if size and letters[size - 1] != _LF:
        breaks = np.append(breaks, np.int32(size))
    starts = np.zeros(len(breaks), np.int32)
    starts[1:] = breaks[:-1] + 1
    ends = breaks.copy()
    usable = np.ones(len(breaks), np.bool_)
    if len(lows) > len(breaks) or (size and letters[size - 1] != _LF):
        _settle_controls(lows[low_letters != _LF], letters, breaks, ends, usable)
    escapes = b"\\" in padded
    if escapes:
        escaped = letters[quotes - 1] == _BACKSLASH
        # Two backslashes before a quotation mark: whether they escape it takes counting; the strict parser does.
        unclear = quotes[escaped & (letters[quotes - 2] == _BACKSLASH)]
        usable[np.searchsorted(breaks, unclear)] = False
        quotes = quotes[~escaped]
    if not padded.isascii():
        _refuse_invalid_text(padded, starts, breaks, usable)
    usable &= ends - starts <= MAX_LINE_BYTES
    first_quotes = np.searchsorted(quotes, np.append(starts, np.int32(size))).astype(np.int32)
    return LineIndex(
        content=padded,
        size=size,
        letters=letters,
        words=np.ndarray((len(padded) - 7,), "<u8", padded, 0, (1,)),
        starts=starts,
        breaks=breaks,
        ends=ends,
        quotes=np.append(quotes, np.full(PAD_BYTES, size, np.int32)),
        first_quotes=first_quotes,
        usable=usable,
        escapes=escapes,
    )


def slices(index: LineIndex, begins: Positions, ends: Positions) -> Any:
    """Parts of the content as a pyarrow StringArray.

    Args:
        index: The block.
        begins: First byte of each part, ascending, `int32[parts]`.
        ends: The byte after each part, none after the next one's begin, `int32[parts]`.
    """
    import pyarrow as pa

    count = len(begins)
    if not count:
        return pa.array([], pa.string())
    # Parts and the gaps between them in turn are one array without copying a byte; then the parts alone are taken.
    offsets = np.empty(2 * count, np.int32)
    offsets[0::2], offsets[1::2] = begins, ends
    both = pa.StringArray.from_buffers(2 * count - 1, pa.py_buffer(offsets), pa.py_buffer(index.content))
    return both.take(pa.array(np.arange(0, 2 * count, 2, dtype=np.int32)))


def _marks(letters: npt.NDArray[np.uint8]) -> tuple[Positions, Positions]:
    """Positions of quotation marks, and of control characters."""
    found: tuple[list[Positions], list[Positions]] = ([], [])
    for begin in range(0, len(letters), _PIECE):
        piece = letters[begin : begin + _PIECE]
        for kept, mask in zip(found, (piece == _QUOTE, piece < _BLANK), strict=True):
            kept.append((np.flatnonzero(mask) + begin).astype(np.int32))
    none = np.zeros(0, np.int32)
    return np.concatenate([none, *found[0]]), np.concatenate([none, *found[1]])


def _settle_controls(
    controls: Positions, letters: npt.NDArray[np.uint8], breaks: Positions, ends: Positions, usable: Mask
) -> None:
    """Leave the CR of a CRLF out of its line; a line with any other control character is not usable."""
    lines = np.searchsorted(breaks, controls)
    line_end = (letters[controls] == _CR) & (controls + 1 == breaks[lines])
    ends[lines[line_end]] -= 1
    usable[lines[~line_end]] = False


def _refuse_invalid_text(padded: bytes, starts: Positions, breaks: Positions, usable: Mask) -> None:
    """Mark the lines that are not UTF-8; they are looked at one by one only when there are some."""
    import pyarrow as pa

    offsets = np.append(starts, breaks[-1])
    whole = pa.StringArray.from_buffers(len(starts), pa.py_buffer(offsets), pa.py_buffer(padded))
    try:
        whole.validate(full=True)
    except pa.ArrowInvalid:
        for number in np.flatnonzero(usable):
            try:
                padded[starts[number] : breaks[number]].decode("utf-8")
            except UnicodeDecodeError:
                usable[number] = False

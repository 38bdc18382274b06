"""Which lines of a block have a shape, proved byte by byte, and where their values lie."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from staged_rollout.records.fast_index import LineIndex, Mask, Positions
from staged_rollout.records.fast_shape import Run, Shape

_QUOTE = 34


@dataclass(frozen=True)
class Places:
    """Where one value lies in each line; nothing is known of what it says.

    Attributes:
        begins: Its first byte, without quotation mark, `int32[lines]`.
        ends: The byte after it, likewise, `int32[lines]`.
        strings: Whether it is a string, `bool[lines]`.
    """

    begins: Positions
    ends: Positions
    strings: Mask


@dataclass(frozen=True)
class Choice:
    """One value of each line, where it is one of a few.

    Attributes:
        codes: Which of them, `int8[lines]`.
        texts: They, as JSON.
    """

    codes: npt.NDArray[np.int8]
    texts: tuple[bytes, ...]


@dataclass(frozen=True)
class Slots:
    """The values of lines that have a shape.

    Attributes:
        lines: The lines, counted from 0, ascending, `int32[lines]`.
        values: For each value of the shape.
    """

    lines: Positions
    values: tuple[Places | Choice, ...]

    def only(self, kept: Mask) -> Slots:
        """Some of the lines.

        Args:
            kept: Which, `bool[lines]`.
        """
        return Slots(self.lines[kept], tuple(_kept(value, kept) for value in self.values))


def match_shape(index: LineIndex, shape: Shape, lines: Positions) -> Slots:
    """The lines that have the shape, and where their values lie.

    Args:
        index: The block.
        shape: What to look for.
        lines: Which lines to look at, usable ones, ascending.
    """
    walk = _Walk(index, shape, lines)
    runs = {run.first: run for run in shape.runs}
    number = 0
    while number < len(shape.paths):
        if number in runs:
            walk.pass_run(runs[number])
            number = runs[number].last + 1
        else:
            walk.pass_value(number)
            number += 1
        if walk.lost:
            return Slots(lines[:0], ())
    return walk.arrived()


class _Walk:
    """Walks along all lines at once, from literal to literal; `fits` tells which have kept step.

    Every quotation mark is passed exactly once. A line that kept step and passed all of its own has none left over, so
    that nothing but literals and values lies on it.
    """

    def __init__(self, index: LineIndex, shape: Shape, lines: Positions) -> None:
        self._index, self._shape, self._lines = index, shape, lines
        self._mark = index.first_quotes[lines]  # place in `quotes` of the next mark to be passed
        self._at = index.starts[lines]  # where the literal before the next value begins
        self._fits = _reads(index, self._at, shape.literals[0])
        self._values: list[Places | Choice] = []

    @property
    def lost(self) -> bool:
        """Whether no line has kept step."""
        return not self._fits.any()

    def pass_value(self, number: int) -> None:
        """Pass a value and look at the literal after it."""
        index, quotes, ends = self._index, self._index.quotes, self._index.ends
        after = self._shape.literals[number + 1]
        begin = self._pass_literal(number)
        if self._shape.whole and number == len(self._shape.paths) - 1:
            string = np.zeros(len(self._lines), np.bool_)
            end = self._at = ends[self._lines] - np.int32(len(after))
            self._fits &= end > begin
        else:
            # Every mark of the literal has been passed: a string begins here, or the value has none.
            string = quotes[self._mark] == begin
            self._mark = self._mark + (string.astype(np.int32) << 1)
            head = after.find(_QUOTE)
            next_mark = quotes[self._mark] if head >= 0 else ends[self._lines]
            self._at = next_mark - np.int32(head if head >= 0 else len(after))
            end = self._at - string
            begin += string
            # The string's closing mark is the last one passed, and nothing lies between it and the next literal.
            self._fits &= np.where(string, quotes[self._mark - 1] == end, end > begin)
        self._fits &= _reads(index, self._at, after)
        self._values.append(Places(begin, end, string))

    def pass_run(self, run: Run) -> None:
        """Pass several values that read like one of a few texts, and the literal after them."""
        begin = self._pass_literal(run.first)
        after = self._shape.literals[run.last + 1]
        codes = np.full(len(self._lines), -1, np.int8)
        left = np.flatnonzero(self._fits)
        for code, text in enumerate(run.texts):
            same = _reads(self._index, begin[left], text + after)
            codes[left[same]] = code
            left = left[~same]
            if not len(left):
                break
        self._fits &= codes >= 0
        self._at = begin + np.array([len(text) for text in run.texts], np.int32)[codes]
        self._mark = self._mark + np.array([text.count(_QUOTE) for text in run.texts], np.int32)[codes]
        self._values += [Choice(codes, texts) for texts in run.values]

    def arrived(self) -> Slots:
        """The lines that have the shape from begin to end."""
        last = self._shape.literals[-1]
        self._fits &= self._at + np.int32(len(last)) == self._index.ends[self._lines]
        if not self._shape.whole:
            # No mark of the line was left out, so that none of another line was taken.
            marks = self._mark + np.int32(last.count(_QUOTE))
            self._fits &= marks == self._index.first_quotes[self._lines + 1]
        found = Slots(self._lines, tuple(self._values))
        return found if self._fits.all() else found.only(self._fits)

    def _pass_literal(self, number: int) -> Positions:
        """Where the value after a literal begins."""
        literal = self._shape.literals[number]
        self._mark = self._mark + np.int32(literal.count(_QUOTE))
        begin: Positions = self._at + np.int32(len(literal))
        return begin


def _kept(value: Places | Choice, kept: Mask) -> Places | Choice:
    if isinstance(value, Choice):
        return Choice(value.codes[kept], value.texts)
    return Places(value.begins[kept], value.ends[kept], value.strings[kept])


def _reads(index: LineIndex, at: Positions, literal: bytes) -> Mask:
    """Whether the content reads so at each place."""
    count = -(-len(literal) // 8)
    expected = np.frombuffer(literal.ljust(8 * count, b"\0"), "<u8")
    rest = np.uint64((1 << 8 * (len(literal) - 8 * (count - 1))) - 1)
    # One copy of the whole place costs little more than one of eight bytes.
    places = np.ndarray((len(index.content) - 8 * count + 1,), f"V{8 * count}", index.content, 0, (1,))
    words = places[at].view("<u8").reshape(len(at), count)
    found: Mask = (words[:, -1] & rest) == expected[-1]
    for number in range(count - 1):
        found &= words[:, number] == expected[number]
    return found

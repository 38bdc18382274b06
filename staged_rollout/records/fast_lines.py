"""The fast path: lines that share a shape to rows, many at once; what it cannot prove it leaves alone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from staged_rollout.errors import LineRejectedError
from staged_rollout.records.blocks import LineContext, LineKind
from staged_rollout.records.fast_captures import capture_rows
from staged_rollout.records.fast_index import LineIndex, Mask, Positions
from staged_rollout.records.fast_match import Slots, match_shape
from staged_rollout.records.fast_outcomes import outcome_rows
from staged_rollout.records.fast_predictions import prediction_rows
from staged_rollout.records.fast_record import FastRecord, FastRows, UnreadableShapeError
from staged_rollout.records.fast_runs import with_runs
from staged_rollout.records.fast_shape import Path, Shape, learn_shape
from staged_rollout.records.json_line import json_object, stripped
from staged_rollout.records.parse import parse_line
from staged_rollout.records.row import identity

FAST_KINDS: Mapping[LineKind, Callable[[FastRecord], FastRows]] = {
    "predictions": prediction_rows,
    "outcomes": outcome_rows,
    "capture": capture_rows,
}
"""Kinds of log that the fast path reads, and how."""

MIN_LINES = 64
"""Fewer lines than this are read faster one by one."""

_TRIES = 6  # shapes looked for in one piece of a block
_SHAPES = 8  # shapes that are kept
_STALE = 8  # a part of so many lines without the runs that were expected is reason to learn new ones
_DISAPPOINTMENTS = 12  # shapes of a block that few lines had, or that were of no use, before no more are looked for


@dataclass(frozen=True)
class FastPart:
    """Lines that the fast path read.

    Attributes:
        lines: Their numbers in the piece, counted from 0, ascending, `int32[rows]`.
        rows: Their rows.
    """

    lines: Positions
    rows: FastRows


class FastReader:
    """Reads one block, piece by piece; the shapes of a piece are looked for in the next one first.

    Shapes are kept for the thread's next blocks of such lines, too: many small files are written by one program. They
    are guesses, and proved on each line, so that what is kept changes the time that a block takes and nothing else.

    Args:
        context: What the lines' file says of them.
    """

    def __init__(self, context: LineContext) -> None:
        self._context = context
        self._rows = FAST_KINDS[context.kind]
        self._known = _KNOWN.of(context)
        self._useless: set[Shape] = set()
        self._disappointments = 0

    def read(self, index: LineIndex) -> Iterator[FastPart]:
        """The lines that are proved to be rows.

        Args:
            index: A piece of the block.
        """
        left = np.flatnonzero(index.usable).astype(np.int32)
        for known in tuple(self._known):
            if len(left) < MIN_LINES:
                return
            before = len(left)
            left, parts = self._apply_known(index, known, left)
            yield from parts
            if before - len(left) > len(left):
                self._known.remove(known)  # what most lines have is looked for first
                self._known.insert(0, known)
        for _ in range(_TRIES):
            if len(left) < MIN_LINES or self._disappointments >= _DISAPPOINTMENTS:
                return
            sample = _typical(index, left)
            shapes, tried = self._learn(index.line(sample)), len(left)
            if not shapes:
                left = left[left != sample]
            for shape in shapes:
                slots = match_shape(index, shape, left)
                left, part = _without(left, slots.lines), self._part(index, shape, slots)
                if part is not None:
                    if self._differs(index, part):
                        self._useless.add(shape)
                    else:
                        self._known[_SHAPES - 1 :] = [_Known(shape, with_runs(index, shape, slots))]
                        yield part
                if tried - len(left) >= tried // 2:
                    break
            if tried - len(left) < MIN_LINES:
                self._disappointments += 1

    def _apply_known(self, index: LineIndex, known: _Known, lines: Positions) -> tuple[Positions, list[FastPart]]:
        """Read the lines that have a known shape, those with its runs first: the lines that are left, and the rows."""
        left, parts = lines, []
        if known.quick is not None:
            slots = match_shape(index, known.quick, left)
            left = _without(left, slots.lines)
            parts.append(self._part(index, known.quick, slots))
        if len(left) >= MIN_LINES:
            slots = match_shape(index, known.shape, left)
            left = _without(left, slots.lines)
            parts.append(self._part(index, known.shape, slots))
            if len(slots.lines) > len(lines) // _STALE:
                known.quick = with_runs(index, known.shape, slots)
        return left, [part for part in parts if part is not None]

    def _learn(self, line: bytes) -> list[Shape]:
        """The shapes that a line has, the closest first: with features value by value, and with features as one."""
        body = stripped(line)
        try:
            json_object(body)
        except LineRejectedError:
            return []
        whole: Path = (self._context.fields.theirs.get("features", "features") or "",)
        shapes = [learn_shape(body), learn_shape(body, whole)]
        return [shape for shape in shapes if shape is not None and shape not in self._useless]

    def _part(self, index: LineIndex, shape: Shape, slots: Slots) -> FastPart | None:
        """The lines of a shape that are proved to be rows."""
        if not len(slots.lines):
            return None
        record = FastRecord(index, shape, slots, self._context)
        try:
            rows = self._rows(record)
            record.rest()
        except UnreadableShapeError:
            return None
        if record.proved.all():
            return FastPart(slots.lines, rows)
        if not record.proved.any():
            return None
        return FastPart(slots.lines[record.proved], _filtered(rows, record.proved))

    def _differs(self, index: LineIndex, part: FastPart) -> bool:
        """Whether the strict parser gives another row for the first line.

        The two are written to agree; should they not, the strict one is right and reads all such lines.
        """
        try:
            row = parse_line(index.line(int(part.lines[0])), self._context)
        except LineRejectedError:
            return True
        columns = {name: column[0].as_py() for name, column in part.rows.columns.items()}
        texts = [texts[0].as_py() for texts in part.rows.identities]
        identities = tuple(identity(text) for text in texts if text is not None)
        return columns != dict(row.values) or identities != row.identities


@dataclass(eq=False)
class _Known:
    """A shape that lines had, and the same with runs, which is quicker to look for."""

    shape: Shape
    quick: Shape | None


class _Kept(threading.local):
    """The shapes that each kind of line had lately."""

    LIMIT = 32

    def __init__(self) -> None:
        self._lists: dict[tuple[Any, ...], list[_Known]] = {}

    def of(self, context: LineContext) -> list[_Known]:
        """The shapes of such lines, to be looked for and added to."""
        fields = context.fields
        key = (context.kind, tuple(fields.theirs.items()), tuple(fields.measures.items()))
        if key not in self._lists and len(self._lists) >= self.LIMIT:
            self._lists.clear()
        return self._lists.setdefault(key, [])


_KNOWN = _Kept()


def _without(lines: Positions, taken: Positions) -> Positions:
    return lines[:0] if len(lines) == len(taken) else np.setdiff1d(lines, taken, assume_unique=True)


def _typical(index: LineIndex, lines: Positions) -> int:
    """The first line with as many quotation marks as most have."""
    counts = index.first_quotes[lines + 1] - index.first_quotes[lines]
    return int(lines[np.argmax(counts == np.bincount(counts).argmax())])


def _filtered(rows: FastRows, kept: Mask) -> FastRows:
    import pyarrow as pa

    mask = pa.array(kept)
    columns = {name: column.filter(mask) for name, column in rows.columns.items()}
    return FastRows(columns, tuple(texts.filter(mask) for texts in rows.identities))

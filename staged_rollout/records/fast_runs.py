"""Values side by side that change little from line to line: variant, version, epoch, status."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import chain

import numpy as np
import numpy.typing as npt

from staged_rollout.records.fast_index import LineIndex
from staged_rollout.records.fast_match import Places, Slots
from staged_rollout.records.fast_shape import Run, Shape

_SAMPLE = 96  # lines looked at
_MOST = 8  # texts of a run; each costs a comparison
_LONGEST = 1024  # bytes of a run


def with_runs(index: LineIndex, shape: Shape, slots: Slots) -> Shape | None:
    """The shape with runs, or None when nothing on these lines changes little.

    A line that reads otherwise where a run is expected does not have that shape; it may still have the one without.

    Args:
        index: The block.
        shape: A shape without runs.
        slots: Lines that have it.
    """
    rows = np.unique(np.linspace(0, len(slots.lines) - 1, _SAMPLE).astype(np.int64))
    columns = [_texts(index, value, rows) for value in slots.values if isinstance(value, Places)]
    runs = []
    first, last = 0, len(columns) - (2 if shape.whole else 1)
    while first <= last:
        several = set(columns[first])
        end = first
        while len(several) <= _MOST and end < last:
            longer = set(zip(*columns[first : end + 2], strict=True))
            if len(longer) > _MOST:
                break
            end += 1
        run = _run(shape, columns, first, end) if len(several) <= _MOST else None
        if run is not None:
            runs.append(run)
        first = end + 1
    return replace(shape, runs=tuple(runs)) if runs else None


def _run(shape: Shape, columns: list[list[bytes]], first: int, last: int) -> Run | None:
    """The run of these values, the commonest text first; None when they cannot be compared as they stand."""
    several = [values for values, _ in Counter(zip(*columns[first : last + 1], strict=True)).most_common()]
    literals = (*shape.literals[first + 1 : last + 1], b"")
    texts = tuple(b"".join(chain.from_iterable(zip(values, literals, strict=True))) for values in several)
    if any(len(text) > _LONGEST or b"\\" in text for text in texts):
        return None
    return Run(first, last, texts, tuple(zip(*several, strict=True)))


def _texts(index: LineIndex, value: Places, rows: npt.NDArray[np.int64]) -> list[bytes]:
    marks = value.strings[rows]
    begins, ends = (value.begins[rows] - marks).tolist(), (value.ends[rows] + marks).tolist()
    return [index.content[begin:end] for begin, end in zip(begins, ends, strict=True)]

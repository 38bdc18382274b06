"""A block of lines to rows and rejects: the fast path for what it can prove, the strict parser for the rest.

Row i belongs to line i by construction: a line is either proved on the fast path or parsed strictly on its own, and
the two never count on each other.
"""

from __future__ import annotations

import binascii
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from staged_rollout.errors import LineRejectedError
from staged_rollout.records.blocks import TABLE_OF, LineBlock, LineContext, ParsedBlock, Reject
from staged_rollout.records.fast_index import LineIndex, index_lines
from staged_rollout.records.fast_lines import FAST_KINDS, FastReader
from staged_rollout.records.json_line import MAX_LINE_BYTES, stripped
from staged_rollout.records.parse import Row, parse_line
from staged_rollout.records.tables import TableName, arrow_schema

PIECE_BYTES = 2 << 20
"""About how much is parsed at once: what a processor's cache holds."""

_Numbers = npt.NDArray[np.int64]


def parse_block(block: LineBlock, context: LineContext) -> ParsedBlock:
    """Parse every line of a block.

    Args:
        block: Whole lines.
        context: What their file says of them.
    """
    if block.cut:
        reason = f"longer than {MAX_LINE_BYTES} bytes"
        reject = Reject(block.first_line, block.offset, block.content, reason)
        return _parsed(TABLE_OF[context.kind], [], [reject], blank=0, lines=1)
    reader = FastReader(context) if context.kind in FAST_KINDS else None
    parts: list[_Part] = []
    rejects: list[Reject] = []
    blank, line, offset = 0, block.first_line, block.offset
    for piece in _pieces(block.content):
        index = index_lines(piece)
        count = len(index.starts)
        left = np.ones(count, np.bool_)
        for part in reader.read(index) if reader is not None else ():
            left[part.lines] = False
            parts.append(_Part(line + part.lines.astype(np.int64), part.rows.columns, part.rows.identities))
        numbers, rows = [], []
        for number in np.flatnonzero(left):
            content = index.line(int(number))
            try:
                if stripped(content):
                    rows.append(parse_line(content, context))
                    numbers.append(line + int(number))
                else:
                    blank += 1
            except LineRejectedError as error:
                start = int(index.starts[number])
                rejects.append(Reject(line + int(number), offset + start, content, error.message))
        if rows:
            parts.append(_strict_part(numbers, rows))
        line += count
        offset += len(piece)
    ...

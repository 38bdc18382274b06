"""A block of lines to rows and rejects: the fast path for what it can prove, the strict parser for the rest.

Row i belongs to line i by construction: a line is either proved on the fast path or parsed strictly on its own, and
the two never count on each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from staged_rollout.errors import LineRejectedError
from staged_rollout.records.blocks import LineBlock, LineContext, ParsedBlock, Reject
from staged_rollout.records.fast_hashes import md5_column
from staged_rollout.records.fast_index import index_lines
from staged_rollout.records.fast_lines import FAST_KINDS, FastReader
from staged_rollout.records.json_line import MAX_LINE_BYTES, stripped
from staged_rollout.records.parse import parse_line
from staged_rollout.records.row import Row
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
        return ParsedBlock(context.table, *_joined(context.table, []), [reject], blank=0, lines=1)
    reader = FastReader(context) if context.kind in FAST_KINDS else None
    parts: list[_Part] = []
    rejects: list[Reject] = []
    blank, line, offset = 0, block.first_line, block.offset
    for piece in _pieces(block.content):
        index = index_lines(piece)
        left = np.ones(len(index.starts), np.bool_)
        for fast in reader.read(index) if reader is not None else ():
            left[fast.lines] = False
            parts.append(_Part(fast.lines + np.int64(line), fast.rows.columns, identities=fast.rows.identities))
        strict = _StrictLines(context)
        for number in np.flatnonzero(left).tolist():
            strict.add(line + number, offset + int(index.starts[number]), index.line(number))
        if strict.rows:
            parts.append(_strict_part(context.table, strict))
        rejects += strict.rejects
        blank += strict.blank
        line += len(index.starts)
        offset += len(piece)
    rows, identities = _joined(context.table, parts)
    return ParsedBlock(context.table, rows, identities, rejects, blank, line - block.first_line)


@dataclass(frozen=True)
class _Part:
    """Rows of some lines.

    Attributes:
        lines: Their numbers in the file, from 1, `int64[rows]`.
        columns: Column to pyarrow Array, without `line` and `source`.
        identities: Texts to be hashed (`string`), or hashes (`binary(16)`).
    """

    lines: _Numbers
    columns: Mapping[str, Any]
    identities: Sequence[Any]


class _StrictLines:
    """Lines read one by one.

    Args:
        context: What their file says of them.
    """

    def __init__(self, context: LineContext) -> None:
        self._context = context
        self.numbers: list[int] = []
        self.rows: list[Row] = []
        self.rejects: list[Reject] = []
        self.blank = 0

    def add(self, number: int, offset: int, content: bytes) -> None:
        """Read one line.

        Args:
            number: Its number in the file, from 1.
            offset: Its first byte in the file.
            content: Its bytes without LF.
        """
        if not stripped(content):
            self.blank += 1
            return
        try:
            self.rows.append(parse_line(content, self._context))
        except LineRejectedError as error:
            self.rejects.append(Reject(number, offset, content, error.message))
        else:
            self.numbers.append(number)


def _pieces(content: bytes) -> Iterator[memoryview]:
    """The content in pieces of whole lines."""
    begin, view = 0, memoryview(content)
    while begin < len(content):
        end = content.find(b"\n", begin + PIECE_BYTES) + 1 or len(content)
        yield view[begin:end]
        begin = end


def _strict_part(table: TableName, strict: _StrictLines) -> _Part:
    import pyarrow as pa

    schema = arrow_schema(table)
    names = [name for name in schema.names if name not in {"source", "line"}]
    columns = {name: pa.array([row.values[name] for row in strict.rows], schema.field(name).type) for name in names}
    most = max(len(row.identities) for row in strict.rows)
    identities = [
        pa.array([row.identities[place] if place < len(row.identities) else None for row in strict.rows], pa.binary(16))
        for place in range(most)
    ]
    return _Part(np.array(strict.numbers, np.int64), columns, identities)


def _joined(table: TableName, parts: Sequence[_Part]) -> tuple[Any, list[Any]]:
    """All parts as one table in the order of lines, and its identities."""
    import pyarrow as pa

    schema = arrow_schema(table)
    schema = schema.remove(schema.get_field_index("source"))
    lines = np.concatenate([np.zeros(0, np.int64), *(part.lines for part in parts)])
    columns = [
        pa.array(lines)
        if field.name == "line"
        else pa.chunked_array([part.columns[field.name] for part in parts], field.type)
        for field in schema
    ]
    rows = pa.table(columns, schema=schema)
    identities = [_hashed(parts, place) for place in range(max([1, *(len(part.identities) for part in parts)]))]
    if len(parts) > 1 and (np.diff(lines) < 0).any():
        order = pa.array(np.argsort(lines))
        rows, identities = rows.take(order), [hashes.take(order) for hashes in identities]
    return rows, identities


def _hashed(parts: Sequence[_Part], place: int) -> Any:
    """The identities at one place: texts hashed, all at once."""
    import pyarrow as pa

    texts = [part.identities[place] for part in parts if _is_text(part, place)]
    hashes = iter(())
    if texts:
        hashed = md5_column(pa.chunked_array(texts, pa.string()))
        begins = np.cumsum([0, *(len(text) for text in texts)])
        hashes = iter(hashed.slice(begin, len(text)) for begin, text in zip(begins, texts, strict=False))
    found: list[Any] = []
    for part in parts:
        if _is_text(part, place):
            found.append(next(hashes))
        elif place < len(part.identities):
            found.append(part.identities[place])
        else:
            found.append(pa.nulls(len(part.lines), pa.binary(16)))
    return pa.chunked_array(found, pa.binary(16)).combine_chunks()


def _is_text(part: _Part, place: int) -> bool:
    import pyarrow as pa

    return place < len(part.identities) and bool(part.identities[place].type == pa.string())

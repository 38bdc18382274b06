"""Lines of a block to columns. A stand-in, line by line, until the fast parser lands."""

from __future__ import annotations

from typing import Any

from staged_rollout.errors import LineRejectedError
from staged_rollout.records.blocks import TABLE_OF, LineBlock, LineContext, ParsedBlock, Reject
from staged_rollout.records.json_line import MAX_LINE_BYTES, rejected, stripped
from staged_rollout.records.parse import Row, parse_capture, parse_outcome, parse_prediction
from staged_rollout.records.tables import arrow_schema


def parse_block(block: LineBlock, context: LineContext) -> ParsedBlock:
    """Every line of a block: a row, a reject, or blank."""
    import pyarrow as pa

    rows: list[dict[str, Any]] = []
    keys: list[tuple[bytes, ...]] = []
    rejects, blank, offset = [], 0, block.offset
    lines = [block.content] if block.cut else block.content.removesuffix(b"\n").split(b"\n") if block.content else []
    for number, line in enumerate(lines, start=block.first_line):
        if not block.cut and not stripped(line):
            blank += 1
        else:
            try:
                if block.cut:
                    rejected(f"longer than {MAX_LINE_BYTES} bytes")
                row = _row(line, context)
                rows.append({**row.values, "line": number})
                keys.append(row.identities)
            except LineRejectedError as error:
                rejects.append(Reject(number, offset, line, error.message))
        offset += len(line) + 1
    table = TABLE_OF[context.kind]
    schema = arrow_schema(table)
    schema = schema.remove(schema.get_field_index("source"))
    width = 2 if table == "captures" else 1
    columns = [[key[at] if at < len(key) else None for key in keys] for at in range(width)]
    identities = [pa.array(column, type=pa.binary(16)) for column in columns]
    return ParsedBlock(table, pa.Table.from_pylist(rows, schema=schema), identities, rejects, blank, len(lines))


def _row(line: bytes, context: LineContext) -> Row:
    if context.kind == "predictions":
        return parse_prediction(line, endpoint=context.endpoint, pseudonym=context.pseudonym)
    if context.kind == "outcomes":
        return parse_outcome(line, endpoint=context.endpoint, pseudonym=context.pseudonym)
    return parse_capture(line, endpoint=context.endpoint, variant=context.variant or "")

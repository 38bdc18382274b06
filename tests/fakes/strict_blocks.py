"""What a block's lines are, told line by line by the strict parser alone: the oracle of `parse_block`."""

from __future__ import annotations

from staged_rollout.errors import LineRejectedError
from staged_rollout.records.block_parser import parse_block
from staged_rollout.records.blocks import LineBlock, LineContext
from staged_rollout.records.json_line import stripped
from staged_rollout.records.parse import parse_line


def block_of(content: bytes, first_line: int = 1, offset: int = 0) -> LineBlock:
    """A block of these bytes."""
    return LineBlock(content=content, offset=offset, first_line=first_line, size=len(content))


def strictly(block: LineBlock, context: LineContext):
    """Rows with their identities, rejects, blank lines and lines."""
    rows, rejects, blank, offset = [], [], 0, block.offset
    lines = block.content.split(b"\n")
    if not lines[-1]:
        lines.pop()
    for number, content in enumerate(lines, start=block.first_line):
        try:
            if stripped(content):
                row = parse_line(content, context)
                rows.append(({**row.values, "line": number}, row.identities))
            else:
                blank += 1
        except LineRejectedError as error:
            rejects.append((number, offset, content, error.message))
        offset += len(content) + 1
    return rows, rejects, blank, len(lines)


def in_block(block: LineBlock, context: LineContext):
    """The same of `parse_block`."""
    parsed = parse_block(block, context)
    columns = [column.to_pylist() for column in parsed.identities]
    identities = [tuple(value for value in values if value is not None) for values in zip(*columns, strict=True)]
    rows = list(zip(parsed.rows.to_pylist(), identities, strict=True))
    parsed.rows.validate(full=True)
    rejects = [(reject.line, reject.offset, reject.raw, reject.reason) for reject in parsed.rejects]
    return rows, rejects, parsed.blank, parsed.lines


def exact(parsed):
    """With numbers as their exact text, so that 0.0 and -0.0 differ."""
    rows, *others = parsed
    shown = [
        ({name: value.hex() if isinstance(value, float) else value for name, value in row.items()}, identities)
        for row, identities in rows
    ]
    return shown, *others

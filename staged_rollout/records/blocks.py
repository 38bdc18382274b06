"""What passes between reading a log, parsing its lines and keeping its rows: blocks of whole lines, and columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from staged_rollout.records.tables import TableName

LineKind = Literal["predictions", "capture", "shadow", "outcomes", "ground-truth", "feedback"]
"""Kinds of log line; the command line calls `predictions` flat."""

TABLE_OF: Mapping[LineKind, TableName] = {
    "predictions": "predictions",
    "capture": "captures",
    "shadow": "predictions",
    "outcomes": "outcomes",
    "ground-truth": "outcomes",
    "feedback": "outcomes",
}
"""The table that a kind's rows belong to; captures whose unit a rule finds are exposures, and go to `predictions`."""


@dataclass(frozen=True)
class FieldMap:
    """Other people's names for our fields.

    Attributes:
        theirs: Our field to their key, or to None where their log has none of it.
        measures: Further numeric fields to keep, our name to their key: what a rollout's metrics name.

    What a key may be, beside a name: `records/field_rules.py`. A fast path takes it as a key only when `plain` says so.
    """

    theirs: Mapping[str, str | None] = field(default_factory=dict)
    measures: Mapping[str, str] = field(default_factory=dict)

    @property
    def plain(self) -> bool:
        """Whether every name is a top-level key whose value is read as strictly as our own fields are."""
        return not self.theirs and not self.measures


@dataclass(frozen=True)
class LineContext:
    """What a line's file says of it.

    Attributes:
        kind: Which parser reads it.
        endpoint: The endpoint that it belongs to.
        pseudonym: Keyed hash of a unit id.
        variant: The variant that answered, from the file's place; None but for captures.
        fields: Other people's names.
        at: A moment, from the file's place or else its age, for lines that tell none (ground truth); UTC.
    """

    kind: LineKind
    endpoint: str
    pseudonym: Callable[[str], str]
    variant: str | None = None
    fields: FieldMap = field(default_factory=FieldMap)
    at: datetime | None = None

    @property
    def table(self) -> TableName:
        """The table that its rows belong to."""
        if self.kind == "capture" and self.fields.theirs.get("unit_id") is not None:
            return "predictions"
        return TABLE_OF[self.kind]


@dataclass(frozen=True)
class LineBlock:
    """Whole lines of one file, in order.

    Attributes:
        content: The lines, each with its LF but perhaps the file's last.
        offset: First byte in the file (decompressed).
        first_line: Number of the first line, from 1.
        cut: The block is one line longer than a line may be, and content is its beginning, without line end.
        size: Bytes that it stands for: len(content), or more when it is cut.
    """

    content: bytes
    offset: int
    first_line: int
    size: int
    cut: bool = False


@dataclass(frozen=True)
class Reject:
    """A line that is no record: its number and first byte in the file, its bytes without line end, and why."""

    line: int
    offset: int
    raw: bytes
    reason: str


@dataclass(frozen=True)
class ParsedBlock:
    """What a block's lines are: lines = rows + rejects + blank.

    Attributes:
        table: Where the rows belong.
        rows: A pyarrow Table, in the order of lines, with the columns of `arrow_schema(table)` but `source`.
        identities: One `binary(16)` pyarrow array or more, as long as the rows; null where the row has no such
            identity. A row with any identity that the lake holds for its event date is a duplicate.
        rejects: Lines that are none, in order.
        blank: Lines of nothing but blanks.
        lines: All of them.
    """

    table: TableName
    rows: Any
    identities: Sequence[Any]
    rejects: Sequence[Reject]
    blank: int
    lines: int

"""Blocks of lines to rows in an open batch: parsed, judged, and accounted for line by line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from staged_rollout.errors import DataError
from staged_rollout.ports.lake import BatchDraft, FileBooks, LakeWriter, OpenBatch, SourceClaim, Stream
from staged_rollout.ports.logs import LogFile
from staged_rollout.records.block_parser import parse_block
from staged_rollout.records.blocks import LineBlock, LineContext, ParsedBlock
from staged_rollout.records.lines import BLOCK_BYTES, KEPT_BYTES
from staged_rollout.records.tables import arrow_schema

LATENESS = timedelta(days=7)
"""How far behind its stream's committed watermark a row may lie; the lake's identities are asked by event day."""

FUTURE = timedelta(days=1)
"""How far ahead of the clock a timestamp may lie; one wrong clock would otherwise push the watermark and make
everything late."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class Judge:
    """What decides which rows are taken; fixed for one run, so that a run killed halfway and begun again judges alike.

    Attributes:
        now: The clock's time.
        watermarks: Stream to the newest accepted event time of earlier runs; none: nothing is late.
    """

    now: datetime
    watermarks: Mapping[Stream, datetime]

    def refused(self, stream: Stream, moments: Any) -> Iterator[tuple[str, str, Any]]:
        """Which rows are not taken.

        Args:
            stream: Where they come from.
            moments: Their event times, a numpy array of microseconds since 1970.

        Yields:
            Verdict, reason, and the places of those rows.
        """
        future = moments > (self.now + FUTURE - _EPOCH) // _MICROSECOND
        if future.any():
            yield "quarantined", f"timestamp is more than {FUTURE.days} day ahead of the clock", future.nonzero()[0]
        watermark = self.watermarks.get(stream)
        if watermark is None:
            return
        late = moments < (watermark - LATENESS - _EPOCH) // _MICROSECOND
        if late.any():
            newest = f"{watermark:%Y-%m-%dT%H:%M:%SZ}"
            reason = f"more than {LATENESS.days} days before the newest ingested row, {newest}"
            yield "late", reason, (late & ~future).nonzero()[0]


@dataclass
class _Piece:
    """Lines of one file inside a group."""

    file: LogFile
    block: LineBlock
    first_line: int
    offset: int


@dataclass
class _Group:
    """Lines of consecutive files that one context describes; parsed together, for a file may be small."""

    context: LineContext
    pieces: list[_Piece] = field(default_factory=list)
    size: int = 0
    lines: int = 0

    def takes(self, context: LineContext, block: LineBlock) -> bool:
        """Whether one more block belongs to the group."""
        return self.context == context and not block.cut and self.size + block.size <= BLOCK_BYTES

    def add(self, file: LogFile, block: LineBlock, lines: int) -> None:
        """One more block."""
        self.pieces.append(_Piece(file, block, self.lines + 1, self.size))
        self.lines += lines
        self.size += len(block.content) + (not block.content.endswith(b"\n"))

    def block(self) -> LineBlock:
        """All its lines, numbered from 1."""
        pieces = self.pieces
        if len(pieces) == 1:
            return replace(pieces[0].block, first_line=1, offset=0)
        parts = [piece.block.content for piece in pieces]
        content = b"".join(part if part.endswith(b"\n") else part + b"\n" for part in parts)
        return LineBlock(content, 0, 1, len(content))


class BatchBuilder:
    """Puts judged lines into an open batch until it is sealed.

    Args:
        judge: Decides each row.
        writer: Where the batch is begun, with the first line.
    """

    def __init__(self, judge: Judge, writer: LakeWriter) -> None:
        self._judge = judge
        self._writer = writer
        self._batch: OpenBatch | None = None
        self._group: _Group | None = None
        self._counts: dict[str, Counter[str]] = {}
        self._streams: dict[str, Stream] = {}
        self._claims: list[SourceClaim] = []
        self._newest: dict[Stream, datetime] = {}
        self.lines = 0
        self.bytes = 0

    @property
    def empty(self) -> bool:
        """Whether there is nothing to seal."""
        return not self._claims

    @property
    def identities(self) -> int:
        """Identities that the batch holds in memory."""
        return self._batch.identities if self._batch else 0

    def add(self, file: LogFile, context: LineContext, block: LineBlock, lines: int) -> None:
        """Take a block of lines; it is judged now or with those that follow.

        Args:
            file: Where it lies.
            context: What the file says of its lines.
            block: The lines.
            lines: How many there are.
        """
        self.lines += lines
        self.bytes += block.size
        self._count(file, lines=lines, bytes=block.size)
        if self._group is not None and not self._group.takes(context, block):
            self._judge_group()
        if self._group is None:
            self._group = _Group(context)
        self._group.add(file, block, lines)
        if block.cut or self._group.size >= BLOCK_BYTES // 2:
            self._judge_group()

    def claim(self, file: LogFile, claim: SourceClaim | None) -> None:
        """Note the range that the lines added since the file's last claim were read from."""
        if claim is not None:
            self._claims.append(claim)
            self._count(file, lines=0)

    def seal(self) -> Sequence[FileBooks]:
        """Commit the batch; what became of its lines.

        Raises:
            DataError: the lake cannot be written; nothing of the batch is in it.
        """
        self._judge_group()
        books = tuple(self._books(name) for name in self._counts)
        self._open().commit(BatchDraft(self._judge.now, tuple(self._claims), books, self._newest))
        return books

    def discard(self) -> None:
        """Leave nothing of the batch, if it was not sealed."""
        if self._batch is not None:
            self._batch.discard()

    def _open(self) -> OpenBatch:
        if self._batch is None:
            self._batch = self._writer.begin()
        return self._batch

    def _judge_group(self) -> None:
        import numpy as np

        group, self._group = self._group, None
        if group is None:
            return
        block = group.block()
        parsed = parse_block(block, group.context)
        stream = (group.context.kind, group.context.endpoint)
        verdicts = _Verdicts(group, block)
        for reject in parsed.rejects:
            verdicts.keep("quarantined", reject.reason, reject.line, reject.offset, reject.raw)
        rows, identities = parsed.rows, list(parsed.identities)
        if rows.num_rows:
            moments = _moments(rows)
            taken = np.ones(rows.num_rows, dtype=bool)
            for verdict, reason, places in self._judge.refused(stream, moments):
                verdicts.keep_rows(verdict, reason, rows["line"].to_numpy()[places])
                taken[places] = False
            if not taken.all():
                rows, identities = rows.filter(taken), [column.filter(taken) for column in identities]
        self._add_rows(group, replace(parsed, rows=rows, identities=identities), verdicts, stream)

    def _add_rows(self, group: _Group, parsed: ParsedBlock, verdicts: _Verdicts, stream: Stream) -> None:
        import numpy as np

        owners = verdicts.owners(parsed.rows["line"].to_numpy())
        if parsed.rows.num_rows:
            rows = _placed(group, parsed, owners)
            added = self._open().add(parsed.table, rows, parsed.identities)
            if added.any():
                newest = _EPOCH + int(_moments(rows)[added].max()) * _MICROSECOND
                self._newest[stream] = max(self._newest.get(stream, newest), newest)
        else:
            added = np.ones(0, dtype=bool)
        if verdicts.kept:
            self._open().add("quarantine", verdicts.table(self._judge.now))
        accepted = np.bincount(owners[added], minlength=len(group.pieces))
        duplicates = np.bincount(owners[~added], minlength=len(group.pieces))
        ends = [piece.first_line for piece in group.pieces[1:]] + [group.lines + 1]
        blanks = 0
        for place, piece in enumerate(group.pieces):
            refused = verdicts.counts[place]
            known = int(accepted[place] + duplicates[place]) + refused.total()
            blank = ends[place] - piece.first_line - known
            blanks += blank
            self._count(
                piece.file, accepted=int(accepted[place]), duplicates=int(duplicates[place]), blank=blank, **refused
            )
        # The parser counted for itself: what is blank by subtraction must be what it found blank.
        if (group.lines, blanks) != (parsed.lines, parsed.blank):
            raise DataError(
                f"{group.pieces[0].file.name}: {group.lines} lines with {blanks} blank ones were read,"
                f" {parsed.lines} with {parsed.blank} were parsed"
            )

    def _count(self, file: LogFile, **more: int) -> None:
        if file.name not in self._counts:
            self._counts[file.name] = Counter()
            self._streams[file.name] = (file.kind, file.endpoint)
        self._counts[file.name].update(more)

    def _books(self, name: str) -> FileBooks:
        count, (kind, endpoint) = self._counts[name], self._streams[name]
        return FileBooks(
            name=name,
            kind=kind,
            lines=count["lines"],
            accepted=count["accepted"],
            duplicates=count["duplicates"],
            quarantined=count["quarantined"],
            late=count["late"],
            blank=count["blank"],
            bytes=count["bytes"],
            endpoint=endpoint,
        )


class _Verdicts:
    """The lines of a group that are not taken, and whose they are."""

    def __init__(self, group: _Group, block: LineBlock) -> None:
        import numpy as np

        self._group = group
        self._block = block
        self._first_lines = np.array([piece.first_line for piece in group.pieces])
        self._ends: Any = None
        self.kept: list[dict[str, Any]] = []
        self.counts: list[Counter[str]] = [Counter() for _ in group.pieces]

    def owners(self, lines: Any) -> Any:
        """The places of the pieces that lines of the group belong to."""
        import numpy as np

        return np.searchsorted(self._first_lines, lines, side="right") - 1

    def keep(self, verdict: str, reason: str, line: int, offset: int, raw: bytes) -> None:
        """Keep one line; its number and offset are those in the group."""
        place = int(self.owners(line))
        piece = self._group.pieces[place]
        self.counts[place][verdict] += 1
        self.kept.append(
            {
                "source": piece.file.name,
                "kind": piece.file.kind,
                "endpoint": piece.file.endpoint,
                "line": line - piece.first_line + piece.block.first_line,
                "offset": offset - piece.offset + piece.block.offset,
                "verdict": verdict,
                "reason": reason,
                "raw": raw[:KEPT_BYTES],
            }
        )

    def keep_rows(self, verdict: str, reason: str, lines: Any) -> None:
        """Keep lines that are records."""
        import numpy as np

        if self._ends is None:
            self._ends = np.flatnonzero(np.frombuffer(self._block.content, dtype=np.uint8) == ord("\n"))
        for line in lines.tolist():
            begin = int(self._ends[line - 2]) + 1 if line > 1 else 0
            end = int(self._ends[line - 1]) if line <= len(self._ends) else len(self._block.content)
            self.keep(verdict, reason, line, begin, self._block.content[begin:end])

    def table(self, now: datetime) -> Any:
        """Rows of the table `quarantine`."""
        import pyarrow as pa

        at = now.astimezone(UTC)
        rows = [{**row, "at": at, "event_date": at.date()} for row in self.kept]
        return pa.Table.from_pylist(rows, schema=arrow_schema("quarantine"))


def _moments(rows: Any) -> Any:
    import pyarrow as pa

    return rows["timestamp"].cast(pa.int64()).to_numpy()


def _placed(group: _Group, parsed: ParsedBlock, owners: Any) -> Any:
    """The rows with file and line, in the table's order of columns."""
    import numpy as np
    import pyarrow as pa

    pieces = group.pieces
    names = pa.array([piece.file.name for piece in pieces], type=pa.string())
    shifts = np.array([piece.block.first_line - piece.first_line for piece in pieces])
    columns = {name: parsed.rows[name] for name in parsed.rows.column_names}
    columns["source"] = pa.repeat(names[0], parsed.rows.num_rows) if len(pieces) == 1 else names.take(pa.array(owners))
    columns["line"] = pa.array(parsed.rows["line"].to_numpy() + shifts[owners])
    schema = arrow_schema(parsed.table)
    return pa.table([columns[name] for name in schema.names], schema=schema)

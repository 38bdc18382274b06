"""The verdict on each line, and the batch that the verdicts add up to."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from staged_rollout.errors import LineRejectedError
from staged_rollout.ports.lake import BatchDraft, FileBooks, LakeWriter, SourceClaim, Stream
from staged_rollout.ports.logs import LogFile
from staged_rollout.records.json_line import MAX_LINE_BYTES, stripped
from staged_rollout.records.lines import RawLine
from staged_rollout.records.parse import parse_line
from staged_rollout.records.row import Row
from staged_rollout.records.tables import TableName

LATENESS = timedelta(days=7)
"""How far behind its stream's committed watermark a row may lie; the lake's identities are asked by event day."""

FUTURE = timedelta(days=1)
"""How far ahead of the clock a timestamp may lie; one wrong clock would otherwise push the watermark and make
everything late."""


@dataclass(frozen=True)
class Judge:
    """What decides a line's verdict; fixed for one run, so that a run killed halfway and begun again judges alike.

    Attributes:
        now: The clock's time.
        watermarks: Stream to the newest accepted event time of earlier runs.
        pseudonym: Keyed hash of a unit id.
    """

    now: datetime
    watermarks: Mapping[Stream, datetime]
    pseudonym: Callable[[str], str]

    def parse(self, file: LogFile, line: RawLine) -> Row:
        """The row of a line.

        Raises:
            LineRejectedError: it is none, with the reason.
        """
        content = line.content
        if line.cut:
            raise LineRejectedError(f"longer than {MAX_LINE_BYTES} bytes")
        return parse_line(content, file.context(self.pseudonym))

    def refuse_future(self, row: Row) -> None:
        """Refuse a row from the future.

        Raises:
            LineRejectedError: more than a day ahead of the clock.
        """
        if row.timestamp > self.now + FUTURE:
            raise LineRejectedError(f"timestamp is more than {FUTURE.days} day ahead of the clock")

    def lateness(self, file: LogFile, row: Row) -> str:
        """Why a row is late, or "" when it is not."""
        watermark = self.watermarks.get((file.kind, file.endpoint))
        if watermark is None or row.timestamp >= watermark - LATENESS:
            return ""
        return f"more than {LATENESS.days} days before the newest ingested row, {watermark:%Y-%m-%dT%H:%M:%SZ}"


class BatchBuilder:
    """Collects judged lines until they are sealed together.

    Args:
        judge: Decides each line.
    """

    def __init__(self, judge: Judge) -> None:
        self._judge = judge
        self._rows: list[tuple[str, Row, int]] = []
        self._quarantine: list[dict[str, Any]] = []
        self._counts: dict[str, Counter[str]] = {}
        self._claims: list[SourceClaim] = []
        self._streams: dict[str, Stream] = {}
        self.lines = 0
        self.bytes = 0

    @property
    def empty(self) -> bool:
        """Whether there is nothing to seal."""
        return not self._claims

    def add(self, file: LogFile, line: RawLine, number: int) -> None:
        """Judge one line.

        Args:
            file: Where it lies.
            line: Its bytes.
            number: Its number in the file, from 1.
        """
        self.lines += 1
        self.bytes += line.size
        self._count(file, lines=1, bytes=line.size)
        if not line.cut and not stripped(line.content):
            self._count(file, blank=1)
            return
        try:
            row = self._judge.parse(file, line)
            self._judge.refuse_future(row)
        except LineRejectedError as error:
            self._count(file, quarantined=1)
            self._keep(file, line, number, "quarantined", error.message)
            return
        late = self._judge.lateness(file, row)
        if late:
            self._count(file, late=1)
            self._keep(file, line, number, "late", late)
            return
        self._rows.append((file.name, row, number))

    def claim(self, file: LogFile, claim: SourceClaim | None) -> None:
        """Note the range that the lines added since the file's last claim were read from."""
        if claim is not None:
            self._claims.append(claim)
            self._count(file, lines=0)

    def draft(self, writer: LakeWriter) -> BatchDraft:
        """The batch, with the rows that the lake and the batch itself already hold taken out and counted.

        Args:
            writer: Asked for identities.
        """
        asked: dict[tuple[TableName, date], set[bytes]] = defaultdict(set)
        for _, row, _ in self._rows:
            asked[row.table, row.event_date].update(row.identities)
        held = {key: writer.seen(*key, identities) for key, identities in asked.items()}
        added: dict[tuple[TableName, date], set[bytes]] = defaultdict(set)
        rows: dict[TableName, list[Mapping[str, Any]]] = defaultdict(list)
        newest: dict[Stream, datetime] = {}
        for name, row, number in self._rows:
            known, fresh = held[row.table, row.event_date], added[row.table, row.event_date]
            if any(identity in known or identity in fresh for identity in row.identities):
                self._counts[name]["duplicates"] += 1
                continue
            fresh.update(row.identities)
            rows[row.table].append({**row.values, "source": name, "line": number})
            self._counts[name]["accepted"] += 1
            stream = self._streams[name]
            newest[stream] = max(newest.get(stream, row.timestamp), row.timestamp)
        if self._quarantine:
            rows["quarantine"] = list(self._quarantine)
        return BatchDraft(
            at=self._judge.now,
            rows=rows,
            identities=added,
            claims=tuple(self._claims),
            books=tuple(self._books(name) for name in self._counts),
            newest=newest,
        )

    def _keep(self, file: LogFile, line: RawLine, number: int, verdict: str, reason: str) -> None:
        at = self._judge.now.astimezone(UTC)
        self._quarantine.append(
            {
                "source": file.name,
                "kind": file.kind,
                "endpoint": file.endpoint,
                "line": number,
                "offset": line.offset,
                "verdict": verdict,
                "reason": reason,
                "raw": line.content,
                "at": at,
                "event_date": at.date(),
            }
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

"""Logs into the lake: every complete line of every file exactly once, and every line accounted for.

A file is read from where its claims end to its last complete line. A last line without a line end is taken when it is a
whole record (no beginning of a JSON object is a JSON object); otherwise it stays for the next run, however old its day
is, and is reported as `pending_bytes`. A file that shrank, or whose claimed bytes changed, was *replaced*: it is read
again from its start, and identities keep its old rows from being doubled.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from staged_rollout.errors import DataError
from staged_rollout.operations.ingest_batch import BatchBuilder, Judge
from staged_rollout.operations.ingest_claims import Reading
from staged_rollout.ports.clock import Clock
from staged_rollout.ports.lake import Lake, LakeWriter, SourceClaim
from staged_rollout.ports.logs import LogFile, LogSource
from staged_rollout.records.block_parser import parse_block
from staged_rollout.records.blocks import LineBlock, LineContext
from staged_rollout.records.lines import LineReader

LINES_PER_BATCH = 16_000_000
"""Lines before a batch is sealed; bytes and identities are what usually ends one."""

BYTES_PER_BATCH = 2 << 30
"""Bytes of lines before a batch is sealed: what a killed run reads again, at most."""

IDENTITIES_PER_BATCH = 4_000_000
"""Identities before a batch is sealed: it keeps its own in memory, 16 bytes each, and for a moment twice that."""

_PEEK_LINES = 50
"""Lines at the beginning of a file that are asked for its first event time."""


@dataclass(frozen=True)
class IngestReport:
    """What one run did; lines = accepted + duplicates + quarantined + late + blank, for each file and so for all.

    Attributes:
        files: Files that gave at least one line.
        lines: Lines read.
        accepted: Rows that are now in the lake.
        duplicates: Lines whose row the lake already held.
        quarantined: Lines that are not records, kept in `quarantine`.
        late: Lines older than the lateness limit, kept there too.
        blank: Lines of nothing but blanks.
        bytes: Bytes of those lines (decompressed).
        batch: The newest sealed batch, whether this run made it or not.
        pending_bytes: Bytes of half-written last lines that wait for their end.
        findings: What somebody should look at: replaced and unreadable files.
        seconds: How long it took, by the machine's clock.
        snapshot: The snapshot of `predictions` that the newest batch pins, or None.
    """

    files: int = 0
    lines: int = 0
    accepted: int = 0
    duplicates: int = 0
    quarantined: int = 0
    late: int = 0
    blank: int = 0
    bytes: int = 0
    batch: int = 0
    pending_bytes: int = 0
    findings: tuple[str, ...] = ()
    seconds: float = 0.0
    snapshot: int | None = None

    @property
    def balanced(self) -> bool:
        """Whether every line is accounted for."""
        return self.lines == self.accepted + self.duplicates + self.quarantined + self.late + self.blank


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    Attributes:
        files: Files read to their end.
        all_files: Files to look at.
        lines: New lines read.
        bytes: Bytes of those lines (decompressed).
    """

    files: int
    all_files: int
    lines: int = 0
    bytes: int = 0


@dataclass(frozen=True)
class Limits:
    """What ends a batch, each at least 1: lines, bytes of lines, identities in memory."""

    lines: int = LINES_PER_BATCH
    bytes: int = BYTES_PER_BATCH
    identities: int = IDENTITIES_PER_BATCH


def ingest(
    *,
    logs: LogSource,
    lake: Lake,
    clock: Clock,
    backfill: bool = False,
    progress: Callable[[Progress], None] | None = None,
    rows_per_batch: int = LINES_PER_BATCH,
    bytes_per_batch: int = BYTES_PER_BATCH,
) -> IngestReport:
    """Read what is new in every log file and add it to the lake; nothing new makes no batch.

    Args:
        logs: Where files are listed and read.
        lake: Where rows go; this run is its one writer meanwhile.
        clock: What "future" is measured against.
        backfill: Replay history: no row is late, and files are read in the order of their first event times.
        progress: Told after each block of lines and each file.
        rows_per_batch: Lines before a batch is sealed, at least 1.
        bytes_per_batch: Bytes of lines before a batch is sealed, at least 1.

    Raises:
        LeaseHeldError: another process is writing.
        DataError: the lake holds what no batch knows, or cannot be written (a full disk): the batches that were sealed
            before stay, and the next run goes on from there.
    """
    began = clock.wall()
    with lake.writer() as writer:
        watermarks = {} if backfill else writer.watermarks()
        run = _Run(writer, logs, Judge(clock.now(), watermarks), Limits(rows_per_batch, bytes_per_batch), progress)
        known, claimed = writer.versions(), writer.positions()
        # A file that a finished run has read to its end, and whose version is the same, is not opened.
        files = [file for file in logs.list() if not file.version or known.get(file.name) != file.version]
        if backfill:
            files = sorted(files, key=lambda file: (_first_event(logs, file), file.name))
        report = run.all(files, claimed)
        writer.finish(run.versions)
        if len(run.versions) == len(files):
            logs.settled()
    head = lake.head()
    seconds = max(clock.wall() - began, 0.0)
    return replace(report, batch=head.number, seconds=seconds, snapshot=head.snapshots.get("predictions"))


@dataclass
class _Run:
    """One run's open batch and running totals."""

    writer: LakeWriter
    logs: LogSource
    judge: Judge
    limits: Limits
    progress: Callable[[Progress], None] | None
    versions: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._builder = BatchBuilder(self.judge, self.writer)
        self._report = IngestReport()
        self._names: set[str] = set()
        self._read = self._all = 0

    def all(self, files: list[LogFile], claimed: Mapping[str, SourceClaim]) -> IngestReport:
        """Read every file's new lines and seal them."""
        self._all = len(files)
        try:
            for file in files:
                self._read_file(file, claimed.get(file.name))
                self._read += 1
                self._tell()
            self._seal()
        finally:
            self._builder.discard()
        return self._report

    def _read_file(self, file: LogFile, last: SourceClaim | None) -> None:
        """Read one file's new lines; a file that cannot be read is a finding, and the others are read all the same."""
        claims = self.writer.claims(file.name, last.generation) if last else []
        try:
            with closing(Reading(self.logs, file, claims)) as reading:
                if reading.finding:
                    self._find(reading.finding)
                self._add_lines(file, reading)
            self.versions[file.name] = file.version
        except DataError as error:
            if error.facts.get("file") != file.name:
                raise
            self._find(str(error))

    def _add_lines(self, file: LogFile, reading: Reading) -> None:
        context = file.context(self.writer.pseudonym)
        try:
            before = reading.lines
            for block in reading.blocks(self._room, lambda rest: _whole(rest, context)):
                self._builder.add(file, context, block, reading.lines - before)
                before = reading.lines
                self._tell()
                if self._full():
                    self._builder.claim(file, reading.claim())
                    self._seal()
        finally:
            # A compressed file may break in its middle: the lines before are good, and are claimed.
            self._builder.claim(file, reading.claim())
        self._report = replace(self._report, pending_bytes=self._report.pending_bytes + reading.pending_bytes)

    def _room(self) -> tuple[int, int]:
        return self.limits.lines - self._builder.lines, self.limits.bytes - self._builder.bytes

    def _full(self) -> bool:
        return min(self._room()) <= 0 or self._builder.identities >= self.limits.identities

    def _seal(self) -> None:
        """Commit what is held, if anything, and begin the next batch."""
        if self._builder.empty:
            return
        sealed = self._builder.seal()
        self._names |= {books.name for books in sealed if books.lines}
        totals = {
            key: getattr(self._report, key) + sum(getattr(books, key) for books in sealed)
            for key in ("lines", "accepted", "duplicates", "quarantined", "late", "blank", "bytes")
        }
        self._report = replace(self._report, files=len(self._names), **totals)
        self._builder = BatchBuilder(self.judge, self.writer)

    def _tell(self) -> None:
        if self.progress is not None:
            lines, size = self._report.lines + self._builder.lines, self._report.bytes + self._builder.bytes
            self.progress(Progress(self._read, self._all, lines, size))

    def _find(self, finding: str) -> None:
        self._report = replace(self._report, findings=(*self._report.findings, finding))


def _whole(rest: LineBlock, context: LineContext) -> bool:
    return bool(parse_block(rest, context).rows.num_rows)


def _first_event(logs: LogSource, file: LogFile) -> datetime:
    """The first event time at the beginning of a file; the last moment that there is when it tells none."""
    context = file.context(str)
    last = datetime.max.replace(tzinfo=UTC)
    try:
        with closing(logs.read(file)) as chunks:  # type: ignore[type-var]
            for block in LineReader(chunks).blocks(lambda: (_PEEK_LINES, 1 << 20), lambda _: True):
                moments = parse_block(block, context).rows["timestamp"].to_pylist()
                return min(moments, default=last)
    except DataError:
        pass
    return last

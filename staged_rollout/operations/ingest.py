"""Logs into the lake: every complete line of every file exactly once, and every line accounted for.

A file is read from where its claims end to its last complete line. A last line without a line end is taken when it is a
whole record (no beginning of a JSON object is a JSON object); otherwise it stays for the next run, however old its day
is, and is reported as `pending_bytes`. A file that shrank, or whose claimed bytes changed, was *replaced*: it is read
again from its start, and identities keep its old rows from being doubled.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace

from staged_rollout.errors import DataError, LineRejectedError
from staged_rollout.operations.ingest_batch import BatchBuilder, Judge
from staged_rollout.operations.ingest_claims import Reading
from staged_rollout.ports.clock import Clock
from staged_rollout.ports.lake import Lake, LakeWriter, SourceClaim
from staged_rollout.ports.logs import LogFile, LogSource
from staged_rollout.records.lines import RawLine

ROWS_PER_BATCH = 50_000
"""Lines held in memory before a batch is sealed."""

BYTES_PER_BATCH = 64 << 20
"""Bytes of lines held in memory before a batch is sealed."""


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

    @property
    def balanced(self) -> bool:
        """Whether every line is accounted for."""
        return self.lines == self.accepted + self.duplicates + self.quarantined + self.late + self.blank


def ingest(
    *,
    logs: LogSource,
    lake: Lake,
    clock: Clock,
    progress: Callable[[int, int], None] | None = None,
    rows_per_batch: int = ROWS_PER_BATCH,
    bytes_per_batch: int = BYTES_PER_BATCH,
    backfill: bool = False,
) -> IngestReport:
    """Read what is new in every log file and add it to the lake; nothing new makes no batch.

    Args:
        logs: Where files are listed and read.
        lake: Where rows go; this run is its one writer meanwhile.
        clock: What "future" is measured against.
        progress: Called after each file with (files done, files to look at).
        rows_per_batch: Lines in memory before a batch is sealed, at least 1.
        bytes_per_batch: Bytes in memory before a batch is sealed, at least 1.
        backfill: History is replayed: no line is late.

    Raises:
        LeaseHeldError: another process is writing.
        DataError: the lake holds what no batch knows.
    """
    with lake.writer() as writer:
        run = _Run(writer, logs, clock, rows_per_batch, bytes_per_batch)
        if backfill:
            run.forgive_lateness()
        known, claimed = writer.versions(), writer.positions()
        # A file that a finished run has read to its end, and whose version is the same, is not opened.
        files = [file for file in logs.list() if not file.version or known.get(file.name) != file.version]
        for done, file in enumerate(files, start=1):
            run.read(file, claimed.get(file.name))
            if progress is not None:
                progress(done, len(files))
        run.seal()
        writer.finish(run.versions)
        return replace(run.report, batch=lake.head().number)


class _Run:
    """One run's open batch and running totals."""

    def __init__(
        self, writer: LakeWriter, logs: LogSource, clock: Clock, rows_per_batch: int, bytes_per_batch: int
    ) -> None:
        self._writer = writer
        self._logs = logs
        self._rows_per_batch = rows_per_batch
        self._bytes_per_batch = bytes_per_batch
        self._judge = Judge(now=clock.now(), watermarks=writer.watermarks(), pseudonym=writer.pseudonym)
        self._builder = BatchBuilder(self._judge)
        self._names: set[str] = set()
        self.versions: dict[str, str] = {}
        self.report = IngestReport()

    def read(self, file: LogFile, last: SourceClaim | None) -> None:
        """Read one file's new lines; a file that cannot be read is a finding, and the others are read all the same."""
        claims = self._writer.claims(file.name, last.generation) if last else []
        try:
            with closing(Reading(self._logs, file, claims)) as reading:
                if reading.finding:
                    self._find(reading.finding)
                self._add_lines(file, reading)
            self.versions[file.name] = file.version
        except DataError as error:
            if error.facts.get("file") != file.name:
                raise
            self._find(str(error))

    def forgive_lateness(self) -> None:
        """Let no line be late."""
        self._judge = replace(self._judge, watermarks={})
        self._builder = BatchBuilder(self._judge)

    def seal(self) -> None:
        """Commit what is held, if anything, and begin the next batch."""
        if self._builder.empty:
            return
        draft = self._builder.draft(self._writer)
        self._writer.commit(draft)
        self._names |= {books.name for books in draft.books if books.lines}
        totals = {
            key: getattr(self.report, key) + sum(getattr(books, key) for books in draft.books)
            for key in ("lines", "accepted", "duplicates", "quarantined", "late", "blank", "bytes")
        }
        self.report = replace(self.report, files=len(self._names), **totals)
        self._builder = BatchBuilder(self._judge)

    def _add_lines(self, file: LogFile, reading: Reading) -> None:
        try:
            for line, number in reading.lines(lambda rest: self._whole(file, rest)):
                self._builder.add(file, line, number)
                if self._builder.lines >= self._rows_per_batch or self._builder.bytes >= self._bytes_per_batch:
                    self._builder.claim(file, reading.claim())
                    self.seal()
        finally:
            # A compressed file may break in its middle: the lines before are good, and are claimed.
            self._builder.claim(file, reading.claim())
        self.report = replace(self.report, pending_bytes=self.report.pending_bytes + reading.pending_bytes)

    def _whole(self, file: LogFile, rest: RawLine) -> bool:
        try:
            self._judge.parse(file, rest)
        except LineRejectedError:
            return False
        return True

    def _find(self, finding: str) -> None:
        self.report = replace(self.report, findings=(*self.report.findings, finding))

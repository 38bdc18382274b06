"""What is kept in quarantine: counts by source and reason, examples, and the lines themselves."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from staged_rollout.ports.lake import Batch, Lake

LINES_AT_ONCE = 10_000
"""Lines that one question answers, about, so that memory stays bounded however much is kept."""

_LAST_LINE = 2**62

_PLACE = re.compile(r" (?:at|of) (?:character|byte) \d+|, \d{4}-\d{2}-\d{2}T[\d:]+Z")


@dataclass(frozen=True)
class KeptLines:
    """Lines of one file that are kept for one reason.

    Attributes:
        source: The file.
        kind: Kind of log.
        endpoint: Its endpoint.
        verdict: `quarantined` or `late`.
        reason: Why, as it is kept.
        lines: How many.
        first_line: The lowest line number.
        last_line: The highest.
    """

    source: str
    kind: str
    endpoint: str
    verdict: str
    reason: str
    lines: int
    first_line: int
    last_line: int

    @property
    def cause(self) -> str:
        """The reason without the place in the line, by which like ones are counted together."""
        return _PLACE.sub("", self.reason)


@dataclass(frozen=True)
class KeptLine:
    """One line as it came.

    Attributes:
        source: The file.
        line: Its number there, from 1.
        offset: Its first byte there (decompressed).
        verdict: `quarantined` or `late`.
        reason: Why it is no row.
        raw: Its bytes, cut at 1 MiB.
        at: When it was ingested.
    """

    source: str
    line: int
    offset: int
    verdict: str
    reason: str
    raw: bytes
    at: datetime


@dataclass(frozen=True)
class Selection:
    """Which kept lines are meant; None is any.

    Attributes:
        reason: Text that the reason holds.
        source: The file.
        kind: Kind of log.
        endpoint: The endpoint.
        verdict: `quarantined` or `late`.
    """

    reason: str = ""
    source: str | None = None
    kind: str | None = None
    endpoint: str | None = None
    verdict: str | None = None

    def holds(self, source: str, kind: str, endpoint: str, verdict: str) -> bool:
        """Whether lines of this file, kind, endpoint and verdict are meant."""
        asked = (self.source, self.kind, self.endpoint, self.verdict)
        told = (source, kind, endpoint, verdict)
        return all(one is None or one == other for one, other in zip(asked, told, strict=True))


def kept_lines(lake: Lake, batch: Batch, selection: Selection) -> list[KeptLines]:
    """Counts by source and reason, ordered by source.

    Args:
        lake: Where they are kept.
        batch: The state that is asked.
        selection: Which are meant.
    """
    rows = lake.query("quarantine_reasons", {"reason": selection.reason}, batch=batch)
    return [kept for kept in (KeptLines(**row) for row in rows) if _meant(selection, kept)]


def _meant(selection: Selection, kept: KeptLines) -> bool:
    return selection.holds(kept.source, kept.kind, kept.endpoint, kept.verdict)


def by_cause(kept: Iterable[KeptLines]) -> list[tuple[str, str, int, int]]:
    """(verdict, cause, lines, files), the commonest first."""
    found: dict[tuple[str, str], tuple[int, set[str]]] = {}
    for one in kept:
        lines, files = found.get((one.verdict, one.cause), (0, set()))
        found[one.verdict, one.cause] = (lines + one.lines, files | {one.source})
    counted = [(*key, lines, len(files)) for key, (lines, files) in found.items()]
    return sorted(counted, key=lambda row: (-row[2], row[:2]))


def examples(lake: Lake, batch: Batch, kept: Sequence[KeptLines], limit: int) -> Iterator[KeptLine]:
    """The first line of each cause, the commonest cause first.

    Args:
        lake: Where they are kept.
        batch: The state that is asked.
        kept: As `kept_lines` gives them.
        limit: How many at most.
    """
    for verdict, cause, _, _ in by_cause(kept)[: max(limit, 0)]:
        one = next(one for one in kept if (one.verdict, one.cause) == (verdict, cause))
        yield from first_line(lake, batch, one)


def first_line(lake: Lake, batch: Batch, kept: KeptLines) -> list[KeptLine]:
    """The first line of those that are kept for one reason.

    Args:
        lake: Where they are kept.
        batch: The state that is asked.
        kept: As `kept_lines` gives them.
    """
    only = Selection(kept.reason, kept.source, kept.kind, kept.endpoint, kept.verdict)
    first = _lines(lake, batch, only, [kept.source], kept.first_line, kept.first_line)
    return [line for line in first if line.reason == kept.reason][:1]


def every_line(lake: Lake, batch: Batch, kept: Sequence[KeptLines], selection: Selection) -> Iterator[KeptLine]:
    """Every selected line as it came, file by file, in order of line numbers.

    Args:
        lake: Where they are kept.
        batch: The state that is asked.
        kept: As `kept_lines` gives them for this selection.
        selection: Which are meant.
    """
    sources: dict[str, tuple[int, int, int]] = {}
    for one in kept:
        lines, first, last = sources.get(one.source, (0, one.first_line, one.last_line))
        sources[one.source] = (lines + one.lines, min(first, one.first_line), max(last, one.last_line))
    # Each question reads the whole table, so small files are asked for together and large ones in pieces.
    together: list[str] = []
    held = 0
    for source, (lines, first, last) in sources.items():
        if held + lines > LINES_AT_ONCE and together:
            yield from _lines(lake, batch, selection, together, 0, _LAST_LINE)
            together, held = [], 0
        if lines <= LINES_AT_ONCE:
            together.append(source)
            held += lines
            continue
        step = -(-(last - first + 1) * LINES_AT_ONCE // lines)
        for start in range(first, last + 1, step):
            yield from _lines(lake, batch, selection, [source], start, min(start + step - 1, last))
    if together:
        yield from _lines(lake, batch, selection, together, 0, _LAST_LINE)


def _lines(
    lake: Lake, batch: Batch, selection: Selection, sources: Sequence[str], first: int, last: int
) -> Iterator[KeptLine]:
    asked = {"reason": selection.reason, "sources": list(sources), "first_line": first, "last_line": last}
    for row in lake.query("quarantine_lines", asked, batch=batch):
        if selection.holds(row["source"], row["kind"], row["endpoint"], row["verdict"]):
            at = row.pop("ingested_at")
            del row["kind"], row["endpoint"]
            yield KeptLine(**row, at=at)

"""What is kept in quarantine: counts by source and reason, examples, and the lines themselves."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from staged_rollout.ports.lake import Batch, Lake

LINES_AT_ONCE = 10_000
"""Line numbers that one question spans, so that memory stays bounded however much is kept."""

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

    def holds(self, kept: KeptLines) -> bool:
        """Whether these lines are meant."""
        asked = (self.source, self.kind, self.endpoint, self.verdict)
        return all(
            one is None or one == other
            for one, other in zip(asked, (kept.source, kept.kind, kept.endpoint, kept.verdict), strict=True)
        )


def kept_lines(lake: Lake, batch: Batch, selection: Selection) -> list[KeptLines]:
    """Counts by source and reason, ordered by source.

    Args:
        lake: Where they are kept.
        batch: The state that is asked.
        selection: Which are meant.
    """
    rows = lake.query("quarantine_reasons", {"reason": selection.reason}, batch=batch)
    return [kept for kept in (KeptLines(**row) for row in rows) if selection.holds(kept)]


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
    first = (line for line in _lines(lake, batch, kept, kept.first_line, kept.first_line) if line.reason == kept.reason)
    return list(first)[:1]


def every_line(lake: Lake, batch: Batch, kept: Sequence[KeptLines], selection: Selection) -> Iterator[KeptLine]:
    """Every selected line as it came, file by file, in order of line numbers.

    Args:
        lake: Where they are kept.
        batch: The state that is asked.
        kept: As `kept_lines` gives them for this selection.
        selection: Which are meant.
    """
    spans: dict[tuple[str, str, str, str], tuple[int, int]] = {}
    for one in kept:
        key = (one.source, one.kind, one.endpoint, one.verdict)
        first, last = spans.get(key, (one.first_line, one.last_line))
        spans[key] = (min(first, one.first_line), max(last, one.last_line))
    for key, (first, last) in spans.items():
        span = KeptLines(*key, reason=selection.reason, lines=0, first_line=first, last_line=last)
        for start in range(first, last + 1, LINES_AT_ONCE):
            yield from _lines(lake, batch, span, start, min(start + LINES_AT_ONCE - 1, last))


def _lines(lake: Lake, batch: Batch, kept: KeptLines, first: int, last: int) -> Iterator[KeptLine]:
    asked: dict[str, Any] = {
        "reason": kept.reason,
        "source": kept.source,
        "kind": kept.kind,
        "endpoint": kept.endpoint,
        "verdict": kept.verdict,
        "first_line": first,
        "last_line": last,
    }
    for row in lake.query("quarantine_lines", asked, batch=batch):
        yield KeptLine(
            kept.source, row["line"], row["offset"], kept.verdict, row["reason"], row["raw"], row["ingested_at"]
        )

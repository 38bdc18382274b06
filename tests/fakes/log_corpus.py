"""Generated prediction logs with a known truth: how many lines of each kind there are, and the rows that must come out.

The truth is made beside the text, from the same numbers, by no code of the package: what a parser reads is never asked
for what it should have read. The same seed gives the same bytes, on every machine.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from tests.fakes.odd_lines import ODD_LINES, OddLine

START = datetime(2026, 3, 2, tzinfo=UTC)
"""The first moment of the first day."""

FLAT = (
    '{"request_id": "%s", "timestamp": "%s", "rollout": "%s", "unit_id": "u-%07d", "assigned_variant": "%s", '
    '"variant": "%s", "fallback": %s, "epoch": 5, "model_version": "%s", "prediction": %s, "latency_ms": %s, '
    '"status": %d, "features": {"plan": "%s", "tenure": %d, "calls": %d, "charge": %s}}\n'
)
PLANS = ("basic", "basic", "family", "business")
BOOKS = ("lines", "accepted", "duplicates", "quarantined", "late", "blank", "bytes")

_MICROSECONDS_A_DAY = 86_400_000_000
_RECENT = 2_000


@dataclass(frozen=True)
class FlatRow:
    """One prediction, as numbers; `text()` is its line.

    Attributes:
        request_id: A UUID as text.
        at_us: Microseconds after `START`.
        unit: The unit's number; None when the caller named none.
        candidate: Whether the unit was drawn for the candidate.
        fallback: The champion answered for the candidate.
        prediction_e4: The answer in ten-thousandths; None when the call failed.
        latency_us: Microseconds.
        plan: Index into `PLANS`.
        tenure: Months.
        calls: Calls to support.
        charge_cents: Monthly charge.
    """

    request_id: str
    at_us: int
    unit: int
    candidate: bool
    fallback: bool
    prediction_e4: int | None
    latency_us: int
    plan: int
    tenure: int
    calls: int
    charge_cents: int

    def text(self) -> str:
        """The line, with its line end."""
        variant = "v3" if self.candidate and not self.fallback else "v2"
        answer = "null" if self.prediction_e4 is None else f"{self.prediction_e4 / 10_000:.4f}"
        return FLAT % (
            self.request_id,
            stamp(self.at_us),
            "churn-v3",
            self.unit,
            "v3" if self.candidate else "v2",
            variant,
            "true" if self.fallback else "false",
            "3" if variant == "v3" else "2",
            answer,
            f"{self.latency_us / 1_000:.3f}",
            503 if self.prediction_e4 is None else 200,
            PLANS[self.plan],
            self.tenure,
            self.calls,
            repr(self.charge_cents / 100),
        )

    def expected(self) -> dict[str, object]:
        """What the table must hold of it, as any reader of Parquet finds it; without the unit's hash and the source."""
        at = START + timedelta(microseconds=self.at_us)
        variant = "v3" if self.candidate and not self.fallback else "v2"
        return {
            "request_id": self.request_id,
            "timestamp": at,
            "event_date": at.date(),
            "rollout": "churn-v3",
            "assigned_variant": "v3" if self.candidate else "v2",
            "variant": variant,
            "fallback": self.fallback,
            "epoch": 5,
            "model_version": "3" if variant == "v3" else "2",
            "prediction": None if self.prediction_e4 is None else self.prediction_e4 / 10_000,
            "latency_ms": self.latency_us / 1_000,
            "status": 503 if self.prediction_e4 is None else 200,
        }

    def features(self) -> dict[str, object]:
        """Its features, as JSON means them."""
        return {
            "plan": PLANS[self.plan],
            "tenure": self.tenure,
            "calls": self.calls,
            "charge": self.charge_cents / 100,
        }


@dataclass(frozen=True)
class Corpus:
    """What is generated.

    Attributes:
        lines: Lines that are well-formed records, duplicates left out.
        days: UTC days that they are spread over evenly, in order of time.
        units: Units that they are drawn from.
        odd: Share of odd lines among all of them; the kinds take turns.
        duplicates: Share of redelivered lines, each an exact copy of an earlier record of the same corpus.
        seed: Of everything.
        first_day: Days after `START` at which it begins.
        kinds: The odd lines that take turns.
    """

    lines: int
    days: int = 1
    units: int = 20_000
    odd: float = 0.0
    duplicates: float = 0.0
    seed: int = 1
    first_day: int = 0
    kinds: tuple[OddLine, ...] = ODD_LINES


@dataclass
class Truth:
    """What an exact ingest of a corpus into an empty lake answers.

    Attributes:
        lines: Lines of text: what `wc -l` says.
        accepted: Rows.
        duplicates: Redelivered lines.
        quarantined: Lines that are none, or come from the future.
        late: Lines beyond the lateness limit.
        blank: Lines of nothing but blanks.
        bytes: Of all of them.
        kinds: Kind of odd line to how many times it was written.
    """

    lines: int = 0
    accepted: int = 0
    duplicates: int = 0
    quarantined: int = 0
    late: int = 0
    blank: int = 0
    bytes: int = 0
    kinds: Counter[str] = field(default_factory=Counter)

    def books(self) -> dict[str, int]:
        """Its counts by name."""
        return {name: getattr(self, name) for name in BOOKS}

    def __add__(self, other: Truth) -> Truth:
        """Both together, when neither repeats the other's rows."""
        sums = {name: getattr(self, name) + getattr(other, name) for name in BOOKS}
        return Truth(**sums, kinds=self.kinds + other.kinds)


def stamp(at_us: int) -> str:
    """A moment, microseconds after `START`, as logs write it."""
    day, rest = divmod(at_us, _MICROSECONDS_A_DAY)
    seconds, micro = divmod(rest, 1_000_000)
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    return f"{_day(day)}T{hour:02d}:{minute:02d}:{second:02d}.{micro:06d}Z"


def rows(corpus: Corpus) -> Iterator[FlatRow]:
    """The records of a corpus, in order of time."""
    draw = random.Random(f"rows {corpus.seed}")
    bits, units = draw.getrandbits, corpus.units
    step = corpus.days * _MICROSECONDS_A_DAY / corpus.lines
    begin = corpus.first_day * _MICROSECONDS_A_DAY
    for number in range(corpus.lines):
        much, more = bits(128), bits(96)
        hexadecimal = f"{much:032x}"
        unit = much % units
        candidate = bool(unit * 2_654_435_761 >> 16 & 1)
        kind = more & 1023
        yield FlatRow(
            f"{hexadecimal[:8]}-{hexadecimal[8:12]}-{hexadecimal[12:16]}-{hexadecimal[16:20]}-{hexadecimal[20:]}",
            begin + int(number * step),
            unit,
            candidate,
            candidate and kind < 8,
            None if 8 <= kind < 16 else (more >> 10) % 10_001,
            3_000 + (more >> 24) % 40_000,
            more >> 44 & 3,
            more >> 46 & 63,
            more >> 52 & 15,
            1_000 + (more >> 56) % 12_000,
        )


def written(corpus: Corpus, truth: Truth) -> Iterator[tuple[bytes, FlatRow | None]]:
    """The lines of a corpus with the row that each must become, or None; `truth` grows by what is written.

    Odd lines and duplicates come at even distances, so that their shares are exact, and never first.
    """
    draw = random.Random(f"disorder {corpus.seed}")
    owed_odd = owed_copies = 0.0
    turn = 0
    recent: list[bytes] = []
    well_formed = 1 - corpus.odd - corpus.duplicates
    for row in rows(corpus):
        line = row.text().encode()
        truth.lines += 1
        truth.accepted += 1
        truth.bytes += len(line)
        yield line, row
        owed_odd += corpus.odd / well_formed
        owed_copies += corpus.duplicates / well_formed
        if corpus.duplicates:
            if len(recent) < _RECENT:
                recent.append(line)
            else:
                recent[draw.randrange(_RECENT)] = line
            while owed_copies >= 1:
                owed_copies -= 1
                copy = recent[draw.randrange(len(recent))]
                truth.lines += 1
                truth.duplicates += 1
                truth.bytes += len(copy)
                yield copy, None
        while corpus.kinds and owed_odd >= 1:
            odd = corpus.kinds[turn % len(corpus.kinds)]
            turn += 1
            owed_odd -= 1
            yield from _odd(odd, row, turn, truth)


def write(path: Path, corpus: Corpus) -> Truth:
    """Write a corpus into one file, which must not be there.

    Args:
        path: The file; its folder is made.
        corpus: What is written.

    Returns:
        The truth about it.
    """
    truth = Truth()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb", buffering=1 << 20) as stream:
        for line, _ in written(corpus, truth):
            stream.write(line)
    return truth


def _odd(odd: OddLine, row: FlatRow, turn: int, truth: Truth) -> Iterator[tuple[bytes, FlatRow | None]]:
    """An odd line, made from a fresh copy of a row, and what it counts as."""
    name = f"odd-{turn:08d}"
    fresh = FlatRow(**{**row.__dict__, "request_id": name})
    content = odd.make(fresh.text().encode().removesuffix(b"\n")) + b"\n"
    lines = content.count(b"\n")
    truth.lines += lines
    truth.bytes += len(content)
    truth.kinds[odd.name] += 1
    setattr(truth, odd.verdict, getattr(truth, odd.verdict) + lines)
    yield content, fresh if odd.verdict == "accepted" else None


_DAYS: dict[int, str] = {}


def _day(day: int) -> str:
    if day not in _DAYS:
        _DAYS[day] = date.fromordinal(START.toordinal() + day).isoformat()
    return _DAYS[day]

"""Writes generated logs; prints the truth about them as JSON. The generators are in `tests/fakes/log_corpus.py`.

    python benchmarks/logs.py flat FILE --lines 1000000 --days 1 [--odd 0.005] [--duplicates 0.01]
    python benchmarks/logs.py capture HOME --files 2000 --lines 500
    python benchmarks/logs.py day HOME --day 12 --lines 1000000 [--redelivered 0.01]

`day` adds one day of a history: its predictions, of which some are lines of the six days before once more, and outcomes
for a tenth of the requests of the day before.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from checkout import find_tests

find_tests()

from tests.fakes.capture_corpus import CaptureCorpus, write_captures  # noqa: E402 - found a line above
from tests.fakes.log_corpus import START, Corpus, Truth, rows, stamp, write  # noqa: E402 - as above

ENDPOINT = "churn-prod"
REMEMBERED_DAYS = 6


def day_file(home: Path, day: int) -> Path:
    """The prediction log of a day."""
    return home / "logs" / "predictions" / ENDPOINT / f"{START + timedelta(days=day):%Y-%m-%d}" / "router.jsonl"


def corpus_of(day: int, lines: int, units: int) -> Corpus:
    """What a day of the history holds."""
    return Corpus(lines=lines, units=units, seed=1_000 + day, first_day=day)


def add_day(home: Path, day: int, lines: int, units: int, redelivered: float) -> Truth:
    """Write a day; lines older than it needs are removed from the folder, as a log shipper would."""
    path = day_file(home, day)
    truth = write(path, corpus_of(day, lines, units))
    past = [day_file(home, other) for other in range(max(day - REMEMBERED_DAYS, 0), day)]
    copies = list(_again(past, round(lines * redelivered), day))
    with path.open("ab") as stream:
        stream.writelines(copies)
    truth += Truth(lines=len(copies), duplicates=len(copies), bytes=sum(map(len, copies)))
    if day:
        outcomes = home / "logs" / "outcomes" / ENDPOINT / f"{day:04d}.jsonl"
        outcomes.parent.mkdir(parents=True, exist_ok=True)
        with outcomes.open("xb") as stream:
            known = _outcomes(day, lines, units)
            sizes = [stream.write(line) for line in known]
        truth += Truth(lines=len(sizes), accepted=len(sizes), bytes=sum(sizes))
    day_file(home, day - REMEMBERED_DAYS - 2).unlink(missing_ok=True)
    return truth


def _again(files: list[Path], number: int, seed: int) -> Iterator[bytes]:
    """Whole lines from anywhere in some files."""
    draw = random.Random(f"again {seed}")
    for index, path in enumerate(files):
        size = path.stat().st_size
        with path.open("rb") as stream:
            for _ in range(number // len(files) + (index < number % len(files))):
                stream.seek(draw.randrange(size // 2))
                stream.readline()
                yield stream.readline()


def _outcomes(day: int, lines: int, units: int) -> Iterator[bytes]:
    for number, row in enumerate(rows(corpus_of(day - 1, lines, units))):
        if number % 10 == 0:
            at = stamp(row.at_us + 86_400_000_000)
            right = number % 70 != 0
            outcome = row.prediction_e4 / 10_000 if right and row.prediction_e4 is not None else 2.0
            yield f'{{"request_id": "{row.request_id}", "timestamp": "{at}", "outcome": {outcome:.4f}}}\n'.encode()


def main() -> None:
    """Write what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("flat", "capture", "day"))
    parser.add_argument("where", type=Path)
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--days", type=int, default=1)
    parser.add_argument("--day", type=int, default=0)
    parser.add_argument("--units", type=int, default=100_000)
    parser.add_argument("--files", type=int, default=2_000)
    parser.add_argument("--odd", type=float, default=0.0)
    parser.add_argument("--duplicates", type=float, default=0.0)
    parser.add_argument("--redelivered", type=float, default=0.01)
    chosen = parser.parse_args()
    if chosen.what == "flat":
        corpus = Corpus(
            lines=chosen.lines, days=chosen.days, units=chosen.units, odd=chosen.odd, duplicates=chosen.duplicates
        )
        truth = write(chosen.where, corpus)
    elif chosen.what == "capture":
        truth, _ = write_captures(chosen.where, CaptureCorpus(files=chosen.files, lines=chosen.lines))
    else:
        truth = add_day(chosen.where, chosen.day, chosen.lines, chosen.units, chosen.redelivered)
    print(json.dumps(truth.books() | {"kinds": dict(truth.kinds)}))


if __name__ == "__main__":
    main()

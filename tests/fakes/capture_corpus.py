"""Generated Data Capture in SageMaker's key layout, and generated outcomes, with the rows that must come of them."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from tests.fakes.log_corpus import START, Truth

VARIANTS = ("v2", "v3")
ENCODINGS = ("CSV", "JSON", "CSV", "BASE64")
_TYPES = {"CSV": "text/csv", "JSON": "application/json", "BASE64": "application/octet-stream"}


@dataclass(frozen=True)
class CaptureCorpus:
    """What is generated.

    Attributes:
        files: Files, spread over hours and variants in turn.
        lines: Lines in each.
        redelivered: Lines of each file but the first that are copies of the first lines of the file before it of the
            same variant and hour's neighbour: SageMaker writes a buffer again when it was not acknowledged.
        broken: Lines of each file that are cut in their middle.
        seed: Of everything.
    """

    files: int = 2_000
    lines: int = 500
    redelivered: int = 0
    broken: int = 0
    seed: int = 1


def write_captures(home: Path, corpus: CaptureCorpus, *, endpoint: str = "churn-prod") -> tuple[Truth, list[dict]]:
    """Write `capture/ENDPOINT/VARIANT/yyyy/mm/dd/hh/*.jsonl` below a home.

    Returns:
        The truth about all files, and the rows of the first 5,000 accepted lines as Parquet must show them.
    """
    draw = random.Random(f"captures {corpus.seed}")
    truth, kept = Truth(), []
    before: dict[str, list[bytes]] = {}
    for number in range(corpus.files):
        variant = VARIANTS[number % len(VARIANTS)]
        # Two variants to the hour, in turn over 48 hours: 2,000 files are 1,000 hours' worth folded into two days.
        hour = number // len(VARIANTS) % 48
        at = START + timedelta(hours=hour)
        folder = home / "capture" / endpoint / variant / f"{at:%Y/%m/%d/%H}"
        folder.mkdir(parents=True, exist_ok=True)
        again = before.get(variant, [])[: corpus.redelivered]
        fresh = [_line(draw, variant, endpoint, at, number, index) for index in range(corpus.lines)]
        cut = [line[: len(line) // 3] + b"\n" for line, _ in fresh[: corpus.broken]]
        whole = fresh[corpus.broken :]
        content = b"".join([*again, *cut, *(line for line, _ in whole)])
        (folder / f"{number:05d}-{draw.getrandbits(64):016x}.jsonl").write_bytes(content)
        truth += Truth(
            lines=len(again) + len(fresh),
            accepted=len(whole),
            duplicates=len(again),
            quarantined=len(cut),
            bytes=len(content),
        )
        kept += [row for _, row in whole[: max(5_000 - len(kept), 0)]]
        before[variant] = [line for line, _ in whole]
    return truth, kept


def outcome_lines(rows: int, *, units: int, seed: int = 1, copies: int = 0) -> Iterator[tuple[bytes, dict | None]]:
    """Outcomes by unit or by request, each with the row that it must become, then copies of the first ones with None.

    Args:
        rows: Outcomes that differ.
        units: Units that they are drawn from, named as `log_corpus` names them.
        seed: Of everything.
        copies: Redelivered lines.
    """
    draw = random.Random(f"outcomes {seed}")
    first: list[bytes] = []
    for number in range(rows):
        at = START + timedelta(days=1, seconds=number % 80_000, microseconds=number)
        value = draw.randrange(2)
        by_unit = number % 3 != 0
        key, name = ("unit_id", f"u-{draw.randrange(units):07d}") if by_unit else ("request_id", f"r-{number:08d}")
        text = f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond:06d}Z"
        line = f'{{"{key}": "{name}", "timestamp": "{text}", "outcome": {value}}}\n'.encode()
        first += [line] if len(first) < copies else []
        expected = {"timestamp": at, "event_date": at.date(), "outcome": float(value)}
        yield line, expected | {"request_id": None if by_unit else name, "unit": name if by_unit else None}
    for line in first:
        yield line, None


def _line(
    draw: random.Random, variant: str, endpoint: str, at: object, file: int, index: int
) -> tuple[bytes, dict[str, object]]:
    when = at + timedelta(seconds=index % 3_600)  # type: ignore[operator]
    event = f"{draw.getrandbits(128):032x}"
    inference = f"r-{file:05d}-{index:06d}"
    encoding = ENCODINGS[index % len(ENCODINGS)]
    prediction = draw.randrange(10_001) / 10_000
    asked, answered = (
        ('{"plan": "basic", "tenure": %d}' % (index % 60), '{"prediction": %.4f}' % prediction)  # noqa: UP031 - braces
        if encoding == "JSON"
        else (f"basic,{index % 60},{prediction:.3f}", f"{prediction:.4f}")
    )
    sides = {
        side: {
            "observedContentType": _TYPES[encoding],
            "mode": mode,
            "data": base64.b64encode(text.encode()).decode() if encoding == "BASE64" else text,
            "encoding": encoding,
        }
        for side, mode, text in (("endpointInput", "INPUT", asked), ("endpointOutput", "OUTPUT", answered))
    }
    metadata = {"eventId": event, "inferenceId": inference, "inferenceTime": f"{when:%Y-%m-%dT%H:%M:%SZ}"}
    line = json.dumps({"captureData": sides, "eventMetadata": metadata, "eventVersion": "0"}).encode() + b"\n"
    return line, {
        "event_id": event,
        "inference_id": inference,
        "timestamp": when,
        "event_date": when.date(),  # type: ignore[attr-defined]
        "endpoint": endpoint,
        "variant": variant,
        "input": asked,
        "output": answered,
        "prediction": prediction,
    }

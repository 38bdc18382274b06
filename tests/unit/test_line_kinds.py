"""The table of line kinds in docs/tables.md, row by row, through the parser and through a whole ingest."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from staged_rollout.adapters.lake_iceberg import IcebergLake
from staged_rollout.adapters.log_folder import LogFolder
from staged_rollout.errors import LineRejectedError
from staged_rollout.operations.ingest import ingest
from staged_rollout.operations.quarantine import Selection, every_line, kept_lines
from staged_rollout.records.blocks import LineContext
from staged_rollout.records.json_line import MAX_LINE_BYTES, stripped
from staged_rollout.records.parse import parse_line
from staged_rollout.spec.home import Home

PAGE = (Path(__file__).parents[2] / "docs" / "tables.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| ([^|]+) \| (accepted|quarantined|blank) \| ([^|]*?) ?\|$", PAGE, re.MULTILINE)
NOW = datetime(2026, 3, 3, tzinfo=UTC)
GOOD = {
    "request_id": "REQUEST",
    "timestamp": "2026-03-02T10:00:00.250Z",
    "rollout": "churn-v3",
    "unit_id": "c-42",
    "assigned_variant": "v1",
    "variant": "v1",
    "fallback": False,
    "epoch": 7,
    "model_version": "1",
    "prediction": 1.5,
    "latency_ms": 12.5,
    "status": 200,
    "features": {"plan": "basic"},
}
TEXT = json.dumps(GOOD)


def swap(old, new):
    """The good line with one piece of text changed."""
    assert 1 == TEXT.count(old)
    return TEXT.replace(old, new).encode()


def put(**changes):
    return json.dumps({**GOOD, **changes}).encode()


def without(*keys):
    return json.dumps({key: value for key, value in GOOD.items() if key not in keys}).encode()


LINES = {
    "good": TEXT.encode(),
    "CRLF": TEXT.encode() + b"\r",
    "byte order mark": b"\xef\xbb\xbf" + TEXT.encode(),
    "blanks around it": b" \t" + TEXT.encode() + b"  ",
    "key that no format names": put(region="eu"),
    "escaped letters": swap("basic", "b\\u0061sic"),
    "timestamp with an offset": put(timestamp="2026-03-02T15:30:00.250+05:30"),
    "integer prediction": put(prediction=1),
    "no assigned variant, fallback or epoch": without("assigned_variant", "fallback", "epoch"),
    "prediction is null": put(prediction=None),
    "nothing but blanks": b" \t\r",
    "truncated": TEXT.encode()[:-5],
    "not JSON": b"GET /invocations 200",
    "trailing comma": swap('"basic"}}', '"basic"},}'),
    "raw control character in a string": swap("basic", "ba\x01sic"),
    "an array": b"[" + TEXT.encode() + b"]",
    "a string": b'"hello"',
    "a number": b"12",
    "null": b"null",
    "two objects on a line": TEXT.encode() + TEXT.encode(),
    "first line of an object over two lines": TEXT.encode()[: TEXT.index('"epoch"')],
    "second line of an object over two lines": TEXT.encode()[TEXT.index('"epoch"') :],
    "NaN": put(prediction=float("nan")),
    "Infinity": put(latency_ms=float("inf")),
    "1e999": swap("12.5", "1e999"),
    "number as a string": put(prediction="0.73"),
    "integer as a string": put(status="200"),
    "true as a number": put(prediction=True),
    "true as an integer": put(epoch=True),
    "0 as a flag": put(fallback=0),
    "float where an integer belongs": put(status=200.7),
    "200.0 where an integer belongs": put(status=200.0),
    "integer beyond 64 bits": put(epoch=2**63),
    "integer that a double would change": put(prediction=2**53 + 1),
    "negative epoch": put(epoch=-1),
    "duplicate key": swap('"status": 200', '"status": 200, "status": 500'),
    "duplicate key in a nested object": swap('{"plan"', '{"plan": 1, "plan"'),
    "duplicate key while another is missing": swap('"status": 200', '"epoch": 7'),
    "invalid UTF-8": TEXT.encode().replace(b"basic", b"bas\xff"),
    "lone surrogate": swap("basic", "\\ud800"),
    "NUL byte": TEXT.encode().replace(b"basic", b"\x00"),
    "NUL escape": swap("basic", "\\u0000"),
    "timestamp without a zone": put(timestamp="2026-03-02T10:00:00"),
    "timestamp as a number": put(timestamp=1772445600),
    "timestamp with nanoseconds": put(timestamp="2026-03-02T10:00:00.123456789Z"),
    "no such day": put(timestamp="2026-02-30T10:00:00Z"),
    "ancient timestamp": put(timestamp="1970-01-01T00:00:00Z"),
    "timestamp two days ahead": put(timestamp="2026-03-05T10:00:00Z"),
    "missing key": without("status"),
    "key in another case": swap('"status"', '"Status"'),
    "key that may be missing, in another case": swap('"epoch"', '"Epoch"'),
    "numeric id": put(unit_id=42),
    "empty id": put(unit_id=""),
    "id beyond 1,024 characters": put(unit_id="x" * 1025),
    "null request id": put(request_id=None),
    "null latency": put(latency_ms=None),
    "features as a string": put(features="{}"),
    "nested 33 deep": put(x=json.loads("[" * 32 + "]" * 32)),
    "longer than 1 MiB": put(features={"x": "y" * MAX_LINE_BYTES}),
}


class FixedClock:
    """A clock that stands still."""

    simulated = True

    def now(self):
        return NOW

    def wall(self):
        return 0.0


def test_the_page_and_the_lines_name_the_same_kinds():
    """The law: no verdict without a line, no line without a verdict."""
    assert [name for name, _, _ in ROWS] == list(LINES)


@pytest.mark.parametrize(("name", "verdict", "reason"), ROWS, ids=[row[0] for row in ROWS])
def test_the_parser_gives_the_verdict_of_the_page(name, verdict, reason):
    content, context = LINES[name], LineContext("predictions", "churn", str)
    if verdict == "blank":
        assert b"" == stripped(content)
    elif verdict == "accepted" or "ahead of the clock" in reason:  # the parser has no clock
        assert GOOD["request_id"] == parse_line(content, context).values["request_id"]
    else:
        with pytest.raises(LineRejectedError) as caught:
            parse_line(content, context)
        assert reason in caught.value.message


def test_a_whole_ingest_gives_the_verdicts_of_the_page(tmp_path):
    """The law: whatever path a line takes, its verdict and reason are those of the page, and every line is counted."""
    home = Home(tmp_path)
    path = home.logs / "predictions" / "churn" / "2026-03-02" / "kinds.jsonl"
    path.parent.mkdir(parents=True)
    contents = [content.replace(b"REQUEST", f"r{number}".encode()) for number, content in enumerate(LINES.values())]
    path.write_bytes(b"".join(content + b"\n" for content in contents))
    lake = IcebergLake(home)

    report = ingest(logs=LogFolder(home), lake=lake, clock=FixedClock())

    verdicts = [verdict for _, verdict, _ in ROWS]
    expected = (len(ROWS), verdicts.count("accepted"), verdicts.count("quarantined"), verdicts.count("blank"))
    assert expected == (report.lines, report.accepted, report.quarantined, report.blank)
    counts = kept_lines(lake, lake.head(), Selection())
    kept = {line.line: line.reason for line in every_line(lake, lake.head(), counts, Selection())}
    for number, (name, verdict, reason) in enumerate(ROWS, start=1):
        assert (verdict == "quarantined") == (number in kept), name
        assert reason in kept.get(number, reason), name
    lake.close()

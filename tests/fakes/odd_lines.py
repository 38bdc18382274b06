"""Every kind of odd line that a prediction log has been seen to hold, made from a good one, and its verdict.

Written from the rules of docs/tables.md, for generated logs; the page's own table has its own test.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Verdict = Literal["accepted", "quarantined", "late", "blank"]


@dataclass(frozen=True)
class OddLine:
    """One kind of odd line.

    Attributes:
        name: A few words.
        verdict: What every line of it is.
        make: A good line without its line end to the odd one; a result with a line end inside is two lines.
        reason: A word of the reason, when it is quarantined; of both reasons when it is two lines.
    """

    name: str
    verdict: Verdict
    make: Callable[[bytes], bytes]
    reason: str = ""


def _value(key: str, value: str) -> Callable[[bytes], bytes]:
    pattern = re.compile(rb'"%s": (?:"[^"]*"|[^,{}]+)' % key.encode())
    made = f'"{key}": {value}'.encode()
    return lambda line: pattern.sub(lambda _: made, line, count=1)


def _spliced(more: bytes) -> Callable[[bytes], bytes]:
    return lambda line: b"{" + more + b", " + line[1:]


def _shifted(line: bytes) -> bytes:
    """The same moment with the offset of India; only its hour and minute, and perhaps its day, are written anew."""
    from datetime import datetime, timedelta, timezone

    text = re.search(rb'"timestamp": "([^"]*)"', line)[1].decode()  # type: ignore[index]
    india = datetime.fromisoformat(text).astimezone(timezone(timedelta(hours=5, minutes=30)))
    return line.replace(text.encode(), india.isoformat(timespec="microseconds").encode())


def _without(key: str) -> Callable[[bytes], bytes]:
    pattern = re.compile(rb'"%s": (?:"[^"]*"|[^,{}]+), ' % key.encode())
    return lambda line: pattern.sub(b"", line, count=1)


ODD_LINES: tuple[OddLine, ...] = (
    OddLine("truncated", "quarantined", lambda line: line[: len(line) // 2], "not JSON"),
    OddLine("not JSON", "quarantined", lambda _: b"Traceback (most recent call last):", "not JSON"),
    OddLine("array", "quarantined", lambda line: b"[" + line + b"]", "not an object"),
    OddLine("string", "quarantined", lambda _: b'"an answer"', "not an object"),
    OddLine("two objects", "quarantined", lambda line: line + line, "more than one value"),
    OddLine(
        "object over two lines",
        "quarantined",
        lambda line: line.replace(b', "variant"', b'\n, "variant"', 1),
        "not JSON",
    ),
    OddLine("NaN", "quarantined", _value("prediction", "NaN"), "NaN"),
    OddLine("Infinity", "quarantined", _value("latency_ms", "Infinity"), "Infinity"),
    OddLine("1e999", "quarantined", _value("latency_ms", "1e999"), "double precision"),
    OddLine("number as string", "quarantined", _value("prediction", '"0.73"'), "prediction is not a number"),
    OddLine("boolean as number", "quarantined", _value("prediction", "true"), "prediction is not a number"),
    OddLine("float for an integer", "quarantined", _value("status", "200.7"), "status is not an integer"),
    OddLine("whole float for an integer", "quarantined", _value("epoch", "5.0"), "epoch is not an integer"),
    OddLine("integer beyond 64 bits", "quarantined", _value("status", "9223372036854775808"), "64 bits"),
    OddLine("duplicate key", "quarantined", _spliced(b'"status": 500'), "duplicate key"),
    OddLine(
        "duplicate key inside", "quarantined", lambda line: line.replace(b'"tenure"', b'"plan"', 1), "duplicate key"
    ),
    OddLine("invalid UTF-8", "quarantined", _spliced(b'"note": "\xff\xfe"'), "UTF-8"),
    OddLine("lone surrogate", "quarantined", _spliced(b'"note": "\\ud83d"'), "surrogate"),
    OddLine("escaped NUL", "quarantined", _spliced(b'"note": "a\\u0000"'), "NUL"),
    OddLine("NUL", "quarantined", _spliced(b'"note": "a\x00"'), "NUL"),
    OddLine("missing key", "quarantined", _without("latency_ms"), "missing key: latency_ms"),
    OddLine(
        "wrong case", "quarantined", lambda line: line.replace(b'"status"', b'"Status"'), "missing key: status (found"
    ),
    OddLine("numeric id", "quarantined", _value("request_id", "12345"), "request_id is not a string"),
    OddLine("empty id", "quarantined", _value("request_id", '""'), "request_id is empty"),
    OddLine("deep nesting", "quarantined", _spliced(b'"note": ' + b"[" * 40 + b"]" * 40), "nested"),
    OddLine("naive timestamp", "quarantined", _value("timestamp", '"2026-03-02T10:00:00"'), "time zone"),
    OddLine("impossible day", "quarantined", _value("timestamp", '"2026-02-30T10:00:00Z"'), "moment"),
    OddLine("future", "quarantined", _value("timestamp", '"2099-01-01T00:00:00Z"'), "ahead of the clock"),
    OddLine("ancient", "quarantined", _value("timestamp", '"1970-01-01T00:00:00Z"'), "2000"),
    OddLine("features as text", "quarantined", lambda line: re.sub(rb'{"plan".*}}', b'"{}"}', line), "features"),
    OddLine("CRLF", "accepted", lambda line: line + b"\r"),
    OddLine("byte order mark", "accepted", lambda line: b"\xef\xbb\xbf" + line),
    OddLine("offset in the timestamp", "accepted", _shifted),
    OddLine("unknown key", "accepted", _spliced(b'"trace": {"id": [1, 2.5, null]}')),
    OddLine("blanks around", "accepted", lambda line: b" \t" + line + b"  "),
    OddLine("surrogate pair", "accepted", _spliced(b'"note": "\\ud83d\\ude00 \xc3\xa9"')),
    OddLine("padded number", "accepted", lambda line: re.sub(rb'("charge": [0-9.]+)', rb"\g<1>00", line)),
    OddLine("empty", "blank", lambda _: b""),
    OddLine("blanks", "blank", lambda _: b" \t \r"),
)
"""Kinds that a log may hold by the hundred."""

HUGE_LINES: tuple[OddLine, ...] = (
    OddLine("line beyond 1 MiB", "quarantined", _spliced(b'"note": "' + b"x" * (1 << 20) + b'"'), "longer than"),
)
"""Kinds of a megabyte each."""

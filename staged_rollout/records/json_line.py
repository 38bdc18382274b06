"""One line of bytes to one JSON object, strictly: what two engines could read differently is refused."""

from __future__ import annotations

import json
import re
from math import isfinite
from typing import Any, NoReturn

from staged_rollout.errors import LineRejectedError

MAX_LINE_BYTES = 1 << 20
"""Longest line that is parsed, in bytes, without its line end."""

MAX_DEPTH = 32
"""Deepest nesting of objects and arrays."""

_BOM = b"\xef\xbb\xbf"
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_MIN_INTEGER, _MAX_INTEGER = -(2**63), 2**63 - 1


def rejected(reason: str, **facts: Any) -> NoReturn:
    """Refuse a line.

    Raises:
        LineRejectedError: always; the reason names keys, never a unit's id.
    """
    raise LineRejectedError(reason, **facts)


def stripped(line: bytes) -> bytes:
    """A line without byte order mark, line end and surrounding blanks (space, tab, CR, LF); empty means blank."""
    return line.removeprefix(_BOM).strip(b" \t\r\n")


def json_object(line: bytes) -> dict[str, Any]:
    """The one JSON object on a line.

    Args:
        line: Bytes with or without line end; CRLF and a byte order mark are tolerated.

    Raises:
        LineRejectedError: not UTF-8, not JSON, not one object, duplicate keys at any depth, NaN or infinite numbers
            (also by overflow, `1e999`), integers beyond 64 bits, lone surrogates, NUL, nesting beyond 32,
            or a line beyond 1 MiB.
    """
    body = stripped(line)
    if len(body) > MAX_LINE_BYTES:
        rejected(f"longer than {MAX_LINE_BYTES} bytes")
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        rejected(f"invalid UTF-8 at byte {error.start}")
    if "\x00" in text:
        rejected("NUL character")
    _refuse_depth(text)
    try:
        value = json.loads(
            text, object_pairs_hook=_object, parse_constant=_constant, parse_int=_integer, parse_float=_number
        )
    except json.JSONDecodeError as error:
        if error.msg == "Extra data":
            rejected("more than one value on the line")
        rejected(f"not JSON: {error.msg} at character {error.pos}")
    if not isinstance(value, dict):
        rejected(f"not an object but {_kind(value)}")
    if "\\u" in text:
        _refuse_characters(value)
    return value


def _refuse_depth(text: str) -> None:
    # Counting brackets is enough for nearly every line; only suspects pay for leaving out those inside strings.
    if text.count("{") + text.count("[") <= MAX_DEPTH:
        return
    depth = 0
    for character in re.sub(r"[^{}\[\]]", "", _STRING.sub("", text)):
        depth += 1 if character in "{[" else -1
        if depth > MAX_DEPTH:
            rejected(f"nested deeper than {MAX_DEPTH}")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        double = next(key for index, key in enumerate(keys) if key in keys[:index])
        rejected(f"duplicate key: {double[:64]!a}")
    return found


def _constant(name: str) -> NoReturn:
    rejected(f"not a number that JSON knows: {name}")


def _integer(digits: str) -> int:
    # A 64-bit integer has at most 19 digits and a sign; int() on more would cost time, or raise beyond 4,300.
    if len(digits) > 20 or not _MIN_INTEGER <= int(digits) <= _MAX_INTEGER:
        rejected("integer beyond 64 bits")
    return int(digits)


def _number(digits: str) -> float:
    value = float(digits)
    if not isfinite(value):
        rejected("number beyond double precision")
    return value


def _refuse_characters(value: Any) -> None:
    if isinstance(value, str):
        if "\x00" in value:
            rejected("NUL character")
        if any("\ud800" <= character <= "\udfff" for character in value):
            rejected("lone surrogate")
    elif isinstance(value, dict):
        for key, inner in value.items():
            _refuse_characters(key)
            _refuse_characters(inner)
    elif isinstance(value, list):
        for inner in value:
            _refuse_characters(inner)


def _kind(value: Any) -> str:
    names = {list: "an array", str: "a string", bool: "true or false", int: "a number", float: "a number"}
    return names.get(type(value), "null")

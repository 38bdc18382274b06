"""Typed access to the keys of a parsed line: no coercion, and every refusal names its key."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from staged_rollout.records.json_line import rejected

MAX_TEXT = 1024
"""Longest id or name, in characters."""

EARLIEST_YEAR = 2000
"""Timestamps before this year are clocks gone wrong; each would open a partition of its own."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LOOSE = re.compile(r"\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}:\d{2}(?:\.\d{1,6})?(?P<zone>Z|[+-]\d{2}:\d{2})?)?", re.ASCII)
_TIMESTAMP = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{1,6})?(?P<zone>Z|[+-]\d{2}:\d{2})?", re.ASCII)


def present(record: Mapping[str, Any], key: str) -> Any:
    """The value of a key that must be there, in exactly this case.

    Raises:
        LineRejectedError: missing; a key that differs only in case is named.
    """
    if key not in record:
        twin = next((other for other in record if other.lower() == key.lower()), None)
        rejected(f"missing key: {key}" + (f" (found {twin[:64]!a})" if twin else ""))
    return record[key]


def text(record: Mapping[str, Any], key: str) -> str:
    """A non-empty string of at most 1,024 characters.

    Raises:
        LineRejectedError: missing, null, not a string, empty, blank or too long.
    """
    return as_text(present(record, key), key)


def text_or_null(record: Mapping[str, Any], key: str) -> str | None:
    """As `text`, or null; the key must be there.

    Raises:
        LineRejectedError: as `text`.
    """
    return None if present(record, key) is None else text(record, key)


def optional_text(record: Mapping[str, Any], key: str) -> str | None:
    """As `text`, or None when the key is missing or null.

    Raises:
        LineRejectedError: there, and not such a string.
    """
    return None if record.get(key) is None else text(record, key)


def number(record: Mapping[str, Any], key: str) -> float:
    """A finite double; an integer counts when a double holds it exactly.

    Raises:
        LineRejectedError: missing, null, a string, true or false, or an integer that a double would change.
    """
    return as_number(present(record, key), key)


def number_or_null(record: Mapping[str, Any], key: str) -> float | None:
    """As `number`, or null; the key must be there.

    Raises:
        LineRejectedError: as `number`.
    """
    return None if present(record, key) is None else number(record, key)


def integer(record: Mapping[str, Any], key: str) -> int:
    """A 64-bit integer, written without point or exponent.

    Raises:
        LineRejectedError: missing, null, or anything else (`200.0` too).
    """
    return as_integer(present(record, key), key)


def flag(record: Mapping[str, Any], key: str) -> bool:
    """True or false.

    Raises:
        LineRejectedError: missing, null, or anything else (`0` and `"true"` too).
    """
    return as_flag(present(record, key), key)


def mapping(record: Mapping[str, Any], key: str) -> dict[str, Any]:
    """A JSON object.

    Raises:
        LineRejectedError: missing, null, or anything else.
    """
    return as_mapping(present(record, key), key)


def timestamp(record: Mapping[str, Any], key: str) -> datetime:
    """A moment with its zone, in UTC: `2026-02-14T17:25:49.123456Z` or with an offset such as `+05:30`.

    Raises:
        LineRejectedError: no zone, no real date, another format, more than six decimals, or before the year 2000.
    """
    return as_timestamp(present(record, key), key)


def as_text(value: Any, key: str) -> str:
    """A value as `text` has it; `key` is what a reason calls it."""
    if not isinstance(value, str):
        rejected(f"{key} is not a string")
    if not value.strip():
        rejected(f"{key} is empty")
    if len(value) > MAX_TEXT:
        rejected(f"{key} is longer than {MAX_TEXT} characters")
    return value


def as_number(value: Any, key: str) -> float:
    """A value as `number` has it."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        rejected(f"{key} is not a number")
    if isinstance(value, int) and int(float(value)) != value:
        rejected(f"{key} is an integer that double precision would change")
    return float(value)


def as_integer(value: Any, key: str) -> int:
    """A value as `integer` has it."""
    if isinstance(value, bool) or not isinstance(value, int):
        rejected(f"{key} is not an integer")
    return value


def as_flag(value: Any, key: str) -> bool:
    """A value as `flag` has it."""
    if not isinstance(value, bool):
        rejected(f"{key} is not true or false")
    return value


def as_mapping(value: Any, key: str) -> dict[str, Any]:
    """A value as `mapping` has it."""
    if not isinstance(value, dict):
        rejected(f"{key} is not an object")
    return value


def as_timestamp(value: Any, key: str) -> datetime:
    """A value as `timestamp` has it."""
    match = _TIMESTAMP.fullmatch(as_text(value, key))
    if match is None:
        rejected(f"{key} is not a timestamp like 2026-02-14T17:25:49.123Z")
    if match["zone"] is None:
        rejected(f"{key} has no time zone")
    return _moment(value, key)


def as_utc(value: Any, key: str) -> datetime:
    """A moment or a day, with T or a blank between; one without a zone is in UTC, and a day begins at midnight."""
    if _LOOSE.fullmatch(as_text(value, key)) is None:
        rejected(f"{key} is not a timestamp like 2026-02-14 17:25:49.123")
    return _moment(value, key)


def as_unix(value: Any, key: str, unit: timedelta) -> datetime:
    """A moment as a number of units since the begin of 1970, to the microsecond."""
    as_number(value, key)
    try:
        return _not_ancient(_EPOCH + unit * value, key)
    except OverflowError:
        rejected(f"{key} is not a real moment")


def _moment(value: str, key: str) -> datetime:
    try:
        read = datetime.fromisoformat(value)
        moment = (read if read.tzinfo else read.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        rejected(f"{key} is not a real moment")
    return _not_ancient(moment, key)


def _not_ancient(moment: datetime, key: str) -> datetime:
    if moment.year < EARLIEST_YEAR:
        rejected(f"{key} is before the year {EARLIEST_YEAR}")
    return moment

"""Timestamps of many lines to moments, in the formats that the strict parser accepts."""

from __future__ import annotations

from datetime import MAXYEAR, UTC, datetime
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from staged_rollout.errors import LineRejectedError
from staged_rollout.records import fields
from staged_rollout.records.fast_columns import Cells, Column, bools, by_value, where
from staged_rollout.records.fast_index import LineIndex, Mask, Positions
from staged_rollout.records.fast_match import Choice

_HOUR_BYTES = 13  # 2026-02-14T17
_SECONDS_END = 19  # 2026-02-14T17:25:49
_ZULU, _COLON, _POINT, _ZERO = 90, 58, 46, 48
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EARLIEST = (datetime(fields.EARLIEST_YEAR, 1, 1, tzinfo=UTC) - _EPOCH).total_seconds() * 1e6
_LATEST = 2.0**51  # microseconds: in the year 2041
_WITHOUT_ZONE = r"^[2-8][0-9]{3}-[0-9]{2}-[0-9]{2}[T ](?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,6})?$"
_Whole = npt.NDArray[np.int64]


def moment_column(cells: Cells | Choice) -> Column:
    """As `fields.timestamp`: the hour and its zone are read once, strictly; minutes, seconds and decimals are added.

    That is the same moment, because all zones lie whole minutes from UTC.

    Args:
        cells: The timestamps.
    """
    import pyarrow as pa

    if isinstance(cells, Choice):
        return by_value(cells, fields.timestamp, pa.timestamp("us", tz="UTC"))
    values, proved = np.zeros(len(cells), np.int64), np.zeros(len(cells), np.bool_)
    lengths = cells.ends - cells.begins
    zulu = cells.index.letters[cells.ends - 1] == _ZULU
    usable = cells.strings & (lengths >= _SECONDS_END + 1) & (lengths <= _SECONDS_END + 13)
    forms = np.where(usable, 2 * lengths + zulu, 0)
    for form in np.flatnonzero(np.bincount(forms)) if len(forms) else ():
        zone = 1 if form & 1 else 6
        decimals = int(form >> 1) - _SECONDS_END - zone - 1
        if form and (decimals == -1 or 1 <= decimals <= 6):
            rows = np.flatnonzero(forms == form)
            begins = cells.begins[rows]
            values[rows], proved[rows] = _moments(cells.index, begins, cells.ends[rows], zone, max(decimals, 0))
    return Column(pa.array(values).cast(pa.timestamp("us", tz="UTC")), proved)


def utc_column(texts: Any) -> Column:
    """As `fields.as_utc` for moments without a zone; those with one, and days alone, are not proved.

    Args:
        texts: A pyarrow Array of the timestamps' texts.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    plain = bools(pc.match_substring_regex(texts, _WITHOUT_ZONE))
    try:
        values = where(plain, texts).cast(pa.timestamp("us"))
    except pa.ArrowInvalid:  # the 30th of a February: the strict parser finds out which line
        return Column(pa.nulls(len(texts), pa.timestamp("us", tz="UTC")), np.zeros(len(texts), np.bool_))
    return Column(values.cast(pa.timestamp("us", tz="UTC")), plain)


def unix_column(numbers: Any, scale: int) -> Column:
    """As `fields.as_unix`: numbers since 1970 as moments.

    The strict parser rounds the exact product to whole microseconds. The product here is wrong by at most an eighth of
    one below 2^51, so that one within .37 of a whole number is rounded to the same.

    Args:
        numbers: A pyarrow Array of doubles.
        scale: Microseconds in one unit.
    """
    import pyarrow as pa

    told = numbers.fill_null(np.nan).to_numpy(zero_copy_only=False) * scale
    with np.errstate(invalid="ignore"):
        whole = np.rint(told)
        proved = (whole >= _EARLIEST) & (whole < _LATEST) & (np.abs(told - whole) < 0.37)
    values = np.where(proved, whole, 0).astype(np.int64)
    return Column(pa.array(values).cast(pa.timestamp("us", tz="UTC")), proved)


def _moments(index: LineIndex, begins: Positions, ends: Positions, zone: int, decimals: int) -> tuple[_Whole, Mask]:
    """Moments of timestamps of one form, in microseconds, and which of them are proved."""
    values, proved = _hours(index, begins, ends, zone)
    # :MM:SS, and the byte after it
    word = index.words[begins + _HOUR_BYTES]
    letters = [((word >> np.uint64(8 * place)) & np.uint64(255)).astype(np.uint8) for place in range(7)]
    minutes, seconds = _digits(letters[1:3], proved), _digits(letters[4:6], proved)
    proved &= (letters[0] == _COLON) & (letters[3] == _COLON) & (minutes < 60) & (seconds < 60)
    values += 1_000_000 * (60 * minutes + seconds)
    if decimals:
        proved &= letters[6] == _POINT
        word = index.words[begins + _SECONDS_END + 1]
        letters = [((word >> np.uint64(8 * place)) & np.uint64(255)).astype(np.uint8) for place in range(decimals)]
        values += 10 ** (6 - decimals) * _digits(letters, proved)
    return values, proved


def _digits(letters: list[npt.NDArray[np.uint8]], proved: Mask) -> _Whole:
    """The number that digits make; lines where one is none are not proved any more."""
    value = np.zeros(len(proved), np.int64)
    for letter in letters:
        digit = letter - np.uint8(_ZERO)
        proved &= digit <= 9
        value = 10 * value + digit
    return value


def _hours(index: LineIndex, begins: Positions, ends: Positions, zone: int) -> tuple[_Whole, Mask]:
    """The hour and the zone of each timestamp as microseconds, and whether there is such an hour."""
    import pyarrow as pa

    words = np.empty((len(begins), 2 if zone == 1 else 3), np.uint64)
    words[:, 0] = index.words[begins]
    np.bitwise_and(index.words[begins + 8], np.uint64((1 << 40) - 1), out=words[:, 1])
    if zone != 1:
        np.bitwise_and(index.words[ends - zone], np.uint64((1 << 48) - 1), out=words[:, 2])
    width = 8 * words.shape[1]
    encoded = pa.Array.from_buffers(pa.binary(width), len(begins), [None, pa.py_buffer(words)]).dictionary_encode()
    found = [_hour(key[:_HOUR_BYTES], key[16:].rstrip(b"\0") or b"Z") for key in encoded.dictionary.to_pylist()]
    codes = encoded.indices.to_numpy()
    hours = np.array([0 if hour is None else hour for hour in found], np.int64)
    known = np.array([hour is not None for hour in found], np.bool_)
    return hours[codes], known[codes]


@lru_cache(maxsize=1 << 12)
def _hour(hour: bytes, zone: bytes) -> int | None:
    """Microseconds since 1970 of an hour in a zone, or None when the strict parser knows no such hour."""
    try:
        text: Any = (hour + b":00:00" + zone).decode("utf-8")
        moment = fields.timestamp({"x": text}, "x")
    except (UnicodeDecodeError, LineRejectedError):
        return None
    if moment.year == MAXYEAR:
        return None  # its last minutes might lie beyond what there is
    whole = moment - _EPOCH
    return (whole.days * 86_400 + whole.seconds) * 1_000_000

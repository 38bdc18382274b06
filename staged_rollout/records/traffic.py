"""Requests to send again, from the lines of a CSV or JSONL file; a line that is none is told with its number."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import StringIO
from typing import Any, BinaryIO, Literal

from staged_rollout.errors import DataError

BODY_LIMIT = 6_291_456
"""Bytes. Source: the Body member of InvokeEndpointInput in botocore's model of `sagemaker-runtime`."""
UNIT_LIMIT = 256
"""Bytes of a unit's id in UTF-8: percent-encoded it still fits into CustomAttributes (1,024 characters)."""
CSV_TYPE, JSON_TYPE = "text/csv", "application/json"

Kind = Literal["csv", "jsonl"]

_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,17})(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?")


@dataclass(frozen=True)
class TrafficFormat:
    """How a file is read, and what is made of its lines.

    Attributes:
        kind: `csv` or `jsonl`.
        header: Whether the first line of a CSV file names its columns.
        content_type: What is sent: `text/csv` or `application/json`.
        unit: The column that holds the unit's id; it is told beside the features. None: there is none.
        label: The column that holds what was true; it is never sent. None: there is none.
        positive: The text that is the label 1, every other being 0; None: labels are numbers.
    """

    kind: Kind
    header: bool
    content_type: str
    unit: str | None = None
    label: str | None = None
    positive: str | None = None


@dataclass(frozen=True)
class TrafficLine:
    """One request.

    Attributes:
        number: The line's number in the file, counted from 1.
        body: What is sent.
        features: The same as an object, for a router; None where columns have no names.
        unit: The unit's id, or None.
        label: What was true, or None.
        size: Bytes of the line in the file.
    """

    number: int
    body: bytes
    features: dict[str, Any] | None
    unit: str | None
    label: float | None
    size: int


@dataclass(frozen=True)
class BadLine:
    """A line that is no request, and why."""

    number: int
    reason: str
    size: int


class _NotARequestError(Exception):
    """Why a line is none."""


def read_traffic(stream: BinaryIO, told: TrafficFormat) -> Iterator[TrafficLine | BadLine]:
    """The requests of a file, one line after another; it is never held as a whole. Blank lines are passed over.

    A row is one line: a quoted field that goes on in the next line is refused, since a text/csv endpoint would take
    its halves for two rows.

    Args:
        stream: The file, at its beginning.
        told: How it is read.

    Raises:
        DataError: the header does not name a column that is asked for, or names one twice.
    """
    number, names = 0, None
    while line := stream.readline(BODY_LIMIT + 2):
        number += 1
        size = len(line)
        if size > BODY_LIMIT + 1 and not line.endswith(b"\n"):
            size += _pass_over(stream)
            yield BadLine(number, f"longer than {BODY_LIMIT:,} bytes", size)
            continue
        if number == 1:
            line = line.removeprefix(b"\xef\xbb\xbf")
        if not line.strip():
            continue
        try:
            if told.kind == "jsonl":
                yield _of_object(number, size, _json_object(line), told)
                continue
            cells = _cells(line)
            if told.header and names is None:
                names = _names(cells, told)
                continue
            yield _of_cells(number, size, line, _Columns(names, cells), told)
        except _NotARequestError as error:
            if told.kind == "csv" and told.header and names is None:
                raise DataError(f"line {number}, the header: {error}", line=number) from error
            yield BadLine(number, str(error), size)


def _pass_over(stream: BinaryIO) -> int:
    """Read to the end of a line; its size in bytes."""
    size = 0
    while part := stream.readline(BODY_LIMIT):
        size += len(part)
        if part.endswith(b"\n"):
            break
    return size


def _text(line: bytes) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise _NotARequestError(f"not UTF-8 at byte {error.start + 1}") from error


def _cells(line: bytes) -> list[str]:
    try:
        rows = list(csv.reader([_text(line).rstrip("\r\n")], strict=True))
    except csv.Error as error:
        raise _NotARequestError(f"not a CSV row: {error}") from error
    return rows[0]


def _names(cells: Sequence[str], told: TrafficFormat) -> list[str]:
    names = [cell.strip() for cell in cells]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise _NotARequestError(f"column {twice[0]!r} stands there twice")
    for column in (told.unit, told.label):
        if column is not None and column not in names:
            raise _NotARequestError(f"no column {column!r}, there are {', '.join(names)[:300]}")
    return names


@dataclass(frozen=True)
class _Columns:
    """One row; columns are named, or counted from 1 where the file has no header."""

    names: list[str] | None
    cells: list[str]

    def position(self, column: str | None) -> int | None:
        if column is None:
            return None
        if self.names is not None:
            return self.names.index(column)
        position = int(column) - 1
        if position >= len(self.cells):
            raise _NotARequestError(f"no column {column}, there are {len(self.cells)}")
        return position


def _of_cells(number: int, size: int, line: bytes, row: _Columns, told: TrafficFormat) -> TrafficLine:
    cells = row.cells
    if row.names is not None and len(cells) != len(row.names):
        raise _NotARequestError(f"{len(cells)} fields, the header has {len(row.names)}")
    unit_at, label_at = row.position(told.unit), row.position(told.label)
    unit = None if unit_at is None else _unit(cells[unit_at])
    label = None if label_at is None else _label(cells[label_at], told.positive)
    apart = {unit_at, label_at}
    features = None
    if row.names is not None:
        pairs = zip(row.names, cells, strict=True)
        features = {name: _value(cell) for at, (name, cell) in enumerate(pairs) if at not in apart}
    if told.content_type == JSON_TYPE:
        body = json.dumps(features).encode()
    elif apart == {None}:
        body = line.rstrip(b"\r\n")
    else:
        body = _csv_row([cell for at, cell in enumerate(cells) if at not in apart])
    return _bounded(TrafficLine(number, body, features, unit, label, size))


def _of_object(number: int, size: int, record: dict[str, Any], told: TrafficFormat) -> TrafficLine:
    for column in (told.unit, told.label):
        if column is not None and column not in record:
            raise _NotARequestError(f"no member {column!r}")
    unit = None if told.unit is None else _unit(record.pop(told.unit))
    label = None if told.label is None else _label(record.pop(told.label), told.positive)
    if told.content_type == CSV_TYPE:
        nested = [name for name, value in record.items() if isinstance(value, (dict, list))]
        if nested:
            raise _NotARequestError(f"member {nested[0]!r} is not one field of a CSV row")
        body = _csv_row(["" if value is None else value for value in record.values()])
    else:
        body = json.dumps(record).encode()
    return _bounded(TrafficLine(number, body, record, unit, label, size))


def _json_object(line: bytes) -> dict[str, Any]:
    try:
        record = json.loads(_text(line), parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise _NotARequestError(f"not JSON: {error}") from error
    if not isinstance(record, dict):
        raise _NotARequestError("not a JSON object")
    return record


def _no_number(text: str) -> float:
    raise _NotARequestError(f"{text} is not JSON")


def _csv_row(cells: Sequence[Any]) -> bytes:
    text = StringIO()
    csv.writer(text, lineterminator="").writerow(cells)
    try:
        return text.getvalue().encode()
    except UnicodeEncodeError as error:
        raise _NotARequestError("not text that UTF-8 can write") from error


def _value(cell: str) -> Any:
    """A cell as JSON has it: a number that is written as JSON writes one, null for an empty cell, else text.

    `007` stays text: it is somebody's code, and not seven.
    """
    if cell == "":
        return None
    if not _NUMBER.fullmatch(cell):
        return cell
    number = float(cell)
    if not math.isfinite(number):
        return cell
    return int(cell) if cell.lstrip("-").isdecimal() else number


def _unit(value: Any) -> str | None:
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise _NotARequestError("the unit's id is neither text nor a whole number")
    unit = str(value)
    try:
        length = len(unit.encode())
    except UnicodeEncodeError as error:
        raise _NotARequestError("the unit's id is not text that UTF-8 can write") from error
    if length > UNIT_LIMIT:
        raise _NotARequestError(f"the unit's id has {length} bytes, must be at most {UNIT_LIMIT}")
    return unit


def _label(value: Any, positive: str | None) -> float:
    if positive is not None:
        if value is None or value == "":
            raise _NotARequestError("the label is empty")
        return float(str(value) == positive)
    try:
        label = float(value)
    except (TypeError, ValueError) as error:
        raise _NotARequestError(f"the label is {str(value)[:40]!r}, must be a number") from error
    if not math.isfinite(label):
        raise _NotARequestError(f"the label is {label}, must be finite")
    return label


def _bounded(line: TrafficLine) -> TrafficLine:
    if len(line.body) > BODY_LIMIT:
        raise _NotARequestError(f"its request has {len(line.body):,} bytes, must be at most {BODY_LIMIT:,}")
    return line

"""One log line to one row: the strict Python path, pure and without a clock.

Keys that a record does not know are ignored, so that a router may log more than the lake keeps.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from staged_rollout.errors import DataError, LineRejectedError
from staged_rollout.records import fields
from staged_rollout.records.blocks import LineContext
from staged_rollout.records.json_line import json_object, rejected
from staged_rollout.records.tables import TableName


@dataclass(frozen=True)
class Row:
    """A line that is a record.

    Attributes:
        table: The table that it belongs to.
        timestamp: Event time, UTC.
        values: Column to value, without `source` and `line`.
        identities: 16-byte hashes; a row with any identity that the lake holds for its event date is a duplicate.
    """

    table: TableName
    timestamp: datetime
    values: Mapping[str, Any]
    identities: tuple[bytes, ...]

    @property
    def event_date(self) -> date:
        """UTC day of the event."""
        return self.timestamp.date()


def parse_line(content: bytes, context: LineContext) -> Row:
    """One line of a kind of log.

    Args:
        content: The bytes, with or without line end.
        context: What its file says of it.

    Raises:
        LineRejectedError: the line is no such record, with the reason.
        DataError: no parser for such a log.
    """
    if context.kind == "predictions":
        return parse_prediction(content, endpoint=context.endpoint, pseudonym=context.pseudonym)
    if context.kind == "outcomes":
        return parse_outcome(content, endpoint=context.endpoint, pseudonym=context.pseudonym)
    if context.kind == "capture":
        return parse_capture(content, endpoint=context.endpoint, variant=context.variant or "")
    raise DataError(f"no parser for {context.kind} logs", hint="accepted: predictions, outcomes, capture")


def parse_prediction(line: bytes, *, endpoint: str, pseudonym: Callable[[str], str]) -> Row:
    """One line of the router's flat log.

    Args:
        line: The bytes, with or without line end.
        endpoint: From the file's place.
        pseudonym: Keyed hash of a unit id.

    Raises:
        LineRejectedError: the line is not such a record, with the reason.
    """
    record = json_object(line)
    request_id = fields.text(record, "request_id")
    timestamp = fields.timestamp(record, "timestamp")
    unit = fields.text_or_null(record, "unit_id")
    epoch = fields.integer(record, "epoch")
    if epoch < 0:
        rejected("epoch is negative")
    values = {
        "request_id": request_id,
        "timestamp": timestamp,
        "event_date": timestamp.date(),
        "endpoint": endpoint,
        "rollout": fields.text_or_null(record, "rollout"),
        "unit_id": None if unit is None else pseudonym(unit),
        "assigned_variant": fields.text_or_null(record, "assigned_variant"),
        "variant": fields.text_or_null(record, "variant"),
        "fallback": fields.flag(record, "fallback"),
        "epoch": epoch,
        "model_version": fields.text_or_null(record, "model_version"),
        "prediction": fields.number_or_null(record, "prediction"),
        "latency_ms": fields.number(record, "latency_ms"),
        "status": fields.integer(record, "status"),
        "features": json.dumps(fields.mapping(record, "features"), ensure_ascii=False, separators=(",", ":")),
        "measures": None,
        "shadow_variant": None,
        "shadow_prediction": None,
        "shadow_latency_ms": None,
    }
    return Row("predictions", timestamp, values, (_identity("request", endpoint, request_id),))


def parse_outcome(line: bytes, *, endpoint: str, pseudonym: Callable[[str], str]) -> Row:
    """One line of `{"unit_id" or "request_id", "timestamp", "outcome"}`; both ids may be given.

    Args:
        line: The bytes, with or without line end.
        endpoint: From the file's place.
        pseudonym: Keyed hash of a unit id.

    Raises:
        LineRejectedError: the line is not such a record, with the reason.
    """
    record = json_object(line)
    unit, request_id = fields.optional_text(record, "unit_id"), fields.optional_text(record, "request_id")
    if unit is None and request_id is None:
        rejected("missing key: unit_id or request_id")
    timestamp, outcome = fields.timestamp(record, "timestamp"), fields.number(record, "outcome")
    unit_id = None if unit is None else pseudonym(unit)
    values = {
        "unit_id": unit_id,
        "request_id": request_id,
        "timestamp": timestamp,
        "event_date": timestamp.date(),
        "endpoint": endpoint,
        "outcome": outcome,
        "name": None,
    }
    # Adding 0.0 makes -0.0 and 0.0, which are equal, one identity.
    parts = (unit_id or "", timestamp.isoformat(), (outcome + 0.0).hex(), request_id or "")
    return Row("outcomes", timestamp, values, (_identity("outcome", endpoint, *parts),))


def parse_capture(line: bytes, *, endpoint: str, variant: str) -> Row:
    """One line of SageMaker's Data Capture.

    Args:
        line: The bytes, with or without line end.
        endpoint: From the file's place.
        variant: From the file's place; the line itself does not say which variant answered.

    Raises:
        LineRejectedError: the line is not such a record, with the reason.
    """
    record = json_object(line)
    capture, metadata = fields.mapping(record, "captureData"), fields.mapping(record, "eventMetadata")
    event_id = fields.text(metadata, "eventId")
    inference_id = fields.optional_text(metadata, "inferenceId")
    timestamp = fields.timestamp(metadata, "inferenceTime")
    output = payload(capture, "endpointOutput")
    values = {
        "event_id": event_id,
        "inference_id": inference_id,
        "timestamp": timestamp,
        "event_date": timestamp.date(),
        "endpoint": endpoint,
        "variant": variant,
        "input": payload(capture, "endpointInput"),
        "output": output,
        "prediction": None if output is None else prediction_of(output),
        "rollout": None,
        "unit_id": None,
    }
    identities = [_identity("event", endpoint, variant, event_id)]
    if inference_id is not None:
        identities.append(_identity("inference", endpoint, variant, inference_id))
    return Row("captures", timestamp, values, tuple(identities))


def prediction_of(output: str) -> float | None:
    """The number in a response: `{"prediction": 1}`, or the first field of a CSV line; None when there is none.

    >>> prediction_of('{"prediction": 1}'), prediction_of("0.25,0.75"), prediction_of("no")
    (1.0, 0.25, None)
    """
    body = output.strip()
    try:
        if body.startswith("{"):
            return fields.number_or_null(json_object(body.encode()), "prediction")
        first = body.split("\n", 1)[0].split(",", 1)[0].strip()
        return fields.number(json_object(b'{"prediction":' + first.encode() + b"}"), "prediction")
    except LineRejectedError:
        return None


def payload(capture: Mapping[str, Any], side: str) -> str | None:
    """The text of `endpointInput` or `endpointOutput`; None when it was not captured.

    Raises:
        LineRejectedError: no data, no encoding, or data that is not what the encoding says.
    """
    if capture.get(side) is None:
        return None  # DataCaptureConfig may ask for one side only
    part = fields.mapping(capture, side)
    data, encoding = fields.present(part, "data"), fields.text(part, "encoding")
    if not isinstance(data, str):
        rejected(f"{side}.data is not a string")
    if encoding != "BASE64":
        return data
    try:
        decoded = base64.b64decode(data, validate=True).decode("utf-8")
    except binascii.Error:
        rejected(f"{side}.data is not BASE64")
    except UnicodeDecodeError:
        return data
    return data if "\x00" in decoded else decoded


def _identity(*parts: str) -> bytes:
    # md5 because every engine has it. Only the last part is free text (the others come from a path or are made here),
    # so that no two lists of parts join into the same string.
    return hashlib.md5("\x1f".join(parts).encode(), usedforsecurity=False).digest()

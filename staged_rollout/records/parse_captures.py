"""Lines of SageMaker's Data Capture: payloads as they are, and exposures where a rule finds the unit."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any

from staged_rollout.errors import LineRejectedError
from staged_rollout.records import fields
from staged_rollout.records.blocks import LineContext
from staged_rollout.records.json_line import json_object, rejected
from staged_rollout.records.line_fields import LineFields, compact
from staged_rollout.records.row import Row, identity

_PAIRS = re.compile(r"[,;&\s]+")


def capture_row(record: Mapping[str, Any], context: LineContext) -> Row:
    """One line of Data Capture, event version 0.

    Args:
        record: The parsed line.
        context: What its file says of it; with a rule for `unit_id` the row is an exposure, of `predictions`.

    Raises:
        LineRejectedError: the line is not such a record, with the reason.
    """
    capture, metadata = fields.mapping(record, "captureData"), fields.mapping(record, "eventMetadata")
    event_id = fields.text(metadata, "eventId")
    inference_id = fields.optional_text(metadata, "inferenceId")
    timestamp = fields.timestamp(metadata, "inferenceTime")
    request, response = payload(capture, "endpointInput"), payload(capture, "endpointOutput")
    line = None
    if context.fields.theirs or context.fields.measures:
        line = LineFields(_reachable(record, metadata, request, response), context.fields)
    variant = context.variant if line is None or not line.named("variant") else line.text("variant")
    if variant is None:
        rejected("no variant: the file's place does not say it")
    if line is not None and line.named("prediction"):
        prediction = line.number_or_null("prediction")
    else:
        prediction = None if response is None else prediction_of(response)
    rollout = None if line is None else line.optional_text("rollout")
    if line is not None and context.table == "predictions":
        return _exposure(line, context, variant, timestamp, (inference_id or event_id, rollout, prediction, request))
    values = {
        "event_id": event_id,
        "inference_id": inference_id,
        "timestamp": timestamp,
        "event_date": timestamp.date(),
        "endpoint": context.endpoint,
        "variant": variant,
        "input": request,
        "output": response,
        "prediction": prediction,
        "rollout": rollout,
        "unit_id": None,
    }
    identities = [identity("event", context.endpoint, variant, event_id)]
    if inference_id is not None:
        identities.append(identity("inference", context.endpoint, variant, inference_id))
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
        return first_number(body)
    except LineRejectedError:
        return None


def first_number(text: str) -> float:
    """The number in the first field of CSV text.

    Raises:
        LineRejectedError: it is none.
    """
    first = text.strip().split("\n", 1)[0].split(",", 1)[0].strip()
    return fields.number(json_object(b'{"data":' + first.encode() + b"}"), "data")


def payload(holder: Mapping[str, Any], side: str) -> str | None:
    """The text of one side; BASE64 is decoded where it is UTF-8 text without NUL, and stays as it is elsewhere.

    Raises:
        LineRejectedError: no such shape.
    """
    if holder.get(side) is None:
        return None  # DataCaptureConfig may ask for one side only
    part = fields.mapping(holder, side)
    data, encoding = fields.present(part, "data"), fields.text(part, "encoding")
    if not isinstance(data, str):
        rejected(f"{side}.data is not a string")
    if encoding != "BASE64":
        return data
    try:
        decoded = base64.b64decode(data, validate=True).decode("utf-8")
    except UnicodeDecodeError:
        return data
    except ValueError:  # binascii.Error, or letters beyond ASCII
        rejected(f"{side}.data is not BASE64")
    return data if "\x00" in decoded else decoded


def _exposure(
    line: LineFields,
    context: LineContext,
    variant: str,
    timestamp: Any,
    told: tuple[str, str | None, float | None, str | None],
) -> Row:
    captured_id, rollout, prediction, request = told
    request_id = line.text("request_id") if line.named("request_id") else captured_id
    if line.named("features") or any(name.startswith("features.") for name in context.fields.theirs):
        features = line.features(needed=False)
    else:
        features = compact(_object(request))
    unit = line.text_or_null("unit_id")
    values = {
        "request_id": request_id,
        "timestamp": timestamp,
        "event_date": timestamp.date(),
        "endpoint": context.endpoint,
        "rollout": rollout,
        "unit_id": None if unit is None else context.pseudonym(unit),
        "assigned_variant": variant,
        "variant": variant,
        "fallback": False,
        "epoch": 0,
        "model_version": line.optional_text("model_version"),
        "prediction": prediction,
        "latency_ms": None,
        "status": None,
        "features": features,
        "measures": line.measures(),
        "shadow_variant": None,
        "shadow_prediction": None,
        "shadow_latency_ms": None,
    }
    return Row("predictions", timestamp, values, (identity("request", context.endpoint, request_id),))


def _reachable(
    record: Mapping[str, Any], metadata: Mapping[str, Any], request: str | None, response: str | None
) -> dict[str, Any]:
    """What a rule may name: the line's own keys, and short ways to its metadata and to payloads that are objects."""
    short = {name: metadata[name] for name in ("eventId", "inferenceId") if metadata.get(name) is not None}
    return {
        **record,
        **short,
        "customAttributes": _attributes(metadata.get("customAttributes")),
        "input": _object(request),
        "output": _object(response),
    }


def _attributes(given: Any) -> dict[str, str]:
    """`["unit=42;rollout=churn-v3"]` as a mapping; what is no pair is left out."""
    texts = [given] if isinstance(given, str) else given if isinstance(given, list) else []
    found: dict[str, str] = {}
    for text in texts:
        if not isinstance(text, str):
            continue
        for pair in _PAIRS.split(text):
            name, sign, value = pair.partition("=")
            if not sign:
                continue
            if found.setdefault(name, value) != value:
                rejected(f"customAttributes.{name[:64]} is there twice, with two values")
    return found


def _object(text: str | None) -> dict[str, Any]:
    if text is None or not text.lstrip().startswith("{"):
        return {}
    try:
        return json_object(text.encode())
    except LineRejectedError:
        return {}

"""Lines that tell an answer: the router's flat log, and shadow lines that tell two."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from staged_rollout.records.blocks import LineContext
from staged_rollout.records.json_line import rejected
from staged_rollout.records.line_fields import LineFields
from staged_rollout.records.row import Row, identity

CHAMPION_SIDES = ("champion", "production")
SHADOW_SIDES = ("shadow", "candidate", "challenger")
_OF_A_SIDE = ("variant", "model_version", "prediction", "latency_ms", "status")


def prediction_row(record: Mapping[str, Any], context: LineContext) -> Row:
    """One line of the router's flat log; `assigned_variant`, `fallback` and `epoch` may be missing.

    Args:
        record: The parsed line.
        context: What its file says of it.

    Raises:
        LineRejectedError: the line is not such a record, with the reason.
    """
    line = LineFields(record, context.fields)
    return _row(record, context, line, None)


def shadow_row(record: Mapping[str, Any], context: LineContext) -> Row:
    """One line that tells the champion's answer and the shadow's.

    Args:
        record: The parsed line.
        context: What its file says of it.

    Raises:
        LineRejectedError: the line is not such a record, with the reason.
    """
    told = dict(record)
    theirs = context.fields.theirs
    if "prediction" not in theirs:
        told.update(_side(record, CHAMPION_SIDES))
    if "shadow_prediction" not in theirs:
        told.update({f"shadow_{name}": value for name, value in _side(record, SHADOW_SIDES).items()})
    line = LineFields(told, context.fields)
    prediction = line.number_or_null("shadow_prediction")
    shadow = {
        "shadow_variant": line.optional_text("shadow_variant") or "shadow",
        "shadow_prediction": prediction,
        "shadow_latency_ms": line.optional_number("shadow_latency_ms"),
    }
    return _row(told, context, line, shadow)


def sides_of(record: Mapping[str, Any]) -> tuple[bool, bool]:
    """Whether a line tells a champion's answer, and a shadow's, in one of the shapes that need no field map."""
    champion = bool(_named_sides(record, CHAMPION_SIDES)) or "prediction" in record
    return champion, bool(_named_sides(record, SHADOW_SIDES))


def _named_sides(record: Mapping[str, Any], sides: tuple[str, ...]) -> list[str]:
    return [side for side in sides if isinstance(record.get(side), dict) or f"{side}_prediction" in record]


def _side(record: Mapping[str, Any], sides: tuple[str, ...]) -> dict[str, Any]:
    """What a line says of one side: `{"shadow": {"prediction": 1}}`, or `{"shadow_prediction": 1}`."""
    named = _named_sides(record, sides)
    if not named and sides is CHAMPION_SIDES and "prediction" in record:
        return {}  # a flat line that tells the shadow's answer too
    if not named:
        rejected(f"missing key: {sides[0]}.prediction or {sides[0]}_prediction")
    if len(named) > 1:
        rejected(f"two answers for one side: {named[0]} and {named[1]}")
    inner = record.get(named[0])
    if not isinstance(inner, dict):
        return {name: record[f"{named[0]}_{name}"] for name in _OF_A_SIDE if f"{named[0]}_{name}" in record}
    if f"{named[0]}_prediction" in record:
        rejected(f"two answers for one side: {named[0]} and {named[0]}_prediction")
    if "prediction" not in inner:
        rejected(f"missing key: {named[0]}.prediction")
    return {name: inner[name] for name in _OF_A_SIDE if name in inner}


def _row(record: Mapping[str, Any], context: LineContext, line: LineFields, shadow: Mapping[str, Any] | None) -> Row:
    """A row of `predictions`; a shadow line need not tell how the champion's call went."""
    request_id = _content_id(record, context) if line.absent("request_id") else line.text("request_id")
    timestamp = line.timestamp()
    unit = line.text_or_null("unit_id")
    epoch = line.count("epoch")
    variant: str | None
    if shadow is not None:
        variant = line.optional_text("variant") or "champion"
        version, prediction = line.optional_text("model_version"), line.number_or_null("prediction")
        latency_ms = line.optional_number("latency_ms")
        status = line.logged_integer("status") if line.named("status") else None
    else:
        variant, version = _variant(line, context), line.text_or_null("model_version")
        prediction = line.number_or_null("prediction")
        latency_ms, status = line.logged_number("latency_ms"), line.logged_integer("status")
    values = {
        "request_id": request_id,
        "timestamp": timestamp,
        "event_date": timestamp.date(),
        "endpoint": context.endpoint,
        "rollout": line.text_or_null("rollout"),
        "unit_id": None if unit is None else context.pseudonym(unit),
        "assigned_variant": line.text_or_null("assigned_variant") if line.named("assigned_variant") else variant,
        "variant": variant,
        "fallback": line.flag("fallback"),
        "epoch": epoch,
        "model_version": version,
        "prediction": prediction,
        "latency_ms": latency_ms,
        "status": status,
        "features": line.features(needed=shadow is None),
        "measures": line.measures(),
        "shadow_variant": None,
        "shadow_prediction": None,
        "shadow_latency_ms": None,
        **(shadow or {}),
    }
    return Row("predictions", timestamp, values, (identity("request", context.endpoint, request_id),))


def _variant(line: LineFields, context: LineContext) -> str | None:
    if context.variant is not None and not line.named("variant"):
        return context.variant
    return line.text_or_null("variant")


_SORTED = json.JSONEncoder(sort_keys=True)


def _content_id(record: Mapping[str, Any], context: LineContext) -> str:
    """What stands for a request without an id: a keyed hash of all that its line says, so that nobody can test guesses.

    Two lines that say the same are one request.
    """
    return context.pseudonym("line\x1f" + _SORTED.encode(record))

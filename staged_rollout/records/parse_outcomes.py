"""Lines that tell what was true: outcomes by unit or request, ground truth of Model Monitor, and ratings."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from staged_rollout.errors import LineRejectedError
from staged_rollout.records import fields
from staged_rollout.records.blocks import LineContext
from staged_rollout.records.json_line import rejected
from staged_rollout.records.line_fields import LineFields
from staged_rollout.records.parse_captures import first_number, payload
from staged_rollout.records.row import Row, identity

RATING = "rating"
"""Name of an outcome that is a rating; labels have none."""


def outcome_row(record: Mapping[str, Any], context: LineContext) -> Row:
    """One line of `{"unit_id" or "request_id", "timestamp", "outcome"}`; both ids may be given.

    Args:
        record: The parsed line.
        context: What its file says of it.

    Raises:
        LineRejectedError: the line is not such a record, with the reason.
    """
    return _by_id(record, context, "outcome", None)


def feedback_row(record: Mapping[str, Any], context: LineContext) -> Row:
    """One line of `{"unit_id" or "request_id", "timestamp", "rating"}`; both ids may be given.

    Args:
        record: The parsed line.
        context: What its file says of it.

    Raises:
        LineRejectedError: the line is not such a record, with the reason.
    """
    return _by_id(record, context, "rating", RATING)


def ground_truth_row(record: Mapping[str, Any], context: LineContext) -> Row:
    """One line of ground truth as SageMaker Model Monitor merges it.

    It tells no time. AWS has such files lie below `yyyy/mm/dd/hh`, the hour in which the label was collected: its end
    is when the label was known. Elsewhere that is when the file was last written.

    Args:
        record: The parsed line.
        context: What its file says of it, with `at`.

    Raises:
        LineRejectedError: the line is not such a record, with the reason.
    """
    truth, metadata = payload(record, "groundTruthData"), fields.mapping(record, "eventMetadata")
    if truth is None:
        rejected("missing key: groundTruthData")
    request_id = fields.text(metadata, "eventId")
    line = LineFields(record, context.fields)
    timestamp = line.timestamp() if line.named("timestamp") else context.at
    if timestamp is None:
        rejected("no timestamp: neither the line nor its file's place tells one")
    try:
        outcome = first_number(truth)
    except LineRejectedError:
        rejected("groundTruthData.data is not a number")
    # Not the timestamp: a copy of the file, written later, tells nothing new.
    parts = ("ground-truth", context.endpoint, (outcome + 0.0).hex(), request_id)
    return _row(context, timestamp, outcome, (None, request_id, None), parts)


def _by_id(record: Mapping[str, Any], context: LineContext, key: str, name: str | None) -> Row:
    line = LineFields(record, context.fields)
    unit, request_id = line.optional_text("unit_id"), line.optional_text("request_id")
    if unit is None and request_id is None:
        rejected("missing key: unit_id or request_id")
    timestamp, outcome = line.timestamp(), line.number(key)
    unit_id = None if unit is None else context.pseudonym(unit)
    # Adding 0.0 makes -0.0 and 0.0, which are equal, one identity.
    parts = (key, context.endpoint, unit_id or "", timestamp.isoformat(), (outcome + 0.0).hex(), request_id or "")
    return _row(context, timestamp, outcome, (unit_id, request_id, name), parts)


def _row(
    context: LineContext,
    timestamp: datetime,
    outcome: float,
    told: tuple[str | None, str | None, str | None],
    parts: tuple[str, ...],
) -> Row:
    unit_id, request_id, name = told
    values = {
        "unit_id": unit_id,
        "request_id": request_id,
        "timestamp": timestamp,
        "event_date": timestamp.date(),
        "endpoint": context.endpoint,
        "outcome": outcome,
        "name": name,
    }
    return Row("outcomes", timestamp, values, (identity(*parts),))

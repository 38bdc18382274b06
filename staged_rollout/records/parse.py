"""One line of a log to one row, strictly: the reason why a line is none is all that a person needs to mend it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from staged_rollout.records.blocks import LineContext, LineKind
from staged_rollout.records.json_line import json_object
from staged_rollout.records.parse_captures import capture_row
from staged_rollout.records.parse_outcomes import feedback_row, ground_truth_row, outcome_row
from staged_rollout.records.parse_predictions import prediction_row, shadow_row
from staged_rollout.records.row import Row

ROW_OF: Mapping[LineKind, Callable[[Mapping[str, Any], LineContext], Row]] = {
    "predictions": prediction_row,
    "capture": capture_row,
    "shadow": shadow_row,
    "outcomes": outcome_row,
    "ground-truth": ground_truth_row,
    "feedback": feedback_row,
}
"""What reads each kind of line."""


def parse_line(content: bytes, context: LineContext) -> Row:
    """The row that a line is.

    Args:
        content: Its bytes, with or without line end.
        context: What its file says of it.

    Raises:
        LineRejectedError: the line is not such a record, with the reason.
    """
    return ROW_OF[context.kind](json_object(content), context)

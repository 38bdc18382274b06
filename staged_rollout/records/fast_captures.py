"""SageMaker's Data Capture on the fast path, field by field as the strict parser reads it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from staged_rollout.errors import LineRejectedError
from staged_rollout.records import fields
from staged_rollout.records.fast_columns import MAX_NUMBER, NUMBER, bools, by_value, few_texts, read_value, where
from staged_rollout.records.fast_match import Choice
from staged_rollout.records.fast_record import FastRecord, FastRows, UnreadableShapeError
from staged_rollout.records.json_line import rejected
from staged_rollout.records.parse_captures import payload, prediction_of

_JSON_ANSWER = r'^\{"prediction": ?([^,"{}\[\]\s]+)\}$'
_AFTER_FIRST = r"(?s)[,\n].*$"


def capture_rows(record: FastRecord) -> FastRows:
    """Rows of `captures`, without `line`.

    Args:
        record: Lines of one shape.

    Raises:
        UnreadableShapeError: a key is missing or holds something else, or there is a field map.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    context, skeleton = record.context, record.skeleton
    capture, metadata = skeleton.get("captureData"), skeleton.get("eventMetadata")
    if not context.fields.plain or context.variant is None:
        raise UnreadableShapeError
    if not isinstance(capture, Mapping) or not isinstance(metadata, Mapping):
        raise UnreadableShapeError
    variant, none = context.variant, pa.nulls(record.count, pa.string())
    event_id = record.text(metadata.get("eventId"))
    inference_id = record.text(metadata["inferenceId"], nullable=True) if "inferenceId" in metadata else none
    timestamp = record.moment(metadata.get("inferenceTime"))
    output = _payload(record, capture, "endpointOutput")
    columns = {
        "event_id": event_id,
        "inference_id": inference_id,
        "timestamp": timestamp,
        "event_date": timestamp.cast(pa.date32()),
        "endpoint": pa.repeat(context.endpoint, record.count),
        "variant": pa.repeat(variant, record.count),
        "input": _payload(record, capture, "endpointInput"),
        "output": output,
        "prediction": _predictions(output),
        "rollout": none,
        "unit_id": none,
    }
    identities = (
        pc.binary_join_element_wise("event", context.endpoint, variant, event_id, "\x1f"),
        pc.binary_join_element_wise("inference", context.endpoint, variant, inference_id, "\x1f"),
    )
    return FastRows(columns, identities)


def _payload(record: FastRecord, capture: Mapping[str, Any], side: str) -> Any:
    """The text of a request's or a response's payload."""
    import pyarrow as pa
    import pyarrow.compute as pc

    part = capture.get(side)
    if part is None:
        return pa.nulls(record.count, pa.string())
    if not isinstance(part, Mapping):
        raise UnreadableShapeError
    data = _strings(record, part.get("data"))
    base64 = bools(pc.equal(record.text(part.get("encoding")), "BASE64"))
    if not base64.any():
        return data
    decoded = [_decoded(text, side) for text in data.filter(pa.array(base64)).to_pylist()]
    good = ~base64
    good[base64] = [text is not None for text in decoded]
    record.only(good)
    return pc.replace_with_mask(data, pa.array(base64), pa.array(decoded, pa.string()))


def _decoded(text: str | None, side: str) -> str | None:
    """A BASE64 payload as the strict parser reads it; None when it refuses it."""
    try:
        return payload({side: {"data": text, "encoding": "BASE64"}}, side)
    except LineRejectedError:
        return None


def _strings(record: FastRecord, value: Any) -> Any:
    """Strings of any content and length, with their escapes undone."""
    import pyarrow as pa
    import pyarrow.compute as pc

    cells = record.cells(value)
    if isinstance(cells, Choice):
        column = by_value(cells, _string, pa.string())
        record.only(column.proved)
        return column.values
    texts = raw = cells.texts()
    proved = cells.strings.copy()
    if cells.index.escapes and bools(pc.match_substring(raw, "\\")).any():
        # Without two backslashes in a row each one begins an escape of its own, so that their order does not matter.
        simple = pc.replace_substring(pc.replace_substring(raw, '\\"', '"'), "\\n", "\n")
        others = bools(pc.or_(pc.match_substring(raw, "\\\\"), pc.match_substring(simple, "\\")))
        found = [read_value(_string, cells.json(int(number))) for number in np.flatnonzero(others & proved)]
        proved[others & proved] = [good for good, _ in found]
        replaced = np.flatnonzero(others & cells.strings)
        mask = np.zeros(len(cells), np.bool_)
        mask[replaced] = True
        texts = pc.replace_with_mask(simple, pa.array(mask), pa.array([text for _, text in found], pa.string()))
    record.only(proved)
    return where(proved, texts)


def _string(record: Mapping[str, Any], key: str) -> str:
    value = fields.present(record, key)
    if not isinstance(value, str):
        rejected("not a string")
    return value


def _predictions(outputs: Any) -> Any:
    """As `prediction_of` of each output: a plain number as it stands, others one by one."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if few_texts(outputs):
        encoded = outputs.dictionary_encode()
        found = [prediction_of(text) for text in encoded.dictionary.to_pylist()]
        return pa.array(found, pa.float64()).take(encoded.indices)
    numbers = pc.replace_substring_regex(outputs, _JSON_ANSWER, r"\1")
    numbers = pc.replace_substring_regex(numbers, _AFTER_FIRST, "")
    short = pc.less_equal(pc.binary_length(numbers), MAX_NUMBER)
    plain = bools(pc.and_(pc.match_substring_regex(numbers, NUMBER), short))
    values = where(plain, numbers).cast(pa.float64())
    others = ~plain & bools(outputs.is_valid())
    if not others.any():
        return values
    found = [prediction_of(text) for text in outputs.filter(pa.array(others)).to_pylist()]
    return pc.replace_with_mask(values, pa.array(others), pa.array(found, pa.float64()))

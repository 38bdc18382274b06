"""Outcome logs on the fast path, field by field as the strict parser reads them."""

from __future__ import annotations

from typing import Any

import numpy as np

from staged_rollout.records.fast_columns import bools
from staged_rollout.records.fast_fields import FastFields
from staged_rollout.records.fast_record import FastRecord, FastRows


def outcome_rows(record: FastRecord) -> FastRows:
    """Rows of `outcomes`, without `line`.

    Args:
        record: Lines of one shape.

    Raises:
        UnreadableShapeError: a key is missing or holds something else, or there is a field map.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    fields, endpoint = FastFields(record), record.context.endpoint
    unit_id, request_id = fields.optional_unit("unit_id"), fields.optional_text("request_id")
    record.only(bools(pc.or_(unit_id.is_valid(), request_id.is_valid())))
    timestamp, outcome = fields.moment("timestamp"), fields.number("outcome")
    columns = {
        "unit_id": unit_id,
        "request_id": request_id,
        "timestamp": timestamp,
        "event_date": timestamp.cast(pa.date32()),
        "endpoint": pa.repeat(endpoint, record.count),
        "outcome": outcome,
        "name": pa.nulls(record.count, pa.string()),
    }
    identity = pc.binary_join_element_wise(
        "outcome",
        endpoint,
        pc.fill_null(unit_id, ""),
        _isoformat(timestamp),
        _hexadecimal(outcome),
        pc.fill_null(request_id, ""),
        "\x1f",
    )
    return FastRows(columns, (identity,))


def _isoformat(moments: Any) -> Any:
    """As `datetime.isoformat` in UTC: without decimals where there are none."""
    import pyarrow as pa
    import pyarrow.compute as pc

    whole = moments.cast(pa.timestamp("us")).cast(pa.string())  # 2026-02-14 17:25:49.123456
    whole = pc.binary_replace_slice(whole, 10, 11, "T")
    decimals = moments.cast(pa.int64()).fill_null(0).to_numpy() % 1_000_000 != 0  # null: not proved
    texts = whole
    if not decimals.all():
        texts = pc.if_else(pa.array(decimals), whole, pc.utf8_slice_codeunits(whole, 0, 19))
    return pc.binary_join_element_wise(texts, "+00:00", "")


def _hexadecimal(numbers: Any) -> Any:
    """As `float.hex`, of each different number once; -0.0 is 0.0."""
    import pyarrow as pa

    filled = np.nan_to_num(numbers.to_numpy(zero_copy_only=False)) + 0.0
    encoded = pa.array(filled).dictionary_encode()
    return pa.array([number.hex() for number in encoded.dictionary.to_pylist()], pa.string()).take(encoded.indices)

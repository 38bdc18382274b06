"""Flat prediction logs on the fast path, field by field as the strict parser reads them."""

from __future__ import annotations

from typing import Any

import numpy as np

from staged_rollout.records.fast_record import FastRecord, FastRows, UnreadableShapeError

_OPTIONAL = {"assigned_variant", "fallback", "epoch"}


def prediction_rows(record: FastRecord) -> FastRows:
    """Rows of `predictions`, without `line`.

    Args:
        record: Lines of one shape.

    Raises:
        UnreadableShapeError: a key is missing or holds something else, or the field map asks for more.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if record.context.fields.measures:
        raise UnreadableShapeError
    count, endpoint = record.count, record.context.endpoint
    value = {name: _value(record, name) for name in _FIELDS}
    null = {kind: pa.nulls(count, kind) for kind in (pa.string(), pa.float64(), pa.int64())}

    def texts(name: str) -> Any:
        return null[pa.string()] if value[name] is None else record.text(value[name], nullable=True)

    request_id = record.text(value["request_id"])
    timestamp = record.moment(value["timestamp"])
    variant = texts("variant")
    epoch = pa.repeat(pa.scalar(0, pa.int64()), count) if value["epoch"] is None else record.integer(value["epoch"])
    record.only(np.asarray(pc.fill_null(pc.greater_equal(epoch, 0), True)))
    columns = {
        "request_id": request_id,
        "timestamp": timestamp,
        "event_date": timestamp.cast(pa.date32()),
        "endpoint": pa.repeat(endpoint, count),
        "rollout": texts("rollout"),
        "unit_id": null[pa.string()] if value["unit_id"] is None else record.unit(value["unit_id"], nullable=True),
        "assigned_variant": variant if value["assigned_variant"] is None else texts("assigned_variant"),
        "variant": variant,
        "fallback": pa.repeat(False, count) if value["fallback"] is None else record.flag(value["fallback"]),
        "epoch": epoch,
        "model_version": texts("model_version"),
        "prediction": null[pa.float64()]
        if value["prediction"] is None
        else record.number(value["prediction"], nullable=True),
        "latency_ms": null[pa.float64()] if value["latency_ms"] is None else record.number(value["latency_ms"]),
        "status": null[pa.int64()] if value["status"] is None else record.integer(value["status"]),
        "features": pa.repeat("{}", count) if value["features"] is None else record.object(value["features"]),
        "measures": null[pa.string()],
        "shadow_variant": null[pa.string()],
        "shadow_prediction": null[pa.float64()],
        "shadow_latency_ms": null[pa.float64()],
    }
    identity = pc.binary_join_element_wise("request", endpoint, request_id, "\x1f")
    return FastRows(columns, (identity,))


_FIELDS = (
    "request_id",
    "timestamp",
    "rollout",
    "unit_id",
    "assigned_variant",
    "variant",
    "fallback",
    "epoch",
    "model_version",
    "prediction",
    "latency_ms",
    "status",
    "features",
)


def _value(record: FastRecord, name: str) -> Any:
    """The part of the skeleton that holds a field; None when the log has none of it."""
    theirs = record.context.fields.theirs.get(name, name)
    if theirs is None:
        return None
    found = record.skeleton.get(theirs)
    if "." in theirs or (found is None and name not in _OPTIONAL):
        raise UnreadableShapeError
    return found

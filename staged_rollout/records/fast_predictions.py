"""Flat prediction logs on the fast path, field by field as the strict parser reads them."""

from __future__ import annotations

from staged_rollout.records.fast_columns import bools
from staged_rollout.records.fast_fields import FastFields
from staged_rollout.records.fast_record import FastRecord, FastRows, UnreadableShapeError


def prediction_rows(record: FastRecord) -> FastRows:
    """Rows of `predictions`, without `line`.

    Args:
        record: Lines of one shape.

    Raises:
        UnreadableShapeError: a key is missing or holds something else, or is read in a way that only the strict parser
            knows.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    fields, context = FastFields(record), record.context
    if fields.absent("request_id"):
        raise UnreadableShapeError  # the strict parser makes one from all that the line says
    request_id, timestamp = fields.text("request_id"), fields.moment("timestamp")
    epoch = fields.integer("epoch", else_=0)
    record.only(bools(pc.greater_equal(epoch, 0)))
    if context.variant is not None and not fields.named("variant"):
        variant = pa.repeat(context.variant, record.count)
    else:
        variant = fields.text_or_null("variant")
    columns = {
        "request_id": request_id,
        "timestamp": timestamp,
        "event_date": timestamp.cast(pa.date32()),
        "endpoint": pa.repeat(context.endpoint, record.count),
        "rollout": fields.text_or_null("rollout"),
        "unit_id": fields.unit_or_null("unit_id"),
        "assigned_variant": fields.text_or_null("assigned_variant") if fields.named("assigned_variant") else variant,
        "variant": variant,
        "fallback": fields.flag("fallback"),
        "epoch": epoch,
        "model_version": fields.text_or_null("model_version"),
        "prediction": fields.number_or_null("prediction"),
        "latency_ms": fields.logged_number("latency_ms"),
        "status": fields.logged_integer("status"),
        "features": fields.features(),
        "measures": fields.measures(),
        "shadow_variant": pa.nulls(record.count, pa.string()),
        "shadow_prediction": pa.nulls(record.count, pa.float64()),
        "shadow_latency_ms": pa.nulls(record.count, pa.float64()),
    }
    identity = pc.binary_join_element_wise("request", context.endpoint, request_id, "\x1f")
    return FastRows(columns, (identity,))

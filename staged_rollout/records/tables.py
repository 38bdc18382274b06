"""The lake's tables: columns, types and meanings, as docs/tables.md pins them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

ColumnType = Literal["text", "integer", "number", "flag", "time", "day", "bytes"]
TableName = Literal["predictions", "captures", "outcomes", "quarantine", "units", "moments"]

ARROW_TYPES: dict[ColumnType, str] = {
    "text": "string",
    "integer": "int64",
    "number": "double",
    "flag": "bool",
    "time": "timestamp[us, tz=UTC]",
    "day": "date32[day]",
    "bytes": "binary",
}
"""Each column type and the Arrow type that stores it, by Arrow's own name."""


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes:
        name: Its name in every engine.
        type: What it holds.
        nullable: Whether it may be null.
        meaning: One line for docs/tables.md.
    """

    name: str
    type: ColumnType
    nullable: bool
    meaning: str


_SOURCE = (
    Column("source", "text", nullable=False, meaning="log file that the line came from, below the source's root"),
    Column("line", "integer", nullable=False, meaning="line number in that file, from 1"),
)

_COUNTED = (
    Column("endpoint", "text", nullable=False, meaning="endpoint that served them"),
    Column("rollout", "text", nullable=False, meaning="rollout that counted them"),
    Column("slot", "integer", nullable=False, meaning="the look; of a unit, the first that counted it"),
    Column("cut_off", "time", nullable=False, meaning="no later row or outcome counts"),
    Column("event_date", "day", nullable=False, meaning="UTC day of first exposure in LIVE; the partition"),
    Column("assigned_variant", "text", nullable=False, meaning="variant drawn for the unit"),
    Column("metric", "text", nullable=False, meaning="success metric of the rollout file"),
    Column("resolution", "number", nullable=False, meaning="one step of the sums, in the metric's unit"),
)

TABLES: dict[TableName, tuple[Column, ...]] = {
    "predictions": (
        Column("request_id", "text", nullable=False, meaning="id of the request; unique per endpoint and event day"),
        Column("timestamp", "time", nullable=False, meaning="when the router answered"),
        Column("event_date", "day", nullable=False, meaning="UTC day of `timestamp`; the partition"),
        Column("endpoint", "text", nullable=False, meaning="endpoint, from the file's place"),
        Column("rollout", "text", nullable=True, meaning="rollout that counts the row; null when not enrolled"),
        Column("unit_id", "text", nullable=True, meaning="keyed hash of the unit; null when the caller named none"),
        Column("assigned_variant", "text", nullable=True, meaning="variant drawn for the unit; null when not enrolled"),
        Column("variant", "text", nullable=True, meaning="variant that answered; null when none did"),
        Column("fallback", "flag", nullable=False, meaning="the champion answered for the assigned variant"),
        Column("epoch", "integer", nullable=False, meaning="epoch of the assignment document; 0: none told"),
        Column("model_version", "text", nullable=True, meaning="registry version that answered"),
        Column("prediction", "number", nullable=True, meaning="the answer; null when the call failed"),
        Column("latency_ms", "number", nullable=True, meaning="milliseconds from request to answer; null: not logged"),
        Column("status", "integer", nullable=True, meaning="HTTP status that the caller got; null: not logged"),
        Column("features", "text", nullable=False, meaning="the request's features, a JSON object as text"),
        *_SOURCE,
        Column("measures", "text", nullable=True, meaning="numeric fields that metrics name, a JSON object as text"),
        Column("shadow_variant", "text", nullable=True, meaning="shadow that answered too, where one line tells both"),
        Column("shadow_prediction", "number", nullable=True, meaning="its answer; null when it failed or none is told"),
        Column("shadow_latency_ms", "number", nullable=True, meaning="its milliseconds"),
    ),
    "captures": (
        Column("event_id", "text", nullable=False, meaning="Data Capture's eventId; unique per variant and event day"),
        Column("inference_id", "text", nullable=True, meaning="InferenceId: the router's request_id"),
        Column("timestamp", "time", nullable=False, meaning="inferenceTime"),
        Column("event_date", "day", nullable=False, meaning="UTC day of `timestamp`; the partition"),
        Column("endpoint", "text", nullable=False, meaning="endpoint, from the file's place"),
        Column("variant", "text", nullable=False, meaning="variant, from the file's place"),
        Column(
            "input", "text", nullable=True, meaning="request payload; BASE64 stays as it is unless it is UTF-8 text"
        ),
        Column("output", "text", nullable=True, meaning="response payload, likewise"),
        Column("prediction", "number", nullable=True, meaning="number in the output; null when there is none"),
        *_SOURCE,
        Column("rollout", "text", nullable=True, meaning="rollout, where a rule of the configuration finds it"),
        Column("unit_id", "text", nullable=True, meaning="keyed hash of the unit, likewise"),
    ),
    "outcomes": (
        Column("unit_id", "text", nullable=True, meaning="keyed hash of the unit; this or request_id is set"),
        Column("request_id", "text", nullable=True, meaning="request that the outcome belongs to"),
        Column("timestamp", "time", nullable=False, meaning="when the outcome was known"),
        Column("event_date", "day", nullable=False, meaning="UTC day of `timestamp`; the partition"),
        Column("endpoint", "text", nullable=False, meaning="endpoint, from the file's place"),
        Column("outcome", "number", nullable=False, meaning="what was true, in the prediction's units"),
        *_SOURCE,
        Column("name", "text", nullable=True, meaning="what it is an outcome of: null for the label, or `rating`"),
    ),
    "quarantine": (
        Column("source", "text", nullable=False, meaning="log file that the line came from, below the source's root"),
        Column(
            "kind",
            "text",
            nullable=False,
            meaning="kind of log: predictions, capture, shadow, outcomes, ground-truth or feedback",
        ),
        Column("endpoint", "text", nullable=False, meaning="endpoint, from the file's place"),
        Column("line", "integer", nullable=False, meaning="line number in that file, from 1"),
        Column("offset", "integer", nullable=False, meaning="byte at which the line begins (decompressed)"),
        Column("verdict", "text", nullable=False, meaning="quarantined or late"),
        Column("reason", "text", nullable=False, meaning="why the line is not a row"),
        Column("raw", "bytes", nullable=False, meaning="the line as it came, cut at 1 MiB"),
        Column("at", "time", nullable=False, meaning="when it was ingested, by the clock"),
        Column("event_date", "day", nullable=False, meaning="UTC day of `at`; the partition"),
    ),
    "units": (
        *_COUNTED,
        Column("unit_id", "text", nullable=False, meaning="keyed hash of the unit; once per rollout"),
        Column("y", "integer", nullable=False, meaning="its total in steps; of a rate or of `correct`, 1 or 0"),
        Column("d", "integer", nullable=False, meaning="its divisor in steps, of a ratio; else 0"),
        Column("holds", "integer", nullable=False, meaning="1 where the rate's condition held, or it was right"),
        Column("capped", "integer", nullable=False, meaning="1 where its total was lowered to the cap"),
    ),
    "moments": (
        *_COUNTED,
        Column("units", "integer", nullable=False, meaning="units first met on that day"),
        Column("closed", "integer", nullable=False, meaning="of these, units whose window is over"),
        Column("n", "integer", nullable=False, meaning="of these, units that count"),
        Column("holds", "integer", nullable=False, meaning="of these, units with `holds`"),
        Column("capped", "integer", nullable=False, meaning="of these, units with `capped`"),
        Column("sy", "text", nullable=False, meaning="sum of y over units that count, in decimal: up to 128 bits"),
        Column("syy", "text", nullable=False, meaning="sum of y squared"),
        Column("sd", "text", nullable=False, meaning="sum of d"),
        Column("sdd", "text", nullable=False, meaning="sum of d squared"),
        Column("syd", "text", nullable=False, meaning="sum of y times d"),
    ),
}
"""Every table of the lake and its columns, in order."""

FROM_LINES: tuple[TableName, ...] = ("predictions", "captures", "outcomes")
"""Tables whose rows are accepted lines; `units` and `moments` are what looks counted of them."""


def arrow_schema(table: TableName) -> Any:
    """The pyarrow Schema of a table (pyarrow is imported here, not with the module)."""
    import pyarrow as pa

    types = {
        "text": pa.string(),
        "integer": pa.int64(),
        "number": pa.float64(),
        "flag": pa.bool_(),
        "time": pa.timestamp("us", tz="UTC"),
        "day": pa.date32(),
        "bytes": pa.binary(),
    }
    return pa.schema([pa.field(column.name, types[column.type], nullable=column.nullable) for column in TABLES[table]])


def markdown() -> str:
    """The tables as docs/tables.md shows them; a test compares the two."""
    parts = []
    for name, columns in TABLES.items():
        parts.append(f"### `{name}`\n\n| column | type | null | meaning |\n|---|---|---|---|")
        for column in columns:
            cells = (
                f"`{column.name}`",
                f"`{ARROW_TYPES[column.type]}`",
                "yes" if column.nullable else "no",
                column.meaning,
            )
            parts.append(f"| {' | '.join(cells)} |")
        parts.append("")
    return "\n".join(parts)

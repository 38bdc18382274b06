"""Loads JSONL into Parquet as somebody would who writes three lines: one engine in one process, for ingest.py.

    python benchmarks/loads.py ENGINE KIND SOURCE TARGET

Runs in any interpreter that has the engine; needs nothing of this package. SOURCE is a file or a folder of files, KIND
is `flat`, `dirty` (flat, with lines that are to be survived) or `capture`. Prints the version of the engine.

The engines get a schema where they take one, which is the faster and the safer way. For dirty input each gets its own
option to go on (`ignore_errors`); one that has none fails, and that is its result.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

SIDE = "STRUCT(observedContentType VARCHAR, mode VARCHAR, data VARCHAR, encoding VARCHAR)"
DUCKDB_COLUMNS = {
    "flat": {
        "request_id": "VARCHAR",
        "timestamp": "TIMESTAMPTZ",
        "rollout": "VARCHAR",
        "unit_id": "VARCHAR",
        "assigned_variant": "VARCHAR",
        "variant": "VARCHAR",
        "fallback": "BOOLEAN",
        "epoch": "BIGINT",
        "model_version": "VARCHAR",
        "prediction": "DOUBLE",
        "latency_ms": "DOUBLE",
        "status": "BIGINT",
        "features": "JSON",
    },
    "capture": {
        "captureData": f"STRUCT(endpointInput {SIDE}, endpointOutput {SIDE})",
        "eventMetadata": "STRUCT(eventId VARCHAR, inferenceId VARCHAR, inferenceTime TIMESTAMPTZ)",
        "eventVersion": "VARCHAR",
    },
}
FEATURES = {"plan": "text", "tenure": "integer", "calls": "integer", "charge": "number"}


def files_of(source: Path) -> list[str]:
    """One file, or all of a folder."""
    return [str(source)] if source.is_file() else sorted(str(path) for path in source.rglob("*.jsonl"))


def duckdb_load(kind: str, source: Path, target: Path, *, ordered: bool) -> str:
    """COPY of read_json, in the order of lines or not."""
    import duckdb

    columns = DUCKDB_COLUMNS["capture" if kind == "capture" else "flat"]
    struct = ", ".join(f"{name}: '{type_}'" for name, type_ in columns.items())
    options = f"format = 'newline_delimited', columns = {{{struct}}}"
    if kind == "dirty":
        options += ", ignore_errors = true"
    with duckdb.connect() as connection:
        connection.execute(f"SET preserve_insertion_order = {str(ordered).lower()}")
        connection.execute(
            f"COPY (SELECT * FROM read_json($files, {options})) TO '{target}' (FORMAT parquet, COMPRESSION zstd)",
            {"files": files_of(source)},
        )
    return duckdb.__version__


def pyarrow_load(kind: str, source: Path, target: Path) -> str:
    """open_json of each file into one ParquetWriter, block by block."""
    import pyarrow as pa
    import pyarrow.json as pj
    import pyarrow.parquet as pq

    parse = pj.ParseOptions(explicit_schema=arrow_schema(kind), unexpected_field_behavior="ignore")
    read = pj.ReadOptions(block_size=4 << 20)
    writer = None
    try:
        for file in files_of(source):
            with pj.open_json(file, read_options=read, parse_options=parse) as reader:
                writer = writer or pq.ParquetWriter(target, reader.schema, compression="zstd")
                for batch in reader:
                    writer.write_batch(batch)
    finally:
        if writer is not None:
            writer.close()
    return str(pa.__version__)


def arrow_schema(kind: str) -> Any:
    """The lines' schema for pyarrow."""
    import pyarrow as pa

    text, whole, number, time = pa.string(), pa.int64(), pa.float64(), pa.timestamp("us", tz="UTC")
    if kind == "capture":
        side = pa.struct([(name, text) for name in ("observedContentType", "mode", "data", "encoding")])
        metadata = pa.struct([("eventId", text), ("inferenceId", text), ("inferenceTime", time)])
        data = pa.struct([("endpointInput", side), ("endpointOutput", side)])
        return pa.schema([("captureData", data), ("eventMetadata", metadata), ("eventVersion", text)])
    types = {"VARCHAR": text, "BIGINT": whole, "DOUBLE": number, "TIMESTAMPTZ": time, "BOOLEAN": pa.bool_()}
    features = pa.struct(
        [(name, {"text": text, "integer": whole, "number": number}[type_]) for name, type_ in FEATURES.items()]
    )
    return pa.schema(
        [(name, features if type_ == "JSON" else types[type_]) for name, type_ in DUCKDB_COLUMNS["flat"].items()]
    )


def polars_load(kind: str, source: Path, target: Path) -> str:
    """scan_ndjson into sink_parquet; times stay text, since its JSON reader takes none with a zone."""
    import polars as pl

    plain = {
        "VARCHAR": pl.String,
        "BIGINT": pl.Int64,
        "DOUBLE": pl.Float64,
        "BOOLEAN": pl.Boolean,
        "TIMESTAMPTZ": pl.String,
    }
    if kind == "capture":
        side = pl.Struct(dict.fromkeys(("observedContentType", "mode", "data", "encoding"), pl.String))
        metadata = pl.Struct(dict.fromkeys(("eventId", "inferenceId", "inferenceTime"), pl.String))
        data = pl.Struct({"endpointInput": side, "endpointOutput": side})
        schema = {"captureData": data, "eventMetadata": metadata, "eventVersion": pl.String}
        when = pl.col("eventMetadata").struct.field("inferenceTime").str.to_datetime("%Y-%m-%dT%H:%M:%SZ")
    else:
        features = pl.Struct(
            {
                name: {"text": pl.String, "integer": pl.Int64, "number": pl.Float64}[type_]
                for name, type_ in FEATURES.items()
            }
        )
        columns = DUCKDB_COLUMNS["flat"].items()
        schema = {name: features if type_ == "JSON" else plain[type_] for name, type_ in columns}
        when = pl.col("timestamp").str.to_datetime("%Y-%m-%dT%H:%M:%S%.fZ", time_unit="us", strict=kind != "dirty")
    frame = pl.scan_ndjson(files_of(source), schema=schema, ignore_errors=kind == "dirty")
    frame.with_columns(when.alias("timestamp")).sink_parquet(target, compression="zstd")
    return pl.__version__


def pandas_load(kind: str, source: Path, target: Path) -> str:
    """read_json(lines=True) of everything, then to_parquet: it needs all of it in memory."""
    import pandas as pd

    if kind == "capture":
        frame = pd.concat([pd.read_json(file, lines=True) for file in files_of(source)], ignore_index=True)
    else:
        frame = pd.read_json(source, lines=True)
    frame.to_parquet(target, compression="zstd")
    return str(pd.__version__)


ENGINES: dict[str, Callable[[str, Path, Path], str]] = {
    "duckdb": lambda kind, source, target: duckdb_load(kind, source, target, ordered=False),
    "duckdb ordered": lambda kind, source, target: duckdb_load(kind, source, target, ordered=True),
    "pyarrow": pyarrow_load,
    "polars": polars_load,
    "pandas": pandas_load,
}
MODULES = {"duckdb ordered": "duckdb"}
"""Engine to the module that it needs, where the two differ."""


def main() -> None:
    """Load once; print version and rows as JSON."""
    engine, kind, source, target = sys.argv[1], sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4])
    version = ENGINES[engine](kind, source, target)
    print(json.dumps({"version": version}))


if __name__ == "__main__":
    main()

"""A lake as somebody reads it who has none of our code: DuckDB over the files that its Iceberg catalog names."""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime


def read(lake, table):
    """A table of the lake as DuckDB finds it in the newest metadata of its catalog, read by no code of ours."""
    import duckdb
    from pyiceberg.catalog.sql import SqlCatalog

    catalog = SqlCatalog("lake", uri=f"sqlite:///{lake / 'catalog.db'}")
    try:
        tasks = catalog.load_table(("rollout", table)).scan().plan_files()
        files = [task.file.file_path.removeprefix("file://") for task in tasks]
    finally:
        catalog.close()
    if not files:
        return []
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        found = connection.sql("SELECT * FROM read_parquet(?, union_by_name = true)", params=[files]).to_arrow_table()
    return [
        {key: value.astimezone(UTC) if isinstance(value, datetime) else value for key, value in row.items()}
        for row in found.to_pylist()
    ]


def pseudonym(lake, unit):
    """HMAC-SHA256 under the lake's key, cut to 32 hexadecimal digits, as docs/tables.md says."""
    key = (lake / "unit.key").read_bytes()
    return hmac.new(key, unit.encode(), hashlib.sha256).hexdigest()[:32]

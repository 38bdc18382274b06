"""Tiny hand-made tables that the statements of sql/ are asked over."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.parquet as pq

from staged_rollout.adapters import lake_sql
from staged_rollout.records.tables import arrow_schema

T0 = datetime(2026, 3, 2, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
DEFAULTS = {
    "predictions": {
        "endpoint": "churn",
        "rollout": "churn-v3",
        "unit_id": "u1",
        "assigned_variant": "v1",
        "variant": "v1",
        "fallback": False,
        "epoch": 5,
        "model_version": "1",
        "prediction": 1.0,
        "latency_ms": 10.0,
        "status": 200,
        "features": "{}",
    },
    "captures": {"endpoint": "churn", "variant": "v2", "input": "", "output": "", "prediction": 1.0},
    "outcomes": {"endpoint": "churn", "unit_id": None, "request_id": None},
}
PARAMETERS = {
    "endpoint": "churn",
    "rollout": "churn-v3",
    "epochs": [5],
    "cut_off": T0 + 30 * DAY,
    "matures_after": DAY,
    "champion": "v1",
    "candidate": "v2",
    "variant": "v1",
    "level": 0.95,
    "thresholds": [10.0, 20.0],
    "segment": "plan",
    "day": T0.date(),
    "field": "measure",
    "field_key": "revenue",
    "divisor": None,
    "divisor_key": None,
    "operator": None,
    "number": None,
    "phrase": None,
    "steps": 100.0,
    "each": False,
    "cap": None,
    "needed": False,
    "day_before": T0.date() - DAY,
    "day_after": T0.date() + DAY,
    "reference": T0.date() - DAY,
    "exposed_day": T0.date(),
    "known_day": T0.date() + DAY,
    "slowest": 600_000.0,
    "lowest": 0.0,
    "highest": 1.0,
    "variants": ["v1", "v2"],
    "settled": T0.date(),
    "reason": "",
    "sources": ["s"],
    "first_line": 1,
    "last_line": 10,
    "since": T0 - DAY,
    "until": T0 + 30 * DAY,
    "first_day": T0.date() - DAY,
    "units": None,
}


class Tables:
    """Rows by hand, written as Parquet and asked."""

    def __init__(self, folder):
        self.folder = folder
        self.rows = {"predictions": [], "captures": [], "outcomes": []}

    def _add(self, table, at, **values):
        number = len(self.rows[table])
        shared = {"timestamp": at, "event_date": at.date(), "source": "s", "line": number + 1}
        self.rows[table].append({**DEFAULTS[table], **shared, **values})

    def serve(self, unit, assigned="v1", at=T0, **values):
        values = {"request_id": f"r{len(self.rows['predictions']) + 1}", "variant": assigned or "v1", **values}
        self._add("predictions", at, unit_id=unit, assigned_variant=assigned, **values)

    def capture(self, inference, at=T0, **values):
        self._add("captures", at, inference_id=inference, event_id=f"e{len(self.rows['captures'])}", **values)

    def know(self, at, outcome=1.0, **values):
        self._add("outcomes", at, outcome=outcome, **values)

    def ask(self, name, **parameters):
        files = {}
        for table, rows in self.rows.items():
            path = self.folder / f"{table}.parquet"
            schema = arrow_schema(table)
            pq.write_table(pa.table({c: [r.get(c) for r in rows] for c in schema.names}, schema=schema), path)
            files[table] = [str(path)] if rows else []
        answer = lake_sql.run(name, {**PARAMETERS, **parameters}, lambda table: files.get(table, []))
        return lake_sql.rows_of(answer)

    def one(self, name, **parameters):
        rows = self.ask(name, **parameters)
        assert 1 == len(rows)
        return rows[0]

    def by_variant(self, name, *columns, **parameters):
        return {row["assigned_variant"]: tuple(row[c] for c in columns) for row in self.ask(name, **parameters)}

"""What flows ingest keeps the numeric fields that the metrics of running rollouts name."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from staged_rollout.adapters.lake_iceberg import IcebergLake
from staged_rollout.adapters.log_folder import LogFolder
from staged_rollout.operations.ingest import ingest
from staged_rollout.operations.new_logs import MeasuredLogs, measured_logs
from staged_rollout.records.blocks import FieldMap
from staged_rollout.spec.home import Home
from staged_rollout.state import EventType, NewEvent
from tests.conftest import RolloutBuilder
from tests.fakes.platform import FakePlatform

LINE = {
    "request_id": "r1",
    "timestamp": "2026-03-02T12:00:00Z",
    "rollout": "churn-v3",
    "unit_id": "u1",
    "variant": "v1",
    "model_version": "1",
    "prediction": 1,
    "latency_ms": 3,
    "status": 200,
    "features": {},
}


class FixedClock:
    simulated = True

    def now(self):
        return datetime(2026, 3, 3, tzinfo=UTC)

    def wall(self):
        return 0.0


def test_named_fields_are_kept_where_a_line_has_them(tmp_path):
    """Law: a line with the field keeps its number, one without it is a row all the same, and no other field is kept."""
    home = Home(tmp_path)
    folder = home.logs / "predictions" / "churn" / "2026-03-02"
    folder.mkdir(parents=True)
    lines = [{**LINE, "revenue": 12.5, "orders": 3}, {**LINE, "request_id": "r2"}]
    (folder / "x.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    lake = IcebergLake(home)

    report = ingest(logs=MeasuredLogs(LogFolder(home), {"revenue"}), lake=lake, clock=FixedClock())

    import pyarrow.parquet as pq

    paths = [file.path for file in lake.upkeep.files("predictions", lake.head())]
    rows = {row["request_id"]: row["measures"] for path in paths for row in pq.read_table(path).to_pylist()}
    assert (2, 2) == (report.lines, report.accepted)
    assert {"r1": '{"revenue":12.5}', "r2": None} == rows


def test_a_files_own_rule_stands():
    """Law: what the configuration says of a file is not replaced by the default name."""

    class Listed:
        def list(self):
            from staged_rollout.ports.logs import LogFile

            own = FieldMap({"unit_id": "user"}, {"revenue": "usd"})
            return [LogFile("predictions", "e", "a", 1, fields=own), LogFile("outcomes", "e", "b", 1)]

    first, second = MeasuredLogs(Listed(), {"revenue", "orders"}).list()

    assert FieldMap({"unit_id": "user"}, {"orders": "orders?", "revenue": "usd"}) == first.fields
    assert FieldMap() == second.fields


def test_the_fields_are_those_of_rollouts_that_are_not_settled(tmp_path, churn):
    """Law: what a running rollout's metric names is kept from its registration on, and not after it is settled."""
    platform = FakePlatform.at(tmp_path)
    platform.logs = LogFolder(platform.home)
    path = platform.home.logs / "predictions" / "churn-prod" / "2026-03-02" / "x.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text("{}\n")

    def kept():
        (file,) = measured_logs(platform).list()
        return set(file.fields.measures)

    assert set() == kept()
    metric = {"mean": "revenue", "resolution": 0.01}
    success = {**churn["success"], "metric": "m", "mde": {"value": 1.0, "kind": "value"}}
    spec = {**churn, "metrics": {"m": metric}, "success": success, "guardrails": {}}
    registered = RolloutBuilder(spec).register().events[0]
    new = NewEvent(registered.type, registered.payload)
    platform.ledger.append("churn-v3", [new], expected_seq=0, at=registered.at, actor=registered.actor)
    assert {"revenue"} == kept()
    platform.ledger.append(
        "churn-v3", [NewEvent(EventType.SETTLED, {})], expected_seq=1, at=registered.at, actor=registered.actor
    )
    assert set() == kept()

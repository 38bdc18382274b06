"""A home with a real one of everything in it, for what reads homes; and what would tell that it was touched."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from staged_rollout.adapters.assignments_file import FileAssignments
from staged_rollout.adapters.health_files import FileHealth
from staged_rollout.adapters.lake_iceberg import IcebergLake
from staged_rollout.adapters.ledger_sql import open_ledger
from staged_rollout.assignment import AssignmentDocument, VariantRef
from staged_rollout.ports.health import HealthReading
from staged_rollout.ports.lake import BatchDraft, FileBooks, LakeWriter, SourceClaim
from staged_rollout.records.tables import arrow_schema
from staged_rollout.spec.home import Home
from staged_rollout.state import Actor, NewEvent
from tests.conftest import RolloutBuilder

AT = datetime(2026, 3, 2, tzinfo=UTC)


def seen(folder: Path) -> dict[str, object]:
    """Every name below a folder, with what would tell that it was touched."""
    return {
        str(path.relative_to(folder)): (told.st_mtime_ns, told.st_mode, path.read_bytes() if path.is_file() else None)
        for path in sorted(folder.rglob("*"))
        for told in (path.lstat(),)
    }


def registered(url: str, *, at: datetime = AT) -> None:
    """A ledger with one rollout of one event, which claims its endpoint."""
    first = RolloutBuilder().register().events[0]
    with open_ledger(url) as ledger:
        new = NewEvent(first.type, first.payload)
        ledger.append("churn-v3", [new], expected_seq=0, at=at, actor=Actor("tests"), claim="churn-prod")


def one_row(writer: LakeWriter, unit: str) -> None:
    """A batch of one row."""
    row = {
        "request_id": "q",
        "timestamp": AT,
        "event_date": AT.date(),
        "endpoint": "churn-prod",
        "rollout": "churn-v3",
        "unit_id": unit,
        "assigned_variant": "v1",
        "variant": "v1",
        "fallback": False,
        "epoch": 1,
        "model_version": "1",
        "prediction": 1.0,
        "latency_ms": 1.0,
        "status": 200,
        "features": "{}",
        "source": "a",
        "line": 1,
    }
    schema = arrow_schema("predictions")
    rows = pa.Table.from_pylist([dict.fromkeys(schema.names) | row], schema=schema)
    batch = writer.begin()
    batch.add("predictions", rows, [pa.array([b"q" * 16], type=pa.binary(16))])
    claims = [SourceClaim("a", 0, 0, 10, "digest", 1)]
    books = [FileBooks("a", "predictions", 1, 1, 0, 0, 0, 0, 10, "churn-prod")]
    batch.commit(BatchDraft(AT, claims, books))


def filled(home: Home) -> None:
    """A real one of everything that lies below a home."""
    registered(home.ledger_url())
    lake = IcebergLake(home)
    with lake.writer() as writer:
        one_row(writer, lake.unit_id("customer-17"))
    lake.close()
    document = AssignmentDocument(
        endpoint="churn-prod",
        epoch=1,
        rollout="churn-v3",
        published_at=AT,
        champion=VariantRef(name="v2", version="2"),
    )
    FileAssignments(home.assignments).publish(document, expected_epoch=None)
    FileHealth(home.health).write("churn-prod", "r1", HealthReading(3, AT))

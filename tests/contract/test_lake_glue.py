"""The copy of a lake on S3: what a stranger reads there through Glue is what the lake holds."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime

import pytest

from staged_rollout.adapters.aws_client import make_client
from staged_rollout.adapters.aws_session import AwsSession
from staged_rollout.adapters.lake_glue import CopiedLake
from staged_rollout.adapters.log_folder import LogFolder
from staged_rollout.adapters.s3_place import S3Place
from staged_rollout.operations.ingest import ingest
from staged_rollout.spec.home import Home
from tests.aws_server import ACCOUNT, REGION

pytest_plugins = ("tests.aws_fixtures",)

NOW = datetime(2026, 3, 12, 18, 30, tzinfo=UTC)


class Clock:
    simulated = False

    def now(self):
        return NOW

    def wall(self):
        return NOW.timestamp()


def row(number, day):
    line = {
        "request_id": f"r{number}",
        "timestamp": f"2026-03-{day:02d}T10:00:{number:02d}Z",
        "rollout": None,
        "unit_id": f"u{number}",
        "assigned_variant": None,
        "variant": "v1",
        "fallback": False,
        "epoch": 1,
        "model_version": "1",
        "prediction": 1,
        "latency_ms": 12.5,
        "status": 200,
        "features": {"calls": 3},
    }
    return json.dumps(line) + "\n"


@pytest.fixture
def lake(aws, tmp_path):
    aws.client("s3").create_bucket(Bucket="rollouts")
    session = AwsSession(account=ACCOUNT, region=REGION)
    place = S3Place.at(make_client("s3", region=REGION), "s3://rollouts/team/lake")
    copied = CopiedLake(Home(tmp_path), session, place, "churn_team")
    yield copied
    copied.close()
    session.close()


def write(tmp_path, name, *rows):
    path = tmp_path / "logs" / "predictions" / "churn-prod" / "2026-03-12" / f"{name}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(rows))


def fill(lake, tmp_path):
    return ingest(logs=LogFolder(Home(tmp_path)), lake=lake, clock=Clock())


def read_by_a_stranger(aws):
    """Request ids through pyiceberg and Glue alone, without anything of ours."""
    from pyiceberg.catalog.glue import GlueCatalog

    options = {
        "s3.endpoint": aws.url,
        "s3.access-key-id": "nobody",
        "s3.secret-access-key": "nobody",
        "s3.region": REGION,
        "py-io-impl": "pyiceberg.io.pyarrow.PyArrowFileIO",
    }
    table = GlueCatalog("stranger", client=aws.client("glue"), **options).load_table("churn_team.predictions")
    return sorted(table.scan().to_arrow()["request_id"].to_pylist()), len(list(table.snapshots()))


def data_files(aws):
    told = aws.client("s3").list_objects_v2(Bucket="rollouts", Prefix="team/lake/churn_team.db/predictions/data/")
    return told.get("KeyCount", 0)


def test_each_sealed_batch_is_copied_and_read_back_by_a_stranger(aws, lake, tmp_path):
    """The law: the copy holds the rows of the newest sealed batch, each once, however often it is made."""
    write(tmp_path, "a", *(row(number, 10 + number % 2) for number in range(6)))
    fill(lake, tmp_path)
    write(tmp_path, "b", *(row(number, 12) for number in range(6, 9)))
    fill(lake, tmp_path)
    expected = [f"r{number}" for number in range(9)]
    assert (expected, 2) == read_by_a_stranger(aws)

    aws.forget_calls()
    fill(lake, tmp_path)
    assert [] == aws.calls()
    (tmp_path / "lake" / "copied.txt").unlink()
    fill(lake, tmp_path)
    assert [] == aws.calls("PutObject")
    assert (expected, 2) == read_by_a_stranger(aws)


def test_what_is_erased_is_erased_on_s3(aws, lake, tmp_path):
    """The law: rows that the lake removed are in no snapshot and in no file of the copy."""
    write(tmp_path, "a", row(1, 10), row(2, 11), row(3, 12))
    fill(lake, tmp_path)
    assert 3 == data_files(aws)

    lake.upkeep.erase("u2", NOW)

    assert (["r1", "r3"], 1) == read_by_a_stranger(aws)
    assert 2 == data_files(aws)


@pytest.mark.parametrize(("operation", "nth"), [("PutObject", 1), ("CreateTable", 2), ("UpdateTable", 1)])
def test_a_copy_that_fails_fails_no_ingest_and_is_made_up_for(aws, lake, tmp_path, caplog, operation, nth):
    """The law: what was ingested is in the lake whatever S3 and Glue say, and on S3 with the next writer."""
    write(tmp_path, "a", row(1, 10))
    aws.fault("refuse", operation, nth=nth, times=6, code="AccessDeniedException", message="not allowed")
    with caplog.at_level(logging.WARNING):
        assert 1 == fill(lake, tmp_path).accepted
    assert "batch 1 is not on S3 yet" in caplog.text
    for _ in range(6):
        fill(lake, tmp_path)
        if (tmp_path / "lake" / "copied.txt").exists():
            break
    assert (["r1"], 1) == read_by_a_stranger(aws)

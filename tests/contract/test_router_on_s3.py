"""The router as a process that follows documents on S3 and ships its log there."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from datetime import UTC, datetime

import pytest

from staged_rollout.adapters.assignments_s3 import S3Assignments
from staged_rollout.adapters.aws_client import make_client
from staged_rollout.adapters.logs_s3 import S3Logs
from staged_rollout.adapters.s3_place import S3Place
from staged_rollout.assignment import AssignmentDocument, VariantRef
from tests.aws_server import Aws, eventually

pytest_plugins = ("tests.aws_fixtures",)

LOGS = "s3://rollouts/team/logs"


@pytest.fixture
def router(aws: Aws, tmp_path):
    """Starts a router on one home, again and again: `router()` gives its process and address."""
    aws.client("s3").create_bucket(Bucket="rollouts")
    started: list[subprocess.Popen[str]] = []

    def start(ship_every="0.2s"):
        options = ["--home", str(tmp_path), "--endpoint", "churn-prod", "--runtime-url", aws.url, "--poll", "0.1s"]
        where = ["--assignments", "s3://rollouts/team/assignments", "--logs", LOGS, "--ship-every", ship_every]
        process = subprocess.Popen(
            [sys.executable, "-m", "staged_rollout.servers.router", *options, *where, "--parent-pipe"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process, f"http://127.0.0.1:{json.loads(process.stdout.readline())['port']}"

    yield start
    for process in started:
        process.kill()
        process.communicate(timeout=60)


def ask(url, unit):
    request = urllib.request.Request(
        f"{url}/predict",
        json.dumps({"unit_id": unit, "request_id": f"request-{unit}", "features": {"calls": 3}}).encode(),
        {"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def shipped(aws, tmp_path):
    """Request ids on S3, in the order of their lines, as ingest would read them."""
    client = make_client("s3", region=aws.region)
    source = S3Logs(
        S3Place.at(client, "s3://rollouts/captured"),
        S3Place.at(client, LOGS),
        memory=tmp_path / "memory",
        now=lambda: datetime.now(UTC),
    )
    lines = b"".join(chunk for file in source.list() for chunk in source.read(file)).splitlines()
    return [json.loads(line)["request_id"] for line in lines]


def publish(aws, epoch):
    writer = S3Assignments(S3Place.at(make_client("s3", region=aws.region), "s3://rollouts/team/assignments"))
    now = writer.read("churn-prod")
    document = AssignmentDocument(
        endpoint="churn-prod",
        epoch=epoch,
        champion=VariantRef(name="v1", version="1"),
        published_at=datetime.now(UTC),
    )
    writer.publish(document, expected_epoch=None if now is None else now.document.epoch)


def epoch_of(url):
    with urllib.request.urlopen(f"{url}/status", timeout=60) as answer:
        return [one["epoch"] for one in json.loads(answer.read())["endpoints"].values()]


def test_what_a_killed_router_logged_is_shipped_by_the_next_one(aws, router, tmp_path):
    """The law: every request that was answered is on S3 once, though the first router never shipped a line."""
    publish(aws, 1)
    process, url = router(ship_every="3600s")
    units = [f"u{number}" for number in range(20)]
    for unit in units:
        ask(url, unit)
    process.send_signal(signal.SIGKILL)
    process.wait(60)
    assert [] == shipped(aws, tmp_path)

    router()
    eventually(lambda: len(shipped(aws, tmp_path)) == len(units), deadline_s=120)

    assert sorted(f"request-{unit}" for unit in units) == sorted(shipped(aws, tmp_path))


def test_a_router_follows_the_document_and_ships_when_it_stops(aws, router, tmp_path):
    publish(aws, 1)
    process, url = router(ship_every="3600s")
    ask(url, "u1")
    assert [1] == epoch_of(url)
    publish(aws, 2)
    eventually(lambda: epoch_of(url) == [2], deadline_s=120)

    process.send_signal(signal.SIGTERM)
    process.wait(60)
    assert ["request-u1"] == shipped(aws, tmp_path)

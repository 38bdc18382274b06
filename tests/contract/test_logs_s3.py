"""Logs on S3: a listing costs by what is new, what was listed is what is read, and ingest asks for nothing twice."""

from __future__ import annotations

import json
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest

from staged_rollout.adapters.aws_client import make_client
from staged_rollout.adapters.lake_iceberg import IcebergLake
from staged_rollout.adapters.logs_s3 import S3Logs
from staged_rollout.adapters.s3_place import S3Place
from staged_rollout.errors import DataError, PlatformError
from staged_rollout.operations.ingest import ingest
from staged_rollout.ports.logs import LogFile
from staged_rollout.spec.home import Home

pytest_plugins = ("tests.aws_fixtures",)

NOW = datetime(2026, 3, 12, 18, 30, tzinfo=UTC)


class At:
    """A clock that a test sets."""

    simulated = False

    def __init__(self, moment=NOW):
        self.moment = moment

    def now(self):
        return self.moment

    def wall(self):
        return self.moment.timestamp()


def captured(hour, number, variant="v2"):
    """One Data Capture object: its key, and a line as AWS writes it."""
    at = hour + timedelta(seconds=number % 3600)
    line = {
        "captureData": {
            "endpointInput": {
                "observedContentType": "application/json",
                "mode": "INPUT",
                "data": '{"calls": 3}',
                "encoding": "JSON",
            },
            "endpointOutput": {
                "observedContentType": "application/json",
                "mode": "OUTPUT",
                "data": '{"prediction": 0}',
                "encoding": "JSON",
            },
        },
        "eventMetadata": {
            "eventId": f"event-{variant}-{hour:%d%H}-{number}",
            "inferenceId": f"request-{variant}-{hour:%d%H}-{number}",
            "inferenceTime": f"{at:%Y-%m-%dT%H:%M:%SZ}",
        },
        "eventVersion": "0",
    }
    key = f"captured/churn-prod/{variant}/{hour:%Y/%m/%d/%H}/{at:%M-%S}-{number:06d}.jsonl"
    return key, json.dumps(line).encode() + b"\n"


@pytest.fixture
def bucket(aws):
    """The bucket, and a function that fills it."""
    client = aws.client("s3", max_pool_connections=8)
    client.create_bucket(Bucket="rollouts")

    def put(*objects):
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda one: client.put_object(Bucket="rollouts", Key=one[0], Body=one[1]), objects))

    return put


def source(aws, tmp_path, clock, **more):
    client = make_client("s3", region=aws.region, **more)
    return S3Logs(
        S3Place.at(client, "s3://rollouts/captured"),
        S3Place.at(client, "s3://rollouts/logs"),
        memory=tmp_path / "lake" / "listed-logs.json",
        now=clock.now,
    )


def counted(aws):
    calls = Counter(call.operation for call in aws.calls())
    aws.forget_calls()
    return calls


def test_what_was_ingested_costs_no_request(aws, bucket, tmp_path):
    """The law: objects that were ingested are neither read nor, once their hours have passed, listed again."""
    hours = [NOW.replace(minute=0) - timedelta(hours=back) for back in range(25, 0, -1)]
    bucket(*(captured(hour, number) for hour in hours for number in range(8)))
    clock, lake = At(), IcebergLake(Home(tmp_path))
    logs = source(aws, tmp_path, clock)
    aws.forget_calls()

    first = ingest(logs=logs, lake=lake, clock=clock)
    assert (200, 200, ()) == (first.lines, first.accepted, first.findings)
    # Everything is listed: a page of captures, and the three empty places of other logs.
    assert {"ListObjectsV2": 4, "GetObject": 200} == counted(aws)

    clock.moment += timedelta(minutes=15)
    again = ingest(logs=source(aws, tmp_path, clock), lake=lake, clock=clock)
    assert 0 == again.lines
    # Endpoints, variants, the variant's last hours; predictions, ground truth, outcomes.
    assert {"ListObjectsV2": 6} == counted(aws)
    assert 8 * 6 == len(source(aws, tmp_path, clock).list())

    aws.forget_calls()
    bucket(*(captured(NOW.replace(minute=0), number) for number in range(3)))
    assert 3 == ingest(logs=source(aws, tmp_path, clock), lake=lake, clock=clock).accepted
    assert {"PutObject": 3, "ListObjectsV2": 6, "GetObject": 3} == counted(aws)
    lake.close()


def test_an_object_that_comes_very_late_is_found_within_a_day(aws, bucket, tmp_path):
    """The law: nothing is overlooked for longer than a day, whatever its key says."""
    clock = At()
    bucket(captured(NOW.replace(minute=0), 1))
    logs = source(aws, tmp_path, clock)
    assert 1 == len(logs.list())
    logs.settled()
    late, _ = captured(NOW.replace(minute=0) - timedelta(days=3), 2)
    bucket((late, b"{}\n"))

    clock.moment += timedelta(hours=23)
    assert 1 == len(source(aws, tmp_path, clock).list())
    clock.moment += timedelta(hours=1)
    assert 2 == len(source(aws, tmp_path, clock).list())


@pytest.mark.parametrize("memory", [None, b"[]", b'{"at": "yesterday"}', b"\xff"])
def test_without_a_memory_everything_is_listed(aws, bucket, tmp_path, memory):
    old = captured(NOW.replace(minute=0) - timedelta(days=30), 1)
    bucket(old)
    clock = At()
    logs = source(aws, tmp_path, clock)
    logs.list()
    logs.settled()
    clock.moment += timedelta(minutes=1)
    assert [] == source(aws, tmp_path, clock).list()

    file = tmp_path / "lake" / "listed-logs.json"
    file.unlink() if memory is None else file.write_bytes(memory)
    assert 1 == len(source(aws, tmp_path, clock).list())


def test_a_clock_that_was_set_back_leaves_nothing_out(aws, bucket, tmp_path):
    bucket(captured(NOW.replace(minute=0), 1))
    clock = At(NOW + timedelta(days=365))
    logs = source(aws, tmp_path, clock)
    logs.list()
    logs.settled()
    clock.moment = NOW
    assert 1 == len(logs.list())


def test_a_run_that_did_not_finish_settles_nothing(aws, bucket, tmp_path):
    """The law: what was listed and not read is listed again, however old it is."""
    old = NOW.replace(minute=0) - timedelta(days=5)
    bucket(captured(old, 1), (captured(old, 2)[0] + ".gz", b"not gzip"))
    clock, lake = At(), IcebergLake(Home(tmp_path))

    first = ingest(logs=source(aws, tmp_path, clock), lake=lake, clock=clock)
    assert (1, 1) == (first.accepted, len(first.findings))
    clock.moment += timedelta(minutes=15)
    assert 2 == len(source(aws, tmp_path, clock).list())
    lake.close()


def test_an_object_that_was_replaced_is_read_anew_and_its_rows_are_not_doubled(aws, bucket, tmp_path):
    clock, lake = At(), IcebergLake(Home(tmp_path))
    key, line = captured(NOW.replace(minute=0), 1)
    _, other = captured(NOW.replace(minute=0), 2)
    bucket((key, line))
    assert 1 == ingest(logs=source(aws, tmp_path, clock), lake=lake, clock=clock).accepted

    bucket((key, line + other))
    grown = ingest(logs=source(aws, tmp_path, clock), lake=lake, clock=clock)
    bucket((key, other))
    shrunk = ingest(logs=source(aws, tmp_path, clock), lake=lake, clock=clock)

    assert (1, 1, ()) == (grown.lines, grown.accepted, grown.findings)
    assert (1, 0, 1) == (shrunk.lines, shrunk.accepted, shrunk.duplicates)
    assert "was replaced" in shrunk.findings[0]
    lake.close()


def test_an_object_replaced_since_it_was_listed_waits_for_the_next_listing(aws, bucket, tmp_path):
    """The law: never a mixture of two versions."""
    logs = source(aws, tmp_path, At())
    key, line = captured(NOW.replace(minute=0), 1)
    bucket((key, line))
    (file,) = logs.list()
    bucket((key, line * 2))
    with pytest.raises(DataError, match="was replaced since it was listed") as caught:
        list(logs.read(file))
    assert file.name == caught.value.facts["file"]
    assert line * 2 == b"".join(logs.read(logs.list()[0]))


def test_every_kind_has_its_place_and_what_has_none_is_left_out(aws, bucket, tmp_path):
    """Foreign keys are names, never paths: nothing of them reaches this machine's disk."""
    bucket(
        ("captured/churn-prod/v2/2026/03/12/17/a.jsonl", b"{}\n"),
        ("captured/churn-prod/v2/2026/03/12/17/a.csv", b"{}\n"),
        ("captured/churn-prod/../../../etc/passwd.jsonl", b"{}\n"),
        ("captured/../v2/2026/03/12/17/a.jsonl", b"{}\n"),
        ("captured/it's;--/v2/2026/03/12/17/a.jsonl", b"{}\n"),
        ("logs/predictions/churn-prod/2026-03-12/r1.jsonl", b"{}\n"),
        ("logs/outcomes/churn-prod/2026-03-12.jsonl.gz", b"{}\n"),
        ("logs/ground-truth/churn-prod/2026/03/12/17/g.jsonl", b"{}\n"),
        ("logs/ground-truth/churn-prod/2026/13/12/17/g.jsonl", b"{}\n"),
        ("logs/other/churn-prod/x.jsonl", b"{}\n"),
    )
    clock = At()
    logs = source(aws, tmp_path, clock)
    whole = logs.list()
    assert [
        ("capture", "churn-prod", "v2", False, None),
        ("ground-truth", "churn-prod", None, False, datetime(2026, 3, 12, 17, 59, 59, 999999, tzinfo=UTC)),
        ("outcomes", "churn-prod", None, True, None),
        ("predictions", "churn-prod", None, False, None),
    ] == [(file.kind, file.endpoint, file.variant, file.compressed, file.at) for file in whole]
    logs.settled()
    clock.moment += timedelta(minutes=1)
    assert whole == logs.list()


def test_what_s3_refuses_is_an_error_and_settles_nothing(aws, bucket, tmp_path):
    bucket(captured(NOW.replace(minute=0), 1))
    clock, lake = At(), IcebergLake(Home(tmp_path))
    aws.fault("refuse", "ListObjectsV2", nth=2, code="AccessDenied", message="not allowed to s3:ListBucket")
    with pytest.raises(PlatformError, match="list s3://rollouts/logs/predictions/: AccessDenied"):
        ingest(logs=source(aws, tmp_path, clock), lake=lake, clock=clock)
    assert 1 == ingest(logs=source(aws, tmp_path, clock), lake=lake, clock=clock).accepted
    lake.close()


@pytest.mark.parametrize("kind", ["throttle", "timeout"])
@pytest.mark.parametrize("operation", ["ListObjectsV2", "GetObject"])
def test_a_bad_moment_of_s3_changes_nothing(aws, bucket, tmp_path, operation, kind):
    bucket(*(captured(NOW.replace(minute=0), number) for number in range(3)))
    clock, lake = At(), IcebergLake(Home(tmp_path))
    aws.fault(kind, operation, nth=2)
    report = ingest(logs=source(aws, tmp_path, clock), lake=lake, clock=clock)
    assert [1] == aws.hits()
    assert (3, 3, ()) == (report.lines, report.accepted, report.findings)
    lake.close()


# --- connections that break ------------------------------------------------------------------------------------------


@pytest.fixture
def breaking():
    """A server of one object whose answers break off after some bytes, over real HTTP."""
    told = SimpleNamespace(body=bytes(range(256)) * 5000, sent=100_000, ranges=[], broken=0)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            header = self.headers.get("Range")
            told.ranges.append(header)
            begin = int(header.removeprefix("bytes=").split("-")[0]) if header else 0
            part = told.body[begin:]
            self.send_response(206 if header else 200)
            self.send_header("Content-Length", str(len(part)))
            self.send_header("ETag", self.headers["If-Match"])
            self.end_headers()
            self.wfile.write(part[: told.sent])
            if len(part) > told.sent:
                told.broken += 1
            self.close_connection = True

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    told.url = f"http://127.0.0.1:{server.server_port}"
    yield told
    server.shutdown()
    thread.join()
    server.server_close()


def read_breaking(breaking, tmp_path):
    place = S3Place.at(make_client("s3", endpoint_url=breaking.url, retries=0), "s3://rollouts/captured")
    logs = S3Logs(place, place, memory=tmp_path / "memory", now=At().now)
    name = "capture/churn-prod/v2/2026/03/12/17/a.jsonl"
    return logs.read(LogFile("capture", "churn-prod", name, len(breaking.body), "v2", "abc"))


def test_a_connection_that_breaks_is_taken_up_where_it_broke(breaking, tmp_path):
    """The law: each byte once and in order, however often the connection breaks."""
    assert breaking.body == b"".join(read_breaking(breaking, tmp_path))
    assert breaking.broken >= 10
    assert breaking.ranges[0] is None
    assert all(header.endswith(f"-{len(breaking.body) - 1}") for header in breaking.ranges[1:])


def test_a_connection_that_gives_nothing_is_given_up(breaking, tmp_path):
    breaking.sent = 0
    with pytest.raises(DataError, match="cannot be read from byte 0 on"):
        list(read_breaking(breaking, tmp_path))

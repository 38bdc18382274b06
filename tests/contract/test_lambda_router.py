"""The router as a Lambda handler: events in, answers out; moto's S3, and a runtime that is a real server."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from staged_rollout.adapters.assignments_s3 import S3Assignments
from staged_rollout.adapters.s3_place import S3Place
from staged_rollout.assignment import AssignmentDocument, VariantRef, assign
from staged_rollout.records.traffic import BODY_LIMIT
from staged_rollout.servers.router import lambda_handler
from staged_rollout.servers.router.documents import DocumentsOnDemand
from staged_rollout.servers.router.lambda_handler import LambdaRouter, LambdaSettings, handler
from staged_rollout.servers.router.prediction_log import PredictionRow
from staged_rollout.servers.router.prediction_log_s3 import NOT_ON_S3
from tests.aws_server import Aws

pytest_plugins = ("tests.aws_fixtures",)

BUCKET = "rollouts"
V1, V2 = VariantRef(name="v1", version="1"), VariantRef(name="v2", version="2")
FEATURES = {"minutes": 0.9, "plan": "yes"}


class Runtime:
    """Answers InvokeEndpoint; refuses variants in `refused`, and throttles those in `throttled`."""

    def __init__(self) -> None:
        self.refused: set[str] = set()
        self.throttled: set[str] = set()
        self.asked: list[dict[str, str]] = []
        runtime = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                target = self.headers.get("X-Amzn-SageMaker-Target-Variant", "v1")
                runtime.asked.append({name.lower(): value for name, value in self.headers.items()})
                status, code, told = 200, "", {"prediction": 1, "model_version": target[1:]}
                if target in runtime.refused:
                    status, code, told = 400, "ValidationError", {"Message": "Variant not found"}
                if target in runtime.throttled:
                    status, code, told = 429, "ThrottlingException", {"Message": "Rate exceeded"}
                body = json.dumps(told).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.send_header(
                    *(("x-amzn-ErrorType", code) if code else ("x-Amzn-Invoked-Production-Variant", target))
                )
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the standard library's
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def runtime() -> Iterator[Runtime]:
    opened = Runtime()
    yield opened
    opened.server.shutdown()
    opened.server.server_close()


@pytest.fixture
def published(aws: Aws, runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> Iterator[AssignmentDocument]:
    """A bucket with a document in force, and the function's environment; the handler starts cold."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", runtime.url)
    for name, value in {
        "ENDPOINT": "churn-prod",
        "ASSIGNMENTS": f"s3://{BUCKET}/team/assignments",
        "LOGS": f"s3://{BUCKET}/team/logs",
        "POLL_S": "0.001",
    }.items():
        monkeypatch.setenv(f"STAGED_ROLLOUT_{name}", value)
    aws.client("s3").create_bucket(Bucket=BUCKET)
    yield publish(aws, 1)
    if lambda_handler._router.cache_info().currsize:
        lambda_handler._router().close()
    lambda_handler._router.cache_clear()


def publish(aws: Aws, epoch: int, **more: Any) -> AssignmentDocument:
    document = AssignmentDocument(
        endpoint="churn-prod",
        epoch=epoch,
        rollout="churn-v2",
        stage="live",
        champion=V1,
        candidate=V2,
        enrolled=1.0,
        published_at=datetime(2026, 3, 2, tzinfo=UTC),
        **more,
    )
    documents = S3Assignments(S3Place.at(aws.client("s3"), f"s3://{BUCKET}/team/assignments"))
    documents.publish(document, expected_epoch=epoch - 1 or None)
    return document


def rows(aws: Aws) -> list[dict[str, Any]]:
    """Rows on S3, with their key's folder."""
    s3 = aws.client("s3")
    listed = s3.list_objects_v2(Bucket=BUCKET, Prefix="team/logs/").get("Contents", ())
    found = []
    for entry in listed:
        (line,) = s3.get_object(Bucket=BUCKET, Key=entry["Key"])["Body"].read().splitlines()
        found.append(json.loads(line) | {"folder": entry["Key"].rpartition("/")[0]})
    return found


def http_api(body: Any, *, path: str = "/predict", method: str = "POST", stage: str = "$default", **more: Any) -> Any:
    """An event of payload format 2.0, as AWS documents it."""
    return {
        "version": "2.0",
        "routeKey": f"{method} {path}",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {"content-type": "application/json", "host": "id.execute-api.us-east-1.amazonaws.com"},
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "api-id",
            "domainName": "id.execute-api.us-east-1.amazonaws.com",
            "http": {
                "method": method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "192.0.2.1",
                "userAgent": "agent",
            },
            "requestId": "id",
            "routeKey": f"{method} {path}",
            "stage": stage,
            "time": "12/Mar/2020:19:03:58 +0000",
            "timeEpoch": 1583348638390,
        },
        "body": body if isinstance(body, str) else json.dumps(body),
        "isBase64Encoded": False,
    } | more


def rest_api(body: Any, *, path: str = "/predict", method: str = "POST", **more: Any) -> Any:
    """An event of payload format 1.0, as AWS documents it for a REST API's proxy integration."""
    return {
        "resource": "/{proxy+}",
        "path": path,
        "httpMethod": method,
        "headers": {"Content-Type": "application/json", "X-Forwarded-Proto": "https"},
        "multiValueHeaders": {"Content-Type": ["application/json"], "X-Forwarded-Proto": ["https"]},
        "queryStringParameters": None,
        "multiValueQueryStringParameters": None,
        "pathParameters": {"proxy": path.strip("/")},
        "stageVariables": None,
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "1234567890",
            "httpMethod": method,
            "identity": {"sourceIp": "192.0.2.1", "userAgent": "agent"},
            "path": f"/prod{path}",
            "requestId": "c6af9ac6-7b61-11e6-9a41-93e8deadbeef",
            "resourcePath": "/{proxy+}",
            "stage": "prod",
        },
        "body": body if isinstance(body, str) else json.dumps(body),
        "isBase64Encoded": False,
    } | more


def ask(event: Any) -> tuple[int, dict[str, Any]]:
    """The status and the body; the answer is one that API Gateway takes."""
    answer = json.loads(json.dumps(handler(event, None)))
    assert {"statusCode", "headers", "body", "isBase64Encoded"} == set(answer)
    assert {"content-type": "application/json"} == answer["headers"]
    assert answer["isBase64Encoded"] is False
    told: dict[str, Any] = json.loads(answer["body"])
    return answer["statusCode"], told


ENCODED = base64.b64encode(json.dumps({"unit_id": "u1", "features": FEATURES}).encode()).decode()
EVENTS = {
    "HTTP API": http_api({"unit_id": "u1", "features": FEATURES}),
    "HTTP API, base64": http_api(ENCODED, isBase64Encoded=True),
    "HTTP API, named stage": http_api({"unit_id": "u1", "features": FEATURES}, path="/prod/predict", stage="prod"),
    "REST API": rest_api({"unit_id": "u1", "features": FEATURES}),
    "REST API, base64": rest_api(ENCODED, isBase64Encoded=True),
    "REST API, endpoint": rest_api({"unit_id": "u1", "features": FEATURES}, path="/endpoints/churn-prod/predict"),
}


@pytest.mark.parametrize("name", EVENTS)
def test_each_form_of_event_is_assigned_asked_logged_and_answered(
    aws: Aws, published: AssignmentDocument, runtime: Runtime, name: str
):
    """The row on S3 is there when the caller has its answer, says what the answer says, and lies where ingest looks."""
    expected = assign(published, "u1").variant
    status, told = ask(EVENTS[name])
    assert (200, expected.name, expected.version) == (status, told["variant"], told["model_version"])
    (row,) = rows(aws)
    assert f"team/logs/predictions/churn-prod/{row['timestamp'][:10]}" == row.pop("folder")
    assert list(PredictionRow.__annotations__) == list(row)
    assert {key: row[key] for key in told} == told
    assert ("u1", "churn-v2", FEATURES) == (row["unit_id"], row["rollout"], row["features"])
    (asked,) = runtime.asked
    assert told["request_id"] == asked["x-amzn-sagemaker-inference-id"]
    assert "unit=u1;rollout=churn-v2;epoch=1" == asked["x-amzn-sagemaker-custom-attributes"]


@pytest.mark.parametrize("kind", ["refused", "throttled"])
def test_a_variant_that_does_not_answer_is_replaced_by_the_champion_once(
    aws: Aws, published: AssignmentDocument, runtime: Runtime, kind: str
):
    """One attempt each: boto3 does not retry behind the fallback's back."""
    getattr(runtime, kind).add("v2")
    unit = next(f"u{n}" for n in range(100) if assign(published, f"u{n}").variant == V2)
    status, told = ask(http_api({"unit_id": unit, "features": FEATURES}))
    assert (200, "v1", True) == (status, told["variant"], told["fallback"])
    assert ["v2", "v1"] == [call["x-amzn-sagemaker-target-variant"] for call in runtime.asked]
    (row,) = rows(aws)
    assert ("v2", "v1", True) == (row["assigned_variant"], row["variant"], row["fallback"])


def test_a_failed_call_is_logged_and_answered_with_its_status(
    aws: Aws, published: AssignmentDocument, runtime: Runtime
):
    runtime.throttled |= {"v1", "v2"}
    status, told = ask(http_api({"features": FEATURES}))
    assert 429 == status
    assert "Rate exceeded" in told["error"]
    (row,) = rows(aws)
    assert (429, None) == (row["status"], row["prediction"])


def test_a_new_document_is_followed_by_a_warm_container(aws: Aws, published: AssignmentDocument):
    unit = next(f"u{n}" for n in range(100) if assign(published, f"u{n}").variant == V1)
    assert "v1" == ask(http_api({"unit_id": unit, "features": FEATURES}))[1]["variant"]
    publish(aws, 2, share=1.0)
    assert "v2" == ask(http_api({"unit_id": unit, "features": FEATURES}))[1]["variant"]


def test_the_last_good_document_stays_in_force_when_s3_fails(aws: Aws, published: AssignmentDocument):
    assert 200 == ask(http_api({"unit_id": "u1", "features": FEATURES}))[0]
    aws.client("s3").put_object(Bucket=BUCKET, Key="team/assignments/churn-prod.json", Body=b"not a document")
    status, told = ask(http_api({"unit_id": "u1", "features": FEATURES}))
    assert (200, 1) == (status, told["epoch"])


def test_a_document_is_read_once_while_it_is_young():
    class Source:
        reads = 0

        def read(self, endpoint: str) -> None:
            self.reads += 1

        def publish(self, document: AssignmentDocument, *, expected_epoch: int | None) -> None:
            pytest.fail("a router publishes nothing")

    now, source = [100.0], Source()
    documents = DocumentsOnDemand(source, 5.0, wall=lambda: now[0])
    documents.current("e")
    first = source.reads
    documents._known["e"] = AssignmentDocument(
        endpoint="e", epoch=1, champion=V1, published_at=datetime(2026, 3, 2, tzinfo=UTC)
    )
    seen = []
    for moment in (104.9, 105.0, 109.0, 50.0):
        now[0] = moment
        documents.current("e")
        seen.append(source.reads - first)
    assert [0, 1, 1, 2] == seen, "also when the clock was set back"


def test_a_row_that_s3_does_not_take_is_printed_and_the_caller_is_answered(
    aws: Aws, published: AssignmentDocument, capsys: pytest.CaptureFixture[str]
):
    """Standard output is CloudWatch's: nothing is lost."""
    ask(http_api({"unit_id": "u1", "features": FEATURES, "request_id": "first"}))
    aws.fault("server_error", "PutObject", times=20)
    status, told = ask(http_api({"unit_id": "u1", "features": FEATURES, "request_id": "second"}))
    assert (200, "second") == (status, told["request_id"])
    (line,) = [line for line in capsys.readouterr().out.splitlines() if NOT_ON_S3 in line]
    printed = json.loads(line)
    assert ("churn-prod", "second") == (printed["endpoint"], printed[NOT_ON_S3]["request_id"])
    assert ["first"] == [row["request_id"] for row in rows(aws)]
    assert 1 == ask(rest_api("", path="/healthz", method="GET"))[1]["log_failures"]


def test_two_requests_with_one_id_are_two_objects(aws: Aws, published: AssignmentDocument):
    """Which of them counts is decided by ingest, where both are seen."""
    for _ in range(2):
        ask(http_api({"unit_id": "u1", "features": FEATURES, "request_id": "../../same"}))
    assert ["../../same"] * 2 == [row["request_id"] for row in rows(aws)]


def test_the_status_says_which_document_is_in_force(published: AssignmentDocument):
    ask(http_api({"unit_id": "u1", "features": FEATURES}))
    told = ask(http_api("", path="/status", method="GET"))[1]
    expected = {"epoch": 1, "rollout": "churn-v2", "stage": "live", "step": 0, "calls": 1}
    assert {"churn-prod": expected} == told["endpoints"]


OTHERS = {
    "another path": (http_api({}, path="/"), 404),
    "another endpoint": (http_api({}, path="/endpoints/payroll/predict"), 404),
    "another method": (http_api({}, method="GET"), 405),
    "a queue's event": ({"Records": [{"body": "{}"}]}, 400),
    "nothing": (None, 400),
    "no body": (http_api("") | {"body": None}, 400),
    "a body that is no text": (http_api("") | {"body": {"features": {}}}, 400),
    "not base64": (http_api("%%%", isBase64Encoded=True), 400),
    "a surrogate": (http_api('{"features": {"a": "\ud800"}}'), 400),
    "not JSON": (rest_api("<xml/>"), 400),
    "a long unit": (http_api({"unit_id": "x" * 257, "features": {}}), 400),
    "a long id": (http_api({"request_id": "x" * 65, "features": {}}), 400),
    "an id with a line end": (http_api({"request_id": "x\r\nX-Evil: 1", "features": {}}), 400),
    "too large": (http_api("x" * (BODY_LIMIT + 1)), 413),
    "too large, base64": (http_api(base64.b64encode(b"x" * (BODY_LIMIT + 1)).decode(), isBase64Encoded=True), 413),
    "too large in UTF-8": (http_api("é" * (BODY_LIMIT // 2 + 1)), 413),
    "deep": (http_api('{"features":' + '{"a":' * 600 + "1" + "}" * 600 + "}"), 400),
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_no_request_is_answered_and_reaches_nobody(
    aws: Aws, published: AssignmentDocument, runtime: Runtime, name: str
):
    event, expected = OTHERS[name]
    status, told = ask(event)
    assert expected == status
    assert told["error"]
    assert ([], []) == (runtime.asked, rows(aws))


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
_PARTS = st.fixed_dictionaries(
    {},
    optional={
        "version": st.sampled_from(["2.0", "1.0"]) | _JSON,
        "rawPath": st.sampled_from(["/predict", "/endpoints/churn-prod/predict"]) | _JSON,
        "path": st.sampled_from(["/predict"]) | _JSON,
        "httpMethod": st.sampled_from(["POST", "GET"]) | _JSON,
        "requestContext": st.just({"http": {"method": "POST"}}) | _JSON,
        "body": _JSON
        | st.text()
        | st.fixed_dictionaries({"features": _JSON}, optional={"unit_id": _JSON, "request_id": _JSON}).map(json.dumps),
        "isBase64Encoded": st.booleans() | _JSON,
        "headers": _JSON,
    },
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(event=_PARTS | _JSON)
def test_whatever_the_event_is_it_is_answered(published: AssignmentDocument, event: Any):
    """Never an exception, which API Gateway would turn into a 502 that nobody can read."""
    status, told = ask(event)
    assert status in {200, 400, 404, 405, 413}
    assert (status == 200) != ("error" in told)


def test_a_function_without_its_settings_says_which_are_missing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    for name in ("ENDPOINT", "ASSIGNMENTS", "LOGS"):
        monkeypatch.delenv(f"STAGED_ROLLOUT_{name}", raising=False)
    monkeypatch.setenv("STAGED_ROLLOUT_ENDPOINT", "churn-prod")
    lambda_handler._router.cache_clear()
    assert (500, {"error": "the router is not configured; its log says what is missing"}) == ask(http_api({}))
    assert "STAGED_ROLLOUT_ASSIGNMENTS, STAGED_ROLLOUT_LOGS: not set in the function's environment" in caplog.text


def test_rows_are_encrypted_with_the_key_that_is_named(aws: Aws, published: AssignmentDocument):
    router = LambdaRouter(
        LambdaSettings(
            "churn-prod", f"s3://{BUCKET}/team/assignments", f"s3://{BUCKET}/team/logs", kms_key="alias/rows"
        )
    )
    assert 200 == router.answer(http_api({"features": FEATURES}))["statusCode"]
    router.close()
    (entry,) = aws.client("s3").list_objects_v2(Bucket=BUCKET, Prefix="team/logs/")["Contents"]
    told = aws.client("s3").head_object(Bucket=BUCKET, Key=entry["Key"])
    assert ("aws:kms", "alias/rows") == (told["ServerSideEncryption"], told["SSEKMSKeyId"])

"""The local endpoint's runtime, as an unmodified boto3 `sagemaker-runtime` client meets it."""

from __future__ import annotations

import base64
import json
import math
import time
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError

from staged_rollout.ports.serving import EndpointTarget
from staged_rollout.servers.simulated_time import HEADER
from tests.local_platform import CUSTOMER, SLOW_MS, LocalPlatform, eventually, variant

pytest_plugins = ("tests.local_fixtures",)

BODY = json.dumps(CUSTOMER).encode()


@pytest.fixture(scope="module")
def weighted(platform: LocalPlatform) -> str:
    """An endpoint on weights 95 and 5."""
    platform.settle(EndpointTarget("weighted", (variant(1, 0.95), variant(2, 0.05))))
    return "weighted"


@pytest.fixture(scope="module")
def shadowed(platform: LocalPlatform) -> str:
    """An endpoint whose every request is copied to a slow shadow."""
    platform.settle(EndpointTarget("shadowed", (variant(1, 1.0),), variant(4, 1.0)))
    return "shadowed"


@pytest.fixture(scope="module")
def runtime(platform: LocalPlatform) -> Any:
    return platform.client("sagemaker-runtime")


def ask(runtime: Any, endpoint: str, body: bytes = BODY, **more: Any) -> Any:
    return runtime.invoke_endpoint(EndpointName=endpoint, Body=body, **{"ContentType": "application/json", **more})


def refusal(runtime: Any, endpoint: str, body: bytes = BODY, **more: Any) -> dict[str, Any]:
    with pytest.raises(ClientError) as caught:
        ask(runtime, endpoint, body, **more)
    told: dict[str, Any] = caught.value.response
    return told


def test_an_answer_tells_prediction_score_version_and_variant(runtime: Any, weighted: str):
    answer = ask(runtime, weighted, TargetVariant="v2")
    told = json.loads(answer["Body"].read())
    assert answer["InvokedProductionVariant"] == "v2"
    assert answer["ContentType"] == "application/json"
    assert told == {"prediction": 1, "score": pytest.approx(0.9, abs=0.1), "model_version": "2"}


def test_untargeted_calls_follow_the_weights(runtime: Any, weighted: str):
    """Of 400 calls at weights 95 and 5 the candidate answers 20, within 4.5 binomial standard deviations."""
    calls = 400
    seen = Counter(ask(runtime, weighted)["InvokedProductionVariant"] for _ in range(calls))
    assert seen.total() == calls
    assert abs(seen["v2"] - 0.05 * calls) <= 4.5 * math.sqrt(calls * 0.05 * 0.95)


def test_a_target_overrides_the_weights(runtime: Any, weighted: str):
    answers = [ask(runtime, weighted, TargetVariant="v2")["InvokedProductionVariant"] for _ in range(20)]
    assert answers == ["v2"] * 20


@pytest.mark.parametrize(
    ("endpoint", "more", "words"),
    [
        ("never", {}, "Endpoint never of account 000000000000 not found."),
        ("weighted", {"TargetVariant": "v9"}, "Variant v9 not found in endpoint weighted"),
        ("weighted", {"TargetModel": "m"}, "target-model is not supported"),
        ("weighted", {"InferenceComponentName": "c"}, "inference-component is not supported"),
    ],
)
def test_what_the_endpoint_does_not_have_is_a_validation_error(runtime, weighted, endpoint, more, words):
    told = refusal(runtime, endpoint, **more)
    assert told["Error"]["Code"] == "ValidationError"
    assert told["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert words in told["Error"]["Message"]


def test_a_shadow_cannot_be_targeted(runtime: Any, shadowed: str):
    assert refusal(runtime, shadowed, TargetVariant="v4")["Error"]["Code"] == "ValidationError"


@pytest.mark.parametrize(
    ("body", "content_type", "status", "words"),
    [
        (b"{", "application/json", 400, "not JSON"),
        (b"[1]", "application/json", 400, "JSON object"),
        (b'{"minutes":1,"calls":2}', "application/json", 400, "'plan' is missing"),
        (b'{"minutes":1,"calls":2,"plan":"maybe"}', "application/json", 400, "must be one of ['no', 'yes']"),
        (b'{"minutes":1,"calls":2,"plan":["yes"]}', "application/json", 400, "must be one of"),
        (b'{"minutes":"1","calls":2,"plan":"no"}', "application/json", 400, "must be a number"),
        (b'{"minutes":true,"calls":2,"plan":"no"}', "application/json", 400, "must be a number"),
        (b'{"minutes":null,"calls":2,"plan":"no"}', "application/json", 400, "must be a number"),
        (b"0.9,3,1", "text/csv", 415, "must be application/json"),
    ],
)
def test_a_request_that_does_not_fit_the_model_is_its_client_error(
    runtime, weighted, body, content_type, status, words
):
    """AWS answers 424 with the model's own status and message inside; the server goes on."""
    told = refusal(runtime, weighted, body, ContentType=content_type)
    assert told["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert told["Error"]["Code"] == "ModelError"
    assert told["OriginalStatusCode"] == status
    assert words in told["OriginalMessage"]
    assert told["Error"]["Message"].startswith(f"Received client error ({status}) from v")


def test_awss_limits_hold(platform: LocalPlatform, runtime: Any, weighted: str):
    place = f"{platform.servers.endpoint_url}/endpoints/{weighted}/invocations"
    too_long = httpx.post(place, content=b" " * 6_291_457, headers={"content-type": "application/json"})
    assert too_long.status_code == 413  # a client that checks itself does not send it
    assert "HTTP content length exceeded 6291456 bytes." in too_long.text
    padded = json.dumps({**CUSTOMER, "padding": "x" * (6_291_456 - len(BODY) - 15)}).encode()
    assert len(padded) == 6_291_456
    assert ask(runtime, weighted, padded)["ResponseMetadata"]["HTTPStatusCode"] == 200
    url = f"{platform.servers.endpoint_url}/endpoints/{weighted}/invocations"
    prefix = "x-amzn-sagemaker-"
    for headers in (
        {f"{prefix}custom-attributes": "x" * 1025},
        {f"{prefix}inference-id": "x" * 65},
        {f"{prefix}inference-id": ""},
        {f"{prefix}target-variant": "../v1"},
    ):
        answer = httpx.post(url, content=BODY, headers={"content-type": "application/json", **headers})
        assert (answer.status_code, answer.headers["x-amzn-errortype"]) == (400, "ValidationError")


def test_the_shadow_gets_a_copy_after_the_answer_and_both_are_captured(
    platform: LocalPlatform, runtime: Any, shadowed: str
):
    """The champion is not slowed by a slow shadow, and the two lines join by InferenceId."""
    for number in range(5):
        began = time.perf_counter()
        answer = ask(runtime, shadowed, InferenceId=f"i-{number}", CustomAttributes=f"unit={number}")
        assert answer["InvokedProductionVariant"] == "v1"
        assert (time.perf_counter() - began) * 1000 < SLOW_MS
    eventually(lambda: len(platform.captured(shadowed, "v4")) >= 5)
    lines = {name: platform.captured(shadowed, name) for name in ("v1", "v4")}
    for name, version in (("v1", "1"), ("v4", "4")):
        assert [line["eventMetadata"]["inferenceId"] for line in lines[name]] == [f"i-{n}" for n in range(5)]
        assert [line["eventMetadata"]["customAttributes"] for line in lines[name]] == [[f"unit={n}"] for n in range(5)]
        for line in lines[name]:
            assert set(line) == {"captureData", "eventMetadata", "eventVersion"}
            given, told = line["captureData"]["endpointInput"], line["captureData"]["endpointOutput"]
            assert (given["mode"], given["encoding"]) == ("INPUT", "JSON")
            assert json.loads(given["data"]) == CUSTOMER
            assert (told["mode"], told["encoding"]) == ("OUTPUT", "JSON")
            assert json.loads(told["data"])["model_version"] == version
    hour = datetime.now(UTC)
    folder = platform.home.capture / shadowed / "v4" / f"{hour:%Y/%m/%d}"
    assert folder.is_dir() or hour.hour == 0, "SageMaker's key layout, by UTC hour"


def test_a_targeted_call_is_not_copied(platform: LocalPlatform, runtime: Any, shadowed: str):
    ask(runtime, shadowed, TargetVariant="v1", InferenceId="targeted")
    ask(runtime, shadowed, InferenceId="untargeted")

    def copied() -> set[str]:
        return {line["eventMetadata"].get("inferenceId") for line in platform.captured(shadowed, "v4")}

    eventually(lambda: "untargeted" in copied())
    assert "targeted" not in copied()


def test_a_shadow_that_fails_is_counted_and_disturbs_nobody(platform: LocalPlatform, runtime: Any, fresh_endpoint: str):
    platform.settle(EndpointTarget(fresh_endpoint, (variant(1, 1.0),), variant(6, 1.0)))
    for _ in range(3):
        assert ask(runtime, fresh_endpoint)["InvokedProductionVariant"] == "v1"
    counts = platform.home.serving / "shadow_failures.json"
    eventually(lambda: counts.exists() and fresh_endpoint in counts.read_text())
    eventually(lambda: json.loads(counts.read_text())[f"{fresh_endpoint}/v6"]["failures"] == 3)
    assert "'never_sent' is missing" in json.loads(counts.read_text())[f"{fresh_endpoint}/v6"]["last_reason"]
    assert platform.captured(fresh_endpoint, "v6") == []
    assert len(platform.captured(fresh_endpoint, "v1")) == 3


def test_a_share_of_requests_is_copied(platform: LocalPlatform, runtime: Any, fresh_endpoint: str):
    """Shadow weight over production weight is the share: of 200 at one half 100, within 4.5 standard deviations."""
    platform.settle(EndpointTarget(fresh_endpoint, (variant(1, 1.0),), variant(2, 0.5)))
    for _ in range(200):
        ask(runtime, fresh_endpoint)
    time.sleep(0.3)
    copies = len(platform.captured(fresh_endpoint, "v2"))
    assert abs(copies - 100) <= 4.5 * math.sqrt(50)


def test_other_content_types_are_captured_in_base_64(platform: LocalPlatform, runtime: Any, shadowed: str):
    """A content type that the capture config does not list is captured in base 64, as on AWS."""
    ask(runtime, shadowed, ContentType="application/json; charset=utf-8", InferenceId="listed", TargetVariant="v1")
    ask(runtime, shadowed, ContentType="APPLICATION/JSON", InferenceId="unlisted", TargetVariant="v1")
    lines = {line["eventMetadata"].get("inferenceId"): line for line in platform.captured(shadowed, "v1")}
    assert lines["listed"]["captureData"]["endpointInput"]["encoding"] == "JSON"
    given = lines["unlisted"]["captureData"]["endpointInput"]
    assert given["encoding"] == "BASE64"
    assert base64.b64decode(given["data"]) == BODY


def test_the_simulated_time_of_a_loopback_caller_is_honoured(platform: LocalPlatform, runtime: Any, weighted: str):
    stamp = "2026-02-14T18:25:49.000123+01:00"

    def at(params: dict[str, Any], **_: Any) -> None:
        params["headers"][HEADER] = stamp

    event = "before-call.sagemaker-runtime.InvokeEndpoint"
    runtime.meta.events.register(event, at)
    try:
        ask(runtime, weighted, TargetVariant="v1", InferenceId="then")
        stamp = "2026-02-14T18:25:49"
        assert "has no time zone" in refusal(runtime, weighted)["Error"]["Message"]
    finally:
        runtime.meta.events.unregister(event, at)
    (path,) = (platform.home.capture / weighted / "v1" / "2026/02/14/17").glob("*.jsonl")
    assert json.loads(path.read_bytes())["eventMetadata"]["inferenceTime"] == "2026-02-14T17:25:49Z"

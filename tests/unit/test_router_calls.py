"""What the router makes of answers that are none: over real HTTP, from a server that misbehaves on purpose."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from staged_rollout.assignment import Assigned, AssignmentDocument, VariantRef
from staged_rollout.servers.router.calls import EndpointCalls, Outcome

CHAMPION, CANDIDATE = VariantRef(name="v1", version="1"), VariantRef(name="v2", version="2")
DOCUMENT = AssignmentDocument(
    endpoint="churn-prod",
    epoch=3,
    rollout="churn-v2",
    champion=CHAMPION,
    candidate=CANDIDATE,
    enrolled=1.0,
    published_at=datetime(2026, 3, 2, tzinfo=UTC),
)
TREATED = Assigned(CANDIDATE, "churn-v2", "treatment", target=True)
CONTROL = Assigned(CHAMPION, "churn-v2", "control", target=True)
GOOD = {"prediction": 1, "model_version": "1"}
Reply = tuple[int, bytes, dict[str, str], float]


def reply(status: int = 200, told: Any = GOOD, *, code: str = "", variant: str = "v1", delay: float = 0.0) -> Reply:
    headers = {"x-Amzn-Invoked-Production-Variant": variant} if status == 200 else {"x-amzn-ErrorType": code}
    return status, told if isinstance(told, bytes) else json.dumps(told).encode(), headers, delay


def answered(variant: str, prediction: int, *, fallback: bool) -> Outcome:
    version = variant.removeprefix("v")
    return Outcome(200, variant, fallback=fallback, prediction=prediction, model_version=version, reason="")


class Runtime:
    """A server whose replies are chosen by TargetVariant ("" when there is none), and what it was asked."""

    def __init__(self) -> None:
        self.replies: dict[str, Reply] = {}
        self.asked: list[str] = []
        runtime = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                target = self.headers.get("X-Amzn-SageMaker-Target-Variant", "")
                runtime.asked.append(target)
                self.rfile.read(int(self.headers["Content-Length"]))
                status, body, headers, delay = runtime.replies[target]
                time.sleep(delay)
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the standard library's
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture(scope="module")
def runtime() -> Iterator[Runtime]:
    opened = Runtime()
    yield opened
    opened.server.shutdown()
    opened.server.server_close()


@pytest.fixture(scope="module")
def client(runtime: Runtime) -> Iterator[EndpointCalls]:
    calls = EndpointCalls(runtime.url, timeout_s=0.3)
    yield calls
    calls.close()


@pytest.fixture
def ask(runtime: Runtime, client: EndpointCalls) -> Callable[..., Outcome]:
    runtime.asked.clear()

    def predict(assigned: Assigned, **replies: Reply) -> Outcome:
        runtime.replies = {name.replace("anyone", ""): one for name, one in replies.items()}
        return client.predict(DOCUMENT, assigned, {"a": 1}, unit="u", request_id="r")

    return predict


FAILURES = {
    "refused": (reply(400, {"Message": "Variant v2 not found"}, code="ValidationError"), 400),
    "model error": (reply(424, {"Message": "model"}, code="ModelError"), 424),
    "internal": (reply(500, {"Message": "oh"}, code="InternalFailure"), 500),
    "unavailable": (reply(503, {"Message": "busy"}, code="ServiceUnavailable"), 503),
    "not JSON": (reply(200, b"<html>"), 502),
    "no prediction": (reply(200, {"score": 1}), 502),
    "an array": (reply(200, [1]), 502),
    "a deep answer": (reply(200, b'{"prediction":' + b"[" * 500 + b"]" * 500 + b"}"), 502),
    "too slow": (reply(delay=0.6), 504),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_however_the_candidate_fails_the_champion_answers(ask, runtime: Runtime, failure: str):
    outcome = ask(TREATED, v2=FAILURES[failure][0], v1=reply())
    assert outcome == answered("v1", 1, fallback=True)
    assert runtime.asked == ["v2", "v1"], "one attempt each: the fallback is the retry"


@pytest.mark.parametrize("failure", FAILURES)
def test_when_the_champion_fails_too_its_status_is_told(ask, failure: str):
    bad, status = FAILURES[failure]
    gone = reply(503, {"Message": "busy"}, code="ServiceUnavailable")
    outcome = ask(TREATED, v2=gone, v1=bad, anyone=bad)
    assert (outcome.status, outcome.variant, outcome.fallback) == (status, "v1", True)
    assert outcome.prediction is None
    assert outcome.reason


def test_a_champion_that_fails_is_not_asked_twice(ask, runtime: Runtime):
    outcome = ask(CONTROL, v1=FAILURES["model error"][0], anyone=reply())
    assert (outcome.status, outcome.fallback) == (424, False)
    assert runtime.asked == ["v1"]


def test_a_champion_that_the_endpoint_does_not_know_is_replaced_by_whoever_answers(ask, runtime: Runtime):
    outcome = ask(CONTROL, v1=FAILURES["refused"][0], anyone=reply(told={"prediction": 0}, variant="v2"))
    assert outcome == answered("v2", 0, fallback=True)
    assert runtime.asked == ["v1", ""]


def test_without_a_target_none_is_named(ask, runtime: Runtime):
    outcome = ask(Assigned(CHAMPION, "churn-v2", None, target=False), anyone=reply())
    assert outcome == answered("v1", 1, fallback=False)
    assert runtime.asked == [""]


def test_an_endpoint_that_cannot_be_reached_is_503():
    calls = EndpointCalls("http://127.0.0.1:9", timeout_s=0.3)
    outcome = calls.predict(DOCUMENT, TREATED, {}, unit=None, request_id="r")
    calls.close()
    assert (outcome.status, outcome.variant, outcome.fallback) == (503, "v1", True)

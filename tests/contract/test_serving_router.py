"""The router as a process in front of the real endpoint: assignment, fallback, the prediction log, counters."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from staged_rollout.adapters.health_files import FileHealth
from staged_rollout.assignment import VariantRef, assign, request_id
from staged_rollout.ports.serving import EndpointTarget
from staged_rollout.servers.router.prediction_log import PredictionRow
from staged_rollout.servers.simulated_time import HEADER
from tests.local_platform import CUSTOMER, LocalPlatform, eventually, variant

pytest_plugins = ("tests.local_fixtures",)

V1, V2, V4, V6, V9 = (VariantRef(name=f"v{n}", version=str(n)) for n in (1, 2, 4, 6, 9))
LIVE: dict[str, Any] = {"rollout": "churn-v2", "stage": "live", "candidate": V2, "enrolled": 1.0}


@pytest.fixture(scope="module")
def main(platform: LocalPlatform) -> str:
    """An endpoint with versions 1, 2, 4 (slow), 6 (needs what nobody sends) in production, only 1 with weight."""
    versions = (variant(1, 1.0), variant(2, 0.0), variant(4, 0.0), variant(6, 0.0))
    platform.settle(EndpointTarget("main", versions))
    return "main"


@pytest.fixture(scope="module")
def http(platform: LocalPlatform) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=platform.servers.router_url) as client:
        yield client


def ask(http: httpx.Client, unit: Any = None, *, path: str = "/predict", **more: Any) -> dict[str, Any]:
    headers = more.pop("headers", {})
    answer = http.post(path, json={"unit_id": unit, "features": CUSTOMER, **more}, headers=headers)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def row_of(platform: LocalPlatform, identifier: str, endpoint: str = "main") -> dict[str, Any]:
    (row,) = [row for row in platform.logged(endpoint) if row["request_id"] == identifier]
    return row


def units(document: Any, name: str, count: int) -> list[str]:
    """Units that the document gives to a variant."""
    found = (f"u{n}" for n in range(10_000) if assign(document, f"u{n}").variant.name == name)
    return [unit for unit, _ in zip(found, range(count), strict=False)]


def test_without_a_document_nobody_is_served(http: httpx.Client):
    answer = http.post("/endpoints/unpublished/predict", json={"unit_id": "u", "features": CUSTOMER})
    assert answer.status_code == 503
    assert answer.json()["error"] == "no assignment document for endpoint 'unpublished': nothing was published yet"


def test_each_unit_meets_its_assigned_variant_every_time(platform: LocalPlatform, http: httpx.Client, main: str):
    """Stickiness: the variant is a function of rollout and unit alone; and the row says what the answer says."""
    document = platform.publish(main, **LIVE)
    for number in range(30):
        unit = f"u{number}"
        first, second = ask(http, unit), ask(http, unit)
        expected = assign(document, unit)
        assert first["variant"] == second["variant"] == expected.variant.name
        assert first["model_version"] == expected.variant.version
        row = row_of(platform, first["request_id"])
        assert {key: row[key] for key in first} == first
        assert row["assigned_variant"] == row["variant"]
        assert (row["unit_id"], row["epoch"], row["status"]) == (unit, document.epoch, 200)
        assert row["features"] == CUSTOMER


def test_the_columns_are_the_pinned_ones_in_their_order(platform: LocalPlatform, http: httpx.Client, main: str):
    platform.publish(main, **LIVE)
    row = row_of(platform, ask(http, "u1")["request_id"])
    pinned = (
        "request_id, timestamp, rollout, unit_id, assigned_variant, variant, fallback, epoch, model_version, "
        "prediction, latency_ms, status, features"
    )
    assert pinned.split(", ") == list(row) == list(PredictionRow.__annotations__)


def test_a_request_without_a_unit_is_served_by_the_champion_and_not_enrolled(
    platform: LocalPlatform, http: httpx.Client, main: str
):
    platform.publish(main, **LIVE)
    for unit in (None, ""):
        told = ask(http, unit)
        assert (told["variant"], told["rollout"]) == ("v1", None)
        row = row_of(platform, told["request_id"])
        assert (row["rollout"], row["unit_id"], row["assigned_variant"]) == (None, None, None)


def test_a_unit_that_is_not_enrolled_gets_the_champion_and_no_rollout(
    platform: LocalPlatform, http: httpx.Client, main: str
):
    document = platform.publish(main, **{**LIVE, "stage": "canary", "step": 1, "enrolled": 0.2})
    unit = next(f"u{n}" for n in range(1000) if assign(document, f"u{n}").rollout is None)
    row = row_of(platform, ask(http, unit)["request_id"])
    assert (row["variant"], row["rollout"], row["assigned_variant"], row["unit_id"]) == ("v1", None, None, unit)


def test_a_number_is_the_same_unit_as_its_text(platform: LocalPlatform, http: httpx.Client, main: str):
    platform.publish(main, **LIVE)
    told = [ask(http, unit, nonce="n") for unit in (4711, "4711")]
    assert told[0]["request_id"] == told[1]["request_id"] == request_id("churn-v2", "4711", "n")
    assert told[0]["variant"] == told[1]["variant"]


@pytest.mark.parametrize(
    ("candidate", "why"),
    [(V9, "TargetVariant is refused"), (V6, "the model fails")],
    ids=["refused", "failing"],
)
def test_when_the_candidate_does_not_answer_the_champion_does_and_the_row_says_so(
    platform: LocalPlatform, http: httpx.Client, main: str, candidate: VariantRef, why: str
):
    """Intention to treat: the unit still counts under the variant that it was assigned."""
    document = platform.publish(main, **{**LIVE, "candidate": candidate})
    (unit,) = units(document, candidate.name, 1)
    told = ask(http, unit)
    assert (told["variant"], told["fallback"], told["model_version"]) == ("v1", True, "1"), why
    row = row_of(platform, told["request_id"])
    assert (row["assigned_variant"], row["variant"], row["fallback"], row["status"]) == (
        candidate.name,
        "v1",
        True,
        200,
    )


def test_when_the_champion_is_not_there_whoever_answers_does(platform: LocalPlatform, http: httpx.Client, main: str):
    platform.publish(main, **LIVE, champion=V9)
    told = ask(http, None)
    assert (told["variant"], told["fallback"], told["model_version"]) == ("v1", True, "1")


def test_a_failed_call_is_logged_with_its_status_and_answered_with_it(
    platform: LocalPlatform, http: httpx.Client, main: str
):
    platform.publish(main, **LIVE)
    answer = http.post("/predict", json={"unit_id": "u1", "features": {"minutes": 1}, "request_id": "mine"})
    assert answer.status_code == 424
    told = answer.json()
    assert told["prediction"] is None
    assert "'calls' is missing" in told["error"]
    row = row_of(platform, "mine")
    assert (row["status"], row["prediction"], row["features"]) == (424, None, {"minutes": 1})


def test_an_endpoint_that_is_not_there_is_logged_as_refused(platform: LocalPlatform, http: httpx.Client):
    platform.publish("nowhere", champion=V1)
    answer = http.post("/endpoints/nowhere/predict", json={"unit_id": "u", "features": CUSTOMER})
    assert answer.status_code == 400
    assert row_of(platform, answer.json()["request_id"], "nowhere")["status"] == 400


def test_latency_is_what_the_caller_waited_for(platform: LocalPlatform, http: httpx.Client, main: str):
    document = platform.publish(main, **{**LIVE, "candidate": V4})
    (unit,) = units(document, "v4", 1)
    assert 80 <= ask(http, unit)["latency_ms"] < 1000
    assert ask(http, None)["latency_ms"] < 80


def test_ids_are_deterministic_given_a_nonce_and_reach_the_capture(
    platform: LocalPlatform, http: httpx.Client, main: str
):
    """The same call sent again carries the same id, which joins log and capture."""
    platform.publish(main, **LIVE)
    first, second = ask(http, "ü 1", nonce="day-1"), ask(http, "ü 1", nonce="day-1")
    assert first["request_id"] == second["request_id"] == request_id("churn-v2", "ü 1", "day-1")
    assert ask(http, "ü 1")["request_id"] != ask(http, "ü 1")["request_id"]
    meta = [
        line["eventMetadata"]
        for line in platform.captured(main, first["variant"])
        if line["eventMetadata"].get("inferenceId") == first["request_id"]
    ]
    epoch = first["epoch"]
    assert [one["customAttributes"] for one in meta] == [[f"unit=%C3%BC%201;rollout=churn-v2;epoch={epoch}"]] * 2


def test_simulated_time_reaches_the_row_its_file_and_the_capture(
    platform: LocalPlatform, http: httpx.Client, main: str
):
    platform.publish(main, **LIVE)
    told = ask(http, "u1", headers={HEADER: "2026-03-02T23:30:00.5-02:00"})
    row = row_of(platform, told["request_id"])
    assert row["timestamp"] == "2026-03-03T01:30:00.500000Z"
    folder = platform.home.logs / "predictions" / main / "2026-03-03"
    assert [path.name for path in folder.iterdir()] == [f"{http.get('/status').json()['router']}.jsonl"]
    captured = platform.home.capture / main / told["variant"] / "2026/03/03/01"
    assert len(list(captured.glob("*.jsonl"))) == 1
    answer = http.post("/predict", json={"features": CUSTOMER}, headers={HEADER: "yesterday"})
    assert answer.status_code == 400


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"{", "not JSON"),
        (b"[]", "must be a JSON object"),
        (b'{"unit_id": "u"}', "features must be"),
        (b'{"unit_id": 1.5, "features": {}}', "unit_id must be"),
        (b'{"unit_id": true, "features": {}}', "unit_id must be"),
        (b'{"features": {}, "unit": "u"}', "unknown members"),
        (b'{"features": {}, "request_id": "a b"}', "request_id must be"),
    ],
)
def test_a_request_that_is_none_is_refused_and_not_logged(platform, http, main, body, words):
    before = len(platform.logged(main))
    answer = http.post("/predict", content=body)
    assert answer.status_code == 400
    assert words in answer.json()["error"]
    assert len(platform.logged(main)) == before


def test_the_last_good_document_is_kept_when_the_file_cannot_be_read(
    platform: LocalPlatform, http: httpx.Client, main: str
):
    """A router never stops assigning because a file is missing or broken."""
    document = platform.publish(main, **LIVE)
    path = platform.home.assignments / f"{main}.json"
    good = path.read_bytes()
    try:
        for content in (b"{", None):
            path.unlink() if content is None else path.write_bytes(content)
            eventually(lambda: ask(http, "u1")["epoch"] == document.epoch)
            import time

            time.sleep(3 * platform.servers.router_poll_s)
            assert ask(http, "u1")["epoch"] == document.epoch
    finally:
        path.write_bytes(good)


def test_status_metrics_and_health_count_what_was_asked(platform: LocalPlatform, http: httpx.Client, main: str):
    document = platform.publish(main, **LIVE)
    ask(http, "u1")
    rows = platform.logged(main)
    told = http.get("/status").json()["endpoints"][main]
    assert told == {"epoch": document.epoch, "rollout": "churn-v2", "stage": "live", "step": 0, "calls": len(rows)}
    assert http.get("/healthz").json() == {"status": "ok", "log_failures": 0}
    metrics = http.get("/metrics").text
    for family, count in (
        ("requests", sum(row["variant"] == "v1" for row in rows)),
        ("errors", sum(row["variant"] == "v1" and row["status"] != 200 for row in rows)),
        ("fallbacks", sum(row["variant"] == "v1" and row["fallback"] for row in rows)),
    ):
        assert f'staged_rollout_router_{family}_total{{endpoint="main",variant="v1"}} {count}\n' in metrics
    health = FileHealth(platform.home.health)
    eventually(lambda: health.read(main).calls == len(rows))
    last = max(datetime.fromisoformat(row["timestamp"]) for row in rows)
    assert health.read(main).last_call_at == last
    assert last.tzinfo == UTC

"""The router as a process with an environment's AWS: documents from S3, invokes signed, and never tried twice."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from staged_rollout.adapters.assignments_s3 import S3Assignments
from staged_rollout.adapters.s3_place import S3Place
from staged_rollout.assignment import AssignmentDocument, VariantRef
from staged_rollout.errors import RefusedError
from staged_rollout.servers.router.app import RouterSettings, create_app
from staged_rollout.spec.environment import EnvironmentSpec
from staged_rollout.spec.home import Home
from tests.aws_server import ACCOUNT, REGION, ROLE, Aws

pytest_plugins = ("tests.aws_fixtures",)

ENVIRONMENT: dict[str, Any] = {
    "name": "staging",
    "account": ACCOUNT,
    "region": REGION,
    "aws": {"bucket": "rollouts", "model_role": ROLE},
    "adapters": {"serving": "aws", "assignments": "aws", "logs": "aws"},
}


@pytest.fixture
def throttling(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, str]]]:
    """A runtime that throttles whoever asks for v2; the headers that it got."""
    asked: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append({name.lower(): value for name, value in self.headers.items()})
            self.rfile.read(int(self.headers["Content-Length"]))
            throttled = self.headers["X-Amzn-SageMaker-Target-Variant"] == "v2"
            body = json.dumps({"Message": "Rate exceeded"} if throttled else {"prediction": 1}).encode()
            self.send_response(429 if throttled else 200)
            if throttled:
                self.send_header("x-amzn-ErrorType", "ThrottlingException")
            else:
                self.send_header("x-Amzn-Invoked-Production-Variant", "v1")
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the standard library's
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", f"http://127.0.0.1:{server.server_port}")
    yield asked
    server.shutdown()
    server.server_close()


def settings_of(home: Path, **changes: Any) -> RouterSettings:
    return RouterSettings(
        home=Home(home),
        router="r1",
        endpoint="churn-prod",
        runtime_url=None,
        poll_s=0.05,
        timeout_s=5.0,
        simulated_time=False,
        environment=EnvironmentSpec.model_validate(ENVIRONMENT | changes),
    )


async def ask(app: FastAPI, body: dict[str, Any]) -> dict[str, Any]:
    """One request of the application, as it lives between start and stop."""
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://router") as http,
    ):
        told: dict[str, Any] = (await http.post("/predict", json=body)).json()
        return told


def test_documents_come_from_s3_and_a_throttled_candidate_is_replaced_at_once(
    aws: Aws, throttling: list[dict[str, str]], tmp_path: Path
):
    aws.client("s3").create_bucket(Bucket="rollouts")
    document = AssignmentDocument(
        endpoint="churn-prod",
        epoch=1,
        rollout="churn-v2",
        stage="baking",
        champion=VariantRef(name="v1", version="1"),
        candidate=VariantRef(name="v2", version="2"),
        enrolled=1.0,
        share=1.0,
        published_at=datetime(2026, 3, 2, tzinfo=UTC),
    )
    place = S3Place.at(aws.client("s3"), "s3://rollouts/staged-rollout/assignments")
    S3Assignments(place).publish(document, expected_epoch=None)
    told = asyncio.run(ask(create_app(settings_of(tmp_path)), {"unit_id": "u1", "features": {"a": 1}}))
    assert ("v1", True, 1, "churn-v2") == (told["variant"], told["fallback"], told["epoch"], told["rollout"])
    assert ["v2", "v1"] == [call["x-amzn-sagemaker-target-variant"] for call in throttling]
    (shipped,) = aws.client("s3").list_objects_v2(Bucket="rollouts", Prefix="staged-rollout/logs/")["Contents"]
    assert shipped["Key"].startswith("staged-rollout/logs/predictions/churn-prod/"), (
        "shipped when it stops, at the latest"
    )
    for call in throttling:
        assert f"/{REGION}/sagemaker/aws4_request" in call["authorization"]


def test_a_router_does_not_start_on_another_account(aws: Aws, tmp_path: Path):
    """Production's assignments must not be followed with staging's credentials, nor the other way round."""
    with pytest.raises(RefusedError, match="the environment says account 999999999999"):
        create_app(settings_of(tmp_path, account="999999999999"))

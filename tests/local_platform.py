"""A registry of small real models and both local servers; the fixtures that start them are in local_fixtures."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
import numpy as np
from botocore.config import Config
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

from staged_rollout.adapters.assignments_file import FileAssignments
from staged_rollout.adapters.local_servers import LocalServers
from staged_rollout.adapters.registry_mlflow import MlflowRegistry
from staged_rollout.adapters.serving_sagemaker import SageMakerServing
from staged_rollout.assignment import AssignmentDocument, VariantRef
from staged_rollout.ports.serving import Applied, EndpointTarget, VariantTarget
from staged_rollout.spec.home import Home
from tests.aws_model import validate_everything

FEATURES = ("minutes", "calls", "plan")
ENCODINGS = {"plan": {"yes": 1.0, "no": 0.0}}
CUSTOMER = {"minutes": 0.9, "calls": 3, "plan": "yes", "state": "KS"}
UPDATE_SECONDS = 0.2
SLOW_MS = 80.0
PUBLISHED = datetime(2026, 1, 1, tzinfo=UTC)


def register_models(registry: MlflowRegistry) -> None:
    """Versions of `churn`.

    1 is a boosted champion, 2 a linear candidate, 3 pending, 4 slow, 5 has tampered files, 6 needs a feature that no
    request holds.
    """
    random = np.random.default_rng(7)
    rows = random.random((300, 3))
    labels = (rows[:, 0] > 0.5).astype(int)
    boosted = HistGradientBoostingClassifier(max_iter=10).fit(rows, labels)
    linear = LogisticRegression().fit(rows, labels)
    short = LogisticRegression().fit(random.random((300, 2)), labels)
    contract: dict[str, Any] = {"features": FEATURES, "encodings": ENCODINGS}
    registry.register("churn", boosted, **contract)
    registry.register("churn", linear, **contract)
    registry.register("churn", linear, **contract, status="pending")
    registry.register("churn", linear, **contract)
    registry.register("churn", linear, **contract)
    (registry.artifact("churn", "5") / "model.skops").write_bytes(b"not what was registered")
    registry.register("churn", short, features=("minutes", "never_sent"))


@dataclass
class LocalPlatform:
    """Both servers, and clients of them."""

    home: Home
    servers: LocalServers
    clients: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def serving(self) -> SageMakerServing:
        return SageMakerServing(client=self.client("sagemaker"))

    @property
    def assignments(self) -> FileAssignments:
        return FileAssignments(self.home.assignments)

    def client(self, service: str) -> Any:
        """An unmodified boto3 client whose every request and answer is checked against AWS's own model."""
        if service not in self.clients:
            self.clients[service] = boto3_client(service, self.servers.endpoint_url)
        return self.clients[service]

    def close(self) -> None:
        for client in self.clients.values():
            client.close()

    def settle(self, target: EndpointTarget, deadline_s: float = 120.0) -> list[Applied]:
        """Apply until nothing is left to do; what each call answered."""
        serving, answers = self.serving, [Applied.BUSY]
        end = time.monotonic() + deadline_s
        while answers[-1] is not Applied.UNCHANGED:
            assert time.monotonic() < end, answers
            answers.append(serving.apply(target))
            time.sleep(0.05)
        return answers[1:]

    def captured(self, endpoint: str, variant: str) -> list[dict[str, Any]]:
        """The captured lines of a variant."""
        return read_lines(self.home.capture / endpoint / variant)

    def logged(self, endpoint: str) -> list[dict[str, Any]]:
        """The router's rows of an endpoint."""
        return read_lines(self.home.logs / "predictions" / endpoint)

    def publish(self, endpoint: str, **content: Any) -> AssignmentDocument:
        """Publish the next document of an endpoint, and wait until the router follows it."""
        before = self.assignments.read(endpoint)
        epoch = None if before is None else before.document.epoch
        document = AssignmentDocument(
            endpoint=endpoint,
            epoch=(epoch or 0) + 1,
            champion=content.pop("champion", VariantRef(name="v1", version="1")),
            published_at=PUBLISHED,
            **content,
        )
        self.assignments.publish(document, expected_epoch=epoch)
        time.sleep(4 * self.servers.router_poll_s)
        return document


def boto3_client(service: str, url: str) -> Any:
    """An unmodified boto3 client whose every request and answer is checked against AWS's own model."""
    return validate_everything(boto3.session.Session()).client(
        service,
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="any",
        aws_secret_access_key="any",
        config=Config(retries={"total_max_attempts": 1}),
    )


def read_lines(folder: Path) -> list[dict[str, Any]]:
    """All JSON lines below a folder, file by file."""
    return [json.loads(line) for path in sorted(folder.rglob("*.jsonl")) for line in path.read_bytes().splitlines()]


def variant(version: int, weight: float, **more: Any) -> VariantTarget:
    """A variant named after its version."""
    return VariantTarget(f"v{version}", str(version), f"churn/{version}", weight, **more)


def eventually(happens: Callable[[], bool], deadline_s: float = 10.0) -> None:
    """Wait for something that another process does."""
    end = time.monotonic() + deadline_s
    while not happens():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)

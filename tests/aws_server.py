"""moto's server in a process of its own, and what tests say to it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from tests.aws_model import validate_everything
from tests.moto_wire import Call

REGION = "us-east-1"
ACCOUNT = "123456789012"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/models"


class MotoServer:
    """The process: ended when the test run ends, or when it is killed."""

    def __init__(self) -> None:
        environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("moto_server.py"))],
            env={key: value for key, value in environment.items() if not key.startswith("AWS_")},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()
        assert self.url, "moto's server did not start; its reason is on standard error"

    def tell(self, what: str, value: Any = None) -> Any:
        """Ask the control interface."""
        request = urllib.request.Request(f"{self.url}/_tests/{what}", json.dumps(value).encode())
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read())

    def stop(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(30)


@dataclass
class Aws:
    """An account that is empty at the beginning of each test.

    Attributes:
        url: The server's address; `AWS_ENDPOINT_URL` names it too, so that code under test finds it as it would AWS.
        region: Where everything lies.
        account: Its id.
        violations: What AWS would not have sent or taken; a test that provokes one empties it.
    """

    server: MotoServer
    region: str = REGION
    account: str = ACCOUNT
    violations: list[str] = field(default_factory=list)
    _clients: dict[str, Any] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return self.server.url

    @cached_property
    def session(self) -> Any:
        """A boto3 session whose every request and answer is checked against AWS's own model."""
        return validate_everything(boto3.session.Session(region_name=self.region))

    def client(self, service: str, **config: Any) -> Any:
        """A client for the test's own questions; it does not retry."""
        if service not in self._clients:
            options = Config(retries={"total_max_attempts": 1}, **config)
            self._clients[service] = self.session.client(service, endpoint_url=self.url, config=options)
        return self._clients[service]

    def calls(self, *operations: str) -> list[Call]:
        """Every call since the test began or `forget_calls`, in order; only some operations when they are named."""
        told = [Call(**call) for call in self.server.tell("calls")]
        return [call for call in told if not operations or call.operation in operations]

    def forget_calls(self) -> None:
        """Begin to count anew."""
        self.server.tell("forget")

    def fault(self, kind: str, operation: str, nth: int = 1, times: int = 1, **more: Any) -> None:
        """From now on, hit the nth call of an operation: see tests/moto_faults.py."""
        self.server.tell("faults", [{"kind": kind, "operation": operation, "nth": nth, "times": times, **more}])

    def hits(self) -> list[int]:
        """How many calls each fault has hit."""
        told: list[int] = self.server.tell("faults")
        return told

    def settings(self, **changes: Any) -> dict[str, Any]:
        """Change how AWS behaves: see Settings in tests/moto_gaps.py."""
        told: dict[str, Any] = self.server.tell("settings", changes)
        return told

    def flush_capture(self) -> int:
        """Put captured calls on S3, which AWS does after minutes; how many objects."""
        told: int = self.server.tell("flush")
        return told

    def close(self) -> None:
        """Close connections."""
        for client in self._clients.values():
            client.close()

    def package(
        self,
        group: str,
        *,
        approved: bool = True,
        image: str = "serving:1",
        linear: dict[str, Any] | None = None,
        **more: Any,
    ) -> str:
        """Register a version of a model package group, which is made when it is not there; its ARN.

        Args:
            group: Its name.
            approved: Whether it is approved at once.
            image: `serving:unhealthy` cannot be served, `serving:fails` answers with errors.
            linear: `{"weights": {feature: weight}, "bias": number}`: the logistic model that an endpoint answers with.
            **more: Of CreateModelPackage.
        """
        sagemaker = self.client("sagemaker")
        groups = sagemaker.list_model_package_groups(NameContains=group)["ModelPackageGroupSummaryList"]
        if group not in {row["ModelPackageGroupName"] for row in groups}:
            sagemaker.create_model_package_group(ModelPackageGroupName=group)
        container: dict[str, Any] = {
            "Image": f"{self.account}.dkr.ecr.{self.region}.amazonaws.com/{image}",
            "ModelDataUrl": f"s3://models/{group}/model.tar.gz",
        }
        if linear is not None:
            container["Environment"] = {"LINEAR": json.dumps(linear)}
        arn: str = sagemaker.create_model_package(
            ModelPackageGroupName=group,
            ModelApprovalStatus="Approved" if approved else "PendingManualApproval",
            InferenceSpecification={
                "Containers": [container],
                "SupportedContentTypes": ["application/json"],
                "SupportedResponseMIMETypes": ["application/json"],
            },
            **more,
        )["ModelPackageArn"]
        return arn


def eventually(happens: Callable[[], bool], deadline_s: float = 30.0) -> None:
    """Wait for something that another process does."""
    end = time.monotonic() + deadline_s
    while not happens():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)

"""A small world on AWS: an endpoint on SageMaker, its customers, routers and calendar; ticks run the real flows.

What is simulated is the calendar and who comes. The models are logistic ones that their packages' containers hold, the
router's own code assigns, asks and logs, and everything of AWS is moto's server over HTTP.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from botocore.exceptions import BotoCoreError, ClientError

from staged_rollout.adapters.health_files import FileHealth
from staged_rollout.adapters.platform import open_platform
from staged_rollout.assignment import request_id
from staged_rollout.errors import PlatformError
from staged_rollout.operations.advance import advance
from staged_rollout.operations.journal import load
from staged_rollout.operations.register import Registered, poll
from staged_rollout.operations.serve import serve
from staged_rollout.ports import ObservedEndpoint, Platform
from staged_rollout.servers.router.calls import EndpointCalls
from staged_rollout.servers.router.documents import Documents
from staged_rollout.servers.router.prediction_log import PredictionLog
from staged_rollout.servers.router.requests import PredictRequest
from staged_rollout.servers.router.routing import Routing
from staged_rollout.servers.router.tallies import Tallies
from staged_rollout.spec.environment import load_environment
from staged_rollout.spec.home import Home
from staged_rollout.spec.load import load_rollout
from staged_rollout.spec.prices import load_prices
from staged_rollout.state import Actor, EventType, RolloutState
from tests.aws_server import ACCOUNT, REGION, ROLE, Aws, eventually

CONFIGS = Path(__file__).parents[1] / "configs"
FIRST_DAY = datetime(2026, 3, 2, tzinfo=UTC)
DAY, NOON = timedelta(days=1), timedelta(hours=12)
GROUP, ENDPOINT, BUCKET, QUEUE = "churn", "churn-prod", "rollouts", "versions"
CALLERS = 140
ACTOR = Actor("tests")
WORSE = {"weights": {"noisy": 20.0}, "bias": -10.0}
BETTER = {"weights": {"minutes": 20.0}, "bias": -10.0}
HARMFUL = {"weights": {"minutes": -20.0}, "bias": 10.0}

ENVIRONMENT_FILE = f"""\
name: aws
local: true
clock: simulated
drain_s: 0.2
poll_s: 0.05
settle_s: 60
account: "{ACCOUNT}"
region: {REGION}
kms_key: alias/rollouts
aws:
  bucket: {BUCKET}
  queue: {QUEUE}
  model_role: {ROLE}
adapters: {{serving: aws, registry: aws, assignments: aws, logs: aws}}
defaults: {{min_units: 30, capture_delay: 30h, blind_after: 36h}}
"""

ROLLOUT_FILE = f"""\
rollout: churn
hypothesis: "The candidate is right about more customers"
owner: tests
endpoint: {ENDPOINT}
registry: {GROUP}
unit: customer_id
stages:
  shadow: {{sample: 100%, for: 1d, min_requests: 50, agreement: ">= 5%"}}
  canary: [50% 1d]
  live: {{split: 50/50, looks: daily, min: 1d, max: 4d}}
  promote: [75% 1h, 90%]
  bake: {{for: 2d, holdback: 10%}}
traffic: {{units_per_day: 130}}
success: {{metric: correct, better: higher, mde: 20pp, matures_after: 1d, baseline: 65%}}
guardrails:
  error_rate: {{worse_by: 5pp}}
notify: null
"""


class AwsWorld:
    """One account with one endpoint.

    Args:
        aws: The account.
        folder: Empty.
    """

    def __init__(self, aws: Aws, folder: Path) -> None:
        self.aws = aws
        self.configs, self.home = folder / "configs", Home(folder / "home")
        for part in ("environments", "rollouts"):
            (self.configs / part).mkdir(parents=True)
        (self.configs / "environments" / "aws.yaml").write_text(ENVIRONMENT_FILE)
        self.file = self.configs / "rollouts" / "churn.yaml"
        self.file.write_text(ROLLOUT_FILE)
        shutil.copy(CONFIGS / "prices.yaml", self.configs)
        aws.settings(update_seconds=0.1, event_copies=2)
        self._set_up()
        self.platform: Platform = open_platform(load_environment("aws", self.configs), self.home)
        self.clock: Any = self.platform.clock
        self.clock.set(FIRST_DAY)
        self.day_number = 0
        self.documents = Documents(self.platform.assignments, 60.0)
        self.log = PredictionLog(self.home.logs / "predictions", "router-1")
        self.tallies = Tallies(FileHealth(self.home.health), "router-1")
        self.calls = EndpointCalls(None, region=REGION)
        self.router = Routing(self.documents, self.calls, self.log, self.tallies)
        self.answers: list[int] = []
        self.shipped = 0
        self.failed: list[str] = []

    def _set_up(self) -> None:
        """Bucket, queue and rule, as the template of the project makes them."""
        sqs, events = self.aws.client("sqs"), self.aws.client("events")
        self.aws.client("s3").create_bucket(Bucket=BUCKET)
        queue = sqs.create_queue(QueueName=QUEUE)["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        pattern = {
            "source": ["aws.sagemaker"],
            "detail-type": ["SageMaker Model Package State Change"],
            "detail": {"ModelApprovalStatus": ["Approved"]},
        }
        events.put_rule(Name="versions", EventPattern=json.dumps(pattern))
        events.put_targets(Rule="versions", Targets=[{"Id": "1", "Arn": arn}])

    def close(self) -> None:
        """Close what is open."""
        self.calls.close()
        self.log.close()

    def poll(self) -> list[str]:
        """What the flow poll_registry does, without Prefect: the new rollouts."""
        with self._named():
            specs = {self.file: load_rollout(self.file, environment=self.platform.environment)}
            found = poll(self.platform, specs, ACTOR, load_prices())
            return [done.rollout for _, done in found if isinstance(done, Registered) and done.new]

    def sweep(self) -> None:
        """What the flow sweep_rollouts does, without Prefect; what failed for a moment is left to the next tick."""
        with self._named():
            for rollout in self.platform.ledger.rollouts():
                if self.state(rollout).settled:
                    continue
                try:
                    advance(self.platform, rollout, ACTOR)
                except PlatformError as error:
                    self.failed.append(str(error))

    @contextmanager
    def _named(self) -> Iterator[None]:
        named = {"STAGED_ROLLOUT_HOME": str(self.home.root), "STAGED_ROLLOUT_CONFIGS": str(self.configs)}
        with patch.dict(os.environ, named):
            yield

    def run(self, flow: Callable[..., Any], **parameters: Any) -> Any:
        """Run a flow in this world."""
        with self._named():
            return flow(**parameters, environment="aws")

    def serve_champion(self) -> None:
        """Version 1, which guesses from a noisy feature, is registered and served."""
        self.aws.package(GROUP, linear=WORSE)
        spec = load_rollout(self.file, environment=self.platform.environment)
        eventually(lambda: serve(self.platform, spec, "1") == "in service")

    def day(self, night: Callable[[], Any], *, noon: Callable[[], Any] | None = None) -> None:
        """Live through one day: calls, the guard at noon, more calls, yesterday's outcomes, the tick at midnight."""
        midnight, number = self.clock.now(), self.day_number
        self.documents.watch(ENDPOINT)  # the router's poll, at its time
        rng = np.random.default_rng([7, number])
        comers = [(f"customer-{number * CALLERS + one}", float(rng.uniform(60, 86_000))) for one in range(CALLERS)]
        outcomes = []
        for unit, second in sorted(comers, key=lambda comer: comer[1]):
            at = midnight + timedelta(seconds=second)
            if noon is not None and at >= midnight + NOON:
                self._ship()
                self.clock.set(midnight + NOON)
                noon()
                noon = None
                self.documents.watch(ENDPOINT)
            minutes = float(rng.random())
            noisy = minutes if rng.random() < 0.3 else float(rng.random())
            self.call(unit, at, {"minutes": minutes, "noisy": noisy})
            # One in seven does what no model foresees: a test of shares needs wrong answers of both.
            truth = (minutes >= 0.5) != (rng.random() < 1 / 7)
            line = {"unit_id": unit, "timestamp": (at + DAY).isoformat(), "outcome": int(truth)}
            outcomes.append(json.dumps(line))
        self.clock.set(midnight + DAY)
        waiting = self.home.root / "outcomes-due"
        waiting.mkdir(exist_ok=True)
        (waiting / f"{number}.jsonl").write_text("".join(f"{line}\n" for line in outcomes))
        due = waiting / f"{number - 1}.jsonl"
        if due.exists():
            folder = self.home.logs / "outcomes" / ENDPOINT
            folder.mkdir(parents=True, exist_ok=True)
            due.rename(folder / f"{midnight.date()}.jsonl")
        self.day_number += 1
        self._ship()
        night()

    def call(self, unit: str, at: datetime, features: dict[str, float]) -> None:
        """One request through the router; its status joins `answers`."""
        identifier = request_id("churn", unit, at.isoformat())
        asked = PredictRequest(endpoint=ENDPOINT, unit=unit, features=features, nonce=None, request_id=identifier)
        self.answers.append(self.router.predict(asked, at).status)

    def _ship(self) -> None:
        """The router's counters and files, and captured calls, reach where the adapters look for them."""
        self.tallies.flush()
        self.aws.flush_capture()
        self.log.close()
        s3 = self.aws.client("s3")
        for file in sorted(self.home.logs.rglob("*.jsonl")):
            self.shipped += 1
            name = f"{file.stem}-{self.shipped}.jsonl"
            key = f"staged-rollout/logs/{file.parent.relative_to(self.home.logs)}/{name}"
            body = file.read_bytes()

            def put(key: str = key, body: bytes = body) -> bool:
                try:
                    s3.put_object(Bucket=BUCKET, Key=key, Body=body, IfNoneMatch="*")
                except ClientError as error:
                    return error.response["Error"]["Code"] == "PreconditionFailed"  # a lost answer: it is there
                except BotoCoreError:
                    return False
                return True

            eventually(put)
            file.unlink()

    def state(self, rollout: str) -> RolloutState:
        return load(self.platform, rollout)

    def entered(self, rollout: str) -> list[str]:
        """The states that a rollout went through, in order, each with its step."""
        events = self.platform.ledger.events(rollout)
        stages = [event.payload for event in events if event.type is EventType.STAGE_ENTERED]
        return [f"{stage['state']} {stage['step']}" if stage["step"] else stage["state"] for stage in stages]

    def served(self) -> ObservedEndpoint:
        found = self.platform.serving.describe(ENDPOINT)
        assert found is not None
        return found

"""Events of the Model Registry: rule, queue and drain as the template makes them, on moto's EventBridge and SQS."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from staged_rollout.adapters.events_sqs import SqsVersionEvents
from staged_rollout.adapters.registry_sagemaker import SageMakerRegistry
from staged_rollout.operations.register import poll
from staged_rollout.operations.serve import serve
from staged_rollout.operations.version_events import Drained, drain
from staged_rollout.spec.model import RolloutSpec
from tests.aws_server import Aws
from tests.aws_stack import deploy
from tests.fakes.platform import PRICES, TICK, FakePlatform

pytest_plugins = ("tests.aws_fixtures",)


class World:
    """A rollout file, a registry whose version 1 serves, and the queue of the deployed template."""

    def __init__(self, aws: Aws, root: Path, spec: RolloutSpec) -> None:
        self.aws = aws
        self.outputs = deploy(aws)
        self.sqs = aws.client("sqs")
        self.specs = {Path("churn.yaml"): spec}
        aws.package("churn")
        self.platform = replace(
            FakePlatform.at(root), registry=SageMakerRegistry(aws.client("sagemaker"), "production")
        )
        for _ in range(3):
            serve(self.platform, spec, "1")
        self.events = SqsVersionEvents(self.sqs, self.outputs["Queue"])
        self.drain()

    def drain(self) -> Drained:
        return drain(self.platform, self.events, self.specs, TICK, PRICES)

    def send(self, body: str) -> None:
        self.sqs.send_message(QueueUrl=self.url(self.outputs["Queue"]), MessageBody=body)

    def url(self, queue: str) -> str:
        return str(self.sqs.get_queue_url(QueueName=queue)["QueueUrl"])

    def waiting(self, queue: str) -> int:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        told = self.sqs.get_queue_attributes(QueueUrl=self.url(queue), AttributeNames=names)["Attributes"]
        return sum(int(value) for value in told.values())

    def left(self) -> tuple[int, int]:
        """Messages in the queue, and parked."""
        return self.waiting(self.outputs["Queue"]), self.waiting(self.outputs["ParkedQueue"])


@pytest.fixture
def world(aws: Aws, tmp_path: Path, churn: dict[str, Any]) -> World:
    return World(aws, tmp_path, RolloutSpec.model_validate(churn))


def body(aws: Aws, **detail: Any) -> str:
    arn = f"arn:aws:sagemaker:{aws.region}:{aws.account}:model-package/churn/2"
    told = {
        "ModelPackageGroupName": "churn",
        "ModelPackageVersion": 2,
        "ModelPackageArn": arn,
        "ModelApprovalStatus": "Approved",
    }
    return json.dumps(
        {
            "source": "aws.sagemaker",
            "detail-type": "SageMaker Model Package State Change",
            "detail": {**told, **detail},
        }
    )


def test_several_events_of_one_approval_register_once(aws: Aws, world: World):
    """The law: deduped by ARN and status; every message is removed, and nothing is parked."""
    aws.settings(event_copies=3)
    aws.package("churn")
    done = world.drain()
    assert [("2", "churn-v2")] == [(version.version, outcome.rollout) for version, outcome in done.found]  # type: ignore[union-attr]
    assert (3, [], []) == (done.removed, done.parked, done.left)
    assert ["churn-v2"] == world.platform.ledger.rollouts()
    assert (0, 0) == world.left()


def test_a_message_received_twice_registers_once(aws: Aws, world: World):
    """The law: across drains the ledger knows: an effect whose message was not removed is not doubled."""
    aws.package("churn")
    aws.fault("refuse", "DeleteMessage", code="InternalError", message="injected")
    with pytest.raises(Exception, match="injected"):
        world.drain()
    assert ["churn-v2"] == world.platform.ledger.rollouts()
    world.send(body(aws))
    assert [False] == [outcome.new for _, outcome in world.drain().found]  # type: ignore[union-attr]
    assert 1 == world.platform.ledger.head("churn-v2")


def test_a_lost_event_is_recovered_by_polling(aws: Aws, world: World):
    aws.settings(events=False)
    aws.package("churn")
    assert Drained() == world.drain()
    found = poll(world.platform, world.specs, TICK, PRICES)
    assert [("2", True)] == [(version.version, outcome.new) for version, outcome in found]  # type: ignore[union-attr]


POISON = {
    "no JSON": "{",
    "no event": '"text"',
    "another event": '{"source": "aws.ec2"}',
    "deep": "[" * 100_000,
    "a path for a group": {"ModelPackageGroupName": "../etc"},
    "a list for a group": {"ModelPackageGroupName": ["churn"]},
    "a version in SQL": {"ModelPackageVersion": "2; drop table events"},
    "no version": {"ModelPackageVersion": True},
    "another version's ARN": {"ModelPackageArn": "arn:aws:sagemaker:us-east-1:123456789012:model-package/churn/3"},
    "another account's ARN": {"ModelPackageArn": "arn:aws:sagemaker:us-east-1:999999999999:model-package/churn/2"},
    "a version that is not there": {
        "ModelPackageVersion": 7,
        "ModelPackageArn": "arn:aws:sagemaker:us-east-1:123456789012:model-package/churn/7",
    },
}


def test_poison_is_parked_with_its_reason_and_blocks_nothing(aws: Aws, world: World):
    """The law: the queue is empty, each bad message lies in the other one, and the good one had its effect."""
    for told in POISON.values():
        world.send(told if isinstance(told, str) else body(aws, **told))
    aws.package("churn")
    done = world.drain()
    assert ["churn-v2"] == world.platform.ledger.rollouts()
    assert (len(POISON), []) == (len(done.parked), done.left)
    assert (0, len(POISON)) == world.left()
    parked = world.sqs.receive_message(
        QueueUrl=world.url(world.outputs["ParkedQueue"]), MessageAttributeNames=["reason"], MaxNumberOfMessages=10
    )["Messages"]
    assert all(message["MessageAttributes"]["reason"]["StringValue"] in "\n".join(done.parked) for message in parked)


def test_what_asks_for_nothing_is_removed(aws: Aws, world: World):
    """The law: another group, a rejection, and events of our own writing back are no work and no finding."""
    group = "arn:aws:sagemaker:us-east-1:123456789012:model-package/fraud/2"
    world.send(body(aws, ModelPackageGroupName="fraud", ModelPackageArn=group))
    world.send(body(aws, ModelApprovalStatus="Rejected"))
    world.platform.registry.set_lifecycle("churn", "1", "retired", "churn-v9")
    assert Drained(removed=3) == world.drain()
    assert [] == world.platform.ledger.rollouts()


def test_a_failing_registry_leaves_the_message(aws: Aws, world: World):
    """The law: a message is removed only after its effect."""
    aws.package("churn")
    aws.fault("refuse", "DescribeModelPackage", code="AccessDeniedException", message="no")
    done = world.drain()
    assert 1 == len(done.left)
    assert (1, 0) == world.left()
    world.send(body(aws))
    assert 1 == world.drain().removed
    assert ["churn-v2"] == world.platform.ledger.rollouts()


def test_a_queue_without_a_dead_letter_queue_says_so(aws: Aws, world: World):
    url = world.sqs.create_queue(QueueName="plain")["QueueUrl"]
    world.sqs.send_message(QueueUrl=url, MessageBody="{")
    done = drain(world.platform, SqsVersionEvents(world.sqs, "plain"), world.specs, TICK, PRICES)
    assert 1 == len(done.parked)
    assert "has no dead-letter queue" in done.parked[0]
    assert 1 == world.waiting("plain")

"""`staged-rollout doctor` on AWS: what is whole, and each broken set-up with what it says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from staged_rollout.adapters.aws_checks import aws_checks
from staged_rollout.adapters.diagnosis import Diagnosis, diagnose
from staged_rollout.spec.environment import EnvironmentSpec
from staged_rollout.spec.model import RolloutSpec
from tests.aws_server import Aws
from tests.aws_stack import NAME, deploy, environment_of

pytest_plugins = ("tests.aws_fixtures",)

TYPE = "ml.m5.xlarge"
ALIAS = "alias/rollouts"


@pytest.fixture
def spec(churn: dict[str, Any]) -> RolloutSpec:
    return RolloutSpec.model_validate(churn)


@pytest.fixture
def environment(aws: Aws, spec: RolloutSpec) -> EnvironmentSpec:
    """A whole set-up: the deployed template, an endpoint of ours in service, and a group with a champion."""
    outputs = deploy(aws)
    aws.settings(quotas={spec.instance.type: 20.0})
    sagemaker = aws.client("sagemaker")
    arn = aws.package("churn")
    group = arn.replace(":model-package/", ":model-package-group/").rpartition("/")[0]
    sagemaker.add_tags(ResourceArn=group, Tags=[{"Key": "staged-rollout/production/champion", "Value": "1"}])
    sagemaker.create_model(
        ModelName="m", PrimaryContainer={"ModelPackageName": arn}, ExecutionRoleArn=outputs["ModelsRole"]
    )
    variant = {
        "VariantName": "v1",
        "ModelName": "m",
        "InstanceType": TYPE,
        "InitialInstanceCount": 1,
        "InitialVariantWeight": 1.0,
    }
    sagemaker.create_endpoint_config(EndpointConfigName="c", ProductionVariants=[variant])
    sagemaker.create_endpoint(
        EndpointName=spec.endpoint, EndpointConfigName="c", Tags=[{"Key": "staged-rollout", "Value": "managed"}]
    )
    sagemaker.get_waiter("endpoint_in_service").wait(
        EndpointName=spec.endpoint, WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )
    kms = aws.client("kms")
    kms.create_alias(AliasName=ALIAS, TargetKeyId=kms.create_key()["KeyMetadata"]["KeyId"])
    return environment_of(aws, outputs, kms_key=ALIAS)


def answers(environment: EnvironmentSpec, spec: RolloutSpec) -> dict[str, Diagnosis]:
    return {answer.check: answer for answer in diagnose(aws_checks(environment, [spec]))}


def test_a_whole_set_up_is_ok_and_nothing_is_changed(aws: Aws, environment: EnvironmentSpec, spec: RolloutSpec):
    """The law: every check is ok, and each call is a read."""
    aws.forget_calls()
    told = answers(environment, spec)
    assert {"ok"} == {answer.grade for answer in told.values()}, told
    assert {
        "aws account",
        "aws reads",
        "aws endpoints",
        "aws quotas",
        "aws registry",
        "aws queue",
        "aws rule",
        "aws bucket",
        "aws key",
    } == set(told)
    changing = ("Create", "Update", "Delete", "Put", "Add", "Send", "Receive", "PUT", "POST", "DELETE")
    assert [] == [call.operation for call in aws.calls() if call.operation.startswith(changing)]


def rule_off(aws: Aws) -> None:
    aws.client("events").disable_rule(Name=f"{NAME}-versions")


def rule_gone(aws: Aws) -> None:
    aws.client("events").remove_targets(Rule=f"{NAME}-versions", Ids=["queue"])


def queue_gone(aws: Aws) -> None:
    sqs = aws.client("sqs")
    sqs.delete_queue(QueueUrl=sqs.get_queue_url(QueueName=NAME)["QueueUrl"])


def bucket_gone(aws: Aws) -> None:
    aws.client("s3").delete_bucket(Bucket=NAME)


def bucket_open(aws: Aws) -> None:
    aws.client("s3").delete_public_access_block(Bucket=NAME)
    aws.client("s3").put_bucket_versioning(Bucket=NAME, VersioningConfiguration={"Status": "Suspended"})


def key_off(aws: Aws) -> None:
    aws.client("kms").disable_key(KeyId=aws.client("kms").describe_key(KeyId=ALIAS)["KeyMetadata"]["KeyId"])


def small_quota(aws: Aws) -> None:
    aws.settings(quotas={TYPE: 1.0})


def denied(aws: Aws) -> None:
    for operation in ("ListModels", "GetQueueUrl"):
        aws.fault("refuse", operation, code="AccessDeniedException", message="not authorized")


def endpoint_gone(aws: Aws) -> None:
    aws.client("sagemaker").delete_endpoint(EndpointName="churn-prod")


BROKEN: list[tuple[Callable[[Aws], None], str, str, str, str]] = [
    (rule_off, "aws rule", "broken", f"{NAME}-versions is DISABLED", "aws events enable-rule"),
    (rule_gone, "aws rule", "broken", "no rule sends to queue", "cloudformation deploy"),
    (queue_gone, "aws queue", "broken", f"queue {NAME} does not exist", "cloudformation deploy"),
    (bucket_gone, "aws bucket", "broken", f"bucket {NAME} does not exist", "cloudformation deploy"),
    (bucket_open, "aws bucket", "warning", "versioning is off, public access is not blocked", "cloudformation deploy"),
    (key_off, "aws key", "broken", "is Disabled", "aws kms enable-key"),
    (small_quota, "aws quotas", "broken", f"{TYPE}: 1, a rollout needs", "request-service-quota-increase"),
    (denied, "aws reads", "broken", "not allowed: sagemaker:ListModels, sqs:GetQueueUrl", "cloudformation deploy"),
    (endpoint_gone, "aws endpoints", "warning", "churn-prod ", "staged-rollout serve churn --version N"),
]


@pytest.mark.parametrize(("damage", "check", "grade", "words", "mend"), BROKEN, ids=[row[0].__name__ for row in BROKEN])
def test_what_is_broken_is_named_with_what_mends_it(
    aws: Aws,
    environment: EnvironmentSpec,
    spec: RolloutSpec,
    damage: Callable[[Aws], None],
    check: str,
    grade: str,
    words: str,
    mend: str,
):
    damage(aws)
    answer = answers(environment, spec)[check]
    assert grade == answer.grade, answer
    assert words in answer.found
    assert mend in answer.mend


def test_credentials_of_another_account_ask_nothing_else(aws: Aws, environment: EnvironmentSpec, spec: RolloutSpec):
    """The law: one broken line says it; the rest was not asked, and no call reached that account's services."""
    aws.forget_calls()
    told = answers(environment.model_copy(update={"account": "111122223333"}), spec)
    assert "broken" == told["aws account"].grade
    assert f"credentials of account {aws.account}" in told["aws account"].found
    assert {"warning"} == {answer.grade for name, answer in told.items() if name != "aws account"}
    assert {"GetCallerIdentity"} == {call.operation for call in aws.calls()}


def test_an_environment_without_aws_has_no_checks(tmp_path: Path, spec: RolloutSpec):
    assert [] == aws_checks(EnvironmentSpec(name="local"), [spec])

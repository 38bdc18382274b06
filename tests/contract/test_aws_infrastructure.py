"""The CloudFormation template: it lints, it deploys, and its policies hold what the adapters call and no more."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore import xform_name
from cfnlint.api import lint_file

from staged_rollout.adapters.assignments_s3 import S3Assignments
from staged_rollout.adapters.log_shipper import LogShipper
from staged_rollout.adapters.s3_place import S3Place
from tests.aws_server import ACCOUNT, Aws
from tests.aws_stack import NAME, TEMPLATE, deploy

pytest_plugins = ("tests.aws_fixtures",)

PACKAGE = Path(__file__).parents[2] / "staged_rollout"
KEY = f"arn:aws:kms:us-east-1:{ACCOUNT}:key/11111111-2222-3333-4444-555555555555"
PREFIXES = {
    "sagemaker": "sagemaker",
    "sagemaker-runtime": "sagemaker",
    "s3": "s3",
    "sqs": "sqs",
    "cloudwatch": "cloudwatch",
    "service-quotas": "servicequotas",
    "events": "events",
    "kms": "kms",
}
CALLED_OTHERWISE = {
    "s3:ListObjectsV2": "s3:ListBucket",
    "s3:HeadBucket": "s3:ListBucket",
    "s3:HeadObject": "s3:GetObject",
    "s3:GetBucketEncryption": "s3:GetEncryptionConfiguration",
    "s3:GetPublicAccessBlock": "s3:GetBucketPublicAccessBlock",
}
NOT_BY_NAME = {
    # what S3, SageMaker and SQS do with a customer's key in our name
    "kms:Decrypt",
    "kms:GenerateDataKey",
    "kms:CreateGrant",
    "iam:PassRole",  # part of CreateModel
    # PyIceberg, with its own clients
    "s3:AbortMultipartUpload",
    "glue:CreateDatabase",
    "glue:CreateTable",
    "glue:GetDatabase",
    "glue:GetTable",
    "glue:UpdateTable",
}
BY_PEOPLE = {"sagemaker:CreateModelPackage", "sagemaker:CreateModelPackageGroup"}
"""Called by commands that people run with credentials of their own."""


def test_the_template_lints():
    assert [] == lint_file(TEMPLATE)


def statements(aws: Aws, role: str) -> list[dict[str, Any]]:
    iam = aws.client("iam")
    found = []
    for policy in iam.list_role_policies(RoleName=role)["PolicyNames"]:
        document = iam.get_role_policy(RoleName=role, PolicyName=policy)["PolicyDocument"]
        found += [row for row in document["Statement"] if isinstance(row, dict)]
    return found


def listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def actions(rows: list[dict[str, Any]]) -> set[str]:
    return {action for row in rows for action in listed(row["Action"])}


@pytest.mark.parametrize("parameters", [{}, {"KmsKeyArn": KEY, "MlflowArn": "arn:aws:x", "ArtifactsBucket": "models"}])
def test_the_template_deploys(aws: Aws, parameters: dict[str, str]):
    """The law: what it makes is closed to the public, encrypted, versioned, and the rule reaches the queue."""
    outputs = deploy(aws, **parameters)
    assert {
        "Bucket": NAME,
        "Queue": NAME,
        "ParkedQueue": f"{NAME}-parked",
        "FlowsRole": f"arn:aws:iam::{ACCOUNT}:role/{NAME}",
        "RoutersRole": f"arn:aws:iam::{ACCOUNT}:role/{NAME}-routers",
        "ModelsRole": f"arn:aws:iam::{ACCOUNT}:role/{NAME}-models",
    } == outputs
    s3 = aws.client("s3")
    assert "Enabled" == s3.get_bucket_versioning(Bucket=NAME)["Status"]
    assert {True} == set(s3.get_public_access_block(Bucket=NAME)["PublicAccessBlockConfiguration"].values())
    (rule,) = s3.get_bucket_encryption(Bucket=NAME)["ServerSideEncryptionConfiguration"]["Rules"]
    expected = "aws:kms" if parameters else "AES256"
    assert expected == rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"]
    aws.package("churn")
    sqs = aws.client("sqs")
    url = sqs.get_queue_url(QueueName=NAME)["QueueUrl"]
    (message,) = sqs.receive_message(QueueUrl=url)["Messages"]
    assert "churn" == json.loads(message["Body"])["detail"]["ModelPackageGroupName"]
    keyed = {action for action in actions(statements(aws, NAME)) if action.startswith(("kms:", "sagemaker-mlflow:"))}
    assert bool(parameters) == bool(keyed)


def test_statements_name_resources_and_no_wildcard_actions(aws: Aws):
    """The law: every resource is scoped, but for the calls that AWS scopes to none."""
    deploy(aws, KmsKeyArn=KEY)
    unscoped = set()
    for role in (NAME, f"{NAME}-routers", f"{NAME}-models"):
        for row in statements(aws, role):
            assert not [action for action in listed(row["Action"]) if "*" in action]
            if "*" in listed(row["Resource"]):
                unscoped |= set(listed(row["Action"]))
    assert {
        "sagemaker:ListEndpointConfigs",
        "sagemaker:ListModelPackages",
        "sagemaker:ListModels",
        "servicequotas:ListServiceQuotas",
        "cloudwatch:GetMetricStatistics",
        "cloudwatch:GetMetricData",
        "cloudwatch:PutMetricData",
        "ecr:GetAuthorizationToken",
    } == unscoped


def test_changing_or_deleting_takes_our_tag(aws: Aws):
    """The law: the flows change or delete no endpoint, config or model that is not tagged ours."""
    deploy(aws)
    for row in statements(aws, NAME):
        changing = [
            action
            for action in listed(row["Action"])
            if fnmatchcase(action, "sagemaker:Update*") or fnmatchcase(action, "sagemaker:Delete*")
        ]
        if changing and changing != ["sagemaker:UpdateModelPackage"] and row["Sid"] != "ReadAndWriteBack":
            assert {"StringEquals": {"aws:ResourceTag/staged-rollout": "managed"}} == row["Condition"]


def called() -> set[str]:
    """IAM actions of every AWS operation that our source names, as a method or as text."""
    session = botocore.session.get_session()
    operations: dict[str, str] = {}  # EventBridge has endpoints too: the first service that has the name is meant
    for service, prefix in PREFIXES.items():
        for name in session.get_service_model(service).operation_names:
            action = f"{prefix}:{name}"
            operations.setdefault(xform_name(name), CALLED_OTHERWISE.get(action, action))
    files = [*(PACKAGE / "adapters").glob("*.py"), *(PACKAGE / "servers").rglob("*.py")]
    found: set[str] = set()
    for file in files:
        source = file.read_text()
        if not ("client" in source and ("aws_client" in source or "aws_session" in source or "AwsSession" in source)):
            continue
        names = set(_names(ast.parse(source)))
        found |= {operations[name] for name in names & set(operations)}
    return found


def _names(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield node.func.attr
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def test_the_policies_hold_what_our_source_calls_and_no_more(aws: Aws):
    """The law: each call of our adapters has its action, and each action its caller or its written reason."""
    deploy(aws, KmsKeyArn=KEY)
    granted = actions(statements(aws, NAME)) | actions(statements(aws, f"{NAME}-routers"))
    expected = called()
    assert set() == expected - granted - BY_PEOPLE
    assert set() == granted - expected - NOT_BY_NAME


def objects_of(rows: list[dict[str, Any]], action: str) -> list[str]:
    return [place for row in rows if action in listed(row["Action"]) for place in listed(row["Resource"])]


def test_routers_read_and_write_where_their_policy_says(aws: Aws, tmp_path: Path):
    """The law: what a router does on S3, as recorded, lies in places that its role may read, list and write."""
    deploy(aws)
    rows = statements(aws, f"{NAME}-routers")
    day = tmp_path / "predictions" / "churn" / "2026-03-02"
    day.mkdir(parents=True)
    (day / "router.jsonl").write_text("{}\n")
    s3 = aws.client("s3")
    aws.forget_calls()
    S3Assignments(S3Place.at(s3, f"s3://{NAME}/staged-rollout/assignments")).read("churn")
    for _ in range(2):  # the second begins anew: it compares with what it finds
        LogShipper(tmp_path, S3Place.at(s3, f"s3://{NAME}/staged-rollout/logs")).ship()
    seen = aws.calls()
    assert {"GetObject", "ListObjectsV2", "PutObject"} == {call.operation for call in seen}
    for call in seen:
        told = call.parameters
        if call.operation == "ListObjectsV2":
            prefixes = [
                row["Condition"]["StringLike"]["s3:prefix"]
                for row in rows
                if row["Action"] == "s3:ListBucket" and "StringLike" in row["Condition"]
            ]
            assert any(fnmatchcase(told["prefix"], prefix) for prefix in prefixes), told
        else:
            arn = f"arn:aws:s3:::{told['Bucket']}/{told['Key']}"
            assert any(fnmatchcase(arn, place) for place in objects_of(rows, f"s3:{call.operation}")), told


def test_routers_may_do_four_things(aws: Aws):
    deploy(aws)
    expected = {"sagemaker:InvokeEndpoint", "s3:GetObject", "s3:ListBucket", "s3:PutObject"}
    assert expected == actions(statements(aws, f"{NAME}-routers"))

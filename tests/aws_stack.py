"""The CloudFormation template of infrastructure/, deployed on moto's server, and the environment that uses it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from staged_rollout.spec.environment import EnvironmentSpec
from tests.aws_server import Aws

TEMPLATE = Path(__file__).parents[1] / "infrastructure" / "staged-rollout.yaml"
NAME = "rollouts-tests"


def deploy(aws: Aws, **parameters: str) -> dict[str, str]:
    """Deploy the template; its outputs."""
    principal = f"arn:aws:iam::{aws.account}:role/worker"
    given = {"Name": NAME, "FlowsPrincipal": principal, "RoutersPrincipal": principal, **parameters}
    client = aws.client("cloudformation")
    client.create_stack(
        StackName=given["Name"],
        TemplateBody=TEMPLATE.read_text(),
        Capabilities=["CAPABILITY_NAMED_IAM"],
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in given.items()],
    )
    (stack,) = client.describe_stacks(StackName=given["Name"])["Stacks"]
    assert "CREATE_COMPLETE" == stack["StackStatus"]
    return {row["OutputKey"]: row["OutputValue"] for row in stack["Outputs"]}


def environment_of(aws: Aws, outputs: dict[str, str], **changes: Any) -> EnvironmentSpec:
    """The environment file's content for a deployed stack."""
    settings: dict[str, Any] = {
        "name": "production",
        "account": aws.account,
        "region": aws.region,
        "adapters": {"serving": "aws", "registry": "aws", "assignments": "aws"},
        "aws": {"bucket": outputs["Bucket"], "queue": outputs["Queue"], "model_role": outputs["ModelsRole"]},
    }
    return EnvironmentSpec.model_validate(settings | changes)

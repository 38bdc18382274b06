"""Deploys `staged-rollout.yaml` beside this file, and prints the environment file that goes with it.

    python infrastructure/deploy.py --name rollouts-production --principal ARN > configs/environments/production.yaml

Run again it changes the stack to what the template says. Credentials and region are found as boto3 finds them.
"""  # noqa: INP001 - a script beside its template, not a package

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

TEMPLATE = Path(__file__).with_name("staged-rollout.yaml")
ENVIRONMENT = """\
# Made by infrastructure/deploy.py from stack {name}. Nothing secret belongs here.
name: {environment}
account: "{account}"
region: {region}
role_arn: {FlowsRole}
kms_key: {key}
aws:
  bucket: {Bucket}
  prefix: {prefix}
  queue: {Queue}
  model_role: {ModelsRole}
adapters:           # embedded or aws, port by port
  serving: aws
  assignments: aws
  registry: aws
"""
_UNCHANGED = "No updates are to be performed"


def main() -> int:
    """Deploy, wait, and print."""
    from botocore.exceptions import BotoCoreError, ClientError

    options = _options()
    try:
        sys.stdout.write(_deployed(options))
    except (BotoCoreError, ClientError) as error:
        sys.stderr.write(f"stack {options.name}: {error}\n")
        return 1
    return 0


def _options() -> argparse.Namespace:
    options = argparse.ArgumentParser(description="Deploy Staged Rollout's stack; print its environment file.")
    options.add_argument("--name", required=True, help="of the stack, the bucket, the queue and the flows' role")
    options.add_argument("--environment", default="production", help="the environment file's name")
    options.add_argument("--principal", required=True, help="ARN of who runs the flows")
    options.add_argument("--routers", help="ARN of who runs the routers; by default the same")
    options.add_argument("--prefix", default="staged-rollout", help="where everything lies in the bucket")
    options.add_argument("--kms-key", default="", help="ARN of a KMS key; by default AWS's own keys")
    options.add_argument("--endpoints", default="*", help="pattern of endpoints that rollouts may change")
    options.add_argument("--groups", default="*", help="pattern of model package groups")
    return options.parse_args()


def _deployed(options: argparse.Namespace) -> str:
    import boto3

    session = boto3.session.Session()
    client = session.client("cloudformation")
    _apply(client, options)
    (stack,) = client.describe_stacks(StackName=options.name)["Stacks"]
    outputs = {row["OutputKey"]: row["OutputValue"] for row in stack["Outputs"]}
    account = session.client("sts").get_caller_identity()["Account"]
    return ENVIRONMENT.format(
        name=options.name,
        environment=options.environment,
        account=account,
        region=client.meta.region_name,
        key=options.kms_key or "null",
        prefix=options.prefix,
        **outputs,
    )


def _apply(client: Any, options: argparse.Namespace) -> None:
    from botocore.exceptions import ClientError

    parameters = {
        "Name": options.name,
        "Prefix": options.prefix,
        "Endpoints": options.endpoints,
        "Groups": options.groups,
        "FlowsPrincipal": options.principal,
        "RoutersPrincipal": options.routers or options.principal,
        "KmsKeyArn": options.kms_key,
    }
    request: dict[str, Any] = {
        "StackName": options.name,
        "TemplateBody": TEMPLATE.read_text(encoding="utf-8"),
        "Capabilities": ["CAPABILITY_NAMED_IAM"],
        "Parameters": [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
    }
    try:
        client.create_stack(**request)
        waiter = client.get_waiter("stack_create_complete")
    except client.exceptions.AlreadyExistsException:
        try:
            client.update_stack(**request)
        except ClientError as error:
            if _UNCHANGED in str(error):
                return
            raise
        waiter = client.get_waiter("stack_update_complete")
    waiter.wait(StackName=options.name)


if __name__ == "__main__":
    sys.exit(main())

"""The way into AWS: the account is checked, a role is assumed, and clients are made once."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from staged_rollout.adapters.aws_client import told_as_ours
from staged_rollout.adapters.aws_session import AwsSession
from staged_rollout.adapters.platform import open_platform
from staged_rollout.errors import PlatformError, RefusedError
from staged_rollout.spec.environment import EnvironmentSpec, load_environment
from staged_rollout.spec.home import Home
from tests.aws_server import ACCOUNT, REGION, Aws

pytest_plugins = ("tests.aws_fixtures",)

ROOT = Path(__file__).parents[2]
OTHER = "111122223333"


def test_the_account_is_checked_once_before_the_first_client(aws: Aws):
    """The law: credentials of another account reach no service but STS."""
    session = AwsSession(account=ACCOUNT, region=REGION)
    assert session.client("sqs") is session.client("sqs")
    session.client("s3").list_buckets()
    assert ["GetCallerIdentity", "ListBuckets"] == [call.operation for call in aws.calls()]
    session.close()

    aws.forget_calls()
    other = AwsSession(account=OTHER, region=REGION)
    for _ in range(2):
        with pytest.raises(RefusedError, match=f"of account {ACCOUNT}, the environment says account {OTHER}"):
            other.client("s3")
    assert ["GetCallerIdentity"] == [call.operation for call in aws.calls()]
    other.close()


def test_a_role_is_assumed_when_the_first_call_needs_it(aws: Aws):
    """The law: with a role, every call is the role's, in the role's account; its external id is sent."""
    role = f"arn:aws:iam::{OTHER}:role/team/staged-rollout"
    session = AwsSession(account=OTHER, region=REGION, role_arn=role, external_id="a-team")
    session.client("s3")
    assert OTHER == session.identity.account
    (call, _) = aws.calls()
    assert ("AssumeRole", role, "a-team") == (call.operation, call.parameters["RoleArn"], call.parameters["ExternalId"])
    session.client("s3").list_buckets()
    assert ["AssumeRole", "GetCallerIdentity", "ListBuckets"] == [call.operation for call in aws.calls()]
    session.close()


def test_what_fails_for_a_moment_is_tried_again(aws: Aws):
    """The law: throttling, a 5xx and a lost connection are retried by every client."""
    session = AwsSession(account=ACCOUNT, region=REGION)
    client = session.client("sqs")
    for kind in ("throttle", "server_error", "timeout"):
        aws.fault(kind, "CreateQueue")
        assert client.create_queue(QueueName=f"q-{kind}".replace("_", "-"))["QueueUrl"]
    assert 6 == len(aws.calls("CreateQueue"))
    session.close()


def test_what_does_not_pass_is_told_in_our_words(aws: Aws):
    session = AwsSession(account=ACCOUNT, region=REGION)
    client = session.client("sqs", retries=0)
    aws.fault("refuse", "CreateQueue", code="AccessDenied", message="not allowed to sqs:CreateQueue")
    words = "make a queue: AccessDenied: not allowed"
    with pytest.raises(PlatformError, match=words) as caught, told_as_ours("make a queue"):
        client.create_queue(QueueName="q")
    assert "AccessDenied" == caught.value.facts["code"]
    session.close()


def test_no_credentials_is_an_error_with_a_hint(aws: Aws, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    role = f"arn:aws:iam::{ACCOUNT}:role/staged-rollout"
    with pytest.raises(PlatformError, match="no AWS credentials were found to assume"):
        AwsSession(account=ACCOUNT, region=REGION, role_arn=role).client("s3")
    with pytest.raises(PlatformError, match="get caller identity: Unable to locate credentials"):
        AwsSession(account=ACCOUNT, region=REGION).client("s3")


def test_ports_are_chosen_one_by_one(aws: Aws, tmp_path: Path):
    """The law: what an environment does not put on AWS is embedded, and needs no call."""
    environment = EnvironmentSpec.model_validate(
        {
            "name": "mixed",
            "account": ACCOUNT,
            "region": REGION,
            "adapters": {"serving": "aws"},
            "aws": {"bucket": "b-1", "model_role": f"arn:aws:iam::{ACCOUNT}:role/models"},
        }
    )
    platform = open_platform(environment, Home(tmp_path))
    assert platform.assignments.read("churn") is None
    assert [] == aws.calls()
    assert platform.serving.describe("churn") is None
    assert ["GetCallerIdentity", "DescribeEndpoint"] == [call.operation for call in aws.calls()]


HEAVY = ("boto3", "botocore", "sagemaker", "mlflow")


def test_command_line_flows_and_platform_import_nothing_of_aws():
    """The law: boto3, sagemaker and mlflow are imported by the adapter that is used, and by nothing before."""
    program = """
        import importlib, pkgutil, sys
        for package in ("staged_rollout.cli", "flows", "tasks"):
            for module in pkgutil.iter_modules(importlib.import_module(package).__path__, package + "."):
                if not module.name.endswith("__main__"):
                    importlib.import_module(module.name)
        import staged_rollout.adapters.platform_aws
        from staged_rollout.adapters.platform import open_platform
        from staged_rollout.spec.environment import load_environment
        from staged_rollout.spec.home import Home
        platform = open_platform(load_environment("production"), Home.from_environment())
        platform.aws, platform.clock, platform.notifier
        print([name for name in sys.argv[1:] if name in sys.modules])
    """
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), *HEAVY], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert 0 == ran.returncode, ran.stderr
    assert "[]" == ran.stdout.strip()


def test_an_environment_without_an_account_has_no_session():
    with pytest.raises(RefusedError, match="names no account"):
        AwsSession.of(load_environment("local", ROOT / "configs"))

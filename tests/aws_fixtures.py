"""Fixtures: AWS as moto's server has it, its gaps closed; `pytest_plugins = ("tests.aws_fixtures",)` asks for them.

    def test_it(aws):
        aws.client("s3").create_bucket(Bucket="logs")
        aws.fault("throttle", "PutObject", nth=2)
        ... code under test, which finds the server and its credentials in the environment ...
        assert ["PutObject"] * 3 == [call.operation for call in aws.calls("PutObject")]

Every boto3 session of the test's process is checked against AWS's own model, those of the code under test too.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.aws_model import every_session_validated
from tests.aws_server import REGION, Aws, MotoServer


@pytest.fixture(scope="session")
def moto_server() -> Iterator[MotoServer]:
    """One server for a whole test run."""
    server = MotoServer()
    yield server
    server.stop()


@pytest.fixture
def aws(moto_server: MotoServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    """An empty account, the only one that boto3 can reach while the test runs."""
    moto_server.tell("reset")
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {
        "AWS_ENDPOINT_URL": moto_server.url,
        "AWS_ACCESS_KEY_ID": "nobody",
        "AWS_SECRET_ACCESS_KEY": "nobody",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    with every_session_validated() as violations:
        account = Aws(moto_server, violations=violations)
        yield account
    account.close()
    assert violations == [], "a request or an answer that AWS would not send or take, and whose error was swallowed"

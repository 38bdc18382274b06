"""The boto3 client that invokes the endpoints of an environment."""

from __future__ import annotations

from typing import Any

from staged_rollout.spec.environment import EnvironmentSpec
from staged_rollout.spec.home import Home


def runtime_client(environment: EnvironmentSpec, home: Home, *, timeout_s: float, pool: int) -> Any:
    """A client of `sagemaker-runtime` that makes one attempt for each call: who calls decides what a failure means.

    Args:
        environment: With `serving: aws`, AWS in its region, with its role; else the local endpoint of the home.
        home: Where run.json tells the local endpoint's address.
        timeout_s: Seconds to wait for each answer.
        pool: Connections kept open.

    Raises:
        PlatformError: there are no credentials, or no local servers are running.
        RefusedError: the credentials belong to another account than the environment's.
    """
    behaviour: dict[str, Any] = {
        "connect_timeout_s": min(timeout_s, 2.0),
        "read_timeout_s": timeout_s,
        "retries": 0,
        "pool": pool,
    }
    if environment.on_aws("serving"):
        from staged_rollout.adapters.aws_session import AwsSession

        return AwsSession.of(environment).client("sagemaker-runtime", **behaviour)
    from staged_rollout.adapters.aws_client import make_client
    from staged_rollout.adapters.local_servers import running_servers

    return make_client("sagemaker-runtime", endpoint_url=running_servers(home).endpoint_url, **behaviour)

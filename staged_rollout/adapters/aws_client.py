"""boto3 clients, made the same way everywhere, and its exceptions told in this project's words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from staged_rollout.errors import PlatformError

LOCAL_REGION = "local"


def client_config(
    *,
    connect_timeout_s: float = 5.0,
    read_timeout_s: float = 30.0,
    retries: int = 4,
    pool: int = 10,
    user_agent: str | None = None,
    unsigned: bool = False,
) -> Any:
    """How a client behaves. Throttling, 5xx and lost connections are tried again, with backoff and jitter.

    Args:
        connect_timeout_s: Seconds to wait for a connection.
        read_timeout_s: Seconds to wait for an answer.
        retries: Further attempts after the first.
        pool: Connections kept open.
        user_agent: What is added to boto3's own, so that CloudTrail tells our calls apart.
        unsigned: Whether requests carry no signature.
    """
    from botocore import UNSIGNED
    from botocore.config import Config

    options: dict[str, Any] = {"signature_version": UNSIGNED} if unsigned else {}
    return Config(
        connect_timeout=connect_timeout_s,
        read_timeout=read_timeout_s,
        retries={"total_max_attempts": retries + 1, "mode": "standard"},
        max_pool_connections=pool,
        user_agent_extra=user_agent,
        **options,
    )


def make_client(service: str, *, endpoint_url: str | None = None, region: str | None = None, **behaviour: Any) -> Any:
    """A boto3 client outside of any environment: the local endpoint's, or a router's.

    Args:
        service: AWS's name of the service (`sagemaker-runtime`).
        endpoint_url: Another address than AWS's. A stand-in on this machine is called unsigned, without an account.
        region: AWS region; None: as the environment says.
        **behaviour: As of `client_config`.

    Raises:
        PlatformError: no region is configured, or the configuration cannot be read.
    """
    import boto3

    local = endpoint_url is not None and is_on_this_machine(endpoint_url)
    region = region or (LOCAL_REGION if local else None)
    config = client_config(unsigned=local, **behaviour)
    with told_as_ours(f"make a client of {service}"):
        # A session of its own: boto3's default session is not safe to make clients from in several threads.
        return boto3.session.Session().client(service, endpoint_url=endpoint_url, region_name=region, config=config)


def is_on_this_machine(url: str) -> bool:
    """Whether an address names this machine's loopback interface."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@contextmanager
def told_as_ours(what: str) -> Iterator[None]:
    """Turn what boto3 raises into a PlatformError that says what was tried.

    Raises:
        PlatformError: with `code` and `reason` among its facts.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        told = error.response.get("Error", {})
        code, reason = told.get("Code", ""), told.get("Message", str(error))
        raise PlatformError(f"{what}: {code}: {reason}", code=code, reason=reason) from error
    except BotoCoreError as error:
        raise PlatformError(f"{what}: {error}", code=type(error).__name__, reason=str(error)) from error

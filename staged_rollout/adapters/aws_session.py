"""One environment's way into AWS: the region, the role, the account that it must be, and clients made from them."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from staged_rollout import __version__
from staged_rollout.adapters.aws_client import client_config, told_as_ours
from staged_rollout.errors import PlatformError, RefusedError
from staged_rollout.spec.environment import EnvironmentSpec

_ROLE_SESSION = "staged-rollout"


@dataclass(frozen=True)
class Identity:
    """Who AWS says that we are.

    Attributes:
        account: The account's id.
        arn: The user or role.
    """

    account: str
    arn: str


class AwsSession:
    """Makes clients. Credentials are found as boto3 finds them, and never written into a file of ours.

    A role that is assumed is assumed again before its credentials end. The account is checked once, before the first
    client is handed out: a staging rollout must not run on production because of a forgotten environment variable.

    Args:
        account: The account that the credentials must belong to, 12 digits.
        region: AWS region.
        role_arn: The role that is assumed; None: credentials are used as they are found.
        external_id: What the role's trust policy asks for.
    """

    def __init__(
        self, *, account: str, region: str, role_arn: str | None = None, external_id: str | None = None
    ) -> None:
        self.account = account
        self.region = region
        self._role_arn = role_arn
        self._external_id = external_id
        self._clients: dict[tuple[str, tuple[tuple[str, Any], ...]], Any] = {}
        self._lock = threading.RLock()

    @classmethod
    def of(cls, environment: EnvironmentSpec) -> AwsSession:
        """The session of an environment.

        Raises:
            RefusedError: it names no account or no region.
        """
        if environment.account is None or environment.region is None:
            raise RefusedError(f"environment {environment.name} names no account and region", name=environment.name)
        return cls(
            account=environment.account,
            region=environment.region,
            role_arn=environment.role_arn,
            external_id=environment.aws.external_id,
        )

    @classmethod
    def of_registry(cls, environment: EnvironmentSpec) -> AwsSession:
        """The session of an environment whose Model Registry lies behind a role of its own (`aws.registry_role`).

        Raises:
            RefusedError: it names no region, or no such role.
        """
        role = environment.aws.registry_role
        if role is None or environment.region is None:
            raise RefusedError(f"environment {environment.name} names no aws.registry_role", name=environment.name)
        account = role.split(":")[4]
        return cls(account=account, region=environment.region, role_arn=role, external_id=environment.aws.external_id)

    def client(self, service: str, **options: Any) -> Any:
        """A boto3 client, made once for each service and set of options; safe to share between threads.

        Args:
            service: boto3's name (`s3`, `sagemaker-runtime`).
            **options: As of `aws_client.client_config`.

        Raises:
            PlatformError: there are no credentials, or AWS does not answer.
            RefusedError: the credentials belong to another account.
        """
        with self._lock:
            key = (service, tuple(sorted(options.items())))
            if key not in self._clients:
                if service != "sts":
                    self._checked()
                self._clients[key] = self._made(service, options)
            return self._clients[key]

    @property
    def boto3(self) -> Any:
        """The boto3 session itself, for a library that signs requests on its own.

        Raises:
            PlatformError: there are no credentials, or AWS does not answer.
            RefusedError: the credentials belong to another account.
        """
        self._checked()
        return self._session

    @cached_property
    def identity(self) -> Identity:
        """Who we are: one call.

        Raises:
            PlatformError: there are no credentials, or AWS does not answer.
        """
        sts = self.client("sts")
        with told_as_ours("get caller identity"):
            told = sts.get_caller_identity()
        return Identity(told["Account"], told["Arn"])

    def close(self) -> None:
        """Close the connections of every client."""
        with self._lock:
            for client in self._clients.values():
                client.close()
            self._clients.clear()

    def _checked(self) -> None:
        if self.identity.account != self.account:
            raise RefusedError(
                f"the AWS credentials are {self.identity.arn} of account {self.identity.account}, "
                f"the environment says account {self.account}",
                hint="choose another environment, or credentials of its account",
                account=self.identity.account,
            )

    def _made(self, service: str, options: dict[str, Any]) -> Any:
        config = client_config(user_agent=f"staged-rollout/{__version__}", **options)
        with told_as_ours(f"make a client of {service}"):
            return self._session.client(service, config=config)

    @cached_property
    def _session(self) -> Any:
        import boto3

        # Sessions of our own: boto3's default session is not safe to make clients from in several threads.
        found = boto3.session.Session(region_name=self.region)
        if self._role_arn is None:
            return found
        with told_as_ours(f"find credentials to assume {self._role_arn} with"):
            source = found.get_credentials()
        if source is None:
            raise PlatformError(
                f"no AWS credentials were found to assume {self._role_arn} with",
                hint="set AWS_PROFILE, or run where a role is attached",
                role=self._role_arn,
            )
        return boto3.session.Session(botocore_session=self._assumed(found, source), region_name=self.region)

    def _assumed(self, found: Any, source: Any) -> Any:
        import botocore.session
        from botocore.credentials import AssumeRoleCredentialFetcher, DeferredRefreshableCredentials

        more = {"RoleSessionName": _ROLE_SESSION}
        if self._external_id is not None:
            more["ExternalId"] = self._external_id
        fetcher = AssumeRoleCredentialFetcher(
            # The region's own STS, and not the global one, which another region's failure takes down.
            client_creator=found.client,
            source_credentials=source,
            role_arn=self._role_arn,
            extra_args=more,
        )
        session = botocore.session.get_session()
        session._credentials = DeferredRefreshableCredentials(  # noqa: SLF001 - botocore has no public way
            refresh_using=fetcher.fetch_credentials, method="assume-role"
        )
        return session

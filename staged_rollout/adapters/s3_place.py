"""A place in a bucket, `s3://BUCKET/PREFIX`, and the few things that are done with objects below it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

from staged_rollout.adapters.aws_client import told_as_ours
from staged_rollout.errors import RefusedError

_SCHEME = "s3://"


@dataclass(frozen=True)
class S3Object:
    """An object as listed; `version` is its ETag without quotes."""

    key: str
    size: int
    version: str
    written: Any


@dataclass(frozen=True)
class S3Place:
    """Where objects lie.

    Attributes:
        client: A boto3 client of `s3`.
        bucket: The bucket.
        prefix: What every key begins with, with a slash at its end; "" is the bucket's root.
        kms_key: What new objects are encrypted with; None: as the bucket does by itself.
    """

    client: Any
    bucket: str
    prefix: str
    kms_key: str | None = None

    @classmethod
    def at(cls, client: Any, uri: str, kms_key: str | None = None) -> S3Place:
        """The place that a URI names.

        Raises:
            RefusedError: it is not `s3://BUCKET` or `s3://BUCKET/PREFIX`.
        """
        bucket, _, prefix = uri.removeprefix(_SCHEME).partition("/")
        if not uri.startswith(_SCHEME) or not bucket:
            raise RefusedError(f"{uri!r} is not a place on S3", hint="s3://BUCKET/PREFIX", uri=uri)
        return cls(client, bucket, f"{prefix.strip('/')}/" if prefix.strip("/") else "", kms_key)

    def __str__(self) -> str:
        return f"{_SCHEME}{self.bucket}/{self.prefix}".rstrip("/")

    def uri(self, name: str) -> str:
        """What an object below the place is called in messages."""
        return f"{_SCHEME}{self.bucket}/{self.prefix}{name}"

    def objects(self, below: str = "", *, after: str = "") -> Iterator[S3Object]:
        """Objects below a part of the place, by key; a thousand for each request.

        Args:
            below: The part, such as `churn/v2/`.
            after: Only keys after this one, told as `below` is.

        Raises:
            PlatformError: S3 refused.
        """
        more = {"StartAfter": f"{self.prefix}{after}"} if after else {}
        for page in self._pages(Prefix=f"{self.prefix}{below}", **more):
            for row in page.get("Contents", ()):
                name = row["Key"].removeprefix(self.prefix)
                yield S3Object(name, row["Size"], row["ETag"].strip('"'), row["LastModified"])

    def folders(self, below: str = "") -> list[str]:
        """Names of the folders directly below a part of the place, without slashes.

        Raises:
            PlatformError: S3 refused.
        """
        prefix = f"{self.prefix}{below}"
        found = [
            row["Prefix"].removeprefix(prefix).removesuffix("/")
            for page in self._pages(Prefix=prefix, Delimiter="/")
            for row in page.get("CommonPrefixes", ())
        ]
        return sorted(found)

    def put(self, name: str, body: bytes | IO[bytes], *, expected: str | None, **more: Any) -> str | None:
        """Write an object on a condition.

        Args:
            name: Its key below the place.
            body: Its content.
            expected: The ETag, without quotes, that it must have now; None: there must be none.
            **more: As of boto3's `put_object`.

        Returns:
            The new ETag without quotes; None when the condition does not hold, or somebody else writes meanwhile. A
            lost answer is tried again by boto3, and then None may also mean that the first attempt has succeeded.

        Raises:
            PlatformError: S3 refused.
        """
        from botocore.exceptions import ClientError

        condition = {"IfNoneMatch": "*"} if expected is None else {"IfMatch": f'"{expected}"'}
        if self.kms_key is not None:
            more = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": self.kms_key, **more}
        with told_as_ours(f"write {self.uri(name)}"):
            try:
                told = self.client.put_object(
                    Bucket=self.bucket, Key=f"{self.prefix}{name}", Body=body, **condition, **more
                )
            except ClientError as error:
                # 412: the condition does not hold. 409: another conditional write of this key is under way. 404: the
                # object that was expected is gone.
                if status_of(error) in {409, 412} or (expected is not None and status_of(error) == 404):
                    return None
                raise
        return str(told["ETag"]).strip('"')

    def _pages(self, **request: Any) -> Iterator[dict[str, Any]]:
        pages = iter(self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, **request))
        while True:
            with told_as_ours(f"list {_SCHEME}{self.bucket}/{request['Prefix']}"):
                page = next(pages, None)
            if page is None:
                return
            yield page


def status_of(error: Any) -> int:
    """The HTTP status of a ClientError."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))

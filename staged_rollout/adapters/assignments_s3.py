"""Assignment documents on S3: `ENDPOINT.json`, replaced by a conditional put."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

from pydantic import ValidationError

from staged_rollout.adapters.aws_client import told_as_ours
from staged_rollout.adapters.resource_names import checked_name
from staged_rollout.adapters.s3_place import S3Place, status_of
from staged_rollout.assignment import AssignmentDocument
from staged_rollout.errors import PlatformError, RefusedError, StaleEpochError
from staged_rollout.ports.serving import PublishedAssignment

_SECOND = 1.0
"""S3 tells times in whole seconds: an age is rather told too young, so that no drain ends too early."""
_PUBLICATION = "publication"
"""Metadata of an object: which call wrote it. Two writers may publish the same document, and only one may win."""

_UNCHANGED: dict[str, Any] = {}


@dataclass(frozen=True)
class _Known:
    """A document as it was last read, and the ETag by which S3 tells whether it is still the same."""

    etag: str
    document: AssignmentDocument
    written: datetime
    publication: str


class S3Assignments:
    """Implements `ports.Assignments`, and is what routers poll: an unchanged document costs an empty answer (304).

    The age of a document is the difference of two times that S3 told, so that this machine's clock does not matter.

    Args:
        place: Where the documents lie.
        wall: Seconds since the epoch; asked only if an answer tells no time.
    """

    def __init__(self, place: S3Place, *, wall: Callable[[], float] = time.time) -> None:
        self._place = place
        self._wall = wall
        self._known: dict[str, _Known] = {}

    def read(self, endpoint: str) -> PublishedAssignment | None:
        """The document in force, or None before the first.

        Raises:
            RefusedError: the endpoint's name is not one.
            PlatformError: the object cannot be read or is not a document.
        """
        found = self._current(endpoint)
        return None if found is None else PublishedAssignment(found[0].document, found[1])

    def publish(self, document: AssignmentDocument, *, expected_epoch: int | None) -> None:
        """Replace the document whose epoch is `expected_epoch` (None: there is none yet).

        An answer that was lost is asked for again by boto3, which then finds its own document: that is a success.

        Raises:
            StaleEpochError: another epoch is in force.
            RefusedError: the endpoint's name is not one, or the new epoch does not follow the old one.
            PlatformError: S3 refused.
        """
        endpoint = document.endpoint
        name = _name(endpoint)
        current = self._current(endpoint)
        epoch = None if current is None else current[0].document.epoch
        if epoch != expected_epoch:
            raise _stale(endpoint, epoch, expected_epoch)
        if epoch is not None and document.epoch <= epoch:
            raise RefusedError(
                f"endpoint {endpoint}: epoch {document.epoch} must be above {epoch}",
                endpoint=endpoint,
                epoch=document.epoch,
            )
        body = document.model_dump_json(indent=2).encode() + b"\n"
        etag = None if current is None else current[0].etag
        publication = uuid.uuid4().hex
        metadata = {_PUBLICATION: publication}
        if self._place.put(name, body, expected=etag, ContentType="application/json", Metadata=metadata) is not None:
            return
        after = self._current(endpoint)
        if after is None or after[0].publication != publication:
            raise _stale(endpoint, None if after is None else after[0].document.epoch, expected_epoch)

    def _current(self, endpoint: str) -> tuple[_Known, float] | None:
        """The document in force and its age in seconds."""
        name = _name(endpoint)
        known = self._known.get(endpoint)
        answer, headers = self._get(name, known)
        if answer is None:
            self._known.pop(endpoint, None)
            return None
        if known is None or answer is not _UNCHANGED:
            document = self._document(name, endpoint, answer)
            publication = answer.get("Metadata", {}).get(_PUBLICATION, "")
            known = _Known(answer["ETag"].strip('"'), document, answer["LastModified"], publication)
            self._known[endpoint] = known
        return known, max(0.0, self._now(headers) - known.written.timestamp() - _SECOND)

    def _get(self, name: str, known: _Known | None) -> tuple[Any, dict[str, str]]:
        """The object, None, or _UNCHANGED; and the answer's headers."""
        from botocore.exceptions import ClientError

        condition = {} if known is None else {"IfNoneMatch": f'"{known.etag}"'}
        place = self._place
        with told_as_ours(f"read {place.uri(name)}"):
            try:
                told = place.client.get_object(Bucket=place.bucket, Key=f"{place.prefix}{name}", **condition)
                # The body too: a connection that breaks in its middle is the same failure.
                return {**told, "Body": told["Body"].read()}, told["ResponseMetadata"]["HTTPHeaders"]
            except ClientError as error:
                headers = error.response["ResponseMetadata"].get("HTTPHeaders", {})
                if status_of(error) == 304:
                    return _UNCHANGED, headers
                if error.response["Error"].get("Code") == "NoSuchKey":
                    return None, headers
                raise

    def _document(self, name: str, endpoint: str, answer: Any) -> AssignmentDocument:
        uri = self._place.uri(name)
        try:
            document = AssignmentDocument.model_validate_json(answer["Body"])
        except ValidationError as error:
            raise PlatformError(
                f"assignment document {uri}: {error.error_count()} errors, first: {error.errors()[0]['msg']}",
                hint="restore an earlier version of the object, or delete it and publish again",
                path=uri,
            ) from error
        if document.endpoint != endpoint:
            raise PlatformError(
                f"assignment document {uri} is for endpoint {document.endpoint!r}, must be {endpoint!r}", path=uri
            )
        return document

    def _now(self, headers: dict[str, str]) -> float:
        try:
            return parsedate_to_datetime(headers.get("date", "")).timestamp()
        except ValueError:
            return self._wall()


def _name(endpoint: str) -> str:
    return f"{checked_name(endpoint, 'endpoint')}.json"


def _stale(endpoint: str, epoch: int | None, expected: int | None) -> StaleEpochError:
    return StaleEpochError(
        f"endpoint {endpoint}: epoch {epoch} is in force, expected {expected}",
        hint="read again, and decide again",
        endpoint=endpoint,
        epoch=epoch,
        expected=expected,
    )

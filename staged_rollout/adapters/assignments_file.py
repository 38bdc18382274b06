"""Assignment documents as files: `ENDPOINT.json`, replaced by compare-and-set under a lock file."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pydantic import ValidationError

from staged_rollout.adapters.atomic_file import replace_file
from staged_rollout.adapters.resource_names import checked_name
from staged_rollout.assignment import AssignmentDocument
from staged_rollout.errors import PlatformError, RefusedError, StaleEpochError
from staged_rollout.ports.serving import PublishedAssignment

CLOCK_SET_BACK_S = 5.0
"""Seconds by which a file may be ahead of the clock without meaning anything: file systems have clocks of their own."""


class FileAssignments:
    """Implements `ports.Assignments` on a folder that routers on the same machine poll.

    Args:
        folder: Where the documents lie (`Home.assignments`).
        wall: Seconds since the epoch; the age of a document is counted by it, against the file's own time.
    """

    def __init__(self, folder: Path, *, wall: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._wall = wall

    def read(self, endpoint: str) -> PublishedAssignment | None:
        """The document in force, or None before the first.

        Raises:
            RefusedError: the endpoint's name is not one.
            PlatformError: the file cannot be read or is not a document.
        """
        path = self._path(endpoint)
        try:
            with path.open("rb") as file:  # the age must be that of the bytes, so both come from one open file
                content = file.read()
                written_at = os.fstat(file.fileno()).st_mtime
        except FileNotFoundError:
            return None
        except OSError as error:
            raise PlatformError(f"assignment document {path} cannot be read: {error}", path=str(path)) from error
        try:
            document = AssignmentDocument.model_validate_json(content)
        except ValidationError as error:
            raise PlatformError(
                f"assignment document {path}: {error.error_count()} errors, first: {error.errors()[0]['msg']}",
                hint="restore the file, or delete it and publish again",
                path=str(path),
            ) from error
        if document.endpoint != endpoint:
            raise PlatformError(
                f"assignment document {path} is for endpoint {document.endpoint!r}, must be {endpoint!r}",
                path=str(path),
            )
        age_s = self._wall() - written_at
        if age_s < -CLOCK_SET_BACK_S:
            # The clock was set back, perhaps by an hour, which every drain would then last longer: count from now.
            with suppress(OSError):
                os.utime(path, (self._wall(), self._wall()))
        return PublishedAssignment(document, max(0.0, age_s))

    def publish(self, document: AssignmentDocument, *, expected_epoch: int | None) -> None:
        """Replace the document whose epoch is `expected_epoch` (None: there is none yet).

        Raises:
            StaleEpochError: another epoch is in force.
            RefusedError: the endpoint's name is not one, or the new epoch does not follow the old one.
        """
        path = self._path(document.endpoint)
        with self._locked(document.endpoint):
            current = self.read(document.endpoint)
            epoch = None if current is None else current.document.epoch
            if epoch != expected_epoch:
                raise StaleEpochError(
                    f"endpoint {document.endpoint}: epoch {epoch} is in force, expected {expected_epoch}",
                    hint="read again, and decide again",
                    endpoint=document.endpoint,
                    epoch=epoch,
                    expected=expected_epoch,
                )
            if epoch is not None and document.epoch <= epoch:
                raise RefusedError(
                    f"endpoint {document.endpoint}: epoch {document.epoch} must be above {epoch}",
                    endpoint=document.endpoint,
                    epoch=document.epoch,
                )
            replace_file(path, document.model_dump_json(indent=2).encode() + b"\n")

    def _path(self, endpoint: str) -> Path:
        return self._folder / f"{checked_name(endpoint, 'endpoint')}.json"

    @contextmanager
    def _locked(self, endpoint: str) -> Iterator[None]:
        self._folder.mkdir(parents=True, exist_ok=True)
        # The lock is a file of its own: a lock on the document would be lost with the inode that the rename replaces.
        with (self._folder / f"{endpoint}.lock").open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

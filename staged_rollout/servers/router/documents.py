"""The assignment documents in force, polled; the last good one is kept when a file cannot be read."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from staged_rollout.assignment import AssignmentDocument
from staged_rollout.errors import StagedRolloutError
from staged_rollout.ports.serving import Assignments

_LOG = logging.getLogger(__name__)


class Documents:
    """Holds the newest document of each endpoint that was asked for. Thread-safe.

    Args:
        source: Where documents are published.
        poll_s: Seconds between two reads.
    """

    def __init__(self, source: Assignments, poll_s: float) -> None:
        self._source = source
        self._poll_s = poll_s
        self._known: dict[str, AssignmentDocument] = {}
        self._watched: set[str] = set()
        self._complained: set[str] = set()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._poll, name="assignments", daemon=True)

    def start(self) -> None:
        """Begin to poll."""
        self._thread.start()

    def stop(self) -> None:
        """End polling."""
        self._stopped.set()
        self._thread.join()

    def watch(self, endpoint: str) -> None:
        """Follow an endpoint from now on, also before its first document and its first call."""
        self._watched.add(endpoint)
        self._read(endpoint)

    def current(self, endpoint: str) -> AssignmentDocument | None:
        """The document in force for an endpoint, or None when none was ever read."""
        document = self._known.get(endpoint)
        return self._read(endpoint) if document is None else document

    def all(self) -> list[AssignmentDocument]:
        """The documents of all endpoints that were asked for, by name."""
        return [self._known[name] for name in sorted(self._known)]

    def _poll(self) -> None:
        while not self._stopped.wait(self._poll_s):
            for endpoint in self._watched | set(self._known):
                self._read(endpoint)

    def _read(self, endpoint: str) -> AssignmentDocument | None:
        before = self._known.get(endpoint)
        try:
            published = self._source.read(endpoint)
        except StagedRolloutError:
            if endpoint not in self._complained:
                self._complained.add(endpoint)
                _LOG.exception("endpoint %s: the last good assignment stays in force", endpoint)
            return before
        self._complained.discard(endpoint)
        if published is None:
            return before
        if before is not None and published.document.epoch < before.epoch:
            return before  # a slow read that began before a newer one
        self._known[endpoint] = published.document
        return published.document


class DocumentsOnDemand(Documents):
    """As Documents, without a thread of its own: a request that finds its document too old reads it first.

    For AWS Lambda, whose containers are frozen between two requests, threads included. The wall clock is asked and not
    the monotonic one, which may stand still meanwhile.

    Args:
        source: Where documents are published.
        poll_s: Seconds for which a document is used before it is read again.
        wall: Seconds since the epoch.
    """

    def __init__(self, source: Assignments, poll_s: float, *, wall: Callable[[], float] = time.time) -> None:
        super().__init__(source, poll_s)
        self._wall = wall
        self._read_at: dict[str, float] = {}

    def current(self, endpoint: str) -> AssignmentDocument | None:
        """The document in force for an endpoint, or None when none was ever read."""
        now, before = self._wall(), self._read_at.get(endpoint)
        # A clock that was set back makes an age that cannot be: then it is read as well.
        if before is not None and 0 <= now - before < self._poll_s:
            return super().current(endpoint)
        self._read_at[endpoint] = now
        return self._read(endpoint)

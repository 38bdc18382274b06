"""The assignment documents in force, polled; the last good one is kept when a file cannot be read."""

from __future__ import annotations

import logging
import threading

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

"""Notifications as lines of a file and of the program's log: for one machine, and beneath any louder channel."""

from __future__ import annotations

import fcntl
import json
import logging
import os
from dataclasses import asdict
from pathlib import Path

from staged_rollout.ports.notifier import Notification

_LOG = logging.getLogger("staged_rollout.notifications")
_LEVELS = {"info": logging.INFO, "warning": logging.WARNING, "alarm": logging.ERROR}


class LogNotifier:
    """Appends one JSON object per notification; satisfies `ports.notifier.Notifier`.

    A notification that is delivered twice is written twice: its `key` tells a repetition from a new message.

    Args:
        path: `HOME/notifications.jsonl`; its keys are the fields of `Notification`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def send(self, notification: Notification) -> None:
        """Write one line, and log the subject.

        Raises:
            OSError: the file cannot be written; the subject was logged nevertheless.
        """
        subject = " ".join(notification.subject.split())
        _LOG.log(_LEVELS[notification.level], "%s: %s", notification.key, subject)
        line = json.dumps(asdict(notification), sort_keys=True).encode() + b"\n"
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("ab+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.write(self._end_of_torn_line(file.fileno()) + line)
            file.flush()
            os.fsync(file.fileno())

    @staticmethod
    def _end_of_torn_line(descriptor: int) -> bytes:
        """A line break when a killed process left half a line, so that the next line is whole."""
        size = os.fstat(descriptor).st_size
        return b"\n" if size and os.pread(descriptor, 1, size - 1) != b"\n" else b""

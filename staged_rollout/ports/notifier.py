"""Telling people. A failing notifier never blocks or fails a decision."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol


@dataclass(frozen=True)
class Notification:
    """One message to the people behind a rollout.

    Attributes:
        key: `ROLLOUT:SEQ`, so that a repeated delivery can be told from a new message.
        rollout: The rollout's id.
        channel: The `notify` of the rollout file, or None.
        level: How urgent it is.
        subject: One line.
        body: Markdown with the numbers and the one command to act.
    """

    key: str
    rollout: str
    channel: str | None
    level: Literal["info", "warning", "alarm"]
    subject: str
    body: str


class Notifier(Protocol):
    """Delivers at least once: a log here, a Prefect notification block when tasks pass one in."""

    def send(self, notification: Notification) -> None:
        """Deliver one message; whatever it raises is logged by the caller and goes no further."""
        ...

"""Events about model versions: hints that make polling faster. Losing one costs time, never a version."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class VersionEvent:
    """What an event says. It is a claim of whoever could send it; the registry is asked before anything is done.

    Attributes:
        model: Model package group.
        version: Its number, as text.
        reference: The version's ARN.
        approved: Whether the version was approved when the event was made.
    """

    model: str
    version: str
    reference: str
    approved: bool


@dataclass(frozen=True)
class EventMessage:
    """A message as it was received; nobody else sees it until some time has passed without its removal.

    Attributes:
        handle: What the queue calls this delivery.
        body: The text.
        event: What it says; None when it cannot be read.
        problem: Why it cannot be read, or "".
    """

    handle: str
    body: str
    event: VersionEvent | None
    problem: str = ""


class VersionEvents(Protocol):
    """A queue that delivers at least once, in no order."""

    def receive(self) -> list[EventMessage]:
        """The next messages, a few at a time; none when the queue seems empty."""
        ...

    def remove(self, message: EventMessage) -> None:
        """Delete a message whose effect is there."""
        ...

    def park(self, message: EventMessage, reason: str) -> bool:
        """Put a message aside where a person finds it, so that it is not delivered again.

        Returns:
            False when there is no such place: the message comes back.
        """
        ...

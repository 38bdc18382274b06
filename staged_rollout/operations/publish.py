"""What is told of a rollout: pages, a message, an experiment's figures; each from a ledger cursor of its own."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from staged_rollout.evidence import Evidence, LookFigures, SuccessFigures
from staged_rollout.ports import Notification, Platform
from staged_rollout.report.look import event_markdown, stored_evidence
from staged_rollout.report.message import message
from staged_rollout.state import Event, EventType, RolloutState, fold


class Channel(StrEnum):
    """Where things are told. One that fails keeps its own cursor back, and no other's."""

    PAGES = "published"
    MESSAGES = "notified"
    TRACKER = "tracked"


@dataclass(frozen=True)
class Publication:
    """One event as people read it.

    Attributes:
        seq: The event's number: the cursor moves here once it is out.
        key: The artifact's key, `ROLLOUT-SEQ` in lower case.
        title: One line.
        markdown: The whole.
        progress: Of a look: the percentage of the planned information that is in; None for other events.
    """

    seq: int
    key: str
    title: str
    markdown: str
    progress: float | None


@dataclass(frozen=True)
class Tracked:
    """A look's figures for the experiment tracker.

    Attributes:
        seq: Of the look's event.
        name: `look-3`.
        figures: By name; those that are missing are left out.
        title: One line.
    """

    seq: int
    name: str
    figures: dict[str, float]
    title: str


@dataclass(frozen=True)
class Outbox:
    """Everything that is still to be told.

    Attributes:
        upto: The last event that was read: a channel's cursor moves here when all of its is out.
        message: One for everything since the last one that arrived; None: nothing, or nobody is to be told.
        tracked: Oldest first.
        publications: Oldest first.
    """

    upto: int
    message: Notification | None = None
    tracked: tuple[Tracked, ...] = ()
    publications: tuple[Publication, ...] = ()


def outbox(platform: Platform, rollout: str) -> Outbox:
    """What is still to be told. A rollout of which all has been told is not read."""
    head = platform.ledger.head(rollout)
    cursors = {channel: platform.ledger.cursor(_cursor(channel, rollout)) for channel in Channel}
    if min(cursors.values()) >= head:
        return Outbox(head)
    events = platform.ledger.events(rollout)
    state = fold(events)
    return Outbox(
        state.seq,
        _notification(platform, state, events, cursors[Channel.MESSAGES]),
        tuple(_tracked(*looked, state, events) for looked in _looks(events, cursors[Channel.TRACKER])),
        tuple(
            _publication(event, state, events)
            for event in events
            if event.seq > cursors[Channel.PAGES]
            and event.type in {EventType.LOOK_TAKEN, EventType.DECIDED, EventType.STAGE_ENTERED}
        ),
    )


def mark_told(platform: Platform, rollout: str, channel: Channel, seq: int) -> None:
    """Move a channel's cursor; another process that was faster is fine."""
    name = _cursor(channel, rollout)
    cursor = platform.ledger.cursor(name)
    if seq > cursor:
        platform.ledger.move_cursor(name, expected=cursor, value=seq)


def _cursor(channel: Channel, rollout: str) -> str:
    return f"{channel}:{rollout}"


def _publication(event: Event, state: RolloutState, events: list[Event]) -> Publication:
    title, markdown = event_markdown(event, state, events)
    looked = event.type is EventType.LOOK_TAKEN
    return Publication(
        seq=event.seq,
        key=f"{event.rollout}-{event.seq}".lower(),
        title=title,
        markdown=markdown,
        progress=min(100.0 * float(event.payload["information"]), 100.0) if looked else None,
    )


def _notification(platform: Platform, state: RolloutState, events: list[Event], after: int) -> Notification | None:
    """Its key is `ROLLOUT:SEQ` of the last event in it."""
    environment = platform.environment
    if state.spec.notify is None and environment.adapters.notifier == "prefect":
        return None
    found = message(state, events, after, signed=bool(environment.approvers.get(state.spec.decide.win.who or "")))
    if found is None:
        return None
    return Notification(
        key=f"{state.rollout}:{state.seq}",
        rollout=state.rollout,
        channel=state.spec.notify,
        level=found.level,
        subject=found.subject,
        body=found.body,
    )


def _looks(events: list[Event], after: int) -> list[tuple[Event, Evidence, LookFigures]]:
    """Looks that the tracker lacks and that this version can read."""
    taken = (event for event in events if event.seq > after and event.type is EventType.LOOK_TAKEN)
    read = ((event, stored_evidence(event)) for event in taken)
    return [(event, found, found.look) for event, found in read if found is not None and found.look is not None]


def _tracked(event: Event, evidence: Evidence, look: LookFigures, state: RolloutState, events: list[Event]) -> Tracked:
    success = look.success
    figures: dict[str, float | None] = {
        "information": look.information,
        "z": success.z,
        "estimate": success.estimate,
        "efficacy_bound": look.efficacy.z if look.efficacy else None,
        "harm_bound": -look.harm.z if look.harm else None,
        "futility_bound": look.futility.z if look.futility else None,
        "repeated_p_value": look.repeated_p_value,
        "units_champion": float(success.n_champion),
        "units_candidate": float(success.n_candidate),
        "srm_log_e": max((test.log_e for test in evidence.srm), default=None),
        **_of_variants(success),
    }
    title, _ = event_markdown(event, state, events)
    return Tracked(event.seq, f"look-{look.slot}", {k: v for k, v in figures.items() if v is not None}, title)


def _of_variants(success: SuccessFigures) -> dict[str, float | None]:
    mean = success.mean
    if mean is not None:
        return {"value_champion": mean.value_champion, "value_candidate": mean.value_candidate}
    return {"successes_champion": float(success.x_champion), "successes_candidate": float(success.x_candidate)}

"""What people are told: one publication per event that matters, from a ledger cursor, at least once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from staged_rollout.evidence import Evidence, SuccessFigures
from staged_rollout.ports import Notification, Platform
from staged_rollout.report.look import event_markdown
from staged_rollout.state import Event, EventType, RolloutState, State, fold

Level = Literal["info", "warning", "alarm"]


@dataclass(frozen=True)
class Publication:
    """One event as people read it.

    Attributes:
        seq: The event's number: the cursor moves here once it is out.
        key: The artifact's key, `ROLLOUT-SEQ` in lower case.
        title: One line.
        markdown: The whole.
        notification: For the people behind the rollout, or None when the event only deserves a page.
        look: For the experiment tracker, the look's name and its figures; None for other events.
    """

    seq: int
    key: str
    title: str
    markdown: str
    notification: Notification | None
    look: tuple[str, dict[str, float]] | None


def unpublished(platform: Platform, rollout: str) -> list[Publication]:
    """Publications since the cursor, oldest first."""
    events = platform.ledger.events(rollout)
    if not events:
        return []
    cursor = platform.ledger.cursor(_cursor(rollout))
    state = fold(events)
    return [
        _publication(event, state, events)
        for event in events
        if event.seq > cursor and event.type in {EventType.LOOK_TAKEN, EventType.DECIDED, EventType.STAGE_ENTERED}
    ]


def mark_published(platform: Platform, rollout: str, seq: int) -> None:
    """Move the cursor; another process that was faster is fine."""
    name = _cursor(rollout)
    cursor = platform.ledger.cursor(name)
    if seq > cursor:
        platform.ledger.move_cursor(name, expected=cursor, value=seq)


def _cursor(rollout: str) -> str:
    return f"published:{rollout}"


def _publication(event: Event, state: RolloutState, events: list[Event]) -> Publication:
    title, markdown = event_markdown(event, state, events)
    return Publication(
        seq=event.seq,
        key=f"{event.rollout}-{event.seq}".lower(),
        title=title,
        markdown=markdown,
        notification=_notification(event, state, title, markdown),
        look=_tracked(event),
    )


def _tracked(event: Event) -> tuple[str, dict[str, float]] | None:
    """A look's figures by name; those that are missing are left out."""
    if event.type is not EventType.LOOK_TAKEN:
        return None
    evidence = Evidence.model_validate(event.payload["evidence"])
    look = evidence.look
    if look is None:
        return None
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
    return f"look-{look.slot}", {name: value for name, value in figures.items() if value is not None}


def _of_variants(success: SuccessFigures) -> dict[str, float | None]:
    mean = success.mean
    if mean is not None:
        return {"value_champion": mean.value_champion, "value_candidate": mean.value_candidate}
    return {"successes_champion": float(success.x_champion), "successes_candidate": float(success.x_candidate)}


def _notification(event: Event, state: RolloutState, title: str, markdown: str) -> Notification | None:
    level = _level(event)
    if level is None:
        return None
    return Notification(
        key=f"{event.rollout}:{event.seq}",
        rollout=event.rollout,
        channel=state.spec.notify,
        level=level,
        subject=title,
        body=markdown,
    )


def _level(event: Event) -> Level | None:
    if event.type is EventType.STAGE_ENTERED:
        entered = State(event.payload["state"])
        if entered is State.ROLLING_BACK and event.payload["ending"] == str(State.ROLLED_BACK):
            return "alarm"
        return "warning" if entered is State.AWAITING_APPROVAL else "info"
    if event.type is EventType.DECIDED and event.payload["holds"]:
        return "warning"
    return None

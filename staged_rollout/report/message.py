"""One message to the people behind a rollout: all that happened since the last one, the numbers, the command to act."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from staged_rollout.evidence import Evidence, GuardrailFigures, LookFigures
from staged_rollout.report.figures import figure, interval, moment, score, share
from staged_rollout.report.history import sentence
from staged_rollout.report.inert import one_line
from staged_rollout.report.look import stored_evidence, verdict
from staged_rollout.report.next_steps import act, advice
from staged_rollout.state import Event, EventType, HoldReason, RolloutState, State

Level = Literal["info", "warning", "alarm"]
MOST_LINES = 12
"""Events that one message tells; older ones are counted."""
LONGEST_LINE = 300
LONGEST_SUBJECT = 160
_RANK: dict[Level, int] = {"info": 0, "warning": 1, "alarm": 2}
_TAG = re.compile(r"<(?![ =\d])")


@dataclass(frozen=True)
class Message:
    """What is sent.

    Attributes:
        level: The most urgent level of its events.
        subject: One line: the newest of the most urgent events.
        body: Plain text.
    """

    level: Level
    subject: str
    body: str


def message(state: RolloutState, events: Sequence[Event], after: int, *, signed: bool) -> Message | None:
    """Everything that people are told of since an event.

    Args:
        state: The fold of `events`.
        events: All events of the rollout, in order.
        after: The number of the last event that was told.
        signed: Whether an approval must be signed here.

    Returns:
        None when nothing deserves a message.
    """
    told = [(event, level) for event in events if event.seq > after and (level := level_of(event)) is not None]
    if not told:
        return None
    urgent = max(told, key=lambda one: (_RANK[one[1]], one[0].seq))
    more = len(told) - 1
    subject = _plain(f"{state.rollout}: {sentence(urgent[0])}", LONGEST_SUBJECT) + (
        f" (and {more} more)" if more else ""
    )
    lines = [f"{moment(event.at)}  {_plain(sentence(event), LONGEST_LINE)}" for event, _ in told[-MOST_LINES:]]
    if more >= MOST_LINES:
        lines.insert(0, f"{len(told) - MOST_LINES} earlier events: staged-rollout history {shlex.quote(state.rollout)}")
    blocks = ["\n".join(lines), "\n".join(_numbers(events)), "\n".join(_next(state, events[-1], signed=signed))]
    return Message(urgent[1], subject, "\n\n".join(block for block in blocks if block))


def level_of(event: Event) -> Level | None:
    """How urgent an event is to people; None: it is not worth a message."""
    match event.type:
        case EventType.STAGE_ENTERED:
            entered = State(event.payload["state"])
            if entered is State.ROLLING_BACK and event.payload["ending"] == State.ROLLED_BACK:
                return "alarm"
            return "warning" if entered is State.AWAITING_APPROVAL else "info"
        case EventType.HELD:
            return "warning"
        case EventType.RELEASED | EventType.APPROVED | EventType.REJECTED | EventType.REGISTERED:
            return "info"
        case EventType.NOTED:
            return "warning" if "refused" in event.payload else None
        case _:
            return None


def _numbers(events: Sequence[Event]) -> list[str]:
    """The newest look, and the guardrails of the newest evidence."""
    lines: list[str] = []
    taken = next((event for event in reversed(events) if event.type is EventType.LOOK_TAKEN), None)
    evidence = stored_evidence(taken) if taken is not None else None
    if evidence is not None and evidence.look is not None:
        lines.append(_look(evidence.look))
    newest = next((event for event in reversed(events) if "evidence" in event.payload), None)
    found = stored_evidence(newest) if newest is not None else None
    return lines + _guardrails(found)


def _look(look: LookFigures) -> str:
    within = f", {interval(look.interval)}" if look.interval else ""
    return f"look {look.slot} at {share(look.information, 0)} of the information: {verdict(look)}{within}"


def _guardrails(evidence: Evidence | None) -> list[str]:
    def line(guard: GuardrailFigures) -> str:
        now = f"{figure(guard.champion, guard.unit)} to {figure(guard.candidate, guard.unit)}"
        allowed = figure(guard.margin, guard.unit, signed=True)
        alarm = ", ALARM" if guard.alarm else ""
        return f"{_plain(guard.name, 80)}: {now}, margin {allowed}, z {score(guard.z_non_inferiority)}{alarm}"

    return [line(guard) for guard in evidence.guardrails] if evidence is not None else []


def _next(state: RolloutState, last: Event, *, signed: bool) -> tuple[str, str]:
    paused = HoldReason.OPERATOR in state.holds
    advised, command = advice(state, state.state, held=bool(state.holds), paused=paused, after=last.at)
    if state.state is State.AWAITING_APPROVAL and signed:
        command = act("approve", state.rollout)
    return _plain(advised, LONGEST_LINE), command


def _plain(text: str, longest: int) -> str:
    """Text for channels that read `<!channel>` or `@everyone` as an order."""
    return _TAG.sub("‹", one_line(text, longest)).replace("@", "＠")

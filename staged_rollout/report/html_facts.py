"""What the report tells, read from a ledger's events alone: looks, stays, and the evidence of each decision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import TypeVar

from staged_rollout.evidence import Evidence, GuardrailFigures, LookFigures
from staged_rollout.report.look import plotted, stored_evidence
from staged_rollout.report.plot import LookPoint
from staged_rollout.state import Event, EventType, RolloutState, StageRecord, candidate_share, fold

MOST_LOOKS = 200
"""Looks that charts and tables show; of more, so many evenly chosen ones."""
T = TypeVar("T")
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class SeenLook:
    """A look as it was taken.

    Attributes:
        seq: The ledger event.
        at: When it was taken.
        point: z and the bounds that it met, over the information of the plan as it is now.
        figures: The look's own evidence; None when another version of this program wrote it.
    """

    seq: int
    at: datetime
    point: LookPoint
    figures: LookFigures | None


@dataclass(frozen=True)
class Knowledge:
    """The evidence that lies in one event."""

    seq: int
    evidence: Evidence


@dataclass(frozen=True)
class Stay:
    """A stay in a state whose assignment document was in force.

    Attributes:
        record: As folded.
        epochs: Of the documents; more than one where a document was lost and published anew.
        begins: Days since registration.
        ends: The same of the next document, or of the ledger's last event.
        share: The candidate's share of units, in [0, 1].
        copied: The share of requests that the candidate gets as copies.
    """

    record: StageRecord
    epochs: tuple[int, ...]
    begins: float
    ends: float
    share: float
    copied: float


class Facts:
    """One rollout's events, and what they hold.

    Args:
        events: All of them, in order, at least the registration.
    """

    def __init__(self, events: Sequence[Event]) -> None:
        self.events = list(events)
        self.state: RolloutState = fold(self.events)

    @cached_property
    def knowledge(self) -> tuple[Knowledge, ...]:
        """Every piece of evidence that can be read, oldest first."""
        found = ((event.seq, stored_evidence(event)) for event in self.events)
        return tuple(Knowledge(seq, evidence) for seq, evidence in found if evidence is not None)

    @cached_property
    def looks(self) -> tuple[SeenLook, ...]:
        """Looks in order, at most `MOST_LOOKS` and always the last."""
        taken = [event for event in self.events if event.type is EventType.LOOK_TAKEN]
        known = {item.seq: item.evidence.look for item in self.knowledge}
        points = plotted(self.events, self.state.seq)
        whole = [
            SeenLook(event.seq, event.at, point, known.get(event.seq))
            for event, point in zip(taken, points, strict=True)
        ]
        return thinned(whole, MOST_LOOKS)

    @cached_property
    def read_looks(self) -> tuple[LookFigures, ...]:
        """The figures of the looks, where they can be read, with the information of the plan as it is now."""
        return tuple(
            look.figures.model_copy(update={"information": look.point.information})
            for look in self.looks
            if look.figures is not None
        )

    @cached_property
    def stays(self) -> tuple[Stay, ...]:
        """Stays whose document was published, in order."""
        state = self.state
        published = [(number, stay) for number, stay in enumerate(state.stages) if stay.effective_at is not None]
        found: list[Stay] = []
        for place, (number, record) in enumerate(published):
            later = published[place + 1 : place + 2]
            begins = self.day(record.effective_at)
            ends = self.day(later[0][1].effective_at if later else state.last_at)
            then = replace(state, state=record.state, step=record.step)
            copied = state.spec.stages.shadow.sample if record.state == "SHADOW" else 0.0
            found.append(
                Stay(record, state.epochs_at(number), begins, max(ends, begins), candidate_share(then), copied)
            )
        return tuple(found)

    def newest(self, *states: str) -> Evidence | None:
        """The newest evidence from one of some states; of any without names."""
        return next(
            (item.evidence for item in reversed(self.knowledge) if not states or item.evidence.state in states), None
        )

    def guarded(self) -> Evidence | None:
        """The newest evidence that holds guardrails."""
        return next((item.evidence for item in reversed(self.knowledge) if item.evidence.guardrails), None)

    def latencies(self) -> tuple[tuple[float, str, GuardrailFigures], ...]:
        """Every latency that was measured: days since registration, in which state, and the figure."""
        found = [
            (self.day(item.evidence.as_of), item.evidence.state, guard)
            for item in self.knowledge
            for guard in item.evidence.guardrails
            if guard.unit == "ms" and guard.champion is not None and guard.candidate is not None
        ]
        return thinned(found, MOST_LOOKS)

    def day(self, moment: datetime | None) -> float:
        """Days since registration, at least 0."""
        return 0.0 if moment is None else max((moment - self.state.registered_at) / _DAY, 0.0)


def thinned(items: Sequence[T], most: int) -> tuple[T, ...]:
    """At most so many items, evenly chosen from the end backwards: the last one stays.

    >>> thinned(range(10), 4)
    (0, 3, 6, 9)
    """
    step = -(-len(items) // most) if items else 1
    return tuple(items[::-1][::step][::-1])

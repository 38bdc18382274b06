"""Data quality of every event day that has ended: a failed day holds, three in a row roll back."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta
from math import ceil
from typing import Any

from staged_rollout.operations.journal import write
from staged_rollout.operations.quality_docs import write_docs
from staged_rollout.ports import CheckReport, DayFacts, LabelCoverage, Platform, Rows
from staged_rollout.ports.checks import MAX_LATENCY_MS
from staged_rollout.state import Actor, EventType, NewEvent, RolloutState, State

CHECKED = frozenset({State.SHADOW, State.CANARY, State.LIVE, State.AWAITING_APPROVAL, State.PROMOTING, State.BAKING})
"""States whose days are checked."""
DAY = timedelta(days=1)
REFERENCE_AGE = timedelta(days=7)
"""A day that passed longer ago is not compared with."""


def due_days(state: RolloutState, now: datetime, *, so_far: bool = False) -> list[date]:
    """Event days to check: ended, served by this rollout, and not yet passed; a failed one while it is the newest.

    A missing day is a failure, so days without rows are checked as well.

    Args:
        state: The rollout.
        now: The clock's time.
        so_far: Whether the present day counts as it is so far.
    """
    began = state.effective_at(State.SHADOW)
    if began is None or state.state not in CHECKED:
        return []
    first, last = began.date(), (now - timedelta(microseconds=1)).date()
    if last == now.date() and not so_far:  # the present day has not ended
        last -= timedelta(days=1)
    days = [first + timedelta(days=offset) for offset in range((last - first).days + 1)]
    return [day for day in days if day not in state.quality or (day == last and not state.quality[day])]


def validate(platform: Platform, state: RolloutState, actor: Actor) -> list[tuple[date, CheckReport]]:
    """Run the quality suite on every due day of a rollout, write each new verdict, and its page of the Data Docs.

    Args:
        platform: Where the rollout lives.
        state: The rollout.
        actor: The flow that acts.

    Returns:
        The days that were checked, with their reports.
    """
    batch = platform.lake.head()
    checked: list[tuple[date, CheckReport]] = []
    now = platform.clock.now()
    # On one's own machine stages may last minutes: nobody waits there until midnight for a first verdict.
    so_far = platform.environment.local and state.spec.stages.shadow.for_ < DAY
    for day in due_days(state, now, so_far=so_far):
        facts = day_facts(platform, state, day, batch.number)
        if day == now.date():
            if not facts.count("rows"):
                continue  # it has hardly begun
            facts = until(facts, now.hour)
        report = platform.checks.run(state.spec.quality, facts)
        checked.append((day, report))
        write_docs(platform.home, state, day, batch.number, report, platform.clock.now())
        if state.quality.get(day) is report.passed:
            continue
        payload = {
            "day": day.isoformat(),
            "passed": report.passed,
            "rows": report.rows,
            "batch": batch.number,
            "failures": [
                {"name": result.name, "observed": result.observed, "accepted": result.accepted}
                for result in report.failures
            ],
            "skipped": [{"name": each.name, "why": each.why} for each in report.skipped],
        }
        state = write(platform, state, [NewEvent(EventType.QUALITY_CHECKED, payload)], actor)
    return checked


def until(facts: DayFacts, hour: int) -> DayFacts:
    """A day as it is so far: compared over its ended hours only, and not at all for labels, which are still to come."""
    return replace(facts, hours=[row for row in facts.hours if row["hour"] < hour], labels=None)


def reference_day(state: RolloutState, day: date) -> date:
    """The day to compare with: the newest that passed in the week before, so that a fault never becomes the norm.

    Without one it is the day before, which may have been served before the rollout began.
    """
    passed = [known for known, fine in state.quality.items() if fine and day - REFERENCE_AGE <= known < day]
    return max(passed, default=day - DAY)


def day_facts(platform: Platform, state: RolloutState, day: date, batch_number: int) -> DayFacts:
    """Figures of one event day. Every statement names its days, so its cost does not follow history.

    Args:
        platform: Where the rollout lives.
        state: The rollout.
        day: The UTC day.
        batch_number: The sealed batch.
    """
    batch, reference = platform.lake.batch(batch_number), reference_day(state, day)
    variants = (state.champion.variant, state.candidate.variant)
    epochs = tuple(sorted(state.epochs))
    shared = {
        "endpoint": state.spec.endpoint,
        "rollout": state.rollout,
        "day": day,
        "day_before": day - DAY,
        "day_after": day + DAY,
        "reference": reference,
        "champion": state.champion.variant,
        "variants": list(variants),
        "epochs": list(epochs),
        "slowest": MAX_LATENCY_MS,
        "lowest": None,
        "highest": None,
    }

    def ask(name: str, **more: Any) -> Rows:
        return platform.lake.query(name, {**shared, **more}, batch=batch)

    def labels(known: date) -> LabelCoverage:
        # Who was served on this day has had matures_after by the end of the known day.
        served = known - timedelta(days=ceil(state.spec.success.matures_after / DAY))
        row = ask("quality_labels", exposed_day=served, known_day=known)[0]
        return LabelCoverage(served, row["units"], row["labelled"])

    units, capture = ask("quality_units")[0], ask("quality_capture")[0]
    return DayFacts(
        day=day,
        reference=reference,
        variants=variants,
        epochs=epochs,
        counts=ask("quality_counts")[0],
        units=units["units"],
        contradictory_units=units["contradictory_units"],
        hours=ask("quality_hours"),
        predictions={variant: ask("quality_predictions", variant=variant) for variant in variants},
        labels=(labels(day), labels(day - DAY)),
        requests_champion=capture["requests_champion"],
        captured_champion=capture["captured_champion"],
    )

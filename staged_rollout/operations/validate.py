"""Data quality of every event day that has ended: a failed day holds, three in a row roll back."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from staged_rollout.operations.journal import write
from staged_rollout.ports import CheckReport, Platform
from staged_rollout.state import Actor, EventType, NewEvent, RolloutState, State

CHECKED = frozenset({State.SHADOW, State.CANARY, State.LIVE, State.AWAITING_APPROVAL, State.PROMOTING, State.BAKING})
"""States whose days are checked."""


def due_days(state: RolloutState, now: datetime) -> list[date]:
    """Event days to check: ended, served by this rollout, and not yet passed; a failed one while it is the newest.

    A missing day is a failure, so days without rows are checked as well.
    """
    began = state.effective_at(State.SHADOW)
    if began is None or state.state not in CHECKED:
        return []
    first, last = began.date(), (now - timedelta(microseconds=1)).date()
    if last == now.date():  # the present day has not ended
        last -= timedelta(days=1)
    days = [first + timedelta(days=offset) for offset in range((last - first).days + 1)]
    return [day for day in days if day not in state.quality or (day == last and not state.quality[day])]


def validate(platform: Platform, state: RolloutState, actor: Actor) -> list[tuple[date, CheckReport]]:
    """Run the quality suite on every due day of a rollout, and write each new verdict.

    Args:
        platform: Where the rollout lives.
        state: The rollout.
        actor: The flow that acts.

    Returns:
        The days that were checked, with their reports.
    """
    batch = platform.lake.head()
    checked: list[tuple[date, CheckReport]] = []
    for day in due_days(state, platform.clock.now()):
        report = check_day(platform, state, day, batch.number)
        checked.append((day, report))
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
        }
        state = write(platform, state, [NewEvent(EventType.QUALITY_CHECKED, payload)], actor)
    return checked


def check_day(platform: Platform, state: RolloutState, day: date, batch_number: int) -> CheckReport:
    """The suite's verdict on one event day of one rollout, on a sealed batch."""
    batch = platform.lake.batch(batch_number)
    parameters = {
        "endpoint": state.spec.endpoint,
        "rollout": state.rollout,
        "day": day,
        "champion": state.champion.variant,
    }
    rows = platform.lake.table("quality_day", parameters, batch=batch)
    facts = platform.lake.query("quality_facts", parameters, batch=batch)[0]
    return platform.checks.run(
        state.spec.quality,
        rows,
        {
            **facts,
            "day": day,
            "variants": [state.champion.variant, state.candidate.variant],
            "epochs": sorted(state.epochs),
        },
    )

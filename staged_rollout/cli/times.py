"""Moments as people type them on the command line."""

from __future__ import annotations

from datetime import UTC, date, datetime, time

from staged_rollout.errors import SpecError

ACCEPTED = "a day such as 2026-03-10, or a moment with its zone such as 2026-03-10T18:00+01:00"


def given_time(option: str, text: str | None) -> datetime | None:
    """A day (its begin in UTC), or a moment with its zone; in UTC.

    Args:
        option: For the error.
        text: As it was typed; None where the option was not given.

    Raises:
        SpecError: it is neither.
    """
    if text is None:
        return None
    try:
        if len(text) == len("2026-03-10"):
            return datetime.combine(date.fromisoformat(text), time(), UTC)
        found = datetime.fromisoformat(text)
        if found.tzinfo is not None:
            return found.astimezone(UTC)
    except (ValueError, OverflowError):
        raise SpecError(f"{option} {text[:40]!r} is no time; accepted: {ACCEPTED}") from None
    raise SpecError(f"{option} {text[:40]} has no time zone; accepted: {ACCEPTED}")

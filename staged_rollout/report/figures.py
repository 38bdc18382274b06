"""How numbers, times and sums are written for people. None is written as a dash: missing is never zero."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from staged_rollout.spec.amounts import Unit, amount_text, difference_text, interval_text

NONE = "-"


def share(value: float | None, digits: int = 1) -> str:
    """A fraction as percent.

    >>> share(0.2134)
    '21.3%'
    """
    return NONE if value is None else f"{value:.{digits}%}"


def points(value: float | None, unit: Unit = "share") -> str:
    """A difference with its sign: of two fractions in percentage points, else in the metric's own unit.

    >>> points(0.0191)
    '+1.91 pp'
    """
    return NONE if value is None else difference_text(value, unit)


def interval(limits: tuple[float, float] | None, unit: Unit = "share") -> str:
    """Two limits of a difference: of fractions in percentage points, else in the metric's own unit."""
    return NONE if limits is None else interval_text(limits, unit)


def amount(value: float | None, unit: Unit) -> str:
    """A fraction as percent, or a value in the metric's own unit."""
    return NONE if value is None else amount_text(value, unit)


def score(value: float | None) -> str:
    """A z or a bound."""
    return NONE if value is None else f"{value:.2f}"


def p_value(value: float) -> str:
    """A p-value; below what evidence keeps of it, that it is.

    >>> p_value(0.00031), p_value(0.0)
    ('0.00031', '< 1e-9')
    """
    return f"{value:.2g}" if value > 0 else "< 1e-9"


def figure(value: float | None, unit: str, *, signed: bool = False) -> str:
    """A guardrail's figure: `share` (differences in percentage points) or `ms`."""
    if value is None:
        return NONE
    if unit == "ms":
        return f"{value:+.1f} ms" if signed else f"{value:.1f} ms"
    return points(value) if signed else share(value, 2)


def usd(value: float | None) -> str:
    """US dollars."""
    return NONE if value is None else f"${value:,.2f}"


def count(number: int, noun: str) -> str:
    """A number with its noun.

    >>> count(1, "event"), count(1200, "event")
    ('1 event', '1,200 events')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def days(span: timedelta | None) -> float | None:
    """A span in days."""
    return None if span is None else span / timedelta(days=1)


def span(value: timedelta | None) -> str:
    """A span in its two largest units.

    >>> span(timedelta(days=6, hours=4, minutes=59))
    '6d 4h'
    """
    if value is None:
        return NONE
    minutes = int(max(value, timedelta()).total_seconds()) // 60
    parts = ((minutes // 1440, "d"), (minutes // 60 % 24, "h"), (minutes % 60, "m"))
    shown = [f"{number}{unit}" for number, unit in parts if number]
    return " ".join(shown[:2]) or "0m"


def moment(value: datetime | None) -> str:
    """A time in UTC, to the minute."""
    return NONE if value is None else f"{value.astimezone(UTC):%Y-%m-%d %H:%M} UTC"

"""What a day is compared with an earlier one for: volume, silent hours, fields, exposures, predictions, labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from staged_rollout.ports.checks import DayFacts, SkippedExpectation
from staged_rollout.ports.lake import Rows
from staged_rollout.stats import population_stability

VOLUME_BOUNDS = (0.1, 10.0)
"""The endpoint's rows against the reference day, over the hours that the reference covers: weekends and campaigns move
it several-fold, a broken log by more."""
MIN_VOLUME = 300
"""Rows of the reference day below which it is not compared: on a quiet day of a third of them, in threes by unit, fewer
than a tenth is still no chance."""
MIN_COVERAGE = 0.75
"""Share of the expected rows that must lie in hours with any row: six silent hours of an even day are too many."""
MIN_HOUR_ROWS = 20
"""Expected rows of an hour from which on its silence means something: exp(-20), and exp(-7) when
rows come in threes."""
MIN_HOURS = 12
"""Such hours without which silence is not judged."""
EXPOSURE_BOUNDS = (0.2, 5.0)
"""Rows per unit and hour against the reference day: beyond, retries, duplicates or robots."""
MIN_UNIT_HOURS = 100
"""Units (once for each hour) on both days below which exposures are not compared."""
MAX_STABILITY_INDEX = 0.25
"""Population stability index from which on a distribution has shifted (Siddiqi 2006, section 10)."""
MIN_SHIFT_UNITS = 500
"""Units on both days below which predictions are not compared: at 500 chance exceeds 0.25 about once in 10^9 days, at
100 once in 5."""
MIN_LABEL_RATIO = 0.5
"""Label coverage against that of the day before: an outage shows, an ordinary delay does not."""
MIN_LABELLED = 100
"""Labelled units of the day before, and units of the day, from which on coverage is compared: half of 100 expected ones
is four standard errors away."""
LOGGED_SHARE = 0.5
"""A field is logged on a day when at least this share of its rows has it."""

_FIELDS = {
    "unit_id": "unit_rows",
    "status": "with_status",
    "latency_ms": "with_latency",
    "prediction": "with_prediction",
    "model_version": "with_version",
}


@dataclass(frozen=True)
class Expected:
    """One expectation on one figure.

    Attributes:
        name: In words.
        accepted: What would be accepted, in words.
        value: The figure.
        low: Least accepted; None: any.
        high: Greatest accepted; None: any.
        observed: The figure in words, with its counts.
        reason: Why it is asked.
    """

    name: str
    accepted: str
    value: float
    low: float | None
    high: float | None
    observed: str
    reason: str


def comparisons(facts: DayFacts) -> Sequence[Expected | SkippedExpectation]:
    """Every comparison with an earlier day; one that chance could fail, or that has nothing to compare, is skipped."""
    before, now = _by_hour(facts.hours, facts.reference), _by_hour(facts.hours, facts.day)
    # The log may have begun, or its endpoint, within the reference day: only whole hours after its first are compared.
    start = 0 if 0 in before else min(before, default=0) + 1
    before = {hour: row for hour, row in before.items() if hour >= start}
    now = {hour: row for hour, row in now.items() if hour >= start}
    found = [_volume(facts, before, now), _silence(before, now), _exposures(facts, before, now)]
    found.append(_logged(facts))
    found += [_shift(facts, variant) for variant in sorted(facts.variants)]
    found.append(_labels(facts))
    return found


def _volume(
    facts: DayFacts, before: dict[int, dict[str, int]], now: dict[int, dict[str, int]]
) -> Expected | SkippedExpectation:
    name, (low, high) = "volume is like the reference day's", VOLUME_BOUNDS
    expected, rows = _sum(before, "rows"), _sum(now, "rows")
    if expected < MIN_VOLUME:
        return SkippedExpectation(name, f"{facts.reference} has {expected:,} comparable rows, {MIN_VOLUME} are asked")
    observed = f"{rows / expected:.3g} times: {rows:,} rows of the endpoint, {expected:,} on {facts.reference}"
    why = "a log that loses or repeats most of its rows"
    return Expected(name, f"{low:g} to {high:g} times", rows / expected, low, high, observed, why)


def _silence(before: dict[int, dict[str, int]], now: dict[int, dict[str, int]]) -> Expected | SkippedExpectation:
    name = "the log covers the day"
    expected, rows = _sum(before, "rows"), _sum(now, "rows")
    ratio = rows / expected if expected else 0.0
    hours = {hour: row["rows"] for hour, row in before.items() if row["rows"] * ratio >= MIN_HOUR_ROWS}
    if len(hours) < MIN_HOURS:
        why = f"{len(hours)} hours with {MIN_HOUR_ROWS} expected rows, {MIN_HOURS} are asked"
        return SkippedExpectation(name, why)
    silent = sorted(hour for hour in hours if hour not in now)
    covered = 1.0 - sum(hours[hour] for hour in silent) / sum(hours.values())
    told = f", silent at {', '.join(f'{hour:02d}:00' for hour in silent)}" if silent else ""
    accepted = f"hours with rows hold at least {MIN_COVERAGE:.0%} of the reference day's"
    return Expected(name, accepted, covered, MIN_COVERAGE, 1.0, f"{covered:.0%}{told}", "logs are late, or stopped")


def _exposures(
    facts: DayFacts, before: dict[int, dict[str, int]], now: dict[int, dict[str, int]]
) -> Expected | SkippedExpectation:
    name, (low, high) = "exposures per unit are like the reference day's", EXPOSURE_BOUNDS
    least = min(_sum(before, "units"), _sum(now, "units"))
    if least < MIN_UNIT_HOURS:
        return SkippedExpectation(name, f"{least:,} units (once for each hour) on a day, {MIN_UNIT_HOURS} are asked")
    present, past = (_sum(rows, "unit_rows") / _sum(rows, "units") for rows in (now, before))
    observed = f"{present / past:.3g} times: {present:.3g} rows per unit and hour, {past:.3g} on {facts.reference}"
    return Expected(
        name, f"{low:g} to {high:g} times", present / past, low, high, observed, "retries, repeated rows or robots"
    )


def _logged(facts: DayFacts) -> Expected | SkippedExpectation:
    """Schema: a key that was renamed reads as null everywhere, so the day before tells which fields there should be."""
    name = "fields that were logged still are"
    past = [row for row in facts.hours if row["day"] == facts.reference]
    today = [row for row in facts.hours if row["day"] == facts.day]
    rows, present = sum(row["rows"] for row in past), sum(row["rows"] for row in today)
    if min(rows, present) < MIN_VOLUME:
        return SkippedExpectation(name, f"{min(rows, present):,} rows on a day, {MIN_VOLUME} are asked")
    asked = [field for field, column in _FIELDS.items() if sum(row[column] for row in past) >= LOGGED_SHARE * rows]
    gone = [field for field in asked if not any(row[_FIELDS[field]] for row in today)]
    observed = f"{', '.join(gone)} gone" if gone else f"{', '.join(asked) or 'none'} present"
    return Expected(
        name, f"those of {facts.reference}", len(gone), 0, 0, observed, "a field whose name changed reads as null"
    )


def _shift(facts: DayFacts, variant: str) -> Expected | SkippedExpectation:
    name = f"predictions of {variant} are distributed like the reference day's"
    bins = facts.predictions.get(variant, [])
    past, present = [row["reference_units"] for row in bins], [row["day_units"] for row in bins]
    least = min(sum(past), sum(present))
    if least < MIN_SHIFT_UNITS:
        return SkippedExpectation(name, f"{least:,} units with an answer on a day, {MIN_SHIFT_UNITS} are asked")
    index = population_stability(past, present)
    observed = f"{index:.3f}: {sum(present):,} units, {sum(past):,} on {facts.reference}"
    accepted = f"stability index of at most {MAX_STABILITY_INDEX:g}"
    return Expected(name, accepted, index, 0.0, MAX_STABILITY_INDEX, observed, "its inputs or its features changed")


def _labels(facts: DayFacts) -> Expected | SkippedExpectation:
    name = "labels arrive as on the day before"
    if facts.labels is None:
        return SkippedExpectation(name, "no unit's window has closed")
    now, past = facts.labels
    if past.labelled < MIN_LABELLED or now.units < MIN_LABELLED:
        why = f"{past.labelled:,} labelled units of {past.day}, {now.units:,} units of {now.day}"
        why += f"; {MIN_LABELLED} are asked"
        return SkippedExpectation(name, why)
    ratio = (now.labelled / now.units) / (past.labelled / past.units)
    observed = (
        f"{now.labelled:,} of {now.units:,} units of {now.day}; {past.labelled:,} of {past.units:,} of {past.day}"
    )
    accepted = f"at least {MIN_LABEL_RATIO:g} times its coverage"
    return Expected(name, accepted, ratio, MIN_LABEL_RATIO, None, observed, "outcomes are late, or lost")


def _by_hour(rows: Rows, day: date) -> dict[int, dict[str, int]]:
    return {int(row["hour"]): row for row in rows if row["day"] == day}


def _sum(rows: dict[int, dict[str, int]], column: str) -> int:
    return sum(int(row[column]) for row in rows.values())

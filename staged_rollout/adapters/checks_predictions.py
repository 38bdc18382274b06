"""The `predictions` suite as data: what is expected of one event day's figures, with the accepted range and why.

Everything is judged on counts that SQL made: the number of figures does not depend on the number of rows. What is
compared with an earlier day is compared over the hours that both days can cover, and only where chance alone hardly
ever fails it: at most 1 healthy day in 10,000 for each comparison, with units that come independently
(tests/unit/test_quality_false_alarms.py simulates them).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from staged_rollout.adapters import checks_against
from staged_rollout.adapters.checks_against import Expected
from staged_rollout.ports.checks import MAX_LATENCY_MS, DayFacts, SkippedExpectation

MAX_CONTRADICTORY_SHARE = 0.005
"""Units assigned to two variants. Source: docs/statistics.md, "Units, windows, variance"."""
MIN_PRESENT_SHARE = 0.99
"""Rows that hold a field which is logged at all: unit id, status, and the latency of answered requests."""
MIN_CAPTURE_SHARE = 0.9
"""The champion's answered requests that Data Capture holds; it arrives late and may lose rows."""


@dataclass(frozen=True)
class Suite:
    """What one day is asked, and what it cannot be asked."""

    expected: tuple[Expected, ...]
    skipped: tuple[SkippedExpectation, ...]


def suite_of(facts: DayFacts) -> Suite:
    """The suite for one day; what its figures cannot answer is skipped, with the reason."""
    rows = facts.count("rows")
    exists = Expected(
        "rows exist", "at least 1", rows, 1, None, f"{rows:,}", "an empty or missing day is no evidence of anything"
    )
    if not rows:
        return Suite((exists,), (SkippedExpectation("everything else", "the day has no rows"),))
    found: list[Expected | SkippedExpectation] = [exists, *_rows(facts), *_fields(facts), *_units(facts)]
    found += checks_against.comparisons(facts)
    return Suite(
        tuple(item for item in found if isinstance(item, Expected)),
        tuple(item for item in found if isinstance(item, SkippedExpectation)),
    )


def _rows(facts: DayFacts) -> Sequence[Expected | SkippedExpectation]:
    rows, requests = facts.count("rows"), facts.count("with_request")
    repeated = requests - facts.count("requests")
    names, epochs = ", ".join(sorted(facts.variants)), ", ".join(map(str, sorted(facts.epochs)))
    found: list[Expected | SkippedExpectation] = [
        _present(facts, "request_id is present", "with_request", rows, 1.0, "a row without an id cannot be told apart"),
        Expected(
            "request_id is unique",
            "no repeated id",
            repeated,
            0,
            0,
            f"{repeated:,} of {rows:,} rows",
            "a request that is counted twice makes the variance too small",
        ),
        _none(facts, "timestamp lies within the day", "bad_time", str(facts.day), "rows lie in the wrong partition"),
        _none(facts, "variant is known", "bad_variant", f"one of {names}", "another model answered"),
        _none(facts, "assigned_variant is known", "bad_assigned", f"one of {names}", "another model was drawn"),
        _none(facts, "epoch is published", "bad_epoch", f"one of {epochs}", "a router follows a foreign document"),
    ]
    if facts.prediction_range is not None:
        name, (low, high) = "prediction lies in its range", facts.prediction_range
        if facts.count("with_prediction"):
            found.append(_none(facts, name, "bad_prediction", f"{low:g} to {high:g}", "the model's output changed"))
        else:
            found.append(SkippedExpectation(name, "prediction is not logged"))
    return found


def _fields(facts: DayFacts) -> Sequence[Expected | SkippedExpectation]:
    """Fields that a foreign log may not have at all; once a row has one, it is expected of all."""
    rows, answered = facts.count("rows"), facts.count("answered")
    found: list[Expected | SkippedExpectation] = []
    status = ("status is present", "status is an HTTP status", "prediction is present when status is 200")
    if facts.count("with_status"):
        found += [
            _present(facts, status[0], "with_status", rows, MIN_PRESENT_SHARE, "errors cannot be counted without it"),
            _none(facts, status[1], "bad_status", "100 to 599", "errors are counted by it"),
        ]
        if facts.count("with_prediction"):
            found.append(
                _none(facts, status[2], "bad_missing", "none missing", "an answer without a value is an error")
            )
        else:
            found.append(SkippedExpectation(status[2], "prediction is not logged"))
    else:
        found += [SkippedExpectation(name, "status is not logged") for name in status]
    latency = ("latency_ms is present in answers", "latency_ms is plausible")
    if facts.count("with_latency"):
        accepted = f"0 to {MAX_LATENCY_MS:,.0f} ms"
        found += [
            _present(
                facts,
                latency[0],
                "answered_with_latency",
                answered,
                MIN_PRESENT_SHARE,
                "a missing latency counts as fast",
            ),
            _none(facts, latency[1], "bad_latency", accepted, "beyond it the log's unit is wrong"),
        ]
    else:
        found += [SkippedExpectation(name, "latency_ms is not logged") for name in latency]
    return found


def _units(facts: DayFacts) -> Sequence[Expected | SkippedExpectation]:
    rows = facts.count("rows")
    found: list[Expected | SkippedExpectation] = [
        _present(
            facts, "unit_id is present", "with_unit", rows, MIN_PRESENT_SHARE, "rows without a unit enter no statistic"
        )
    ]
    name = "units keep one variant"
    if facts.units:
        contradictory = facts.contradictory_units / facts.units
        observed = f"{contradictory:.2%}: {facts.contradictory_units:,} of {facts.units:,} units"
        accepted = f"at most {MAX_CONTRADICTORY_SHARE:.1%} of units"
        why = "units that met both variants dilute the effect, and are left out"
        found.append(Expected(name, accepted, contradictory, 0, MAX_CONTRADICTORY_SHARE, observed, why))
    else:
        found.append(SkippedExpectation(name, "no row names a unit"))
    name = "capture is complete"
    if facts.captured_champion:
        complete = facts.captured_champion / facts.requests_champion
        observed = f"{complete:.1%}: {facts.captured_champion:,} of {facts.requests_champion:,} requests"
        accepted = f"at least {MIN_CAPTURE_SHARE:.0%} of the champion's requests"
        why = "shadow answers are compared by what was captured"
        found.append(Expected(name, accepted, complete, MIN_CAPTURE_SHARE, 1.0, observed, why))
    else:
        found.append(SkippedExpectation(name, "nothing of the champion was captured: capture is off"))
    return found


def _none(facts: DayFacts, name: str, rule: str, accepted: str, reason: str) -> Expected:
    """No row may break a rule; two of those that do are told."""
    bad, rows = facts.count(rule), facts.count("rows")
    examples = dict.fromkeys(str(facts.counts[f"{rule}_{end}"])[:120] for end in ("low", "high")) if bad else {}
    observed = f"{bad:,} of {rows:,} rows" + (f" ({', '.join(examples)})" if bad else "")
    return Expected(name, accepted, bad, 0, 0, observed, reason)


def _present(facts: DayFacts, name: str, column: str, rows: int, share: float, reason: str) -> Expected:
    """A share of rows must hold a field. Counted in rows, so that no rounding of a share decides."""
    missing = rows - facts.count(column)
    most = int(rows * (1.0 - share) + 1e-9)
    accepted = f"at least {share:.0%} of rows" if share < 1.0 else "all rows"
    return Expected(name, accepted, missing, 0, most, f"missing in {missing:,} of {rows:,} rows", reason)

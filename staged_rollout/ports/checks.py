"""Data quality: a suite of expectations over the figures of one event day. Figures, never rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Protocol

from staged_rollout.ports.lake import Rows

MAX_LATENCY_MS = 600_000.0
"""Ten minutes: longer than any endpoint may take to answer (SageMaker: 60 s), so beyond it the unit is wrong."""


@dataclass(frozen=True)
class LabelCoverage:
    """Label coverage of the units of one event day.

    Attributes:
        day: The day they were served on.
        units: How many.
        labelled: Those with an outcome by the end of their window.
    """

    day: date
    units: int
    labelled: int


@dataclass(frozen=True)
class DayFacts:
    """What is known of one event day of one rollout; each field is the answer of a statement in sql/.

    Attributes:
        day: The UTC day.
        reference: The earlier day that it is compared with.
        variants: Names that the rollout may have.
        epochs: Epochs that were published for it.
        counts: sql/quality_counts.sql.
        units: Distinct units (sql/quality_units.sql).
        contradictory_units: Those assigned to two variants within one epoch.
        hours: sql/quality_hours.sql: the endpoint's log on both days.
        predictions: Variant to sql/quality_predictions.sql: units per bin on both days.
        labels: Coverage of the units whose window closed with this day, and of those whose window closed a day
            earlier; None: not asked.
        requests_champion: Requests that the champion answered (sql/quality_capture.sql).
        captured_champion: Of these, the captured ones.
        prediction_range: Least and greatest accepted prediction; None: any.
    """

    day: date
    reference: date
    variants: tuple[str, ...]
    epochs: tuple[int, ...]
    counts: Mapping[str, object]
    units: int = 0
    contradictory_units: int = 0
    hours: Rows = field(default_factory=list)
    predictions: Mapping[str, Rows] = field(default_factory=dict)
    labels: tuple[LabelCoverage, LabelCoverage] | None = None
    requests_champion: int = 0
    captured_champion: int = 0
    prediction_range: tuple[float, float] | None = None

    def count(self, name: str) -> int:
        """One of the counts."""
        return int(str(self.counts.get(name) or 0))


@dataclass(frozen=True)
class ExpectationResult:
    """One expectation's verdict.

    Attributes:
        name: What is expected, in words (`unit_id is present`).
        passed: The verdict.
        observed: The value that was seen, as text with units.
        accepted: What would be accepted, as text.
        reason: Why this is asked.
    """

    name: str
    passed: bool
    observed: str
    accepted: str
    reason: str = ""


@dataclass(frozen=True)
class SkippedExpectation:
    """One expectation that cannot be judged on this day, and why: neither a pass nor a failure."""

    name: str
    why: str


@dataclass(frozen=True)
class CheckReport:
    """A suite's verdict; passed only if it ran and every expectation passed.

    Attributes:
        suite: Its name.
        rows: Rows of the day.
        results: Each expectation that was judged.
        skipped: Each one that could not be.
    """

    suite: str
    rows: int
    results: tuple[ExpectationResult, ...]
    skipped: tuple[SkippedExpectation, ...] = ()

    @property
    def passed(self) -> bool:
        """An empty suite is not a pass."""
        return bool(self.results) and all(result.passed for result in self.results)

    @property
    def failures(self) -> tuple[ExpectationResult, ...]:
        """The expectations that failed."""
        return tuple(result for result in self.results if not result.passed)


class Checks(Protocol):
    """Runs a named suite; Great Expectations here and on AWS."""

    def run(self, suite: str, facts: DayFacts) -> CheckReport:
        """Check one day.

        Args:
            suite: The suite's name (`predictions`).
            facts: The day's figures.

        Raises:
            NotFoundError: no such suite.
            DataError: an expectation could not be evaluated.
        """
        ...

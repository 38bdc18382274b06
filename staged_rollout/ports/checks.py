"""Data quality: a suite of expectations over one day's rows and their aggregates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True)
class ExpectationResult:
    """One expectation's verdict.

    Attributes:
        name: What is expected, in words (`unit_id is present`).
        passed: The verdict.
        observed: The value that was seen, as text with units.
        accepted: What would be accepted, as text.
    """

    name: str
    passed: bool
    observed: str
    accepted: str


@dataclass(frozen=True)
class CheckReport:
    """A suite's verdict; passed only if it ran and every expectation passed."""

    suite: str
    rows: int
    results: tuple[ExpectationResult, ...]

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

    def run(self, suite: str, rows: Any, facts: Mapping[str, Any]) -> CheckReport:
        """Check one day.

        Args:
            suite: The suite's name (`predictions`).
            rows: A pyarrow Table of the day's prediction rows.
            facts: Aggregates that are not in the rows: yesterday's volume, contradictory units, capture completeness.
        """
        ...

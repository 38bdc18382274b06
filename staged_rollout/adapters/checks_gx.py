"""Checks by Great Expectations: the `predictions` suite over the figures of one event day of one rollout."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from staged_rollout.adapters.checks_against import Expected
from staged_rollout.adapters.checks_predictions import suite_of
from staged_rollout.errors import DataError, NotFoundError
from staged_rollout.ports.checks import CheckReport, DayFacts, ExpectationResult

SUITES = ("predictions",)
"""The suites that there are."""

# One context per process: importing costs seconds, and two threads must not set it up at once.
_LOCK = threading.Lock()


class GreatExpectations:
    """Checks on an ephemeral context: nothing is stored, nothing is sent."""

    def run(self, suite: str, facts: DayFacts) -> CheckReport:
        """Check one day. Great Expectations judges one row, with one column for each figure.

        Args:
            suite: `predictions`.
            facts: The day's figures.

        Raises:
            NotFoundError: no such suite.
            DataError: an expectation could not be evaluated.
        """
        if suite not in SUITES:
            raise NotFoundError(f"no quality suite {suite!r}", hint=f"known: {', '.join(SUITES)}", suite=suite)
        found = suite_of(facts)
        with _LOCK:
            verdicts = self._validate(found.expected)
        results = tuple(
            ExpectationResult(item.name, verdict, item.observed, item.accepted, item.reason)
            for item, verdict in zip(found.expected, verdicts, strict=True)
        )
        return CheckReport(suite, facts.count("rows"), results, found.skipped)

    def _validate(self, wanted: Sequence[Expected]) -> list[bool]:
        gx = _great_expectations()
        import pandas as pd

        columns = [f"figure_{number}" for number in range(len(wanted))]
        frame = pd.DataFrame([{column: float(item.value) for column, item in zip(columns, wanted, strict=True)}])
        # An expectation object belongs to one suite, so each run makes its own. A maximum of one value is that value.
        made = [
            gx.expectations.ExpectColumnMaxToBeBetween(column=column, min_value=item.low, max_value=item.high)
            for column, item in zip(columns, wanted, strict=True)
        ]
        suite = gx.ExpectationSuite(name="figures", expectations=made)
        outcome = self._figures.get_batch({"dataframe": frame}).validate(suite)
        verdicts: dict[str, bool] = {}
        for result in outcome.results:
            column = result.expectation_config.kwargs["column"]
            if result.exception_info.get("raised_exception", bool(_exceptions(result.exception_info))):
                name = wanted[columns.index(column)].name
                raise DataError(f"expectation {name!r} could not be evaluated: {_exceptions(result.exception_info)}")
            verdicts[column] = bool(result.success)
        return [verdicts[column] for column in columns]

    @cached_property
    def _figures(self) -> Any:
        gx = _great_expectations()
        from great_expectations.data_context.types.base import ProgressBarsConfig

        context = gx.get_context(mode="ephemeral")
        context.enable_analytics(enable=False)
        context.variables.progress_bars = ProgressBarsConfig(globally=False, metric_calculations=False)
        source = context.data_sources.add_pandas("staged_rollout")
        return source.add_dataframe_asset("figures").add_batch_definition_whole_dataframe("figures")


def _great_expectations() -> Any:
    # Its own imports use what Python and its dependencies deprecate; that is nobody's business here.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import great_expectations
    # Its temporary folders are no news; this module sets a level of its own when it is imported.
    logging.getLogger("great_expectations.data_context.types.base").setLevel(logging.WARNING)
    return great_expectations


def _exceptions(info: Mapping[str, Any]) -> str:
    if "raised_exception" in info:
        return str(info.get("exception_message", ""))
    return "; ".join(str(one.get("exception_message", "")) for one in info.values() if isinstance(one, Mapping))

"""Checks by Great Expectations: the `predictions` suite over one event day of one rollout."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from staged_rollout.adapters.checks_predictions import FIGURES, ROWS, Expected, day_frame, expected, figures_frame
from staged_rollout.errors import DataError, NotFoundError
from staged_rollout.ports.checks import CheckReport, ExpectationResult

SUITES = ("predictions",)
"""The suites that there are."""

# One context per process: importing costs seconds, and two threads must not set it up at once.
_LOCK = threading.Lock()


class GreatExpectations:
    """Checks on an ephemeral context: nothing is stored, nothing is sent."""

    def run(self, suite: str, rows: Any, facts: Mapping[str, Any]) -> CheckReport:
        """Check one day.

        Args:
            suite: `predictions`.
            rows: A pyarrow Table with the columns of sql/quality_day.sql.
            facts: `day` (date), `variants` (names), `epochs` (numbers), and the columns of sql/quality_facts.sql;
                `prediction_min` and `prediction_max` may declare a range. A fact that is absent or null is not checked.

        Raises:
            NotFoundError: no such suite.
            DataError: `day`, `variants` or `epochs` is missing, or an expectation could not be evaluated.
        """
        if suite not in SUITES:
            raise NotFoundError(f"no quality suite {suite!r}", hint=f"known: {', '.join(SUITES)}", suite=suite)
        missing = [name for name in ("day", "variants", "epochs") if name not in facts]
        if missing:
            raise DataError(f"suite {suite} needs the facts {', '.join(missing)}", suite=suite)
        wanted = expected(facts)
        frames = {ROWS: day_frame(rows, facts["day"]), FIGURES: figures_frame(facts)}
        results: dict[str, ExpectationResult] = {}
        with _LOCK:
            for batch, frame in frames.items():
                some = [item for item in wanted if item.batch == batch]
                if some:
                    results.update(self._validate(batch, frame, some))
        return CheckReport(suite, rows.num_rows, tuple(results[item.name] for item in wanted))

    def _validate(self, batch: str, frame: Any, wanted: list[Expected]) -> dict[str, ExpectationResult]:
        gx = _great_expectations()
        # An expectation object belongs to one suite, so each run makes its own.
        made = [
            getattr(gx.expectations, item.expectation)(**item.arguments, meta={"name": item.name}) for item in wanted
        ]
        suite = gx.ExpectationSuite(name=batch, expectations=made)
        outcome = self._batches[batch].get_batch({"dataframe": frame}).validate(suite)
        accepted = {item.name: item.accepted for item in wanted}
        results = {}
        for result in outcome.results:
            name = result.expectation_config.meta["name"]
            if result.exception_info.get("raised_exception", bool(_exceptions(result.exception_info))):
                raise DataError(f"expectation {name!r} could not be evaluated: {_exceptions(result.exception_info)}")
            results[name] = ExpectationResult(name, bool(result.success), _observed(result.result), accepted[name])
        return results

    @cached_property
    def _batches(self) -> dict[str, Any]:
        gx = _great_expectations()
        from great_expectations.data_context.types.base import ProgressBarsConfig

        context = gx.get_context(mode="ephemeral")
        context.enable_analytics(enable=False)
        context.variables.progress_bars = ProgressBarsConfig(globally=False, metric_calculations=False)
        source = context.data_sources.add_pandas("staged_rollout")
        return {
            name: source.add_dataframe_asset(name).add_batch_definition_whole_dataframe(name)
            for name in (ROWS, FIGURES)
        }


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


def _observed(result: Mapping[str, Any]) -> str:
    """What was seen, in words: a single value, or how many of how many rows were unexpected."""
    if "observed_value" in result:
        return f"{result['observed_value']:,.6g}"
    unexpected, rows = result.get("unexpected_count", 0), result.get("element_count", 0)
    text = f"{unexpected:,} of {rows:,} rows"
    examples = sorted({str(value) for value in result.get("partial_unexpected_list") or []})[:3]
    return f"{text} ({', '.join(examples)})" if unexpected and examples else text

"""The `predictions` suite as data: what is expected of one event day, and the frames that it is checked on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any

ROWS = "rows"
FIGURES = "figures"

MAX_LATENCY_MS = 600_000.0
"""Ten minutes: longer than any endpoint may take to answer (SageMaker: 60 s), so beyond it the unit is wrong."""
MAX_CONTRADICTORY_SHARE = 0.005
"""Units assigned to two variants. Source: docs/statistics.md, "Units, windows, variance"."""
MIN_UNIT_SHARE = 0.99
"""Enrolled rows that name their unit."""
MIN_CAPTURE_SHARE = 0.9
"""The champion's answered requests that Data Capture holds; it arrives late and may lose rows."""
VOLUME_BOUNDS = (0.1, 20.0)
"""Rows of the endpoint against the day before; wide, since the first day is a partial one."""
MIN_VOLUME = 100
"""Rows of the day before below which volume is not compared."""
DAY_S = 86_400.0


@dataclass(frozen=True)
class Expected:
    """One expectation.

    Attributes:
        name: In words.
        accepted: What would be accepted, in words.
        batch: ROWS (one row per request) or FIGURES (one row of figures).
        expectation: Great Expectations' class.
        arguments: Its arguments.
    """

    name: str
    accepted: str
    batch: str
    expectation: str
    arguments: Mapping[str, Any]


def expected(facts: Mapping[str, Any]) -> list[Expected]:
    """The suite for one day; facts that are absent or null drop what needs them.

    Args:
        facts: As `GreatExpectations.run` documents.
    """
    variants, epochs = sorted(facts["variants"]), sorted(facts["epochs"])
    suite = [
        Expected("rows exist", "at least 1", ROWS, "ExpectTableRowCountToBeBetween", {"min_value": 1}),
        _column("request_id is present", "all", "ExpectColumnValuesToNotBeNull", "request_id"),
        _column("request_id is unique", "no duplicates", "ExpectColumnValuesToBeUnique", "request_id"),
        _between("timestamp lies within the day", "0 <= s < 86,400", "second_of_day", 0.0, DAY_S, strict_max=True),
        _in_set("variant is known", "variant", variants),
        _in_set("assigned_variant is known", "assigned_variant", variants),
        _in_set("epoch is published", "epoch", epochs),
        _between("status is an HTTP status", "100 to 599", "status", 100, 599),
        _between("latency_ms is plausible", f"0 to {MAX_LATENCY_MS:,.0f} ms", "latency_ms", 0.0, MAX_LATENCY_MS),
        _in_set("prediction is present when status is 200", "prediction_missing", [False], accepted="none missing"),
        _column(
            "unit_id is present",
            f"at least {MIN_UNIT_SHARE:.0%} of rows",
            "ExpectColumnValuesToNotBeNull",
            "unit_id",
            mostly=MIN_UNIT_SHARE,
        ),
    ]
    lowest, highest = facts.get("prediction_min"), facts.get("prediction_max")
    if lowest is not None and highest is not None:
        suite.append(
            _between("prediction lies in its range", f"{lowest:g} to {highest:g}", "prediction", lowest, highest)
        )
    figures = _figures(facts)
    if "contradictory_share" in figures:
        accepted = f"at most {MAX_CONTRADICTORY_SHARE:.1%} of units"
        suite.append(_figure("units keep one variant", accepted, "contradictory_share", 0.0, MAX_CONTRADICTORY_SHARE))
    if "volume_ratio" in figures:
        low, high = VOLUME_BOUNDS
        suite.append(_figure("volume is like yesterday's", f"{low:g} to {high:g} times", "volume_ratio", low, high))
    if "capture_completeness" in figures:
        accepted = f"at least {MIN_CAPTURE_SHARE:.0%} of the champion's requests"
        suite.append(_figure("capture is complete", accepted, "capture_completeness", MIN_CAPTURE_SHARE, 1.0))
    return suite


def day_frame(rows: Any, day: date) -> Any:
    """The day's rows as a pandas DataFrame, with derived columns `second_of_day` and `prediction_missing`.

    Args:
        rows: A pyarrow Table with the columns of sql/quality_day.sql.
        day: The UTC day.
    """
    import pandas as pd

    frame = rows.to_pandas()
    midnight = pd.Timestamp(datetime.combine(day, time(), UTC))
    frame["second_of_day"] = (pd.to_datetime(frame.pop("timestamp"), utc=True) - midnight).dt.total_seconds()
    frame["prediction_missing"] = (frame["status"] == 200) & frame["prediction"].isna()
    return frame


def figures_frame(facts: Mapping[str, Any]) -> Any:
    """The day's figures as a pandas DataFrame of one row."""
    import pandas as pd

    return pd.DataFrame([_figures(facts)])


def _figures(facts: Mapping[str, Any]) -> dict[str, float]:
    figures: dict[str, float] = {}
    units, contradictory = facts.get("units"), facts.get("contradictory_units")
    if units and contradictory is not None:
        figures["contradictory_share"] = contradictory / units
    yesterday, today = facts.get("rows_yesterday"), facts.get("rows_endpoint")
    if yesterday is not None and today is not None and yesterday >= MIN_VOLUME:
        figures["volume_ratio"] = today / yesterday
    completeness = facts.get("capture_completeness")
    if completeness is not None:
        figures["capture_completeness"] = float(completeness)
    return figures


def _column(name: str, accepted: str, expectation: str, column: str, **arguments: Any) -> Expected:
    return Expected(name, accepted, ROWS, expectation, {"column": column, **arguments})


def _in_set(name: str, column: str, values: list[Any], accepted: str = "") -> Expected:
    words = accepted or "one of " + ", ".join(str(value) for value in values)
    return _column(name, words, "ExpectColumnValuesToBeInSet", column, value_set=values)


def _between(name: str, accepted: str, column: str, low: float, high: float, **arguments: Any) -> Expected:
    bounds = {"min_value": low, "max_value": high, **arguments}
    return _column(name, accepted, "ExpectColumnValuesToBeBetween", column, **bounds)


def _figure(name: str, accepted: str, column: str, low: float, high: float) -> Expected:
    # A maximum of one value is that value, and unlike an expectation on values it is reported whether it passes or not.
    bounds = {"column": column, "min_value": low, "max_value": high}
    return Expected(name, accepted, FIGURES, "ExpectColumnMaxToBeBetween", bounds)

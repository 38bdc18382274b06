"""Who met a candidate: the statements alone, on tiny tables with known answers."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from tests.fakes.tables import DAY, HOUR, T0, Tables


@pytest.fixture
def tables(tmp_path: Path) -> Tables:
    return Tables(tmp_path)


def test_a_unit_met_the_candidate_when_it_answered_whatever_was_assigned(tables: Tables) -> None:
    """Assigned and answered count apart; a fallback to the champion is no meeting, one to the candidate is."""
    tables.serve("met", "v2", T0)
    tables.serve("met", "v2", T0 + HOUR)
    tables.serve("met", "v2", T0 + 2 * HOUR, variant="v1", fallback=True)
    tables.serve("spared", "v2", T0, variant="v1", fallback=True)
    tables.serve("champion's", "v1", T0)
    tables.serve("outside", None, T0 + 3 * HOUR, variant="v2", rollout=None)

    met, outside = tables.ask("exposed_units")

    assert ("met", T0, T0 + HOUR) == (met["unit_id"], met["first_at"], met["last_at"])
    assert (3, 2, 1, 0, 1) == tuple(met[c] for c in ("requests", "by_candidate", "by_others", "failed", "fallbacks"))
    assert (3, 0, 0) == tuple(met[c] for c in ("assigned_candidate", "assigned_others", "not_assigned"))
    assert ("outside", 1, 1) == (outside["unit_id"], outside["by_candidate"], outside["not_assigned"])


def test_a_call_that_failed_is_a_meeting_and_told_as_such(tables: Tables) -> None:
    tables.serve("u1", "v2", status=500, prediction=None)
    tables.serve("u2", "v2", status=None, prediction=None)  # a log that tells no status tells no errors

    assert [("u1", 1), ("u2", 0)] == [(row["unit_id"], row["failed"]) for row in tables.ask("exposed_units")]


def test_times_are_closed_at_the_left_and_open_at_the_right(tables: Tables) -> None:
    moment = timedelta(microseconds=1)
    for unit, at in (("early", T0 - moment), ("first", T0), ("last", T0 + DAY - moment), ("late", T0 + DAY)):
        tables.serve(unit, "v2", at)

    rows = tables.ask("exposed_units", since=T0, until=T0 + DAY, first_day=T0.date())

    assert ["first", "last"] == [row["unit_id"] for row in rows]


def test_other_endpoints_and_units_that_were_not_asked_for_stay_out(tables: Tables) -> None:
    tables.serve("u1", "v2")
    tables.serve("u2", "v2")
    tables.serve("u1", "v2", endpoint="other")

    assert ["u2"] == [row["unit_id"] for row in tables.ask("exposed_units", units=["u2", "never"])]
    assert [] == tables.ask("exposed_units", units=[])
    assert {1} == {row["requests"] for row in tables.ask("exposed_units")}


def test_requests_without_a_unit_are_one_row_and_counted_apart(tables: Tables) -> None:
    tables.serve(None, None, T0, variant="v2")
    tables.serve(None, None, T0 + HOUR, variant="v2")
    tables.serve("u1", "v2", T0 + DAY)
    tables.serve("u9", "v1", T0 - DAY)

    totals = tables.one("exposed_totals")

    assert [None, "u1"] == [row["unit_id"] for row in tables.ask("exposed_units")]
    assert (1, 3, 3, 2) == tuple(totals[c] for c in ("units", "requests", "by_candidate", "without_unit"))
    assert (T0, T0 + DAY, T0 - DAY) == (totals["first_at"], totals["last_at"], totals["held_since"])

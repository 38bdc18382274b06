"""Statements of sql/ against what their headers say, written again in plain Python over the same random rows.

What tests of single cases (test_sql_statements.py) and the simulated lake (test_simulated_lake.py) hold already is left
to them, but for what a look stands on.
"""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict

import pytest

from staged_rollout.adapters import lake_sql
from tests.fakes.random_rows import WINDOWS, files_of, filled
from tests.fakes.tables import DAY, PARAMETERS, T0, Tables

HERE, ROLLOUT = PARAMETERS["endpoint"], PARAMETERS["rollout"]
CHAMPION, CANDIDATE = PARAMETERS["champion"], PARAMETERS["candidate"]


class World:
    """Random rows, asked by SQL or by hand."""

    def __init__(self, folder, seed):
        tables = filled(Tables(folder), seed)
        self.files = files_of(tables)
        self.predictions, self.captures, self.outcomes = (
            [row for row in tables.rows[name] if row["endpoint"] == HERE]
            for name in ("predictions", "captures", "outcomes")
        )

    def ask(self, name, **parameters):
        asked = {**PARAMETERS, **parameters}
        return lake_sql.rows_of(lake_sql.run(name, asked, lambda table: self.files.get(table, [])))

    def stage(self, window, *, rollout=True):
        """Rows of the epochs up to the cut-off, in order of time and request."""
        found = [
            row
            for row in self.predictions
            if row["epoch"] in window["epochs"]
            and row["timestamp"] <= window["cut_off"]
            and (not rollout or row["rollout"] == ROLLOUT)
        ]
        return sorted(found, key=lambda row: (row["timestamp"], row["request_id"]))

    def units(self, window):
        """Unit to its rows under an assignment, contradictory units left out."""
        rows = defaultdict(list)
        for row in self.stage(window):
            if row["unit_id"] is not None and row["assigned_variant"] is not None:
                rows[row["unit_id"]].append(row)
        return {unit: all_ for unit, all_ in rows.items() if len({row["assigned_variant"] for row in all_}) == 1}

    def judged(self, window):
        """Each unit's exposure with whether it is closed, its outcome, and whether that came after closure."""
        for unit, rows in self.units(window).items():
            first = rows[0]
            begin, end = first["timestamp"], first["timestamp"] + window["matures_after"]
            told = [
                outcome
                for outcome in self.outcomes
                if unit == outcome["unit_id"] or first["request_id"] == outcome["request_id"]
            ]
            told = [outcome for outcome in told if begin <= outcome["timestamp"] <= window["cut_off"]]
            inside = [outcome for outcome in told if outcome["timestamp"] <= end]
            if inside:
                chosen = max(inside, key=lambda one: (one["timestamp"], one["outcome"]))
            else:
                chosen = min(told, key=lambda one: (one["timestamp"], -one["outcome"]), default=None)
            yield first, end <= window["cut_off"], chosen, bool(chosen) and not inside


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return World(tmp_path_factory.mktemp("rows"), seed=7)


def tallied(world, window, place):
    """success_counts by any place of a unit."""
    counts = defaultdict(Counter)
    for first, closed, chosen, late in world.judged(window):
        right = chosen is not None and first["prediction"] == chosen["outcome"]
        counts[place(first)].update(
            units=1,
            closed=closed,
            with_outcome=closed and chosen is not None,
            correct=closed and right,
            after_closure=closed and late,
        )
    return counts


COUNTS = ("units", "closed", "with_outcome", "correct", "after_closure")


def shown(rows, *keys):
    return {tuple(row[key] for key in keys): tuple(row[name] for name in COUNTS) for row in rows}


def by_hand(counts):
    return {place: tuple(count[name] for name in COUNTS) for place, count in counts.items()}


@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_exposures_are_first_rows(world, window):
    """The law: a unit's exposure is its first row in the stage, by time and then by request id."""
    expected = {unit: rows[0]["request_id"] for unit, rows in world.units(window).items()}

    assert expected == {row["unit_id"]: row["request_id"] for row in world.ask("exposures", **window)}


@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_outcomes_count_as_the_header_says(world, window):
    """The law: the latest outcome of the window, else the earliest after it; by unit, and in each sum of units."""
    expected = {
        first["unit_id"]: (closed, chosen and chosen["outcome"], chosen and chosen["timestamp"], late)
        for first, closed, chosen, late in world.judged(window)
    }
    found = world.ask("unit_outcomes", **window)
    assert expected == {
        row["unit_id"]: (row["closed"], row["outcome"], row["outcome_at"], bool(row["after_closure"])) for row in found
    }

    variant = tallied(world, window, lambda row: (row["assigned_variant"],))
    assert by_hand(variant) == shown(world.ask("success_counts", **window), "assigned_variant")
    day = tallied(world, window, lambda row: (row["timestamp"].date(), row["assigned_variant"]))
    assert by_hand(day) == shown(world.ask("success_days", **window), "exposed_day", "assigned_variant")


@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_segments_are_the_fifty_largest_and_the_rest(world, window):
    """The law: segments part the units, the rare values together."""

    def value(row):
        return json.loads(row["features"]).get("plan", "(missing)")

    sizes = Counter(value(rows[0]) for rows in world.units(window).values())
    largest = sorted(sizes, key=lambda name: (-sizes[name], name))[:50]
    expected = tallied(
        world, window, lambda row: (value(row) if value(row) in largest else "(other)", row["assigned_variant"])
    )

    assert by_hand(expected) == shown(world.ask("segments", **window), "segment", "assigned_variant")


@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_requests_errors_and_fallbacks_are_the_units_own(world, window):
    """The law: an error is a bad status, no answer, or a fallback, under the variant that was assigned."""
    expected = {
        unit: (
            len(rows),
            sum(row["status"] >= 400 or row["prediction"] is None or row["fallback"] for row in rows),
            sum(row["fallback"] for row in rows),
        )
        for unit, rows in world.units(window).items()
    }
    found = world.ask("unit_requests", **window)

    assert expected == {row["unit_id"]: (row["requests"], row["errors"], row["fallbacks"]) for row in found}


@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_champion_exposures_are_its_own_first_answers(world, window):
    """The law: of each unit the first row that the champion answered, and not in another's place."""
    expected = {}
    for row in world.stage(window):
        if row["unit_id"] is not None and row["variant"] == CHAMPION and not row["fallback"]:
            expected.setdefault(row["unit_id"], row["request_id"])

    assert expected == {row["unit_id"]: row["request_id"] for row in world.ask("champion_exposures", **window)}


@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_shadow_answers_are_compared_request_by_request(world, window):
    """The law: the largest captured answer of a request counts; one that cannot be read disagrees."""
    captured = defaultdict(list)
    for row in world.captures:
        if row["variant"] == CANDIDATE and row["timestamp"] <= window["cut_off"] and row["inference_id"] is not None:
            captured[row["inference_id"]].append(row["prediction"])
    served = [row for row in world.stage(window) if row["status"] < 400 and row["prediction"] is not None]
    met = [row for row in served if row["request_id"] in captured]
    answers = {name: max((x for x in found if x is not None), default=None) for name, found in captured.items()}
    agreed = [row for row in met if answers[row["request_id"]] == row["prediction"]]
    torn = {row["unit_id"] for row in met if answers[row["request_id"]] != row["prediction"]} - {None}
    expected = (len(served), len(met), len(agreed), len({row["unit_id"] for row in met} - {None}), len(torn))
    columns = ("requests", "captured", "agreed", "units", "units_disagreeing")

    assert [expected] == [tuple(row[key] for key in columns) for row in world.ask("shadow_agreement", **window)]


@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_histograms_count_each_answer_once(world, window):
    """The law: bins are a tenth wide; a request that was captured twice with one answer counts once in its bin."""
    stage = world.stage(window, rollout=False)
    answered = [row["prediction"] for row in stage if row["status"] < 400 and row["variant"] == CHAMPION]
    expected = Counter(math.floor(x * 10) / 10 for x in answered if x is not None)
    assert expected == {row["bin"]: row["rows"] for row in world.ask("prediction_histogram", **window)}

    asked = {row["request_id"] for row in stage}
    pairs = {
        (math.floor(row["prediction"] * 10) / 10, row["inference_id"])
        for row in world.captures
        if row["variant"] == CANDIDATE
        and row["inference_id"] in asked
        and row["timestamp"] <= window["cut_off"]
        and row["prediction"] is not None
    }
    expected = Counter(bin_ for bin_, _ in pairs)
    assert expected == {row["bin"]: row["rows"] for row in world.ask("shadow_histogram", **window)}


@pytest.mark.parametrize("after", [0, 2, 5, 9])
def test_a_day_of_rows_is_that_day(world, after):
    """The law: quality is asked of one event day, whole."""
    day = (T0 + after * DAY).date()
    rows = [row for row in world.predictions if row["rollout"] == ROLLOUT and row["timestamp"].date() == day]
    expected = [row["request_id"] for row in sorted(rows, key=lambda row: (row["timestamp"], row["request_id"]))]

    assert expected == [row["request_id"] for row in world.ask("quality_day", day=day)]


def test_the_worlds_hold_what_they_are_asked_for(world):
    """A comparison over rows that never occur would prove nothing."""
    window = WINDOWS[0]
    judged = list(world.judged(window))
    assert min(sum(late for *_, late in judged), sum(chosen is None for _, _, chosen, _ in judged)) >= 5
    assert len(world.units(window)) < len({row["unit_id"] for row in world.stage(window)}) - 5
    assert 51 == len({row["segment"] for row in world.ask("segments", **window)})

"""The statements of declared metrics against an independent calculation in plain Python, row by row."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from datetime import timedelta
from fractions import Fraction

import pytest

from staged_rollout.errors import QuantisationError
from staged_rollout.operations.look_moments import MetricSums, query_parameters
from staged_rollout.spec.metric import Metric
from tests.fakes.tables import DAY, HOUR, T0, Tables

WINDOW = timedelta(days=1)
CUT_OFF = T0 + 4 * DAY
KEYS = ("n", "holds", "capped", "sy", "syy", "sd", "sdd", "syd")


@pytest.fixture
def tables(tmp_path):
    return Tables(tmp_path)


def asked(tables, metric, name="moments", **parameters):
    rows = tables.ask(name, matures_after=WINDOW, **{"cut_off": CUT_OFF} | query_parameters(metric) | parameters)
    return [row | {key: int(row[key] or 0) for key in KEYS} for row in rows]


def by_variant(tables, metric, *columns):
    found = defaultdict(lambda: [0] * len(columns))
    for row in asked(tables, metric):
        mine = found[row["assigned_variant"]]
        for place, column in enumerate(columns):
            mine[place] += row[column]
    return {variant: tuple(values) for variant, values in found.items()}


def even(value: Fraction) -> int:
    """Nearest integer, ties to even, exactly."""
    return round(value)


def random_rows(seed):
    """Rows of units that come back, some after their window; features, measures that are missing, and labels."""
    drawn = random.Random(seed)
    rows, outcomes = [], []
    for number in range(60):
        unit, variant = f"u{number}", drawn.choice(["v1", "v2"])
        start = T0 + drawn.random() * 5 * DAY
        for _ in range(drawn.randint(1, 4)):
            measures = {}
            if drawn.random() < 0.8:
                measures["revenue"] = drawn.choice(
                    [0, 12.345, 0.005, 2.675, 99.99, -3.25, round(drawn.gauss(50, 90), 3)]
                )
            if drawn.random() < 0.6:
                measures["orders"] = drawn.randint(0, 3)
            features = {"plan": drawn.choice(["pro", "free"]), "age": drawn.choice([31, 44.5, "31"])}
            at = start + drawn.random() * 1.5 * DAY
            rows.append((unit, variant, at, measures, features, drawn.choice([200, 500])))
        if drawn.random() < 0.7:
            outcomes.append((unit, start + drawn.random() * 3 * DAY, float(drawn.randint(0, 5)), None))
        if drawn.random() < 0.5:
            outcomes.append((unit, start + drawn.random() * 3 * DAY, float(drawn.randint(1, 5)), "rating"))
    return rows, outcomes


def filled(tables, rows, outcomes):
    for unit, variant, at, measures, features, status in rows:
        tables.serve(
            unit,
            variant,
            at,
            measures=json.dumps(measures),
            features=json.dumps(features),
            status=status,
            request_id=f"{unit}-{at}",
        )
    for unit, at, value, name in outcomes:
        tables.know(at, value, unit_id=unit, name=name)


def number_of(value):
    return value if isinstance(value, int | float) else None


def values_of(field, unit_rows, labels):
    """The field's values of a unit within its window, in plain Python."""
    start = min(row[2] for row in unit_rows)
    inside = [row for row in unit_rows if row[2] <= start + WINDOW and row[2] <= CUT_OFF]
    if field == "outcome":
        label = [(at, value) for at, value, name in labels if name is None and start <= at <= CUT_OFF]
        early = [pair for pair in label if pair[0] <= start + WINDOW]
        return [max(early)[1]] if early else [min(label)[1]] if label else []
    if field == "rating":
        return [value for at, value, name in labels if name == "rating" and start <= at <= min(start + WINDOW, CUT_OFF)]
    if field == "requests":
        return [1 for _ in inside]
    if field == "status":
        return [row[5] for row in inside]
    if field.startswith("features."):
        return [row[4][field.removeprefix("features.")] for row in inside]
    return [row[3][field] for row in inside if field in row[3]]


def expected(metric, rows, outcomes):
    units, labels = defaultdict(list), defaultdict(list)
    for row in rows:
        units[row[0]].append(row)
    for unit, *label in outcomes:
        labels[unit].append(label)
    found = defaultdict(lambda: [0] * len(KEYS))
    for unit, unit_rows in units.items():
        start = min(row[2] for row in unit_rows)
        if start > CUT_OFF:
            continue
        mine = found[unit_rows[0][1]]
        if start + WINDOW > CUT_OFF:
            continue
        steps = 1 / Fraction(repr(metric.step))
        pairs = [[], []]
        names = [str(field) for field in metric.fields]
        for place, name in enumerate(names):
            raw = values_of(name, unit_rows, labels[unit])
            pairs[place] = [even(Fraction(repr(v)) * steps) for v in map(number_of, raw) if v is not None]
        y, d = sum(pairs[0]), sum(pairs[1])
        if metric.needs_value and not pairs[0]:
            continue
        if metric.averaged:
            y = even(Fraction(y, len(pairs[0])))
        capped = metric.winsorise is not None and y > metric.winsorise * steps
        y = int(metric.winsorise * steps) if capped else y
        holds = metric.rate is not None and any(
            condition_holds(metric.rate, v) for v in values_of(names[0], unit_rows, labels[unit])
        )
        for place, value in enumerate((1, holds, capped, y, y * y, d, d * d, y * d)):
            mine[place] += value
    return {variant: tuple(values) for variant, values in found.items()}


def condition_holds(rate, value):
    _, operator, wanted = rate.split(" ", 2)
    if wanted.startswith("'"):
        wanted = wanted.strip("'")
        if not isinstance(value, str):
            return False
    else:
        wanted = float(wanted)
        if not isinstance(value, int | float):
            return False
    return {
        "=": value == wanted,
        "!=": value != wanted,
        "<": isinstance(wanted, float) and value < wanted,
        "<=": isinstance(wanted, float) and value <= wanted,
        ">": isinstance(wanted, float) and value > wanted,
        ">=": isinstance(wanted, float) and value >= wanted,
    }[operator]


METRICS = [
    {"mean": "revenue", "resolution": 0.01},
    {"mean": "revenue", "resolution": 0.01, "winsorise": 60.0},
    {"mean": "revenue", "resolution": 0.05, "unit_total": "mean"},
    {"mean": "revenue", "resolution": 2.0},
    {"mean": "outcome", "resolution": 1.0},
    {"mean": "rating", "resolution": 0.5, "unit_total": "mean"},
    {"mean": "features.age", "resolution": 0.1, "unit_total": "mean"},
    {"ratio": ("revenue", "orders"), "resolution": 0.01},
    {"ratio": ("status", "requests"), "resolution": 1.0},
    {"rate": "orders > 1"},
    {"rate": "revenue = 2.675"},
    {"rate": "features.plan = 'pro'"},
    {"rate": "features.plan != 'pro'"},
    {"rate": "status >= 500"},
    {"rate": "outcome <= 2"},
    {"rate": "rating != 3"},
]


@pytest.mark.parametrize("given", METRICS, ids=str)
@pytest.mark.parametrize("seed", [1, 2])
def test_moments_are_those_of_an_independent_calculation(tables, given, seed):
    """Every kind of metric on random rows, to the last integer."""
    metric = Metric(**given)
    rows, outcomes = random_rows(seed)
    filled(tables, rows, outcomes)

    assert expected(metric, rows, outcomes) == by_variant(tables, metric, *KEYS)


def test_any_order_of_rows_gives_the_same_integers(tables, tmp_path):
    """Sums are of integers: rows in another order change nothing."""
    metric = Metric(mean="revenue", resolution=0.001)
    rows, outcomes = random_rows(3)
    filled(tables, rows, outcomes)
    (tmp_path / "other").mkdir()
    other = Tables(tmp_path / "other")
    filled(other, rows[::-1], outcomes[::-1])

    assert asked(tables, metric) == asked(other, metric)


def test_ties_go_to_even_and_noise_of_floats_does_not_decide(tables):
    """0.005, 0.015 and 2.675 are ties of decimals, although no float is: 0, 0.02 and 2.68."""
    for number, value in enumerate((0.005, 0.015, 2.675, 1.005)):
        tables.serve(f"u{number}", measures=json.dumps({"revenue": value}))
    metric = Metric(mean="revenue", resolution=0.01)

    assert [0, 2, 268, 100] == [
        row["y"]
        for row in sorted(
            tables.ask("unit_totals", matures_after=WINDOW, **query_parameters(metric)), key=lambda row: row["unit_id"]
        )
    ]


def test_a_total_beyond_exact_sums_is_an_error_that_names_the_metric(tables):
    """It is told, never wrapped and never left out; a cap that is declared makes it countable."""
    tables.serve("u1", measures='{"revenue": 1e300}')
    tables.serve("u2", measures='{"revenue": 5}')
    metric = Metric(mean="revenue", resolution=0.01)

    with pytest.raises(QuantisationError, match=r"metric revenue: 1 units have totals beyond 2\^40 steps of 0\.01"):
        MetricSums.from_rows(metric, "revenue", asked(tables, metric))
    capped = Metric(mean="revenue", resolution=0.01, winsorise=500.0)
    sums = MetricSums.from_rows(capped, "revenue", asked(tables, capped))
    assert (2, 1, 50_500) == (sums.n, sums.capped, sums.moments.sy)


def test_squares_of_the_largest_totals_fit(tables):
    """2^40 steps squared, of several units, need more than 64 bits."""
    for number in range(3):
        tables.serve(f"u{number}", measures=json.dumps({"revenue": 2**40}))
    (row,) = asked(tables, Metric(mean="revenue", resolution=1.0))

    assert (3 * 2**40, 3 * 2**80) == (row["sy"], row["syy"])


def test_a_row_after_the_window_never_changes_a_closed_unit(tables):
    tables.serve("u1", at=T0, measures='{"revenue": 1}')
    tables.serve("u1", at=T0 + WINDOW, measures='{"revenue": 2}')
    tables.serve("u1", at=T0 + WINDOW + HOUR, measures='{"revenue": 4}')
    (row,) = asked(tables, Metric(mean="revenue", resolution=1.0))

    assert (1, 3) == (row["n"], row["sy"])


def test_an_open_unit_does_not_count(tables):
    tables.serve("u1", at=T0, measures='{"revenue": 1}')
    (row,) = asked(tables, Metric(mean="revenue", resolution=1.0), cut_off=T0 + HOUR)

    assert (1, 0, 0, 0) == (row["units"], row["closed"], row["n"], row["sy"])


def test_a_rating_is_no_label(tables):
    """An outcome with a name is not the outcome that a prediction is right or wrong by."""
    tables.serve("u1", prediction=1.0)
    tables.know(T0 + HOUR, 5.0, unit_id="u1", name="rating")

    assert {"v1": (1, 0)} == tables.by_variant("success_counts", "closed", "with_outcome")


def test_a_rating_of_a_request_belongs_to_its_unit_once(tables):
    """By request id where it names no unit; where it names both, by the unit alone."""
    tables.serve("u1", request_id="a")
    tables.know(T0 + HOUR, 4.0, request_id="a", name="rating")
    tables.know(T0 + HOUR, 2.0, request_id="a", unit_id="u1", name="rating")
    (row,) = asked(tables, Metric(mean="rating", resolution=1.0))

    assert 6 == row["sy"]


def test_baseline_moments_are_the_champions_own(tables):
    """Units that the champion answered; what it did not answer starts no window."""
    tables.serve("u1", "v1", variant="v1", measures='{"revenue": 3}')
    tables.serve("u2", "v2", variant="v2", measures='{"revenue": 9}')
    (row,) = asked(tables, Metric(mean="revenue", resolution=1.0), "baseline_moments")

    assert (1, 3, 9) == (row["n"], row["sy"], row["syy"])


def test_segments_add_up_to_the_whole(tables):
    rows, outcomes = random_rows(5)
    filled(tables, rows, outcomes)
    metric = Metric(mean="revenue", resolution=0.01)
    parts = defaultdict(int)
    for row in asked(tables, metric, "segment_moments", segment="plan"):
        parts[row["assigned_variant"]] += row["sy"]

    assert {variant: sums[0] for variant, sums in by_variant(tables, metric, "sy").items()} == parts


@pytest.mark.parametrize("key", ["x' OR 1=1 --", '"', "a.b", "$", "a\\"])
def test_hostile_texts_are_data(tables, key):
    """A text that a rate compares with is bound: it is found where it stands, and does nothing else."""
    tables.serve("u1", features=json.dumps({"plan": key}))
    tables.serve("u2", features=json.dumps({"plan": "pro"}))
    parameters = query_parameters(Metric(rate="features.plan = 'pro'")) | {"phrase": key}
    rows = tables.ask("moments", matures_after=WINDOW, **parameters)

    assert [1] == [row["holds"] for row in rows]

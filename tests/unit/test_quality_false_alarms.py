"""Comparisons with an earlier day hardly ever fail a healthy one: partial days, tiny traffic, clustered rows."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest

from staged_rollout.adapters.checks_against import Expected, comparisons
from staged_rollout.ports.checks import DayFacts, LabelCoverage

DAY, BEFORE = date(2026, 3, 3), date(2026, 3, 2)
ROUNDS = 1_500
FILLED = ("with_status", "with_latency", "with_prediction", "with_version")


def hours(random, day, units_per_hour, requests, since=0):
    found = []
    for hour in range(since, 24):
        units = int(random.poisson(units_per_hour))
        rows = int(units + random.poisson((requests - 1) * units))
        if rows:
            found.append(
                {
                    "day": day,
                    "hour": hour,
                    "rows": rows,
                    "units": units,
                    "unit_rows": rows,
                    **dict.fromkeys(FILLED, rows),
                }
            )
    return found


def bins(random, units_before, units_now):
    before, now = random.multinomial(units_before, [0.1] * 10), random.multinomial(units_now, [0.1] * 10)
    return [
        {"bin": n, "reference_units": int(a), "day_units": int(b)}
        for n, (a, b) in enumerate(zip(before, now, strict=True))
    ]


def labels(random, units, coverage):
    past, now = (int(random.binomial(units, coverage)) for _ in range(2))
    return LabelCoverage(BEFORE, units, now), LabelCoverage(BEFORE - timedelta(days=1), units, past)


@pytest.mark.parametrize(
    ("units_per_hour", "requests"), [(0.5, 3.0), (5.0, 1.5), (10.0, 3.0), (40.0, 3.0), (500.0, 1.1)]
)
@pytest.mark.parametrize("level", [0.3, 1.0, 3.0])
def test_a_healthy_day_passes(units_per_hour, requests, level):
    """Law: with days of a third to three times the traffic, begun at any hour, none of 1,500 healthy days fails."""
    random = np.random.default_rng(11)
    failed, judged = [], set()
    for _ in range(ROUNDS):
        before = hours(random, BEFORE, units_per_hour, requests, since=int(random.integers(0, 24)))
        now = hours(random, DAY, units_per_hour * level, requests)
        size = int(units_per_hour * 24)
        facts = DayFacts(
            day=DAY,
            reference=BEFORE,
            variants=("v1",),
            epochs=(1,),
            counts={},
            hours=[*before, *now],
            predictions={"v1": bins(random, size, int(size * level))},
            labels=labels(random, size, 0.15),
        )
        for item in comparisons(facts):
            if isinstance(item, Expected):
                judged.add(item.name)
                if not (item.low is None or item.value >= item.low) or not (
                    item.high is None or item.value <= item.high
                ):
                    failed.append((item.name, item.observed))

    assert [] == failed
    if units_per_hour == 500.0:
        assert 6 == len(judged)

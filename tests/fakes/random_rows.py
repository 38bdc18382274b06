"""Random rows of the lake's tables, few enough that everything collides: ties, contradictions, corrections, nulls."""

from __future__ import annotations

import json
import random
from datetime import timedelta

from tests.fakes.tables import DAY, T0, Tables

SPAN = timedelta(days=6)
GRAIN = timedelta(minutes=20)
PLANS = [f"plan {number}" for number in range(70)]


def filled(tables: Tables, seed: int, requests: int = 900, *, ratings: bool = False) -> Tables:
    """Add random rows to hand-made tables, which stay in their own shape.

    Args:
        tables: Where they go.
        seed: Of everything.
        requests: Predictions; of outcomes and captures there are some for each.
        ratings: Whether some outcomes are ratings.
    """
    draw = random.Random(seed)

    def moment():
        return T0 + draw.randrange(SPAN // GRAIN) * GRAIN

    for number in range(requests):
        unit, at = draw.randrange(requests // 4), moment()
        drawn = "v2" if unit % 2 else "v1"
        assigned = draw.choice([drawn] * 30 + ["v1", "v2", None])
        fallback = draw.random() < 0.05
        variant = "v1" if fallback or assigned is None else assigned
        failed = draw.random() < 0.08
        tables.serve(
            None if draw.random() < 0.03 else f"u{unit}",
            assigned,
            at,
            request_id=f"r{number:04d}",
            endpoint=draw.choice(["churn"] * 12 + ["other"]),
            rollout=draw.choice(["churn-v3"] * 12 + ["other-v1", None]),
            variant=None if failed and draw.random() < 0.3 else variant,
            fallback=fallback,
            epoch=draw.choice([5] * 8 + [4, 6]),
            prediction=None if failed else draw.choice([0.0, 1.0, 0.25, 0.3, 0.7]),
            latency_ms=draw.choice([5.0, 10.0, 10.5, 15.0, 20.0, 25.0, 80.0]),
            status=draw.choice([500, 503, 404, 200]) if failed else draw.choice([200] * 30 + [429]),
            features=json.dumps(_features(draw), separators=(",", ":")),
            measures=None if draw.random() < 0.2 else json.dumps({"revenue": draw.randrange(-500, 5000) / 100}),
        )
        for _ in range(draw.choice([0, 1, 1, 2, 3])):
            whom = {"unit_id": f"u{unit}"} if draw.random() < 0.5 else {"request_id": f"r{number:04d}"}
            later = at + draw.randrange(-10, 150) * GRAIN
            place = draw.choice(["churn"] * 12 + ["other"])
            name = draw.choice([None] * 8 + ["rating"]) if ratings else None
            tables.know(later, draw.choice([0.0, 1.0, 0.25, 0.3]), endpoint=place, name=name, **whom)
        if draw.random() < 0.6:
            tables.capture(
                None if draw.random() < 0.05 else f"r{number:04d}",
                at + draw.randrange(3) * GRAIN,
                endpoint=draw.choice(["churn"] * 12 + ["other"]),
                variant=draw.choice(["v1", "v2", "v2"]),
                prediction=draw.choice([0.0, 1.0, 0.25, 0.3, 0.7, None]),
            )
    return tables


def files_of(tables: Tables) -> dict[str, list[str]]:
    """Each table's Parquet files, written now."""
    tables.ask("freshness")
    return {name: [str(path)] for name in tables.rows if (path := tables.folder / f"{name}.parquet").exists()}


WINDOWS = tuple(
    {"cut_off": T0 + after * DAY, "epochs": epochs, "matures_after": matures * DAY}
    for after, epochs, matures in ((30, [5], 1), (3, [4, 5], 1), (5, [5], 2), (1, [6], 1), (30, [], 1), (-1, [5], 1))
)
"""What may be asked of them: after everything, in the middle, of several epochs, of none, and before the first row."""


def _features(draw: random.Random) -> dict[str, object]:
    found: dict[str, object] = {"calls": draw.randrange(4), "charge": draw.randrange(9000) / 100}
    if draw.random() < 0.9:
        found["plan"] = draw.choice(PLANS[: draw.choice([3, 70])])
    return found

"""The simulated lake answers what the statements of `sql/` answer over the same rows."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest

from staged_rollout.adapters import lake_sql
from staged_rollout.assignment import AssignmentDocument, VariantRef
from tests.fakes.ports import START
from tests.fakes.simulated_lake import SimulatedLake, moment
from tests.fakes.simulated_traffic import CANDIDATE, NEVER, NOBODY, Population, SimulatedTraffic
from tests.fakes.tables import Tables

NAMES = ("v1", "v2")
HOUR = timedelta(hours=1)
WORLDS = {
    "plain": Population(units_per_day=60),
    "returning users, fallbacks, contradictory assignments": Population(
        units_per_day=30,
        requests=4.0,
        returns=2.0,
        pool=20,
        success=(0.6, 0.7),
        failures=(0.1, 0.15),
        fallbacks=0.1,
        icc=0.3,
        torn=0.03,
    ),
    "late, missing and corrected outcomes, latencies": Population(
        units_per_day=50,
        requests=2.0,
        returns=1.0,
        failures=(0.02, 0.02),
        late=0.2,
        missing=0.1,
        corrected=0.4,
        slow_ms=100.0,
        slower_ms=20.0,
    ),
}


def documents():
    """Shadow, a canary of half of the units, LIVE 60:40, and a promotion step: a day, a day, two days, and the rest."""
    shared = {"endpoint": "churn", "rollout": "churn-v3", "champion": VariantRef(name="v1", version="1"), "split": 0.4}
    exposed = shared | {"candidate": VariantRef(name="v2", version="2")}
    days = [START + timedelta(days=day) for day in (0, 1, 2, 4)]
    return [
        AssignmentDocument(epoch=1, stage="shadow", published_at=days[0], **shared),
        AssignmentDocument(epoch=2, stage="canary", step=1, enrolled=0.5, published_at=days[1], **exposed),
        AssignmentDocument(epoch=3, stage="live", enrolled=1.0, published_at=days[2], **exposed),
        AssignmentDocument(
            epoch=4, stage="promoting", step=1, enrolled=1.0, share=0.8, published_at=days[3], **exposed
        ),
    ]


def written(lake, tables):
    """The same rows in Parquet, as the ingestion would have written them."""
    names = {NOBODY: None, 0: "v1", CANDIDATE: "v2"}
    for document in lake.documents:
        rows = lake.rows([document.epoch])
        for n in range(len(rows.row)):
            failed = bool(rows.failed[n])
            tables.serve(
                f"u{rows.unit[n]}",
                names[int(rows.assigned[n])],
                moment(rows.at[n]),
                request_id=f"r{rows.row[n]:06d}",
                rollout="churn-v3" if rows.counted[n] else None,
                variant=names[int(rows.variant[n])],
                fallback=bool(rows.fallback[n]),
                epoch=document.epoch,
                prediction=None if failed else float(rows.prediction[n]),
                status=503 if failed else 200,
                latency_ms=float(rows.latency[n]),
            )
    traffic = lake.traffic
    for at, value in zip(traffic.outcome_at, traffic.outcome, strict=True):
        for row in np.flatnonzero(at < NEVER // 2):
            tables.know(moment(at[row]), float(value[row]), request_id=f"r{row:06d}")


@pytest.fixture(scope="module", params=WORLDS)
def world(request, tmp_path_factory):
    traffic = SimulatedTraffic(WORLDS[request.param], 5.0, np.random.default_rng(7))
    lake = SimulatedLake(traffic, documents(), NAMES)
    tables = Tables(tmp_path_factory.mktemp("lake"))
    written(lake, tables)
    tables.ask("freshness")  # writes the files, once for all questions
    return lake, {name: [str(path)] for name in tables.rows if (path := tables.folder / f"{name}.parquet").exists()}


STATEMENTS = (
    "freshness",
    "contradictions",
    "traffic",
    "srm_counts",
    "success_counts",
    "baseline",
    "guardrail_errors",
    "guardrail_latency",
    "latency_quantile",
)


def place(row):
    return row.get("assigned_variant") or "", row.get("threshold", 0.0)


@pytest.mark.parametrize("name", STATEMENTS)
def test_it_answers_what_sql_answers(world, name):
    """Law: over stays, pairs of stays and several cut-offs, each of its columns equals that of the real statement."""
    lake, files = world
    compared = 0
    for epochs in ([3], [4], [1, 2], []):
        for hours in (30, 71, 109):
            parameters = {
                "endpoint": "churn",
                "rollout": "churn-v3",
                "epochs": epochs,
                "cut_off": START + hours * HOUR,
                "matures_after": timedelta(days=1),
                "champion": "v1",
                "candidate": "v2",
                "level": 0.95,
                "thresholds": [50.0, 80.0, 120.0, 180.0, 400.0],
            }
            answered = lake.query(name, parameters, batch=lake.head())
            expected = lake_sql.rows_of(lake_sql.run(name, parameters, lambda table: files.get(table, [])))
            columns = list(answered[0]) if answered else []
            assert sorted(({c: row[c] for c in columns} for row in expected), key=place) == sorted(answered, key=place)
            compared += sum(value not in (0, None) for row in answered for value in row.values())
    assert compared >= 6


def test_the_worlds_hold_what_they_are_named_for(world, request):
    """A comparison over rows that never occur would prove nothing."""
    lake, _ = world
    name = request.node.callspec.params["world"]
    ask = {"epochs": [3], "cut_off": START + 100 * HOUR, "matures_after": timedelta(days=1)}
    errors = lake.query("guardrail_errors", ask, batch=lake.head())
    if name.startswith("returning"):
        assert lake.query("contradictions", ask, batch=lake.head())[0]["units"] > 0
        assert all(row["errors_squared"] > row["errors"] > row["fallbacks"] for row in errors)
        assert errors[CANDIDATE]["fallbacks"] > 0
    if name.startswith("late"):
        success = lake.query("success_counts", ask, batch=lake.head())
        assert all(row["after_closure"] > 0 and row["closed"] > row["with_outcome"] > row["correct"] for row in success)

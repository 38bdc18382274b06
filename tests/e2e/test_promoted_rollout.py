"""A better candidate travels the whole way, through the real flows, the HTTP router and the endpoint."""

from __future__ import annotations

import asyncio
import json
import time
from collections import defaultdict
from types import SimpleNamespace
from typing import Any

import duckdb
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey, FlowRunFilter, FlowRunFilterName

from staged_rollout.operations.ingest import ingest
from staged_rollout.operations.look_tables import write_look_tables
from staged_rollout.state import EventType, State

pytestmark = pytest.mark.slow


@pytest.fixture
def rollout(promoted):
    return promoted.rollout(2)


def test_it_is_promoted_and_settled(small, promoted, rollout):
    state = small.state(rollout)
    assert State.PROMOTED is state.state
    assert state.settled
    assert () == state.intents
    assert ["SHADOW", "CANARY 1", "LIVE", "PROMOTING 1", "BAKING", "PROMOTED"] == small.entered(rollout)
    assert small.platform.ledger.claim_of(promoted.endpoint) is None


def test_the_win_was_a_crossing_of_the_bound(small, rollout):
    """The decision that promoted is the one whose look crossed, and no look before it did."""
    looks = [event.payload["evidence"]["look"] for event in small.events(rollout) if event.type is EventType.LOOK_TAKEN]
    crossed = [look["efficacy"] is not None and look["success"]["z"] >= look["efficacy"]["z"] for look in looks]
    assert [*[False] * (len(looks) - 1), True] == crossed
    assert looks[-1]["information"] > 0


def test_prefect_is_told_from_which_logs_and_batch_the_win_was_made(small, promoted, rollout):
    """Lineage: logs -> lake -> evidence -> decision, with the figures of the ledger, and no unit in it."""
    taken = [event for event in small.events(rollout) if event.type is EventType.LOOK_TAKEN][-1].payload["evidence"]
    figures = {"batch": taken["batch"], "look": taken["look"]["slot"], "z": taken["look"]["success"]["z"]}
    resources = [f"rollout://{kind}/{name}" for kind, name in _chain(promoted.endpoint, rollout)]
    chosen = {"event": {"name": ["prefect.asset.materialization.succeeded"]}, "resource": {"id": resources}}

    async def told() -> list[dict[str, Any]]:
        async with get_client() as client:
            answer = await client._client.post("/events/filter", json={"filter": chosen, "limit": 50})
            found: list[dict[str, Any]] = answer.json()["events"]
            return found

    deadline = time.monotonic() + 60
    wins: list[dict[str, Any]] = []
    while not wins and time.monotonic() < deadline:
        events = asyncio.run(told())
        wins = [event for event in events if figures.items() <= event["payload"].items() and "to" in event["payload"]]
        time.sleep(0.2)
    (win,) = wins
    assert ("promote", "PROMOTING") == (win["payload"]["action"], win["payload"]["to"])
    upstream = {
        event["resource"]["prefect.resource.id"]: next(
            one["prefect.resource.id"] for one in event["related"] if one["prefect.resource.role"] == "asset"
        )
        for event in events
    }
    assert dict(zip(resources[1:], resources, strict=False)) == upstream
    assert "customer-" not in json.dumps(events)


def _chain(endpoint: str, rollout: str) -> list[tuple[str, str]]:
    return [("logs", endpoint), ("lake", endpoint), ("evidence", rollout), ("decision", rollout)]


def test_units_and_moments_are_what_the_looks_counted(small, rollout):
    """Each look's moments add up to its evidence in the ledger; a unit is told once."""
    looks = [event.payload["evidence"]["look"] for event in small.events(rollout) if event.type is EventType.LOOK_TAKEN]
    units, moments = (_table(small, table, rollout) for table in ("units", "moments"))
    assert len(units) == len({row["unit_id"] for row in units})
    for look in looks:
        for role, variant in (("champion", "v1"), ("candidate", "v2")):
            rows = [row for row in moments if (row["slot"], row["assigned_variant"]) == (look["slot"], variant)]
            counted = [row for row in units if row["slot"] <= look["slot"] and row["assigned_variant"] == variant]
            told = look["success"][f"n_{role}"], look["success"][f"x_{role}"]
            assert told == (sum(row["n"] for row in rows), sum(int(row["sy"]) for row in rows))
            assert told == (len(counted), sum(row["y"] for row in counted))
    assert len(looks) > 0


def test_looks_that_are_written_again_add_nothing(small, rollout):
    """A process that was killed after its rows were sealed, and before the cursor moved, is repeated."""

    class Forgetful:
        def __init__(self, ledger):
            self.events = ledger.events

        def cursor(self, _):
            return 0

        def move_cursor(self, *_, **__):
            return False

    before = _table(small, "units", rollout), _table(small, "moments", rollout)
    again = write_look_tables(
        SimpleNamespace(ledger=Forgetful(small.platform.ledger), lake=small.platform.lake, clock=small.platform.clock),
        rollout,
    )
    assert [look.slot for look in small.state(rollout).looks] == [one.slot for one in again]
    assert [(0, 0, "")] * len(again) == [(one.units, one.moments, one.skipped) for one in again]
    assert before == (_table(small, "units", rollout), _table(small, "moments", rollout))


def _table(small, table, rollout):
    lake = small.platform.lake
    files = lake.files(table, lake.head())
    rows = duckdb.sql(f"SELECT * FROM read_parquet({files})").to_arrow_table().to_pylist()
    return sorted((row for row in rows if row["rollout"] == rollout), key=repr)


def test_registry_and_endpoint_follow(small, promoted, rollout):
    registry = small.platform.registry
    assert "2" == registry.champion(promoted.name).version
    assert "champion" == registry.version(promoted.name, "2").tags["lifecycle"]
    assert "retired" == registry.version(promoted.name, "1").tags["lifecycle"]
    served = small.served(promoted)
    assert ["v2"] == [variant.name for variant in served.production]
    assert served.shadow is None
    document = small.platform.assignments.read(promoted.endpoint).document
    assert (None, "v2", None) == (document.rollout, document.champion.name, document.candidate)


def test_every_intent_was_followed_by_its_observation(small, rollout):
    """Each outside effect is announced before, and recorded after."""
    waiting = set()
    for event in small.events(rollout):
        if event.type is EventType.INTENDED:
            waiting.add(event.payload["key"])
        elif event.type is EventType.OBSERVED and event.payload["result"].get("applied") != "started":
            assert event.payload["key"] in waiting
    assert EventType.SETTLED is small.events(rollout)[-1].type


def test_every_call_was_answered_and_logged_once(small, promoted):
    rows = small.logged(promoted)
    assert sorted(call.request_id for call in promoted.sent) == sorted(row["request_id"] for row in rows)
    assert {200} == {row["status"] for row in rows}
    assert not any(row["fallback"] for row in rows)
    assert all(row["prediction"] in {0, 1} for row in rows)


def test_nobody_changed_arm(small, promoted, rollout):
    """From canary to the last look a unit has one arm; afterwards people only move over to the winner."""
    stages = {stage.epoch: str(stage.state) for stage in small.state(rollout).stages if stage.epoch is not None}
    arms = defaultdict(list)
    for row in small.logged(promoted):
        if row["rollout"] == rollout and row["assigned_variant"] is not None:
            arms[row["unit_id"]].append((stages[row["epoch"]], row["assigned_variant"], row["variant"]))
    assert len(arms) > 500
    for story in arms.values():
        tested = {arm for stage, arm, _ in story if stage in {"CANARY", "LIVE"}}
        assert len(tested) <= 1
        assigned = [arm for _, arm, _ in story]
        assert assigned == sorted(assigned), "somebody went back to the champion"
        assert all(arm == answered for _, arm, answered in story)


def test_every_line_of_every_log_is_accounted_for(small, promoted):
    """Lines = accepted + duplicates + quarantined + late + blank, and lines are those of the files."""
    files = sorted((small.home.logs / "predictions" / promoted.endpoint).rglob("*.jsonl"))
    known = files[-1].read_bytes().splitlines()[-1]
    late = json.dumps({**json.loads(known), "request_id": "late", "timestamp": "2026-01-05T00:00:00Z"}).encode()
    (files[-1].parent / "again.jsonl").write_bytes(
        b"\n".join((known, b"", b'{"request_id": "cut sho', b"  ", late, known, b""))
    )
    platform = small.platform
    report = ingest(logs=platform.logs, lake=platform.lake, clock=platform.clock)
    found = (report.lines, report.accepted, report.duplicates, report.quarantined, report.late, report.blank)
    assert (6, 0, 2, 1, 1, 2) == found
    names = ("lines", "accepted", "duplicates", "quarantined", "late", "blank")
    lines, *parts = (sum(getattr(book, name) for book in platform.lake.books()) for name in names)
    assert lines == sum(parts)
    assert small.lines_on_disk() == lines


def test_prefect_shows_every_branch_by_its_name(small, rollout):
    """Runs of promote and of continue stand in Prefect's own database, and none that went another way."""

    async def task_names():
        async with get_client() as client:
            flows = FlowRunFilter(name=FlowRunFilterName(like_=f"{rollout} "))
            runs = [
                run
                for offset in range(0, 2000, 200)
                for run in await client.read_task_runs(flow_run_filter=flows, limit=200, offset=offset)
            ]
            return {run.name.split("-")[0] if run.name.startswith("take_look") else run.name for run in runs}

    names = asyncio.run(task_names())
    assert {"promote", "continue", "take_look"} <= names
    assert set() == {"roll-back", "keep-champion", "hold"} & names


def test_prefect_holds_one_markdown_artifact_for_each_look_and_decision(small, rollout):
    async def artifacts():
        async with get_client() as client:
            keys = ArtifactFilter(key=ArtifactFilterKey(like_=f"{rollout}-"))
            return await client.read_artifacts(artifact_filter=keys, limit=200)

    found = asyncio.run(artifacts())
    by_key = {artifact.key: artifact for artifact in found}
    published = {EventType.LOOK_TAKEN, EventType.DECIDED, EventType.STAGE_ENTERED}
    expected = {f"{rollout}-{event.seq}": event for event in small.events(rollout) if event.type in published}
    assert set(expected) == set(by_key)
    assert len(by_key) == len(found), "an event was published twice"
    for key, event in expected.items():
        assert "markdown" == by_key[key].type
        if event.type is EventType.LOOK_TAKEN:
            assert f"ook {event.payload['slot']}" in by_key[key].data

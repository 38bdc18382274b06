"""A harmful candidate and a slow one are taken back: routers first, then the endpoint."""

from __future__ import annotations

import asyncio
from datetime import datetime

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterName

from demo import models
from flows.register_candidate import register_candidate
from flows.sweep_rollouts import sweep_rollouts
from flows.watch_guardrails import watch_guardrails
from staged_rollout.state import EventType, State
from tests.e2e.small_world import Story
from tests.local_platform import eventually

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def harmful(small):
    """`worse`: the champion sees all columns; a quarter of version 2's training labels were corrupted."""
    story = small.begin(Story("worse"), models.candidate_v2(small.customers))
    small.submit(story, models.candidate_v3(small.customers, 7))
    rollout = story.rollout(2)
    assert rollout == small.run(register_candidate, rollout_file="worse", version="2")

    def tick():
        small.run(sweep_rollouts, start="inline")

    tick()
    small.until(rollout, State.ROLLED_BACK, lambda: small.day(tick, story))
    return story


@pytest.fixture(scope="module")
def sluggish(small):
    """`sluggish`: version 2 is better, but 80 ms slower, and p95 acts."""
    customers = small.customers
    story = small.begin(
        Story("sluggish", morning_only=True), models.champion_v1(customers), latency="roll_back", canary="50% 2d"
    )
    small.submit(story, models.candidate_v2(customers))
    rollout = story.rollout(2)
    small.run(register_candidate, rollout_file="sluggish", version="2")

    def tick():
        small.run(sweep_rollouts, start="inline")

    tick()
    seen = []

    def noon():
        before = small.state(rollout).state
        lines = small.run(watch_guardrails)
        seen.append((before, small.state(rollout).state, lines))

    for _ in range(4):
        if small.state(rollout).settled:
            break
        small.day(tick, story, noon=noon)
    return story, seen


def rows_after(small, story, moment: datetime):
    return [row for row in small.logged(story) if datetime.fromisoformat(row["timestamp"]) > moment]


def test_harm_rolls_back(small, harmful):
    rollout = harmful.rollout(2)
    state = small.state(rollout)
    assert State.ROLLED_BACK is state.state
    assert state.settled
    assert ["SHADOW", "CANARY 1", "LIVE", "ROLLING_BACK", "ROLLED_BACK"] == small.entered(rollout)
    assert "(harm bound)" in state.reason
    look = state.looks[-1]
    assert look.z <= -look.harm.z


def test_routers_go_back_before_the_endpoint(small, harmful):
    """After ROLLING_BACK is entered, champion-only is published before any change of the endpoint."""
    events = small.events(harmful.rollout(2))
    start = next(
        number
        for number, event in enumerate(events)
        if event.type is EventType.STAGE_ENTERED and event.payload["state"] == "ROLLING_BACK"
    )
    effects = [
        (event.type, event.payload["effect"])
        for event in events[start:]
        if event.type in {EventType.INTENDED, EventType.OBSERVED}
    ]
    assert (EventType.OBSERVED, "assignment") == effects[0]
    assert (EventType.INTENDED, "endpoint") == effects[1]


def test_the_endpoint_serves_the_champion_alone_and_the_registry_says_why(small, harmful):
    served = small.served(harmful)
    assert ["v1"] == [variant.name for variant in served.production]
    assert served.shadow is None
    registry = small.platform.registry
    assert "1" == registry.champion(harmful.name).version
    tags = registry.version(harmful.name, "2").tags
    assert ("rolled_back", harmful.rollout(2)) == (tags["lifecycle"], tags["rollout"])
    assert small.platform.ledger.claim_of(harmful.endpoint) is None


def test_every_call_was_answered_during_the_rollback(small, harmful):
    rows = small.logged(harmful)
    assert sorted(call.request_id for call in harmful.sent) == sorted(row["request_id"] for row in rows)
    assert {200} == {row["status"] for row in rows}


def test_the_roll_back_is_visible_by_its_name(small, harmful):
    async def names():
        async with get_client() as client:
            flows = FlowRunFilter(name=FlowRunFilterName(like_=f"{harmful.rollout(2)} "))
            return {run.name for run in await client.read_task_runs(flow_run_filter=flows, limit=200)}

    eventually(lambda: "roll-back" in asyncio.run(names()))  # the server writes task runs in batches


def test_a_candidate_slowed_by_80_ms_is_rolled_back_by_the_p95_guardrail(small, sluggish):
    story, _ = sluggish
    state = small.state(story.rollout(2))
    assert State.ROLLED_BACK is state.state
    assert state.settled
    assert "latency_p95 is worse by" in state.reason
    figures = next(
        guardrail
        for event in small.events(story.rollout(2))
        if event.type is EventType.DECIDED and event.payload["to"] == "ROLLING_BACK"
        for guardrail in event.payload["evidence"]["guardrails"]
        if guardrail["name"] == "latency_p95"
    )
    assert figures["alarm"]
    assert figures["candidate"] is None or figures["candidate"] - figures["champion"] > 50


def test_it_was_the_guard_between_looks_that_stopped_it(small, sluggish):
    """At noon, hours before the next advance: the watch found it exposed and left it rolled back."""
    story, seen = sluggish
    stopped = [(before, after) for before, after, _ in seen if before is not after]
    assert [(State.CANARY, State.ROLLED_BACK)] == stopped
    entered = next(
        event
        for event in small.events(story.rollout(2))
        if event.type is EventType.STAGE_ENTERED and event.payload["state"] == "ROLLING_BACK"
    )
    assert "watch_guardrails" == entered.actor.name
    assert 12 == entered.at.hour


def test_nobody_met_the_slow_candidate_after_that_noon(small, sluggish):
    story, _ = sluggish
    entered = next(
        event
        for event in small.events(story.rollout(2))
        if event.type is EventType.STAGE_ENTERED and event.payload["state"] == "ROLLING_BACK"
    )
    assert {"v1"} >= {row["variant"] for row in rows_after(small, story, entered.at)}
    met = [row for row in small.logged(story) if row["assigned_variant"] == "v2"]
    assert met
    assert min(row["latency_ms"] for row in met) >= 80

"""Prefect's own harness, one small world, and the stories that several tests tell from."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from demo import models
from tests.e2e.small_world import FIRST_DAY, SmallWorld, Story


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Prefect's harness, once: it takes as long as many flows."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("DO_NOT_TRACK", "1")
        environment.setenv("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
        environment.setenv("PREFECT_HOME", str(tmp_path_factory.mktemp("prefect")))
        # Task runs are written in batches: one at a time, SQLite is locked at every other flow, which then waits 2 s.
        for name, value in (("READ_BATCH_SIZE", "200"), ("BATCH_SIZE", "200"), ("FLUSH_INTERVAL", "1")):
            environment.setenv(f"PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_{name}", value)
        from prefect.settings import (
            PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
            PREFECT_HOME,
            PREFECT_LOGGING_LEVEL,
            PREFECT_LOGGING_TO_API_ENABLED,
            PREFECT_SERVER_ANALYTICS_ENABLED,
            temporary_settings,
        )
        from prefect.testing.utilities import prefect_test_harness

        settings = {
            PREFECT_HOME: os.environ["PREFECT_HOME"],
            PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None,
            PREFECT_LOGGING_LEVEL: "WARNING",
            PREFECT_LOGGING_TO_API_ENABLED: False,
            PREFECT_SERVER_ANALYTICS_ENABLED: False,
        }
        with temporary_settings(settings), prefect_test_harness(server_startup_timeout=300):
            yield


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory, prefect_server: None) -> Iterator[SmallWorld]:
    """The world that the stories share; version 2 of `sluggish` answers 80 ms late."""
    world = SmallWorld(tmp_path_factory.mktemp("small"), slow={"sluggish/2": "80ms"})
    world.clock.set(FIRST_DAY)
    with world.servers:
        yield world


def begin_better(world: SmallWorld) -> Story:
    """`better`: a quarter of version 1's training labels were corrupted; version 2 is submitted, not registered."""
    champion = models.candidate_v3(world.customers, 7)
    story = world.begin(Story("better", callers=330), champion, mde="10pp", baseline="80%")
    world.submit(story, models.candidate_v2(world.customers))
    return story


@pytest.fixture(scope="session")
def promoted(small: SmallWorld) -> Story:
    """The whole of `better`, through the flows, to PROMOTED; a tick that took a look runs twice."""
    from flows.poll_registry import poll_registry
    from flows.sweep_rollouts import sweep_rollouts
    from flows.watch_guardrails import watch_guardrails

    story = begin_better(small)
    assert [story.rollout(2)] == small.run(poll_registry)

    def tick() -> None:
        looks = len(small.state(story.rollout(2)).looks)
        small.run(sweep_rollouts, start="inline")
        state = small.state(story.rollout(2))
        if len(state.looks) > looks:
            small.run(sweep_rollouts, start="inline")
            assert state.seq == small.state(story.rollout(2)).seq, "a second tick at the same time wrote something"

    tick()
    for _ in range(12):
        if small.state(story.rollout(2)).settled:
            break
        small.day(tick, story, noon=lambda: small.run(watch_guardrails))
    return story

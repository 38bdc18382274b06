"""Whole rollouts on the adapters of AWS, through the real flows: by event, shadow, live, promoted; and rolled back."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from staged_rollout.operations.serve import serve
from staged_rollout.spec.load import load_rollout
from staged_rollout.state import State
from tests.aws_faults import SEED
from tests.aws_server import Aws
from tests.aws_world import BETTER, ENDPOINT, GROUP, HARMFUL, AwsWorld, eventually

pytest_plugins = ("tests.aws_fixtures",)
pytestmark = pytest.mark.slow

ROLLOUT = "churn-v2"
PROMOTED = ["SHADOW", "CANARY 1", "LIVE", "PROMOTING 1", "PROMOTING 2", "BAKING", "PROMOTED"]
FAULTS: list[dict[str, Any]] = [
    {"kind": "throttle"},
    {"kind": "server_error"},
    {"kind": "timeout"},
    {"kind": "lost"},
]
"""Each may hit any call: the clients try again, and whatever was done twice is done once."""
OPERATIONS = (
    "DescribeEndpoint",
    "DescribeEndpointConfig",
    "CreateModel",
    "CreateEndpointConfig",
    "UpdateEndpoint",
    "UpdateEndpointWeightsAndCapacities",
    "DeleteEndpointConfig",
    "DeleteModel",
    "ListTags",
    "ListModels",
    "ListModelPackages",
    "DescribeModelPackage",
    "UpdateModelPackage",
    "AddTags",
    "ReceiveMessage",
    "DeleteMessage",
    "GetObject",
    "PutObject",
    "ListObjectsV2",
)


@pytest.fixture
def world(aws: Aws, tmp_path: Path) -> Iterator[AwsWorld]:
    made = AwsWorld(aws, tmp_path)
    yield made
    made.close()


@dataclass(frozen=True)
class Ticks:
    """What a schedule does: the flows themselves, or the operations that they consist of."""

    poll: Callable[[], list[str]]
    sweep: Callable[[], Any]
    guard: Callable[[], Any] | None


def flows_of(world: AwsWorld) -> Ticks:
    from flows.poll_registry import poll_registry
    from flows.sweep_rollouts import sweep_rollouts
    from flows.watch_guardrails import watch_guardrails

    return Ticks(
        lambda: list(world.run(poll_registry)),
        lambda: world.run(sweep_rollouts, start="inline"),
        lambda: world.run(watch_guardrails),
    )


def live(world: AwsWorld, ticks: Ticks, linear: dict[str, Any], **settings: Any) -> None:
    """The champion serves; from then on AWS behaves as set; version 2 is approved; days pass until it has settled."""
    world.serve_champion()
    world.aws.settings(**settings)
    world.aws.package(GROUP, linear=linear)
    assert [ROLLOUT] == ticks.poll()
    assert [] == ticks.poll()
    ticks.sweep()
    for _ in range(12):
        if world.state(ROLLOUT).settled:
            return
        world.day(ticks.sweep, noon=ticks.guard)
    state = world.state(ROLLOUT)
    assert state.settled, f"{state.state}: {state.reason}"


def left(world: AwsWorld) -> tuple[int, int]:
    """Configs and models that exist."""
    client = world.aws.client("sagemaker")
    return len(client.list_endpoint_configs()["EndpointConfigs"]), len(client.list_models()["Models"])


def check_promoted(world: AwsWorld) -> None:
    """Where a promotion ends, whatever happened on the way."""
    assert PROMOTED == world.entered(ROLLOUT), world.state(ROLLOUT).reason
    served = world.served()
    assert [("v2", 1.0)] == [(one.name, one.weight) for one in served.production]
    assert served.shadow is None
    assert (1, 1) == left(world)
    registry = world.platform.registry
    champion = registry.champion(GROUP)
    assert champion is not None
    assert "2" == champion.version
    assert ["retired", "champion"] == [registry.version(GROUP, one).tags["lifecycle"] for one in "12"]
    published = world.platform.assignments.read(ENDPOINT)
    assert published is not None
    assert (None, "v2") == (published.document.rollout, published.document.champion.name)
    assert {200} == set(world.answers)
    assert world.platform.ledger.claim_of(ENDPOINT) is None


def test_a_better_candidate_is_promoted(world: AwsWorld, prefect_server: None):
    """The law: an event registers it, the shadow is compared, looks decide, weights move, the loser is deleted."""
    live(world, flows_of(world), BETTER)
    check_promoted(world)
    go_back(world)


def go_back(world: AwsWorld) -> None:
    """The promotion was wrong: version 1 serves again, and at every step of it people get their answers."""
    spec = load_rollout(world.file, environment=world.platform.environment)

    def in_service() -> bool:
        world.documents.watch(ENDPOINT)
        world.call("customer-back", world.clock.now(), {"minutes": 0.5, "noisy": 0.5})
        return serve(world.platform, spec, "1") == "in service"

    eventually(in_service)
    assert {200} == set(world.answers)
    assert [("v1", 1.0)] == [(one.name, one.weight) for one in world.served().production]
    registry = world.platform.registry
    champion = registry.champion(GROUP)
    assert champion is not None
    assert "1" == champion.version
    assert ["champion", "rolled_back"] == [registry.version(GROUP, one).tags["lifecycle"] for one in "12"]
    assert "rejected" == registry.version(GROUP, "2").status
    assert (1, 1) == left(world)


def test_a_harmful_candidate_is_rolled_back(world: AwsWorld, prefect_server: None):
    """The law: harm ends in the champion alone, as it was; registry and endpoint say so, and nothing is left behind."""
    live(world, flows_of(world), HARMFUL)
    state = world.state(ROLLOUT)
    assert State.ROLLED_BACK is state.state, state.reason
    assert [("v1", 1.0)] == [(one.name, one.weight) for one in world.served().production]
    assert (1, 1) == left(world)
    registry = world.platform.registry
    champion = registry.champion(GROUP)
    assert champion is not None
    assert "1" == champion.version
    assert "rolled_back" == registry.version(GROUP, "2").tags["lifecycle"]
    published = world.platform.assignments.read(ENDPOINT)
    assert published is not None
    assert (None, "v1", None) == (
        published.document.rollout,
        published.document.champion.name,
        published.document.candidate,
    )


def test_faults_at_every_operation_end_in_the_same_place(world: AwsWorld):
    """The law: each operation's early calls fail in a way drawn by the seed; an update fails, a message comes twice."""
    chance = random.Random(SEED)
    for operation in OPERATIONS:
        for nth in (chance.randint(1, 2), chance.randint(4, 6)):
            fault = chance.choice(FAULTS)
            world.aws.fault(fault["kind"], operation, nth=nth)
    world.aws.fault("stale", "ReceiveMessage", nth=3)
    world.aws.fault("stale", "DescribeEndpoint", nth=9)
    world.aws.fault("refuse", "UpdateEndpoint", nth=3)
    failure = {"endpoint": ENDPOINT, "reason": "no capacity", "times": 1}
    live(world, Ticks(world.poll, world.sweep, None), BETTER, failing_updates=[failure])
    check_promoted(world)
    hit = world.aws.hits()
    assert sum(hit) > len(OPERATIONS), hit

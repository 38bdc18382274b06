"""A foreign endpoint is handed over by a person, as it is, or not at all."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from staged_rollout.errors import ConflictError, NotFoundError, RefusedError
from staged_rollout.operations.adopt import adopt
from staged_rollout.operations.journal import load
from staged_rollout.operations.reconcile import endpoint_target
from staged_rollout.operations.register import register
from staged_rollout.ports import EndpointStatus
from staged_rollout.spec.model import RolloutSpec
from staged_rollout.state import State
from tests.fakes.platform import ENDPOINT, PERSON, PRICES, ROLLOUT, TICK, FakePlatform, reached

REASON = "the notebook retires"


@pytest.fixture
def spec(churn):
    return RolloutSpec.model_validate(churn)


@pytest.fixture
def platform(tmp_path, churn) -> FakePlatform:
    """The champion serves as variant AllTraffic on four instances of its own kind; nobody recorded it."""
    made = reached(tmp_path, churn, State.REGISTERED)
    found = made.serving.endpoints[ENDPOINT]
    theirs = replace(found.production[0], name="AllTraffic", instance_type="ml.c5.xlarge", instance_count=4)
    made.serving.endpoints[ENDPOINT] = replace(found, production=(theirs,), config="theirs")
    (made.home.assignments / f"{ENDPOINT}.json").unlink()
    made.registry.champions.clear()
    return made


def test_what_it_serves_becomes_the_champion_and_nothing_is_changed(platform, spec):
    """The law: tag, document and champion; no change of the endpoint; twice is once."""
    changes = len(platform.serving.started)
    done = adopt(platform, ENDPOINT, [spec], PERSON, REASON)
    assert ("AllTraffic", "2") == (done.variant, done.version)
    assert {ENDPOINT: f"by ana: {REASON}"} == platform.serving.adopted
    assert changes == len(platform.serving.started)
    document = platform.document()
    assert ("AllTraffic", "2", 1) == (document.champion.name, document.champion.version, document.epoch)
    assert "2" == platform.registry.champions["churn"]

    assert done == adopt(platform, ENDPOINT, [spec], PERSON, REASON)
    assert document == platform.document()


def test_a_rollout_beside_it_keeps_its_name_and_capacity_until_promoted(platform, spec):
    """The law: the champion's variant, type and count are as they were found; the candidate's are the file's."""
    adopt(platform, ENDPOINT, [spec], PERSON, REASON)
    platform.registry.add("churn", "4")
    register(platform, spec, "4", TICK, PRICES)
    state = load(platform, "churn-v4")

    def capacity(entered: State) -> list[tuple[str, str, int]]:
        target = endpoint_target(replace(state, state=entered, step=1))
        variants = (*target.production, *((target.shadow,) if target.shadow else ()))
        return [(one.name, one.instance_type, one.instance_count) for one in variants]

    kept, new = ("AllTraffic", "ml.c5.xlarge", 4), ("v4", "ml.m5.xlarge", 1)
    for entered in (State.SHADOW, State.CANARY, State.LIVE, State.PROMOTING, State.BAKING):
        assert [kept, new] == capacity(entered)
    for entered in (State.ROLLING_BACK, State.ROLLED_BACK):
        assert [kept] == capacity(entered)
    assert [new] == capacity(State.PROMOTED)


def test_an_old_ledger_without_capacity_takes_the_files(tmp_path, churn, rollouts):
    target = endpoint_target(rollouts().at(State.LIVE).state)
    assert {("ml.m5.xlarge", 1)} == {(one.instance_type, one.instance_count) for one in target.production}


def test_an_endpoint_in_a_rollout_is_its_rollouts(tmp_path, churn, spec):
    platform = reached(tmp_path, churn, State.SHADOW)
    with pytest.raises(ConflictError, match=f"belongs to {ROLLOUT} already"):
        adopt(platform, ENDPOINT, [spec], PERSON, REASON)


def changed(platform: FakePlatform, **changes: Any) -> None:
    platform.serving.endpoints[ENDPOINT] = replace(platform.serving.endpoints[ENDPOINT], **changes)


def variant_changed(platform: FakePlatform, **changes: Any) -> None:
    (variant,) = platform.serving.endpoints[ENDPOINT].production
    changed(platform, production=(replace(variant, **changes),))


def two_variants(platform: FakePlatform) -> None:
    (variant,) = platform.serving.endpoints[ENDPOINT].production
    changed(platform, production=(variant, replace(variant, name="Other")))


def shadowed(platform: FakePlatform) -> None:
    changed(platform, shadow=platform.serving.endpoints[ENDPOINT].production[0])


def pending(platform: FakePlatform) -> None:
    platform.registry.versions["churn", "2"] = replace(platform.registry.versions["churn", "2"], status="pending")


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        (lambda platform: changed(platform, status=EndpointStatus.UPDATING), "is Updating, must be InService"),
        (two_variants, "variants AllTraffic, Other, must be one"),
        (shadowed, r"AllTraffic, AllTraffic \(shadow\), must be one"),
        (lambda platform: variant_changed(platform, instance_type=""), "has no instance type"),
        (lambda platform: variant_changed(platform, reference="x/9"), "runs x/9, which is no version of churn"),
        (lambda platform: variant_changed(platform, reference=""), "not made from a model package"),
        (pending, "version 2, which is pending"),
    ],
)
def test_what_no_rollout_could_begin_on_is_refused_before_anything_is_written(platform, spec, prepare, words):
    prepare(platform)
    with pytest.raises(RefusedError, match=words):
        adopt(platform, ENDPOINT, [spec], PERSON, REASON)
    assert ({}, {}, None) == (
        platform.serving.adopted,
        platform.registry.champions,
        platform.assignments.read(ENDPOINT),
    )


def test_an_endpoint_that_no_file_names_stays_foreign(platform, spec):
    with pytest.raises(NotFoundError, match="no rollout file names endpoint"):
        adopt(platform, ENDPOINT, [spec.model_copy(update={"endpoint": "other"})], PERSON, REASON)
    with pytest.raises(RefusedError, match="name churn, loans, must be one"):
        adopt(platform, ENDPOINT, [spec, spec.model_copy(update={"registry": "loans"})], PERSON, REASON)
    platform.serving.endpoints.clear()
    with pytest.raises(NotFoundError, match="does not exist"):
        adopt(platform, ENDPOINT, [spec], PERSON, REASON)

"""Reconcile: one idempotent step from observed towards desired."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from staged_rollout.errors import ConflictError, LeaseHeldError
from staged_rollout.operations.journal import load, write
from staged_rollout.operations.lease import leased
from staged_rollout.operations.operate import Act, operate
from staged_rollout.operations.reconcile import MAX_ATTEMPTS, reconcile, restore_routing
from staged_rollout.ports import EndpointStatus
from staged_rollout.state import EventType, NewEvent, State
from tests.fakes.platform import ENDPOINT, PERSON, ROLLOUT, TICK, FakePlatform, reached


def test_a_registered_rollout_touches_nothing(tmp_path, churn):
    platform = reached(tmp_path, churn, State.REGISTERED)
    before = platform.document()
    assert reconcile(platform, ROLLOUT, TICK).done
    assert platform.document() == before
    assert len(platform.serving.started) == 1  # the champion's own


def test_a_settled_state_is_left_alone(tmp_path, churn):
    platform = reached(tmp_path, churn, State.LIVE)
    before, changes = load(platform, ROLLOUT).seq, len(platform.serving.started)
    for _ in range(3):
        assert reconcile(platform, ROLLOUT, TICK).did == "observed equals desired"
    assert (load(platform, ROLLOUT).seq, len(platform.serving.started)) == (before, changes)


def test_growing_waits_for_the_endpoint_before_the_routers(tmp_path, churn):
    platform = reached(tmp_path, churn, State.SHADOW)
    platform.clock.advance(timedelta(days=3))
    platform.tick(ROLLOUT)
    platform.serving.patience = 2
    stages = []
    for _ in range(8):
        reconcile(platform, ROLLOUT, TICK)
        stages.append((platform.serving.endpoints[ENDPOINT].status, platform.document().stage))
    grown = stages.index((EndpointStatus.IN_SERVICE, "canary"))
    assert all(stage == "shadow" for _, stage in stages[:grown])
    assert EndpointStatus.UPDATING in {status for status, _ in stages[:grown]}


def test_shrinking_takes_routers_then_a_drain_then_the_endpoint(tmp_path, churn):
    platform = reached(tmp_path, churn, State.LIVE)
    platform.environment = platform.environment.model_copy(update={"drain_s": 15.0})
    operate(platform, ROLLOUT, Act.ROLLBACK, PERSON, "errors doubled")

    waiting = reconcile(platform, ROLLOUT, TICK)

    assert waiting.did == "waiting for routers to drain"
    assert 0 < waiting.wait_s <= 15.0
    assert platform.document().candidate is None
    assert platform.serving.endpoints[ENDPOINT].names() == ("v2", "v3")

    platform.clock.skip(15.0)
    reconcile(platform, ROLLOUT, TICK)
    platform.settle(ROLLOUT)
    assert platform.serving.endpoints[ENDPOINT].names() == ("v2",)


def test_promotion_drains_before_the_old_champion_goes(tmp_path, churn):
    platform = reached(tmp_path, churn, State.BAKING)
    platform.environment = platform.environment.model_copy(update={"drain_s": 15.0})
    platform.clock.advance(timedelta(days=3))
    platform.tick(ROLLOUT)

    did = [reconcile(platform, ROLLOUT, TICK).did for _ in range(2)]

    assert did[0].startswith("published")
    assert platform.document().champion.name == "v3"
    assert "v2" in platform.serving.endpoints[ENDPOINT].names()
    platform.settle(ROLLOUT)
    assert load(platform, ROLLOUT).settled
    assert platform.serving.weights(ENDPOINT) == {"v3": 1.0}
    assert platform.registry.champions["churn"] == "3"
    assert [platform.registry.lifecycle("churn", version) for version in "23"] == ["retired", "champion"]
    assert platform.ledger.claim_of(ENDPOINT) is None


@pytest.mark.parametrize(
    ("act", "state", "lifecycle"),
    [(Act.ROLLBACK, State.CANARY, "rolled_back"), (Act.CANCEL, State.SHADOW, "cancelled")],
)
def test_an_ending_is_told_to_the_registry_and_frees_the_endpoint(tmp_path, churn, act, state, lifecycle):
    platform = reached(tmp_path, churn, state)
    operate(platform, ROLLOUT, act, PERSON, "not this one")
    platform.settle(ROLLOUT)
    platform.tick(ROLLOUT)
    platform.settle(ROLLOUT)
    assert load(platform, ROLLOUT).settled
    assert platform.registry.lifecycle("churn", "3") == lifecycle
    assert platform.registry.champions["churn"] == "2"
    assert platform.ledger.claim_of(ENDPOINT) is None


def test_an_update_that_keeps_failing_rolls_back(tmp_path, churn):
    platform = reached(tmp_path, churn, State.SHADOW)
    platform.clock.advance(timedelta(days=3))
    platform.tick(ROLLOUT)
    platform.serving.failures = ["no capacity"] * MAX_ATTEMPTS

    platform.settle(ROLLOUT)

    state = load(platform, ROLLOUT)
    assert state.state is State.ROLLED_BACK
    assert state.settled
    assert f"after {MAX_ATTEMPTS} attempts" in state.reason
    assert "no capacity" in state.reason
    assert platform.serving.endpoints[ENDPOINT].names() == ("v2",)


@pytest.mark.parametrize(
    "status", [EndpointStatus.FAILED, EndpointStatus.OUT_OF_SERVICE, EndpointStatus.UPDATE_ROLLBACK_FAILED]
)
def test_an_endpoint_that_only_an_operator_can_mend_rolls_back(tmp_path, churn, status):
    """The law: routers go back to the champion at once; no change is sent to an endpoint that would refuse it."""
    platform = reached(tmp_path, churn, State.LIVE)
    found = platform.serving.endpoints[ENDPOINT]
    platform.serving.endpoints[ENDPOINT] = replace(found, status=status, failure="disks are gone")
    changes = len(platform.serving.started)

    did = reconcile(platform, ROLLOUT, TICK).did
    reconcile(platform, ROLLOUT, TICK)

    assert "disks are gone" in did
    assert load(platform, ROLLOUT).state is State.ROLLING_BACK
    assert platform.document().candidate is None
    assert changes == len(platform.serving.started)


def test_an_update_that_fails_once_is_tried_again(tmp_path, churn):
    platform = reached(tmp_path, churn, State.SHADOW)
    platform.clock.advance(timedelta(days=3))
    platform.tick(ROLLOUT)
    platform.serving.failures = ["no capacity"]
    platform.settle(ROLLOUT)
    assert load(platform, ROLLOUT).state is State.CANARY
    assert platform.document().stage == "canary"


def test_a_rollback_tries_for_ever(tmp_path, churn):
    platform = reached(tmp_path, churn, State.LIVE)
    operate(platform, ROLLOUT, Act.ROLLBACK, PERSON, "errors doubled")
    platform.serving.failures = ["no capacity"] * 5
    platform.settle(ROLLOUT)
    assert platform.serving.endpoints[ENDPOINT].names() == ("v2",)


def test_repairs_of_an_endpoint_that_was_altered_by_hand_do_not_add_up(tmp_path, churn):
    """Law: only attempts that have not been seen done count; three repairs in one stay are no failure."""
    platform = reached(tmp_path, churn, State.LIVE)
    champion_only = reached(tmp_path / "other", churn, State.REGISTERED).serving.endpoints[ENDPOINT]
    for _ in range(MAX_ATTEMPTS + 1):
        platform.serving.endpoints[ENDPOINT] = champion_only
        platform.settle(ROLLOUT)
        assert platform.serving.endpoints[ENDPOINT].names() == ("v2", "v3")
    assert load(platform, ROLLOUT).state is State.LIVE


def test_a_document_that_was_lost_is_published_anew_and_its_rows_still_belong_to_the_stage(tmp_path, churn):
    platform = reached(tmp_path, churn, State.LIVE)
    first = platform.document()
    before = load(platform, ROLLOUT)
    (platform.home.assignments / f"{ENDPOINT}.json").unlink()
    platform.clock.advance(timedelta(hours=1))

    platform.settle(ROLLOUT)

    again, state = platform.document(), load(platform, ROLLOUT)
    assert again.same_content(first)
    assert again.epoch > max(before.epochs)
    assert state.epochs_of(State.LIVE) == (first.epoch, again.epoch)
    assert state.effective_at(State.LIVE) == first.published_at  # time served does not start anew


def test_another_process_at_work_is_named(tmp_path, churn):
    platform = reached(tmp_path, churn, State.LIVE)
    with leased(platform, ENDPOINT, ROLLOUT), pytest.raises(LeaseHeldError, match=f"acted on by {ROLLOUT}, process "):
        reconcile(platform, ROLLOUT, TICK)
    assert reconcile(platform, ROLLOUT, TICK).done


def test_a_running_rollout_without_its_endpoint_says_so(tmp_path, churn):
    platform = reached(tmp_path, churn, State.LIVE)
    state = load(platform, ROLLOUT)
    write(platform, state, [NewEvent(EventType.NOTED, {"text": "released by hand"})], TICK, release=ENDPOINT)
    with pytest.raises(ConflictError, match="no longer owns churn-prod"):
        reconcile(platform, ROLLOUT, TICK)


def test_a_rollback_that_wakes_up_late_leaves_the_next_rollout_alone(tmp_path, churn):
    """Two processes: one writes ROLLING_BACK and sleeps; the other ends the rollout, and the next one begins."""
    platform = reached(tmp_path, churn, State.SHADOW)
    platform.registry.add("churn", "4")
    operate(platform, ROLLOUT, Act.ROLLBACK, PERSON, "errors doubled")
    asleep = load(platform, ROLLOUT)
    platform.settle(ROLLOUT)
    platform.tick(ROLLOUT)
    platform.settle(ROLLOUT)
    following = platform.begin(asleep.spec, "4")
    platform.reach(following, State.CANARY)
    before = platform.document()
    assert before.rollout == following

    restore_routing(platform, asleep, PERSON)

    assert platform.document() == before


def test_a_slow_process_does_not_move_the_champion_back(tmp_path, churn):
    """Two processes settle a promotion: the slow one finds the ledger moved on, and does not touch the registry."""
    platform = reached(tmp_path, churn, State.BAKING)
    platform.clock.advance(timedelta(days=3))
    platform.tick(ROLLOUT)
    while not _ready_to_settle(platform):
        platform.clock.skip(reconcile(platform, ROLLOUT, TICK).wait_s)
    describe = platform.serving.describe

    def meanwhile(endpoint, **_):
        platform.serving.describe = describe
        found = describe(endpoint)
        platform.clock.skip(1000)  # this process sleeps; its lease ends
        platform.settle(ROLLOUT)
        platform.registry.add("churn", "4")
        platform.registry.set_champion("churn", "4")
        return found

    platform.serving.describe = meanwhile
    with pytest.raises(ConflictError):
        reconcile(platform, ROLLOUT, TICK)
    assert platform.registry.champions["churn"] == "4"


def _ready_to_settle(platform: FakePlatform) -> bool:
    state = load(platform, ROLLOUT)
    found = platform.serving.endpoints[ENDPOINT]
    return not state.intents and found.names() == ("v3",) and found.status is EndpointStatus.IN_SERVICE

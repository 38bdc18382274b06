"""A new version becomes a rollout, once."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from staged_rollout.errors import ConflictError, NotFoundError, RefusedError, SpecError
from staged_rollout.operations.decide import act_on, decide_on
from staged_rollout.operations.journal import load
from staged_rollout.operations.operate import Act, operate
from staged_rollout.operations.register import poll, register
from staged_rollout.operations.serve import serve
from staged_rollout.spec.model import RolloutSpec, spec_hash
from staged_rollout.state import State
from tests.fakes.figures import good
from tests.fakes.platform import ENDPOINT, PERSON, PRICES, ROLLOUT, TICK, FakePlatform, reached


@pytest.fixture
def spec(churn):
    return RolloutSpec.model_validate(churn)


@pytest.fixture
def platform(tmp_path, churn):
    return reached(tmp_path, churn, State.REGISTERED)


def test_a_version_is_registered_once_with_its_resolved_spec(platform, spec):
    state = load(platform, ROLLOUT)
    assert (state.spec, state.spec_hash) == (spec, spec_hash(spec))
    assert (state.candidate.version, state.candidate.variant, state.champion.version) == ("3", "v3", "2")
    again = register(platform, spec, "3", TICK, PRICES)
    assert (again.new, again.cost_usd) == (False, state.cost_usd)
    assert platform.ledger.head(ROLLOUT) == 1


def test_another_file_makes_another_rollout_of_the_same_version(platform, spec):
    other = spec.model_copy(update={"rollout": "churn-eu"})
    assert register(platform, other, "3", TICK, PRICES).rollout == "churn-eu-v3"


@pytest.mark.parametrize(
    ("version", "status", "error", "match"),
    [
        ("9", None, NotFoundError, "no version 9"),
        ("9", "pending", RefusedError, "is pending, not approved"),
        ("9", "rejected", RefusedError, "is rejected, not approved"),
        ("2", "approved", RefusedError, "is the champion already"),
    ],
)
def test_only_an_approved_version_that_is_not_the_champion_is_registered(platform, spec, version, status, error, match):
    if status:
        platform.registry.add("churn", version, status)
    with pytest.raises(error, match=match):
        register(platform, spec, version, TICK, PRICES)
    assert platform.ledger.rollouts() == [ROLLOUT]


def test_a_forecast_above_the_budget_is_refused(platform, churn):
    spec = RolloutSpec.model_validate(churn | {"budget": {"max_usd": 1.0}})
    platform.registry.add("churn", "4")
    with pytest.raises(SpecError, match=r"forecast \$[\d,.]+ exceeds budget.max_usd \$1.00"):
        register(platform, spec, "4", TICK, PRICES)


def test_there_must_be_a_champion_that_serves(tmp_path, spec):
    platform = FakePlatform.at(tmp_path / "empty")
    with pytest.raises(RefusedError, match="has no champion"):
        register(platform, spec, "3", TICK, PRICES)
    platform.registry.set_champion("churn", "2")
    with pytest.raises(RefusedError, match="does not exist"):
        register(platform, spec, "3", TICK, PRICES)
    for _ in range(3):
        serve(platform, spec, "3")
    platform.registry.set_champion("churn", "2")
    with pytest.raises(RefusedError, match="serves models:/churn/3, not the champion models:/churn/2"):
        register(platform, spec, "3", TICK, PRICES)


def shadow(platform, rollout, **platform_figures):
    state = load(platform, rollout)
    evidence = good(state, platform.clock.now(), **platform_figures)
    decision = decide_on(state, evidence)
    return act_on(platform, state, evidence, decision, TICK)


def test_a_queue_of_two_is_served_one_after_the_other(platform, spec):
    """Two candidates, one endpoint: the second cannot claim it, and meets the champion of its own beginning."""
    platform.registry.add("churn", "4")
    platform.clock.advance(timedelta(hours=1))
    second = register(platform, spec, "4", TICK, PRICES).rollout
    shadow(platform, ROLLOUT)
    with pytest.raises(ConflictError, match="belongs to churn-v3"):
        shadow(platform, second)
    assert load(platform, second).state is State.REGISTERED

    assert platform.reach(ROLLOUT, State.PROMOTED).settled
    after = shadow(platform, second)

    assert after.state is State.SHADOW
    assert after.champion.version == "3"
    assert platform.ledger.claim_of(ENDPOINT).rollout == second


def test_a_newer_version_takes_the_place_of_what_nobody_met(platform, churn):
    spec = RolloutSpec.model_validate(churn | {"on_newer": "supersede"})
    platform.registry.add("churn", "4")
    platform.registry.add("churn", "5")
    register(platform, spec, "4", TICK, PRICES)
    assert load(platform, ROLLOUT).state is State.CANCELLED
    assert load(platform, ROLLOUT).reason == "superseded by churn-v4"
    shadow(platform, "churn-v4")
    register(platform, spec, "5", TICK, PRICES)
    assert load(platform, "churn-v4").ending is State.CANCELLED


def test_a_version_that_was_approved_late_takes_no_newer_ones_place(platform, churn):
    spec = RolloutSpec.model_validate(churn | {"on_newer": "supersede"})
    platform.registry.add("churn", "10")
    register(platform, spec, "10", TICK, PRICES)
    platform.registry.add("churn", "9")
    register(platform, spec, "9", TICK, PRICES)
    assert load(platform, "churn-v10").state is State.REGISTERED


def test_a_rollout_that_people_meet_is_not_superseded(tmp_path, churn):
    platform = reached(tmp_path / "canary", churn, State.CANARY, 1)
    platform.registry.add("churn", "4")
    register(platform, RolloutSpec.model_validate(churn | {"on_newer": "supersede"}), "4", TICK, PRICES)
    assert load(platform, ROLLOUT).state is State.CANARY


def test_polling_registers_each_approved_version_and_waits_for_a_pending_one(platform, spec):
    specs = {Path("churn.yaml"): spec}
    platform.registry.add("churn", "4", "pending")
    platform.registry.add("churn", "5")

    found = {version.version: outcome for version, outcome in poll(platform, specs, TICK, PRICES)}

    assert (found["3"].new, found["5"].new) == (False, True)
    assert platform.ledger.cursor("registry:churn") == 3
    platform.registry.add("churn", "4")
    assert {version.version for version, _ in poll(platform, specs, TICK, PRICES)} == {"4", "5"}
    assert set(platform.ledger.rollouts()) == {"churn-v3", "churn-v4", "churn-v5"}
    assert platform.ledger.cursor("registry:churn") == 5
    assert poll(platform, specs, TICK, PRICES) == []


def test_polling_says_why_a_version_was_refused_and_goes_on(platform, churn):
    specs = {Path("churn.yaml"): RolloutSpec.model_validate(churn | {"budget": {"max_usd": 1.0}})}
    platform.registry.add("churn", "4")
    outcomes = {version.version: outcome for version, outcome in poll(platform, specs, TICK, PRICES)}
    assert "exceeds budget.max_usd" in outcomes["4"]


def test_a_cancelled_version_is_not_registered_again(platform, spec):
    operate(platform, ROLLOUT, Act.CANCEL, PERSON, "wrong one")
    assert not register(platform, spec, "3", TICK, PRICES).new
    assert load(platform, ROLLOUT).state is State.CANCELLED

"""The invariants of docs/architecture.md from the ninth on: missing data, capacity, kills, approvals, time."""

from __future__ import annotations

from datetime import timedelta
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from staged_rollout.errors import StagedRolloutError
from staged_rollout.operations.journal import load
from staged_rollout.operations.look import gather
from staged_rollout.operations.operate import Act, operate
from staged_rollout.operations.restore import blind
from staged_rollout.operations.watch import watch
from staged_rollout.policy import Action, decide, due_look
from staged_rollout.spec.model import RolloutSpec
from staged_rollout.state import (
    EXPOSED,
    EventType,
    HoldReason,
    State,
    fold,
)
from tests.fakes import figures as fig
from tests.fakes.platform import (
    ENDPOINT,
    PERSON,
    ROLLOUT,
    TICK,
    Mortal,
)
from tests.fakes.states import RUNNING, folded
from tests.fakes.worlds import DAY, with_death, world

# 9 ------------------------------------------------------------------------------------------------------------------


@given(stay=st.sampled_from([stay for stay in RUNNING if stay[0] is not State.AWAITING_APPROVAL]))
def test_invariant_09_missing_data_is_never_a_pass(rollouts, stay):
    """Each figure that a forward move stands on, left out in turn, keeps the gate shut."""
    _, state = folded(rollouts, stay)
    now = state.stage.effective_at + 60 * timedelta(hours=1)
    look = fig.look() if state.state is State.LIVE else None
    whole = fig.good(state, now, look=look)
    assert decide(state.spec, state, whole).action is Action.PROMOTE
    missing = {"quality": fig.quality(checked=False)}
    if state.state is State.SHADOW:
        missing["shadow"] = None
    else:
        missing["srm"] = ()
    if state.state is State.CANARY:
        missing["traffic"] = whole.traffic.model_copy(update={"candidate": whole.traffic.champion.__class__()})
    if state.state is State.LIVE:
        missing |= {"look": None, "guardrails": ()}
    if state.state is State.BAKING:
        missing["bake"] = None
    for name, value in missing.items():
        assert decide(state.spec, state, whole.model_copy(update={name: value})).action is not Action.PROMOTE, name


@given(calls_ago=st.integers(0, 300), rows_ago=st.integers(0, 300))
@settings(max_examples=40)
def test_invariant_09_no_data_and_no_traffic_are_told_apart(churn, calls_ago, rows_ago):
    """No data: the newest row is older than the last call by `capture_delay`. No traffic: no call for as long."""
    with TemporaryDirectory() as folder:
        platform = world(folder, churn, State.LIVE)
        platform.clock.advance(timedelta(minutes=400))
        now = platform.clock.now()
        platform.health.calls, platform.health.last_call_at = 9, now - timedelta(minutes=calls_ago)
        platform.lake.answers["freshness"] = [{"newest": now - timedelta(minutes=rows_ago)}]
        watch(platform, ROLLOUT, TICK)
        holds = set(load(platform, ROLLOUT).holds)
        assert (HoldReason.NO_DATA in holds) is (rows_ago - calls_ago > 120)
        assert (HoldReason.NO_TRAFFIC in holds) is (calls_ago > 120 and HoldReason.NO_DATA not in holds)


# 10 -----------------------------------------------------------------------------------------------------------------


def test_invariant_10_the_champion_keeps_its_capacity_until_promoted(tmp_path, churn):
    """Every target that a rollout sends has the champion with its full instances, until PROMOTED deletes it."""
    platform = world(tmp_path, churn, State.REGISTERED)
    sent = []
    platform.serving.on_apply = lambda target: sent.append((load(platform, ROLLOUT).state, target))
    platform.reach(ROLLOUT, State.PROMOTED)
    for state, target in sent:
        counts = {variant.name: variant.instance_count for variant in target.production}
        assert counts.get("v2") == (None if state is State.PROMOTED else 1)
        if state in EXPOSED:
            assert counts == {"v2": 1, "v3": 1}
    assert {state for state, _ in sent} >= {State.SHADOW, State.CANARY, State.PROMOTING, State.PROMOTED}


# 11 -----------------------------------------------------------------------------------------------------------------


def test_invariant_11_an_intent_stands_before_each_call_and_a_result_after(tmp_path, churn):
    """At every call of the endpoint, and at every publication by reconcile, the ledger holds its open intent."""
    platform = world(tmp_path, churn, State.SHADOW)
    open_at_call, publish = [], platform.assignments.publish

    def effects():
        return {intent.effect for intent in load(platform, ROLLOUT).intents}

    def publishing(document, *, expected_epoch):
        open_at_call.append(("assignment", effects()))
        publish(document, expected_epoch=expected_epoch)

    platform.serving.on_apply = lambda _: open_at_call.append(("endpoint", effects()))
    platform.assignments.publish = publishing
    platform.reach(ROLLOUT, State.PROMOTED)
    assert {effect for effect, _ in open_at_call} == {"assignment", "endpoint"}
    assert all(effect in found for effect, found in open_at_call)
    assert load(platform, ROLLOUT).intents == ()


def forward(platform):
    platform.tick(ROLLOUT)
    platform.settle(ROLLOUT)


def backward(platform):
    operate(platform, ROLLOUT, Act.ROLLBACK, PERSON, "errors doubled")
    platform.settle(ROLLOUT)
    platform.tick(ROLLOUT)
    platform.settle(ROLLOUT)


SCENES = {
    "into shadow": (State.REGISTERED, 0, forward, State.SHADOW),
    "into the canary": (State.SHADOW, 0, forward, State.CANARY),
    "into baking": (State.PROMOTING, 2, forward, State.BAKING),
    "to the end": (State.BAKING, 0, forward, State.PROMOTED),
    "back out of live": (State.LIVE, 0, backward, State.ROLLED_BACK),
    "back out of promoting": (State.PROMOTING, 1, backward, State.ROLLED_BACK),
}


@pytest.mark.parametrize("scene", SCENES)
def test_invariant_11_killed_at_any_line_it_ends_in_the_same_place(tmp_path, churn, scene):
    """For each outside effect, before and after it: a dead run, then another, end where one run would have ended."""
    begun, step, run, goal = SCENES[scene]
    whole = world(tmp_path / "whole", churn, begun, step)
    whole.clock.advance(3 * DAY)
    process = Mortal()
    run(whole.mortal(process))
    expected = ending(whole)
    assert expected[0] is goal
    deaths = 0
    for dies_at in range(1, len(process.effects) + 1):
        for after in (False, True):
            platform = world(tmp_path / f"{dies_at}-{after}", churn, begun, step)
            platform.clock.advance(3 * DAY)
            deaths += with_death(platform, dies_at, after, run)
            again(platform, run, goal)
            assert ending(platform) == expected, (process.effects[dies_at - 1], after)
            assert platform.serving.busy == 0
    assert deaths == 2 * len(process.effects)


def again(platform, run, goal):
    """The next tick: what was decided is not decided anew, and what was not decided is."""
    platform.settle(ROLLOUT)
    if load(platform, ROLLOUT).state is not goal:
        try:
            run(platform)
        except StagedRolloutError as error:
            raise AssertionError(f"the next run was refused: {error}") from error


def ending(platform):
    """Where a rollout stands, in itself and outside."""
    state = load(platform, ROLLOUT)
    endpoint, document = platform.serving.endpoints[ENDPOINT], platform.document()
    return (
        state.state,
        state.step,
        state.settled,
        state.intents and tuple(intent.effect for intent in state.intents),
        [(stay.state, stay.step, stay.effective_at) for stay in state.stages],
        {variant.name: variant.weight for variant in endpoint.production},
        endpoint.shadow and endpoint.shadow.name,
        document.model_dump(exclude={"epoch"}),
        dict(platform.registry.champions),
        [platform.registry.lifecycle("churn", version) for version in "23"],
        platform.ledger.claim_of(ENDPOINT) is None,
    )


# 12 -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", ["", "approved", "rejected", "another"])
@pytest.mark.parametrize("hours", [0, 71, 73, 100])
@pytest.mark.parametrize("broken", ["", "harm", "srm", "quality", "freeze", "new data"])
def test_invariant_12_an_approval_names_a_decision_and_lapses(rollouts, answer, hours, broken):
    """Only an approval of the decision that asked promotes, in time, on a snapshot without harm, SRM or bad quality."""
    _, state = folded(rollouts, (State.AWAITING_APPROVAL, 0), answer=answer)
    changes = {
        "": {},
        "harm": {"guardrails": (fig.guardrail(alarm=True),)},
        "srm": {"srm": (fig.srm((700, 900), alarm=True),)},
        "quality": {"quality": fig.quality(1)},
        "freeze": {"freeze": "2026-12-20/2027-01-03"},
        "new data": {"batch": 77, "traffic": fig.good(state, state.stage.entered_at).traffic.__class__()},
    }[broken]
    now = state.stage.entered_at + timedelta(hours=hours)
    found = decide(state.spec, state, fig.good(state, now, **changes))
    promoted = answer == "approved" and hours <= 72 and broken in {"", "new data"}
    assert (found.to is State.PROMOTING) is promoted
    if answer == "approved" and hours <= 72 and broken in {"harm", "srm", "quality"}:
        assert (found.to, found.ending) == (State.ROLLING_BACK, State.ROLLED_BACK)
    if answer == "rejected":
        assert (found.to, found.ending) == (State.ROLLING_BACK, State.ROLLED_BACK)
    if answer in {"", "another"} and hours <= 72 and broken != "harm":
        assert found.to is None


# 13 -----------------------------------------------------------------------------------------------------------------


@given(paused=st.integers(0, 30), planned=st.booleans(), after=st.floats(0.0, 40.0))
def test_invariant_13_live_ends_at_its_time_also_while_held(rollouts, churn, paused, planned, after):
    """`live.max` keeps running while HELD: after the last slot and its grace, LIVE ends without an answer."""
    built = rollouts(churn).at(State.LIVE).add(EventType.PLAN_FROZEN, **fig.PLAN)
    if planned:
        built.plan_look(1 + paused % 14)
    state = built.hold("operator").state
    now = state.effective_at(State.LIVE) + after * DAY
    assert due_look(state, now, 7) is None
    found = decide(state.spec, state, fig.good(state, now))
    over = now > state.effective_at(State.LIVE) + 16 * DAY
    assert (found.to is State.ROLLING_BACK) is over
    assert found.ending is (State.KEPT_CHAMPION if over else None)


def test_invariant_13_a_rollout_lives_by_the_spec_of_its_registration(tmp_path, churn):
    """A later file with other stages changes nothing for the rollout that runs, not even by registering again."""
    from staged_rollout.operations.register import register
    from tests.fakes.platform import PRICES

    platform = world(tmp_path, churn, State.CANARY, 1)
    before = load(platform, ROLLOUT)
    edited = churn | {"min_units": 9, "success": churn["success"] | {"alpha": 0.2}}
    assert not register(platform, RolloutSpec.model_validate(edited), "3", TICK, PRICES).new
    assert load(platform, ROLLOUT) == before


@given(st.data())
def test_invariant_13_only_owner_notify_and_freeze_follow_the_file(rollouts, data):
    """An amendment of any other key cannot be read; one of these three changes that key alone."""
    built = rollouts().at(State.LIVE)
    before = built.state
    keys = sorted(before.spec.model_dump(mode="json"))
    key = data.draw(st.sampled_from(keys))
    values = {"owner": "ops", "notify": None, "freeze": [{"start": "2026-04-01", "end": "2026-04-02"}]}
    built.add(EventType.AMENDED, **{key: values.get(key, "another")})
    if key in values:
        changed = before.spec.model_dump(mode="json") | {key: values[key]}
        assert built.state.spec.model_dump(mode="json") == changed
    else:
        with pytest.raises(StagedRolloutError, match="cannot be amended"):
            fold(built.events)


# 14 -----------------------------------------------------------------------------------------------------------------


@given(stay=st.sampled_from([stay for stay in RUNNING if stay[0] in EXPOSED]), minutes=st.integers(0, 90))
@settings(max_examples=40)
def test_invariant_14_only_a_rollout_that_nobody_watched_is_blind(churn, stay, minutes):
    """A stay that lasts for days is not blind while it is watched; without a watch for `blind_after` it is."""
    with TemporaryDirectory() as folder:
        platform = world(folder, churn, *stay)
        platform.clock.advance(2 * DAY)
        platform.ledger.watched(ROLLOUT, platform.clock.now())
        platform.clock.advance(timedelta(minutes=minutes))
        assert bool(blind(platform)) is (minutes > 30)


@given(stay=st.sampled_from([stay for stay in RUNNING if stay[0] in EXPOSED]))
@settings(max_examples=12)
def test_invariant_14_a_crashed_run_does_not_roll_back(churn, stay):
    """The lake is down: the guard and the tick raise, nothing is written, nobody counts it as watched."""
    with TemporaryDirectory() as folder:
        platform = world(folder, churn, *stay)
        before, document = load(platform, ROLLOUT), platform.document()
        seen = platform.ledger.last_watched(ROLLOUT)

        def down(name, parameters, *, batch):
            raise StagedRolloutError(f"{name}: the lake is out of reach")

        platform.lake.query = down
        for run in (watch, gather):
            with pytest.raises(StagedRolloutError):
                run(platform, ROLLOUT, TICK)
        assert load(platform, ROLLOUT) == before
        assert platform.document() == document
        assert platform.ledger.last_watched(ROLLOUT) == seen

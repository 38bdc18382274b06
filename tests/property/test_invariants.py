"""The invariants of the state machine, each by its number, through the operations that must keep them.

Parts of 1, 3, 5, 10 and 13 that speak of the fold and of the target alone are in test_state_laws.py, those of the
hashes in test_assignment_laws.py.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from staged_rollout.errors import ConflictError, SpecError, StagedRolloutError
from staged_rollout.evidence import Evidence, sealed
from staged_rollout.operations.decide import act_on, decide_on, decision_payload
from staged_rollout.operations.journal import load
from staged_rollout.operations.look import gather
from staged_rollout.operations.operate import Act, operate
from staged_rollout.operations.reconcile import reconcile
from staged_rollout.operations.restore import blind
from staged_rollout.operations.watch import watch
from staged_rollout.policy import Action, decide, due_look
from staged_rollout.ports import EndpointStatus
from staged_rollout.spec.environment import EnvironmentSpec
from staged_rollout.spec.lint import lint_rollout
from staged_rollout.spec.load import load_rollout
from staged_rollout.spec.model import RolloutSpec
from staged_rollout.state import (
    EXPOSED,
    Actor,
    EventType,
    HoldReason,
    State,
    canonical,
    fold,
)
from tests.fakes import figures as fig
from tests.fakes.platform import (
    ENDPOINT,
    PERSON,
    ROLLOUT,
    TICK,
    FakePlatform,
    Killed,
    Mortal,
    reached,
)
from tests.fakes.states import RUNNING, folded

LEADER = Actor("growth-ml")
ASK = {"decide": {"win": {"action": "ask", "who": "growth-ml", "within": "3d"}}}
DAY = timedelta(days=1)
CONFIG = Path(__file__).parents[2] / "configs" / "rollouts" / "churn.yaml"


def world(folder, churn, state, step=0, **changes):
    ask = ASK if state is State.AWAITING_APPROVAL else {}
    return reached(Path(folder), churn, state, step, **(ask | changes))


def end(platform):
    """Let whatever was begun end: ticks and settling on good evidence, until nothing moves."""
    for _ in range(4):
        platform.settle(ROLLOUT)
        state = load(platform, ROLLOUT)
        if state.state is not State.ROLLING_BACK:
            return state
        platform.tick(ROLLOUT)
    return load(platform, ROLLOUT)


# 1 ------------------------------------------------------------------------------------------------------------------


@given(dies_at=st.integers(1, 12), after=st.booleans())
@settings(max_examples=24)
def test_invariant_01_decisions_use_the_published_epoch(churn, dies_at, after):
    """However a run is killed, each stay's epoch and beginning are those of the document that was in force."""
    with TemporaryDirectory() as folder:
        platform = world(folder, churn, State.CANARY, 1)
        platform.clock.advance(3 * DAY)
        published = []
        publish = platform.assignments.publish

        def publishing(document, *, expected_epoch):
            publish(document, expected_epoch=expected_epoch)
            published.append(document)

        platform.assignments.publish = publishing
        with_death(platform, dies_at, after, lambda mortal: (mortal.tick(ROLLOUT), mortal.settle(ROLLOUT)))
        if load(platform, ROLLOUT).step == 1:
            platform.tick(ROLLOUT)
        platform.settle(ROLLOUT)
        state = load(platform, ROLLOUT)
        assert [document.step for document in published] == [2]
        assert state.epochs_of(State.CANARY, 2) == (published[0].epoch,)
        assert state.stage.effective_at == published[0].published_at
        platform.lake.asked.clear()
        watch(platform, ROLLOUT, TICK)
        asked = [parameters["epochs"] for name, parameters in platform.lake.asked if name == "guardrail_errors"]
        assert asked == [[published[0].epoch]]


def test_invariant_01_a_document_that_was_never_recorded_is_found_when_it_is_replaced(tmp_path, churn):
    """Killed right after publishing a stage, then rolled back: that stage's epoch is known all the same."""
    platform = world(tmp_path, churn, State.SHADOW)
    platform.clock.advance(3 * DAY)
    platform.tick(ROLLOUT)
    for _ in range(20):
        process = Mortal(0)
        mortal = platform.mortal(process)
        before = platform.document().epoch
        process.dies_at = next_publish(process)
        process.after = True
        with suppress(Killed):
            reconcile(mortal, ROLLOUT, TICK)
        platform.restarted()
        if platform.document().epoch != before:
            break
    canary = platform.document()
    assert canary.stage == "canary"
    assert load(platform, ROLLOUT).epochs_of(State.CANARY) == ()
    operate(platform, ROLLOUT, Act.ROLLBACK, PERSON, "errors doubled")
    assert load(platform, ROLLOUT).epochs_of(State.CANARY) == (canary.epoch,)


def next_publish(process):
    """Dies at the publication of a step: lease, append, confirm (lease), publish."""
    assert not process.effects
    return 4


# 2 ------------------------------------------------------------------------------------------------------------------


def test_invariant_02_one_change_in_flight_and_the_next_only_in_service(tmp_path, churn):
    """From SHADOW to an ending, with a slow endpoint and reconcile called all the time: no call meets a busy one."""
    platform = world(tmp_path, churn, State.SHADOW)
    platform.serving.patience = 3
    calls = []
    platform.serving.on_apply = lambda _: calls.append(platform.serving.endpoints[ENDPOINT].status)
    platform.reach(ROLLOUT, State.PROMOTING, 1)
    operate(platform, ROLLOUT, Act.ROLLBACK, PERSON, "errors doubled")
    end(platform)
    assert len(calls) >= 3
    assert set(calls) == {EndpointStatus.IN_SERVICE}
    assert platform.serving.busy == 0


def test_invariant_02_two_processes_do_not_both_call(tmp_path, churn):
    """A second process that reconciles in the middle of the first one's call is refused."""
    platform = world(tmp_path, churn, State.SHADOW)
    platform.clock.advance(3 * DAY)
    platform.tick(ROLLOUT)
    refused = []

    def meanwhile(_):
        with pytest.raises(ConflictError) as found:
            reconcile(platform, ROLLOUT, TICK)
        refused.append(found)

    platform.serving.on_apply = meanwhile
    platform.settle(ROLLOUT)
    assert len(refused) == len(platform.serving.started) - 2  # the champion's own, and the shadow's, came before


def test_invariant_02_one_rollout_owns_an_endpoint(tmp_path, churn):
    """Two candidates at the same moment: the ledger lets one claim the endpoint."""
    platform = world(tmp_path, churn, State.REGISTERED)
    platform.registry.add("churn", "4")
    second = platform.begin(RolloutSpec.model_validate(churn), "4")
    states = [load(platform, rollout) for rollout in (ROLLOUT, second)]
    won = []
    for state in states:
        evidence = fig.good(state, platform.clock.now())
        try:
            act_on(platform, state, evidence, decide_on(state, evidence), TICK)
            won.append(state.rollout)
        except ConflictError:
            assert load(platform, state.rollout).state is State.REGISTERED
    assert won == [ROLLOUT]
    assert platform.ledger.claim_of(ENDPOINT).rollout == ROLLOUT


# 3 ------------------------------------------------------------------------------------------------------------------


@given(
    stay=st.sampled_from(RUNNING),
    status=st.sampled_from([EndpointStatus.UPDATING, EndpointStatus.FAILED, EndpointStatus.ROLLING_BACK]),
    pause=st.booleans(),
    how=st.sampled_from(["person", "guard"]),
)
@settings(max_examples=30)
def test_invariant_03_a_rollback_reaches_the_routers_first(churn, stay, status, pause, how):
    """Held, Updating or Failed: champion-only is published before the endpoint is touched, by a person or a guard."""
    with TemporaryDirectory() as folder:
        platform = world(folder, churn, *stay)
        found = platform.serving.endpoints[ENDPOINT]
        platform.serving.endpoints[ENDPOINT] = type(found)(
            ENDPOINT, status, found.production, found.shadow, found.config
        )
        if pause:
            operate(platform, ROLLOUT, Act.PAUSE, PERSON, "looking into it")
        platform.serving.on_apply = lambda _: pytest.fail("the endpoint was called before the routers")
        if how == "person" or stay[0] is State.SHADOW:
            operate(platform, ROLLOUT, Act.ROLLBACK, PERSON, "errors doubled")
        else:
            platform.tick(ROLLOUT, guardrails=(fig.guardrail(alarm=True),))
        assert platform.document().exposure == 0.0
        assert platform.document().rollout is None
        assert load(platform, ROLLOUT).state is State.ROLLING_BACK


# 4 ------------------------------------------------------------------------------------------------------------------


@given(
    blocked=st.sampled_from(["quality", "unchecked", "srm", "no srm", "freeze", "operator", "no data", "unproven"]),
    kind=st.sampled_from(["efficacy", "final"]),
    ask=st.booleans(),
)
def test_invariant_04_nothing_enters_promoting_while_blocked(rollouts, blocked, kind, ask):
    """A crossing on a held or unsound snapshot promotes nothing, and the alpha that it spent stays spent."""
    holds = frozenset({HoldReason.OPERATOR}) if blocked == "operator" else frozenset()
    events, state = folded(rollouts, (State.LIVE, 0), holds, ask=ask)
    now = state.stage.effective_at + 9 * DAY
    changes = {
        "quality": {"quality": fig.quality(1)},
        "unchecked": {"quality": fig.quality(checked=False)},
        "srm": {"srm": (fig.srm((700, 900), alarm=True),)},
        "no srm": {"srm": ()},
        "freeze": {"freeze": "2026-12-20/2027-01-03"},
        "operator": {},
        "no data": {"health": fig.health(now, no_data=True)},
        "unproven": {"guardrails": (fig.guardrail("error_rate"),)},
    }[blocked]
    found = decide(state.spec, state, fig.good(state, now, look=fig.look(kind), **changes))
    assert found.to not in {State.PROMOTING, State.AWAITING_APPROVAL}
    assert found.to is (State.ROLLING_BACK if kind == "final" else None)
    assert events


def test_invariant_04_the_alpha_of_a_blocked_crossing_stays_spent(tmp_path, churn):
    """The bound is recorded; without a new look nothing is promoted; a fresh crossing promotes."""
    platform = world(tmp_path, churn, State.LIVE)
    platform.tick(ROLLOUT, look=platform.win(ROLLOUT), srm=(fig.srm((700, 900), alarm=True),))
    state = load(platform, ROLLOUT)
    assert (state.state, [bound.z for bound in state.efficacy_bounds()]) == (State.LIVE, [2.5])
    assert platform.tick(ROLLOUT).to is None  # everything is fine again, and the crossing is not latched
    assert not load(platform, ROLLOUT).held
    assert platform.tick(ROLLOUT, look=platform.win(ROLLOUT)).to is State.PROMOTING
    assert len(load(platform, ROLLOUT).efficacy_bounds()) == 2


# 5 ------------------------------------------------------------------------------------------------------------------


def test_invariant_05_canary_rows_never_enter_the_confirmatory_statistic(tmp_path, churn):
    """The success metric of a look is asked for LIVE's epochs alone; the canary's have others."""
    platform = world(tmp_path, churn, State.LIVE)
    platform.clock.advance(9 * DAY)
    gather(platform, ROLLOUT, TICK)
    state = load(platform, ROLLOUT)
    before = {*state.epochs_of(State.SHADOW), *state.epochs_of(State.CANARY)}
    asked = [set(parameters["epochs"]) for name, parameters in platform.lake.asked if name == "success_counts"]
    assert asked
    assert all(epochs == set(state.epochs_of(State.LIVE)) for epochs in asked)
    assert before
    assert not before & set(state.epochs_of(State.LIVE))


def test_invariant_05_the_published_split_never_changes(tmp_path, churn):
    """Over a whole rollout, every document that counts units has the split of LIVE."""
    platform = world(tmp_path, churn, State.REGISTERED)
    documents = []
    publish = platform.assignments.publish

    def publishing(document, *, expected_epoch):
        documents.append(document)
        publish(document, expected_epoch=expected_epoch)

    platform.assignments.publish = publishing
    platform.reach(ROLLOUT, State.PROMOTED)
    assert {document.split for document in documents if document.rollout} == {0.5}
    enrolled = [document.enrolled for document in documents if document.candidate]
    assert enrolled == sorted(enrolled)
    assert len(enrolled) >= 6


# 6 ------------------------------------------------------------------------------------------------------------------


@given(
    days=st.floats(0.0, 40.0),
    taken=st.integers(0, 13),
    planned=st.booleans(),
    holds=st.frozensets(st.sampled_from(HoldReason), max_size=2),
)
def test_invariant_06_no_look_while_held_and_none_twice(rollouts, churn, days, taken, planned, holds):
    """Held, nothing is due, not even what was planned; else the slot is new, has passed, and keeps its cut-off."""
    built = rollouts(churn).at(State.LIVE).add(EventType.PLAN_FROZEN, **fig.PLAN)
    if taken:
        built.plan_look(taken).take_look(taken)
    if planned:
        built.plan_look(taken + 1)
    for reason in sorted(holds):
        built.hold(str(reason))
    state = built.state
    began = state.effective_at(State.LIVE)
    found = due_look(state, began + days * DAY, 7)
    if holds:
        assert found is None
    elif planned:
        assert found == state.planned
    elif found is not None:
        assert found.slot > taken
        assert found.cut_off == began + (found.slot + 1) * DAY <= began + days * DAY
        assert found.cut_off + DAY > began + days * DAY or found.slot == 14


def test_invariant_06_the_cut_off_is_written_before_any_figure(tmp_path, churn):
    """The first question to the lake finds the slot in the ledger; asked again, the slot and its batch are the same."""
    platform = world(tmp_path, churn, State.LIVE)
    platform.clock.advance(9 * DAY)
    query, heads = platform.lake.query, []

    def asking(name, parameters, *, batch):
        heads.append(load(platform, ROLLOUT).planned)
        return query(name, parameters, batch=batch)

    platform.lake.query = asking
    state, evidence = gather(platform, ROLLOUT, TICK)
    assert heads[0] is not None
    assert heads[0] == state.planned
    assert evidence.look.cut_off == state.planned.cut_off
    platform.lake.number = 5
    platform.clock.advance(timedelta(hours=1))
    again, later = gather(platform, ROLLOUT, TICK)
    assert (again.planned, again.seq) == (state.planned, state.seq)
    assert (later.batch, later.look) == (evidence.batch, evidence.look)


def test_invariant_06_a_missed_look_spends_nothing(tmp_path, churn):
    """Ten days without a tick: one look is taken, and one bound is recorded."""
    platform = world(tmp_path, churn, State.LIVE)
    platform.clock.advance(12 * DAY)
    state, evidence = gather(platform, ROLLOUT, TICK)
    platform.act(state, evidence)
    after = load(platform, ROLLOUT)
    assert [look.slot for look in after.looks] == [evidence.look.slot]
    assert after.efficacy_bounds() == ()  # an empty lake is insufficient: no alpha either


# 7 ------------------------------------------------------------------------------------------------------------------


@given(
    stay=st.sampled_from(RUNNING),
    days=st.integers(0, 20),
    alarm=st.booleans(),
    quality=st.integers(0, 3),
    look=st.sampled_from([None, fig.look(), fig.look("final", z=0.1 + 0.2), fig.look(z=-3.0)]),
)
def test_invariant_07_the_same_five_hashes_give_the_same_bytes(rollouts, stay, days, alarm, quality, look):
    """A decision replayed from the ledger's prefix and the stored evidence is the same record, byte by byte."""
    events, state = folded(rollouts, stay)
    evidence = sealed(
        fig.good(
            state,
            state.stage.effective_at + days * DAY,
            srm=(fig.srm(alarm=alarm),),
            quality=fig.quality(quality),
            look=look if state.state is State.LIVE else None,
        )
    )
    record = canonical(decision_payload(state, evidence, decide_on(state, evidence)))
    again = fold(events)
    stored = Evidence.model_validate_json(canonical(evidence.model_dump(mode="json")))
    assert canonical(decision_payload(again, stored, decide_on(again, stored))) == record
    other = canonical(decision_payload(state, evidence.model_copy(update={"batch": 99}), decide_on(state, evidence)))
    assert other != record


def test_invariant_07_what_the_ledger_keeps_replays_every_decision(tmp_path, churn):
    """Each DECIDED event of a whole rollout is made again from the events before it and the evidence in the ledger."""
    platform = world(tmp_path, churn, State.PROMOTED)
    events = platform.ledger.events(ROLLOUT)
    replayed = 0
    for index, event in enumerate(events):
        if event.type is not EventType.DECIDED:
            continue
        taken = events[index - 1] if events[index - 1].type is EventType.LOOK_TAKEN else None
        before = fold(events[: index - 1 if taken else index])
        stored = Evidence.model_validate((taken or event).payload["evidence"])
        record = decision_payload(before, stored, decide_on(before, stored))
        assert canonical(record) == canonical({k: v for k, v in event.payload.items() if k != "evidence"})
        replayed += 1
    assert replayed >= 9


# 8 ------------------------------------------------------------------------------------------------------------------


def test_invariant_08_the_unit_of_routing_is_the_unit_of_analysis(tmp_path):
    """A file that routes by request and measures by customer does not lint; the same file with one unit does."""
    text = CONFIG.read_text()
    file = tmp_path / "churn.yaml"
    environment = EnvironmentSpec(name="tests", local=True, approvers={"growth-ml": ("ssh-ed25519 AAAA-growth",)})
    file.write_text(text)
    assert [found for found in lint_rollout(file, environment) if found.severity == "error"] == []
    assert "unit: customer_id " in text
    file.write_text(text.replace("unit: customer_id ", "unit: request "))
    errors = [found for found in lint_rollout(file, environment) if found.severity == "error"]
    assert any(found.key == "unit" and "must have the same unit" in found.problem for found in errors)
    with pytest.raises(SpecError):
        load_rollout(file, environment=environment)


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


def with_death(platform: FakePlatform, dies_at: int, after: bool, run) -> bool:
    """Run in a process that dies at its n-th outside effect; whether it died. Its lease is left behind."""
    process = Mortal(dies_at, after=after)
    try:
        run(platform.mortal(process))
    except Killed:
        platform.restarted()
        return True
    return False


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

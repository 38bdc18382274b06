"""The invariants of the state machine, each by its number, through the operations that must keep them.

Parts of 1, 3, 5, 10 and 13 that speak of the fold and of the target alone are in test_state_laws.py, those of the
hashes in test_assignment_laws.py.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from staged_rollout.errors import ConflictError, SpecError
from staged_rollout.evidence import Evidence, sealed
from staged_rollout.operations.decide import act_on, decide_on, decision_payload
from staged_rollout.operations.journal import load
from staged_rollout.operations.look import gather
from staged_rollout.operations.operate import Act, operate
from staged_rollout.operations.reconcile import reconcile
from staged_rollout.operations.watch import watch
from staged_rollout.policy import decide, due_look
from staged_rollout.ports import EndpointStatus
from staged_rollout.spec.environment import EnvironmentSpec
from staged_rollout.spec.lint import lint_rollout
from staged_rollout.spec.load import load_rollout
from staged_rollout.spec.model import RolloutSpec
from staged_rollout.state import (
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
    Killed,
    Mortal,
)
from tests.fakes.states import RUNNING, folded
from tests.fakes.worlds import CONFIG, DAY, end, with_death, world

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
    before = len(platform.serving.started)
    platform.settle(ROLLOUT)
    calls = len(platform.serving.started) - before
    assert calls > 0
    assert len(refused) >= calls


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
    environment = EnvironmentSpec(name="tests", local=True, approvers={"growth-ml": {}})
    file.write_text(text)
    assert [found for found in lint_rollout(file, environment) if found.severity == "error"] == []
    assert "unit: customer_id " in text
    file.write_text(text.replace("unit: customer_id ", "unit: request "))
    errors = [found for found in lint_rollout(file, environment) if found.severity == "error"]
    assert any(found.key == "unit" and "must have the same unit" in found.problem for found in errors)
    with pytest.raises(SpecError):
        load_rollout(file, environment=environment)

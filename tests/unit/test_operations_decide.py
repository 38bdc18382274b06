"""Acting on a decision: one transaction; and the guard between looks, which may stop and never promotes."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import timedelta

import pytest

from staged_rollout.errors import StaleSequenceError
from staged_rollout.evidence import Evidence, VariantHealthFigures, sealed
from staged_rollout.operations.decide import act_on, decide_on, decision_payload
from staged_rollout.operations.journal import load
from staged_rollout.operations.look import gather
from staged_rollout.operations.operate import Act, operate
from staged_rollout.operations.watch import watch
from staged_rollout.policy import Action
from staged_rollout.ports import VariantHealth
from staged_rollout.report.health import variant_health
from staged_rollout.state import EventType, HoldReason, State, digest
from tests.fakes import figures
from tests.fakes.platform import PERSON, ROLLOUT, TICK, reached


def events_after(platform, seq):
    return [event.type for event in platform.ledger.events(ROLLOUT, after=seq)]


def test_a_tick_that_finds_nothing_new_leaves_no_trace(tmp_path, churn):
    platform = reached(tmp_path, churn, State.LIVE)
    before = platform.ledger.head(ROLLOUT)
    assert platform.tick(ROLLOUT).action is Action.CONTINUE
    assert platform.ledger.head(ROLLOUT) == before


def test_a_hold_is_written_once_and_released_once(tmp_path, churn):
    platform = reached(tmp_path, churn, State.LIVE)
    before = platform.ledger.head(ROLLOUT)
    for _ in range(3):
        assert platform.tick(ROLLOUT, srm=(figures.srm((700, 900), alarm=True),)).action is Action.HOLD
    assert events_after(platform, before) == [EventType.DECIDED, EventType.HELD]
    before = platform.ledger.head(ROLLOUT)
    for _ in range(2):
        platform.tick(ROLLOUT)
    assert events_after(platform, before) == [EventType.DECIDED, EventType.RELEASED]
    assert not load(platform, ROLLOUT).held


def test_a_look_is_written_with_the_evidence_that_replays_it(tmp_path, churn):
    platform = reached(tmp_path, churn, State.LIVE)
    look = platform.win(ROLLOUT, z=1.25)
    state = load(platform, ROLLOUT)
    evidence = sealed(figures.good(state, platform.clock.now(), look=look))
    decision = platform.act(state, evidence)
    taken = next(event for event in reversed(platform.ledger.events(ROLLOUT)) if event.type is EventType.LOOK_TAKEN)
    stored = Evidence.model_validate(taken.payload["evidence"])
    assert stored == evidence
    assert taken.payload["evidence_hash"] == digest(taken.payload["evidence"])
    assert decide_on(state, stored) == decision
    assert load(platform, ROLLOUT).looks[-1].z == 1.25


def test_a_look_is_taken_once(tmp_path, churn):
    platform = reached(tmp_path, churn, State.LIVE)
    look = platform.win(ROLLOUT, z=1.25)
    state = load(platform, ROLLOUT)
    evidence = figures.good(state, platform.clock.now(), look=look)
    platform.act(state, evidence)
    with pytest.raises(StaleSequenceError):
        platform.act(state, evidence)
    assert len(load(platform, ROLLOUT).looks) == 1


def test_the_plan_is_frozen_with_the_entry_into_live(tmp_path, churn):
    platform = reached(tmp_path, churn, State.CANARY, 3)
    platform.clock.advance(timedelta(days=2))
    before = platform.ledger.head(ROLLOUT)
    assert platform.tick(ROLLOUT).to is State.LIVE
    assert events_after(platform, before) == [EventType.DECIDED, EventType.PLAN_FROZEN, EventType.STAGE_ENTERED]
    plan = load(platform, ROLLOUT).plan
    assert (plan.baseline, plan.baseline_units) == (0.8, 2000)
    assert plan.slots[-1] == plan.last == timedelta(days=15)


def test_a_rollback_is_in_force_with_the_routers_before_anything_else(tmp_path, churn):
    platform = reached(tmp_path, churn, State.CANARY, 2)
    changes = len(platform.serving.started)
    decision = platform.tick(ROLLOUT, guardrails=(figures.guardrail(alarm=True),))
    assert decision.action is Action.ROLL_BACK
    assert platform.document().exposure == 0.0
    assert len(platform.serving.started) == changes


def test_a_decision_on_what_has_moved_on_writes_nothing(tmp_path, churn):
    platform = reached(tmp_path, churn, State.CANARY, 2)
    platform.clock.advance(timedelta(days=3))
    stale = load(platform, ROLLOUT)
    evidence = figures.good(stale, platform.clock.now())
    operate(platform, ROLLOUT, Act.PAUSE, PERSON, "incident 112")
    with pytest.raises(StaleSequenceError):
        act_on(platform, stale, evidence, decide_on(stale, evidence), TICK)
    assert load(platform, ROLLOUT).state is State.CANARY


def test_the_record_names_the_five_hashes(tmp_path, churn):
    platform = reached(tmp_path, churn, State.LIVE)
    state = load(platform, ROLLOUT)
    evidence = sealed(figures.good(state, platform.clock.now()))
    record = decision_payload(state, evidence, decide_on(state, evidence))
    assert record["hashes"] == {
        "spec": state.spec_hash,
        "prefix": platform.ledger.events(ROLLOUT)[-1].hash,
        "evidence": digest(evidence.model_dump(mode="json")),
    }
    assert record["as_of"] == platform.clock.now().isoformat()
    assert record["code_version"]


def lake_with_errors(platform):
    """Half of the candidate's requests fail, in 200 units of each variant."""

    def row(variant, errors):
        return {
            "assigned_variant": variant,
            "units": 200,
            "errors": errors,
            "errors_squared": errors * 10,
            "requests": 4000,
            "requests_squared": 80000,
            "errors_requests": errors * 20,
            "error_units": min(errors, 200),
            "statuses": 4000,
        }

    platform.lake.answers["guardrail_errors"] = [row("v2", 20), row("v3", 2000)]


def test_the_guard_rolls_back_on_its_own(tmp_path, churn):
    platform = reached(tmp_path, churn, State.CANARY, 2)
    lake_with_errors(platform)
    decision = watch(platform, ROLLOUT, TICK)
    assert decision.action is Action.ROLL_BACK
    assert load(platform, ROLLOUT).state is State.ROLLING_BACK
    assert platform.document().exposure == 0.0
    assert "error_rate is worse by" in load(platform, ROLLOUT).reason


def test_the_guard_sees_what_the_platform_measured_and_holds_on_a_full_disk(tmp_path, churn):
    """Data Capture stops on a full disk: missing data is never a pass. The figures stand in the evidence."""
    platform = reached(tmp_path, churn, State.LIVE)
    platform.health.calls, platform.health.last_call_at = 9, platform.clock.now()
    platform.lake.answers["freshness"] = [{"newest": platform.clock.now()}]
    measured = VariantHealth("v3", 9, errors_5xx=1, latency_ms=4.5, latency_max_ms=20.0, disk=94.9)
    platform.health.variants = (measured,)
    assert watch(platform, ROLLOUT, TICK).action is not Action.HOLD
    _, evidence = gather(platform, ROLLOUT, TICK, looks=False)
    assert (VariantHealthFigures(**asdict(measured)),) == evidence.health.variants
    text = "9 calls, 0 answered 4xx, 1 answered 5xx; model 4.5 ms (longest 20.0 ms); at most disk 95%"
    assert text == variant_health(evidence.health.variants[0])

    platform.health.variants = (replace(measured, disk=95.0),)
    assert watch(platform, ROLLOUT, TICK).action is Action.HOLD
    assert "v3 95%, limit 95%" in load(platform, ROLLOUT).holds[HoldReason.NO_DATA][1]


def test_evidence_without_platform_figures_keeps_its_bytes(tmp_path, churn):
    """The law: what an earlier release stored is hashed as it was."""
    platform = reached(tmp_path, churn, State.LIVE)
    _, evidence = gather(platform, ROLLOUT, TICK, looks=False)
    assert evidence.health.variants is None
    assert "variants" not in evidence.model_dump(mode="json")["health"]


def test_the_guard_holds_when_logs_do_not_arrive(tmp_path, churn):
    """No data: calls, and a log that is older than they are."""
    platform = reached(tmp_path, churn, State.LIVE)
    platform.lake.answers["freshness"] = [{"newest": platform.clock.now()}]
    platform.clock.advance(timedelta(hours=3))
    platform.health.calls, platform.health.last_call_at = 9, platform.clock.now()
    assert watch(platform, ROLLOUT, TICK).action is Action.HOLD
    assert set(load(platform, ROLLOUT).holds) == {HoldReason.NO_DATA}
    head = platform.ledger.head(ROLLOUT)
    assert watch(platform, ROLLOUT, TICK).action is Action.HOLD
    assert platform.ledger.head(ROLLOUT) == head


def test_without_calls_there_is_no_traffic_rather_than_no_data(tmp_path, churn):
    platform = reached(tmp_path, churn, State.LIVE)
    platform.clock.advance(timedelta(hours=3))
    watch(platform, ROLLOUT, TICK)
    assert set(load(platform, ROLLOUT).holds) == {HoldReason.NO_TRAFFIC}


def test_the_guard_notes_that_it_watched(tmp_path, churn):
    platform = reached(tmp_path, churn, State.LIVE)
    watch(platform, ROLLOUT, TICK)
    assert platform.ledger.last_watched(ROLLOUT) == platform.clock.now()


@pytest.mark.parametrize("state", [State.REGISTERED, State.SHADOW, State.PROMOTED])
def test_the_guard_watches_what_people_meet(tmp_path, churn, state):
    platform = reached(tmp_path, churn, state)
    assert watch(platform, ROLLOUT, TICK) is None
    assert platform.ledger.last_watched(ROLLOUT) is None


def test_the_guard_takes_no_look_and_never_promotes(tmp_path, churn):
    platform = reached(tmp_path, churn, State.LIVE)
    before = load(platform, ROLLOUT)
    platform.clock.advance(timedelta(days=9))
    platform.health.calls, platform.health.last_call_at = 9, platform.clock.now()
    platform.lake.answers["freshness"] = [{"newest": platform.clock.now()}]
    watch(platform, ROLLOUT, TICK)
    assert load(platform, ROLLOUT) == before

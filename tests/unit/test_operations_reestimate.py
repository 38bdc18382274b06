"""Blinded re-estimation: once, before the first efficacy look, in the ledger before any figure of it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from staged_rollout.errors import LedgerCorruptError
from staged_rollout.operations.journal import load
from staged_rollout.operations.look import gather
from staged_rollout.state import EventType, LookKind, State
from tests.fakes.platform import ROLLOUT, TICK, FakePlatform, Mortal, reached
from tests.fakes.worlds import with_death

DAY = timedelta(days=1)


def began(tmp_path: Any, churn: dict[str, Any], day: int, rate: float = 0.6, units: int = 400, **more: Any) -> Any:
    """LIVE, `day` days after its begin; each variant has so many closed units, at a rate far from the 80% planned."""
    spec = {"success": churn["success"] | {"reestimate": "blinded", "baseline": 0.8} | more, "segments": []}
    platform = reached(tmp_path, churn, State.LIVE, **spec)
    state = load(platform, ROLLOUT)
    platform.clock.set(state.effective_at(State.LIVE) + day * DAY + timedelta(hours=1))
    answer(platform, rate, units)
    return platform


def answer(platform: Any, rate: float, units: int, candidate: float | None = None) -> None:
    now = platform.clock.now()
    platform.lake.answers["freshness"] = [{"newest": now}]
    platform.health.calls, platform.health.last_call_at = 9, now
    platform.lake.answers["success_counts"] = [
        {"assigned_variant": name, "closed": units, "with_outcome": units, "correct": round(units * share)}
        for name, share in (("v2", rate), ("v3", rate if candidate is None else candidate))
    ]


def written(platform: FakePlatform) -> list[EventType]:
    return [event.type for event in platform.ledger.events(ROLLOUT) if event.type is EventType.PLAN_REESTIMATED]


def test_it_is_written_between_the_planned_look_and_its_figures(tmp_path: Any, churn: dict[str, Any]) -> None:
    platform = began(tmp_path, churn, 8)
    before = load(platform, ROLLOUT)
    state, evidence = gather(platform, ROLLOUT, TICK)
    after = [event.type for event in platform.ledger.events(ROLLOUT, after=before.seq)]
    assert after == [EventType.LOOK_PLANNED, EventType.PLAN_REESTIMATED]
    found = state.reestimation
    assert (found.before, found.events, found.units, found.slot) == (before.plan.n_eff_max, 480, 800, 7)
    # Reference: 250 units a day for 14 days, half and half, are 875 effective units.
    assert found.cap == pytest.approx(875.0)
    planned = before.plan.planned_rate
    assert found.n_eff_max == pytest.approx(min(875.0, found.before * 0.24 / (planned * (1 - planned))))
    assert evidence.look.information == pytest.approx(200 / found.n_eff_max, abs=1e-9)
    assert evidence.look.harm.information == pytest.approx(200 / found.before, abs=1e-9)


def test_labels_make_no_difference(tmp_path: Any, churn: dict[str, Any]) -> None:
    """The same successes, in whichever variant they are, give the same plan: it is blinded."""
    platform = began(tmp_path / "even", churn, 8, rate=0.6)
    even = gather(platform, ROLLOUT, TICK)[0].reestimation
    platform = began(tmp_path / "apart", churn, 8)
    answer(platform, 0.5, 400, candidate=0.7)
    assert even == gather(platform, ROLLOUT, TICK)[0].reestimation


def test_it_may_only_rise(tmp_path: Any, churn: dict[str, Any]) -> None:
    platform = began(tmp_path, churn, 8, rate=0.95)
    found = gather(platform, ROLLOUT, TICK)[0].reestimation
    assert found.n_eff_max == found.before


def test_it_is_capped_by_what_traffic_brings(tmp_path: Any, churn: dict[str, Any]) -> None:
    platform = began(tmp_path, churn, 8, rate=0.5, mde={"value": 0.046, "kind": "absolute"})
    found = gather(platform, ROLLOUT, TICK)[0].reestimation
    assert found.n_eff_max == found.cap > found.before


@pytest.mark.parametrize("dies_at", range(1, 7))
@pytest.mark.parametrize("after", [False, True])
def test_killed_at_any_effect_it_is_done_once(tmp_path: Any, churn: dict[str, Any], dies_at: int, after: bool) -> None:
    """Whatever the tick that was killed had written, the next one ends in the same plan."""
    platform = began(tmp_path, churn, 8)

    def tick(world: Any) -> None:
        gather(world, ROLLOUT, TICK)

    with_death(platform, dies_at, after, tick)
    state, evidence = gather(platform, ROLLOUT, TICK)
    assert len(written(platform)) == 1
    assert (state, evidence) == gather(platform, ROLLOUT, TICK)
    assert len(written(platform)) == 1


def test_the_process_that_dies_writes_both_events(tmp_path: Any, churn: dict[str, Any]) -> None:
    """The law above is about something: there are two appends to die at."""
    platform = began(tmp_path, churn, 8)
    process = Mortal()
    gather(platform.mortal(process), ROLLOUT, TICK)
    assert process.effects.count("append") == 2


@pytest.mark.parametrize(
    ("day", "units", "more"),
    [(3, 400, {}), (15, 400, {}), (8, 99, {}), (8, 400, {"reestimate": None})],
    ids=["harm look", "final look", "too few units", "not asked for"],
)
def test_there_is_none(tmp_path: Any, churn: dict[str, Any], day: int, units: int, more: dict[str, Any]) -> None:
    platform = began(tmp_path, churn, day, units=units, **more)
    state, evidence = gather(platform, ROLLOUT, TICK)
    assert evidence.look is not None
    assert written(platform) == []
    assert state.n_eff_max == state.plan.n_eff_max


def test_a_first_look_without_enough_data_leaves_it_to_the_next(tmp_path: Any, churn: dict[str, Any]) -> None:
    platform = began(tmp_path, churn, 8, units=99)
    state, evidence = gather(platform, ROLLOUT, TICK)
    platform.act(state, evidence)
    platform.clock.advance(DAY)
    answer(platform, 0.6, 400)
    state, evidence = gather(platform, ROLLOUT, TICK)
    assert state.reestimation.slot == evidence.look.slot == 8
    assert evidence.look.kind == LookKind.EFFICACY


def test_after_the_first_efficacy_look_there_is_none(tmp_path: Any, churn: dict[str, Any]) -> None:
    platform = began(tmp_path, churn, 8)
    state, evidence = gather(platform, ROLLOUT, TICK)
    platform.act(state, evidence)
    platform.clock.advance(DAY)
    answer(platform, 0.5, 450)
    again, _ = gather(platform, ROLLOUT, TICK)
    assert again.reestimation == state.reestimation
    assert len(written(platform)) == 1


def test_the_decision_says_what_it_did(tmp_path: Any, churn: dict[str, Any]) -> None:
    platform = began(tmp_path, churn, 8)
    state, evidence = gather(platform, ROLLOUT, TICK)
    decision = platform.act(state, evidence)
    before, after = f"{state.plan.n_eff_max:,.0f}", f"{state.n_eff_max:,.0f}"
    said = f"re-estimated blinded, from a pooled rate of 60.0% in 800 units: {before} -> {after} effective units"
    assert said in [reason.removesuffix(", all that expected traffic brings") for reason in decision.reasons]


FOUND = {"slot": 1, "before": 700.0, "n_eff_max": 800.0, "cap": 900.0, "events": 300, "units": 500}


@pytest.mark.parametrize("wrong", ["without a plan", "twice", "lower", "after an efficacy bound"])
def test_the_fold_refuses_what_cannot_be(rollouts: Any, wrong: str) -> None:
    from tests.fakes.figures import PLAN

    built = rollouts().at(State.LIVE)
    if wrong != "without a plan":
        built.add(EventType.PLAN_FROZEN, **PLAN)
    if wrong == "twice":
        built.add(EventType.PLAN_REESTIMATED, **FOUND)
    if wrong == "after an efficacy bound":
        built.plan_look(1).take_look(1)
    built.add(EventType.PLAN_REESTIMATED, **FOUND | ({"n_eff_max": 699.0} if wrong == "lower" else {}))
    with pytest.raises(LedgerCorruptError):
        _ = built.state

"""A look's figures from counts: what z, bounds, interval and inference have to do with one another."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from staged_rollout.evidence import sealed
from staged_rollout.operations.look_success import bake, take
from staged_rollout.operations.plan import freeze_plan
from staged_rollout.operations.window import Window
from staged_rollout.ports import Batch
from staged_rollout.state import EventType, LookKind, PlannedLook, State, fold, to_payload
from staged_rollout.stats import Spending, design, score_interval, score_z
from tests.fakes import figures

SUCCESS = {"mde": {"value": 0.05, "kind": "absolute"}}
MARGIN = {"mde": None, "better_or_equal": {"value": 0.05, "kind": "absolute"}}


class Counts:
    """A lake that knows one answer: closed units of both variants."""

    def __init__(self, champion: tuple[int, int], candidate: tuple[int, int]) -> None:
        self.rows = [
            {"assigned_variant": name, "closed": n, "with_outcome": n, "correct": x}
            for name, (x, n) in (("v2", champion), ("v3", candidate))
        ]

    def query(self, *_: Any, **__: Any) -> list[dict[str, Any]]:
        return self.rows


def built_live(rollouts: Any, churn: dict[str, Any], **success: Any) -> Any:
    """LIVE with its own plan, at a given baseline of 80% and without guardrails."""
    spec = churn | {"success": churn["success"] | {"baseline": 0.8} | success, "guardrails": {}}
    built = rollouts(spec).at(State.LIVE)
    evidence = figures.good(
        fold(rollouts(spec).at(State.CANARY).events),
        built.now,
        baseline=figures.BaselineFigures(given=0.8, units=0, successes=0),
    )
    return built.add(EventType.PLAN_FROZEN, **to_payload(freeze_plan(built.spec, evidence)))


def window(state: Any, champion: tuple[int, int], candidate: tuple[int, int]) -> Window:
    lake: Any = SimpleNamespace(lake=Counts(champion, candidate))
    return Window(lake, state, Batch(1, {}, state.last_at), state.last_at)


def looked(state: Any, champion: tuple[int, int], candidate: tuple[int, int], kind: str = "efficacy", slot: int = 7):
    planned = PlannedLook(slot, LookKind(kind), state.last_at + timedelta(days=slot), 1)
    return take(window(state, champion, candidate), planned)


def at(share: float, units: int) -> tuple[int, int]:
    return round(share * units), units


def record(built: Any, look: Any) -> Any:
    """The look goes into the ledger as it is written there: rounded."""
    from staged_rollout.operations.decide import _look

    known = sealed(figures.good(built.state, built.now, look=look))
    built.plan_look(look.slot, look.kind)
    (event,) = _look(built.state, known)
    return built.add(event.type, **event.payload)


def test_superiority_is_the_pooled_score(rollouts: Any, churn: dict[str, Any]) -> None:
    look = looked(built_live(rollouts, churn).state, (320, 400), (340, 400))
    assert look.success.z == pytest.approx(score_z(340, 400, 320, 400), abs=1e-12)
    assert look.success.margin is None
    assert look.success.z * look.success.se == pytest.approx(look.success.estimate, abs=1e-12)
    assert look.interval == score_interval(340, 400, 320, 400, look.efficacy.z)


@pytest.mark.parametrize("better", ["higher", "lower"])
def test_non_inferiority_is_the_farrington_manning_score_at_the_margin(rollouts: Any, churn: Any, better: str) -> None:
    """Positive when the candidate is better than `margin` worse, whichever direction is better; se belongs to z."""
    look = looked(built_live(rollouts, churn, **MARGIN, better=better).state, (320, 400), (318, 400))
    sign = 1 if better == "higher" else -1
    assert look.success.z == pytest.approx(sign * score_z(318, 400, 320, 400, delta0=-sign * 0.05), abs=1e-12)
    assert look.success.margin == 0.05
    assert look.success.z * look.success.se == pytest.approx(sign * look.success.estimate + 0.05, abs=1e-12)


@pytest.mark.parametrize("better", ["higher", "lower"])
@pytest.mark.parametrize("candidate", [250, 300, 318, 340, 370])
def test_interval_harm_and_bound_agree_at_the_margin(rollouts: Any, churn: Any, better: str, candidate: int) -> None:
    """A win is a repeated interval on the right side of the margin; harm, at its own bound, one beyond it."""
    state = built_live(rollouts, churn, **MARGIN, better=better).state
    look = looked(state, (320, 400), (candidate, 400))
    low, high = look.interval
    assert look.crossed == (low > -0.05 if better == "higher" else high < 0.05)
    low, high = score_interval(candidate, 400, 320, 400, look.harm.z)
    assert look.harmful == (high < -0.05 if better == "higher" else low > 0.05)


def test_a_relative_margin_is_of_the_baseline(rollouts: Any, churn: dict[str, Any]) -> None:
    state = built_live(rollouts, churn, mde=None, better_or_equal={"value": 0.1, "kind": "relative"}).state
    assert state.plan.margin == pytest.approx(0.08)
    assert looked(state, (320, 400), (310, 400)).success.margin == state.plan.margin


def test_the_bake_tolerates_what_the_margin_does(rollouts: Any, churn: dict[str, Any]) -> None:
    """2,000 units each, 6 pp worse: harm where it must not be worse, none within a margin of 8 pp."""
    strict = built_live(rollouts, churn)
    lenient = built_live(rollouts, churn, mde=None, better_or_equal={"value": 0.08, "kind": "absolute"})
    for built in (strict, lenient):
        built.enter(State.PROMOTING, 1).publish().enter(State.PROMOTING, 2).publish().enter(State.BAKING).publish()
    counts = at(0.80, 2000), at(0.74, 2000)
    assert bake(window(strict.state, *counts)).alarm
    assert not bake(window(lenient.state, *counts)).alarm


def futile(rollouts: Any, churn: dict[str, Any], kind: str = "pocock", **more: Any) -> Any:
    return built_live(rollouts, churn, futility=kind, **more)


@pytest.mark.parametrize("kind", ["obrien-fleming", "pocock", "power:2", "hsd:-2"])
def test_futility_bounds_taken_one_by_one_are_those_of_the_design(rollouts: Any, churn: Any, kind: str) -> None:
    """At the planned fractions, with everything between looks rounded as the ledger has it; to 1e-6."""
    built = futile(rollouts, churn, kind)
    plan = built.state.plan
    planned = design(
        [slot / plan.last for slot in plan.efficacy],
        Spending("obrien-fleming", 0.025),
        futility=Spending.parse(kind, 1 - 0.8),
    )
    assert plan.drift == pytest.approx(planned.drift, abs=1e-12)
    scale = 15_000
    state = replace(built.state, plan=replace(plan, n_eff_max=float(scale)))
    for k, slot in enumerate(plan.efficacy):
        n = 2 * scale * (slot // timedelta(days=1)) // 15
        z = 0.5 * (planned.efficacy[k] + planned.futility[k])
        x = round(n * 0.8)
        look = looked(state, (x, n), (x, n), "final" if k == len(plan.efficacy) - 1 else "efficacy", slot=7 + k)
        assert look.information == pytest.approx(slot / plan.last, abs=1e-12)
        assert look.efficacy.z == pytest.approx(planned.efficacy[k], abs=1e-6)
        assert look.futility.z == pytest.approx(planned.futility[k], abs=1e-6)
        assert look.futility.beta_spent == pytest.approx(planned.beta_spent[k], abs=1e-6)
        look = look.model_copy(update={"success": look.success.model_copy(update={"z": z})})
        state = replace(record(built, look).state, plan=state.plan)


def test_a_final_look_gives_up_at_its_efficacy_bound(rollouts: Any, churn: dict[str, Any]) -> None:
    look = looked(futile(rollouts, churn).state, (320, 400), (322, 400), "final")
    assert look.futility.z == look.efficacy.z
    assert not look.futile


@pytest.mark.parametrize(
    ("champion", "candidate", "kind"),
    [((320, 400), (320, 400), "harm"), ((80, 99), (80, 99), "efficacy"), ((395, 400), (396, 400), "efficacy")],
    ids=["harm only", "too few units", "too few events"],
)
def test_a_look_without_an_efficacy_test_spends_no_beta(
    rollouts: Any, churn: dict[str, Any], champion: Any, candidate: Any, kind: str
) -> None:
    look = looked(futile(rollouts, churn).state, champion, candidate, kind)
    assert (look.efficacy, look.futility, look.repeated_p_value, look.stage_wise) == (None, None, None, None)


def test_after_missed_looks_futility_spends_what_has_become_free(rollouts: Any, churn: dict[str, Any]) -> None:
    """One late look has spent as much beta as the spending function says at its information, not less."""
    built = futile(rollouts, churn)
    late = looked(built.state, (480, 600), (486, 600), slot=12)
    spending = Spending("pocock", built.state.plan.beta)
    assert late.futility.beta_spent == pytest.approx(spending.cumulative(late.information), abs=1e-9)


def test_where_the_bounds_have_met_futility_ends_and_efficacy_goes_on(rollouts: Any, churn: dict[str, Any]) -> None:
    """Only a win that was blocked goes on from there; the beta plan has nothing to say about it."""
    built = futile(rollouts, churn)
    look = looked(built.state, (480, 600), (540, 600))
    met = look.model_copy(update={"futility": look.futility.model_copy(update={"z": look.efficacy.z})})
    after = looked(record(built, met).state, (500, 625), (560, 625), slot=8)
    assert after.futility is None
    assert after.efficacy is not None


def test_without_futility_nothing_of_it_is_written(rollouts: Any, churn: dict[str, Any]) -> None:
    """Evidence without the features has none of their keys but those of inference."""
    look = looked(built_live(rollouts, churn).state, (320, 400), (324, 400))
    written = look.model_dump(mode="json")
    assert "futility" not in written
    assert "margin" not in written["success"]


def test_inference_at_the_first_crossing_agrees_with_the_bound(rollouts: Any, churn: dict[str, Any]) -> None:
    """Exactly where z reaches the bound are p and repeated p at most alpha, and the interval beyond no difference."""
    state = built_live(rollouts, churn).state
    for x in range(488, 520, 2):
        look = looked(state, (480, 600), (x, 600), "final")
        found = look.stage_wise
        assert look.crossed == (found.p_value <= 0.025)
        assert look.crossed == (found.interval[0] > 0)
        assert look.crossed == (look.repeated_p_value <= 0.025)
        assert found.interval[0] < found.estimate < found.interval[1]


@pytest.mark.parametrize("better", ["higher", "lower"])
def test_inference_speaks_of_the_difference_also_at_a_margin(rollouts: Any, churn: dict[str, Any], better: str) -> None:
    """At a single look the median-unbiased difference is the one seen, and the limits are z_alpha se beside it."""
    state = built_live(rollouts, churn, **MARGIN, better=better).state
    look = looked(state, (480, 600), (478, 600), "final")
    assert look.stage_wise.estimate == pytest.approx(look.success.estimate, abs=1e-9)
    half = 1.959963984540054 * look.success.se
    limits = (look.success.estimate - half, look.success.estimate + half)
    assert look.stage_wise.interval == pytest.approx(limits, abs=1e-9)


def test_after_the_first_crossing_it_is_never_computed_again(rollouts: Any, churn: dict[str, Any]) -> None:
    built = built_live(rollouts, churn)
    first = looked(built.state, (480, 600), (540, 600))
    assert first.crossed
    assert first.stage_wise is not None
    again = looked(record(built, first).state, (500, 625), (565, 625), slot=8)
    assert again.crossed
    assert again.repeated_p_value is not None
    assert again.stage_wise is None


def test_a_look_that_goes_on_has_only_the_repeated_figures(rollouts: Any, churn: dict[str, Any]) -> None:
    look = looked(futile(rollouts, churn, "obrien-fleming").state, (320, 400), (332, 400))
    assert not look.crossed
    assert not look.futile
    assert look.stage_wise is None
    assert 0.025 < look.repeated_p_value < 0.5


def test_giving_up_is_a_stop(rollouts: Any, churn: dict[str, Any]) -> None:
    look = looked(futile(rollouts, churn).state, (480, 600), (478, 600))
    assert look.futile
    assert look.stage_wise.p_value > 0.5
    assert look.repeated_p_value == 0.5


def test_harm_keeps_the_clock_of_the_frozen_plan(rollouts: Any, churn: dict[str, Any]) -> None:
    """After a re-estimation efficacy runs on the new end, harm on the old one: its bounds stay in order."""
    built = built_live(rollouts, churn)
    early = looked(built.state, (320, 400), (322, 400), "harm", slot=3)
    record(built, early)
    plan = built.state.plan
    payload = {"slot": 7, "before": plan.n_eff_max, "n_eff_max": 2 * plan.n_eff_max, "cap": 1e6}
    built.add(EventType.PLAN_REESTIMATED, **payload, events=700, units=900)
    look = looked(built.state, (360, 450), (366, 450))
    assert look.information == pytest.approx(225 / (2 * plan.n_eff_max))
    assert look.efficacy.information == look.information
    assert look.harm.information == pytest.approx(225 / plan.n_eff_max)
    assert look.harm.information > early.harm.information


def test_the_limit_on_the_better_side_counts_on_futility_and_the_other_does_not(rollouts: Any, churn: Any) -> None:
    """Who was given up cannot win later: obeyed futility raises the upper limit, and leaves p and the lower limit.

    At a first look nothing was given up before, and the figures are those without futility.
    """
    first, again = ((480, 600), (498, 600)), ((520, 650), (556, 650))
    found = {}
    for kind in (None, "pocock"):
        built = built_live(rollouts, churn, futility=kind)
        n_eff_max = built_live(rollouts, churn, futility="pocock").state.plan.n_eff_max
        state = replace(built.state, plan=replace(built.state.plan, n_eff_max=n_eff_max))
        alone = looked(state, *first, "final").stage_wise
        look = looked(state, *first)
        assert not look.crossed
        state = replace(record(built, look).state, plan=state.plan)
        found[kind] = alone, looked(state, *again, "final", slot=8).stage_wise
    assert found[None][0] == found["pocock"][0]
    without, obeyed = found[None][1], found["pocock"][1]
    assert without.p_value == pytest.approx(obeyed.p_value, abs=1e-12)
    assert without.interval[0] == pytest.approx(obeyed.interval[0], abs=1e-12)
    assert without.interval[1] < obeyed.interval[1]
    assert without.estimate < obeyed.estimate

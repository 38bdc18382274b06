"""What each state asks before a rollout moves on, row by row of the table of transitions."""

from __future__ import annotations

from datetime import timedelta

import pytest

from staged_rollout.evidence import BaselineFigures, DriftFigures, TrafficFigures, VariantTraffic
from staged_rollout.policy import Action, decide
from staged_rollout.state import EXPOSED, TERMINAL, EventType, HoldReason, State
from tests.fakes import figures
from tests.fakes.figures import PLAN, good, guardrail, look, quality, shadow, srm

DAY = timedelta(days=1)
ASK = {"win": {"action": "ask", "who": "growth-ml", "within": "3d"}}
WATCHED = sorted({State.SHADOW, *EXPOSED})


def decision(built, served=10 * DAY, **changes):
    state = built.state
    began = state.stage.effective_at or built.now
    return decide(state.spec, state, good(state, began + served, **changes))


def asking(rollouts, churn, answer=None):
    built = rollouts(churn | {"decide": ASK}).at(State.LIVE).decide("promote", State.AWAITING_APPROVAL)
    seq = len(built.events)
    built.enter(State.AWAITING_APPROVAL).publish()
    if answer is not None:
        built.add(answer, decision_seq=seq, reason="as discussed")
    return built


def ends_in(found):
    return found.ending


@pytest.mark.parametrize("state", sorted(TERMINAL))
def test_what_has_ended_stays(rollouts, state):
    found = decision(rollouts().at(state), quality=quality(3), guardrails=(guardrail(alarm=True),))
    assert (found.action, found.to) == (Action.CONTINUE, None)


def test_registered_begins_when_the_endpoint_is_free_and_nothing_freezes_it(rollouts):
    built = rollouts().register()
    assert decision(built).to is State.SHADOW
    busy = good(built.state, built.now).platform.model_copy(update={"claimable": False})
    assert decision(built, platform=busy).reasons == ("queued: churn-prod belongs to another rollout",)
    assert decision(built, freeze="2026-12-20/2027-01-03").action is Action.HOLD


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"served": DAY}, "served 1d of 2d"),
        ({"shadow": shadow(requests=499, captured=499, agreed=499)}, "499 of 500 requests"),
        ({"shadow": shadow(agreed=1399)}, "agreement 70.0%, asked 70.0%"),
        ({"shadow": shadow(captured=1899, agreed=1899)}, "1,899 of 2,000 shadow answers captured"),
        ({"shadow": shadow(captured=0, agreed=0, upper=None)}, "agreement none"),
        ({"shadow": None}, "no shadow figures yet"),
        ({"quality": quality(checked=False)}, "no event day has been checked yet"),
    ],
)
def test_shadow_keeps_its_gates_shut(rollouts, changes, said):
    found = decision(rollouts().at(State.SHADOW), **({"served": 3 * DAY} | changes))
    assert (found.action, found.to) == (Action.CONTINUE, None)
    assert said in " ".join(found.reasons)


def test_shadow_opens_into_the_first_canary_step(rollouts):
    found = decision(rollouts().at(State.SHADOW), 3 * DAY)
    assert (found.to, found.step) == (State.CANARY, 1)


def test_shadow_ends_when_its_gates_stay_shut_for_twice_its_time(rollouts):
    built = rollouts().at(State.SHADOW)
    shut = {"shadow": shadow(agreed=100)}
    assert decision(built, 4 * DAY - timedelta(seconds=1), **shut).action is Action.CONTINUE
    assert ends_in(decision(built, 4 * DAY, **shut)) is State.KEPT_CHAMPION


def test_a_candidate_that_cannot_win_is_not_tried(rollouts):
    built = rollouts().at(State.SHADOW)
    assert ends_in(decision(built, 3 * DAY, shadow=shadow(upper=0.0499))) is State.KEPT_CHAMPION
    assert decision(built, 3 * DAY, shadow=shadow(upper=0.05)).to is State.CANARY
    assert decision(built, DAY, shadow=shadow(upper=0.01)).action is Action.CONTINUE


def test_a_relative_effect_waits_for_its_baseline(rollouts, churn):
    success = churn["success"] | {"mde": {"value": 0.1, "kind": "relative"}}
    built = rollouts(churn | {"success": success}).at(State.SHADOW)
    unknown = BaselineFigures(given=None, units=0, successes=0)
    assert decision(built, 3 * DAY, shadow=shadow(upper=0.01), baseline=unknown).to is State.CANARY
    assert ends_in(decision(built, 3 * DAY, shadow=shadow(upper=0.01))) is State.KEPT_CHAMPION


def few(champion, candidate):
    return TrafficFigures(champion=VariantTraffic(units=champion), candidate=VariantTraffic(units=candidate))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"served": timedelta(hours=1)}, "served 1h of 2h"),
        ({"traffic": few(49, 50)}, "champion: 49 of 50 units"),
        ({"traffic": few(50, 49)}, "candidate: 49 of 50 units"),
        ({"quality": quality(checked=False)}, "no event day has been checked yet"),
        ({"srm": ()}, "the sample ratio has not been tested yet"),
    ],
)
def test_a_canary_step_keeps_its_gates_shut(rollouts, changes, said):
    found = decision(rollouts().at(State.CANARY), **changes)
    assert (found.action, found.to) == (Action.CONTINUE, None)
    assert said in " ".join(found.reasons)


def test_canary_steps_lead_to_live_and_the_last_needs_a_baseline(rollouts):
    built = rollouts().at(State.CANARY)
    assert (decision(built).to, decision(built).step) == (State.CANARY, 2)
    built.enter(State.CANARY, 2).publish().enter(State.CANARY, 3).publish()
    assert (decision(built).to, decision(built).step) == (State.LIVE, 0)
    short = BaselineFigures(given=None, units=999, successes=800)
    assert "baseline: 999 of 1,000 closed champion units" in decision(built, baseline=short).reasons
    assert decision(built, baseline=BaselineFigures(given=0.8, units=0, successes=0)).to is State.LIVE
    assert decision(built, baseline=None).to is None


def test_a_canary_never_looks_at_the_success_metric(rollouts):
    built = rollouts().at(State.CANARY)
    assert decision(built, look=look(z=1.0)) == decision(built) == decision(built, look=look(z=9.0))


@pytest.mark.parametrize(
    ("taken", "action", "to", "ending"),
    [
        (look(), Action.PROMOTE, State.PROMOTING, None),
        (look("final"), Action.PROMOTE, State.PROMOTING, None),
        (look(z=2.5), Action.PROMOTE, State.PROMOTING, None),
        (look(z=2.49), Action.CONTINUE, None, None),
        (look("final", z=2.49), Action.KEEP_CHAMPION, State.ROLLING_BACK, State.KEPT_CHAMPION),
        (look("harm", z=9.0), Action.CONTINUE, None, None),
        (look(z=-2.49), Action.CONTINUE, None, None),
        (look(z=-2.5), Action.ROLL_BACK, State.ROLLING_BACK, State.ROLLED_BACK),
        (look("harm", z=-2.5), Action.ROLL_BACK, State.ROLLING_BACK, State.ROLLED_BACK),
        (look("final", z=-2.5), Action.ROLL_BACK, State.ROLLING_BACK, State.ROLLED_BACK),
        (look(z=-9.0, harm=None), Action.CONTINUE, None, None),
        (look(insufficient="40 of 100 closed units"), Action.CONTINUE, None, None),
        (look("final", insufficient="40 of 100"), Action.KEEP_CHAMPION, State.ROLLING_BACK, State.KEPT_CHAMPION),
        (look("final", efficacy=None), Action.KEEP_CHAMPION, State.ROLLING_BACK, State.KEPT_CHAMPION),
        (look("final", z=None), Action.KEEP_CHAMPION, State.ROLLING_BACK, State.KEPT_CHAMPION),
        (look(z=None), Action.CONTINUE, None, None),
    ],
)
def test_a_look_decides(rollouts, taken, action, to, ending):
    found = decision(rollouts().at(State.LIVE), look=taken)
    assert (found.action, found.to, found.ending) == (action, to, ending)


@pytest.mark.parametrize(
    "blocked",
    [
        {"guardrails": (guardrail("error_rate"), guardrail("latency_p95", z=2.49))},
        {"guardrails": (guardrail("error_rate"), guardrail("latency_p95", z=None))},
        {"guardrails": (guardrail("error_rate"),)},
        {"guardrails": ()},
        {"quality": quality(checked=False)},
        {"srm": ()},
        {"freeze": "2026-12-20/2027-01-03"},
    ],
    ids=["unproven", "without z", "one missing", "all missing", "quality unchecked", "no srm test", "freeze"],
)
def test_a_crossing_that_another_gate_blocks_needs_a_fresh_one(rollouts, blocked):
    built = rollouts().at(State.LIVE)
    assert decision(built, look=look(), **blocked).to is None
    last = decision(built, look=look("final"), **blocked)
    assert (last.action, ends_in(last)) == (Action.KEEP_CHAMPION, State.KEPT_CHAMPION)


@pytest.mark.parametrize("broken", [{"srm": (srm((700, 900), alarm=True),)}, {"quality": quality(1)}])
def test_a_final_crossing_on_data_that_cannot_be_trusted_is_a_rollback(rollouts, broken):
    built = rollouts().at(State.LIVE)
    assert decision(built, look=look(), **broken).action is Action.HOLD
    last = decision(built, look=look("final"), **broken)
    assert (last.action, ends_in(last)) == (Action.ROLL_BACK, State.ROLLED_BACK)


def test_a_guardrail_that_is_only_watched_neither_rolls_back_nor_blocks(rollouts, churn):
    watched = {name: rule | {"action": "watch"} for name, rule in churn["guardrails"].items()}
    built = rollouts(churn | {"guardrails": watched}).at(State.LIVE)
    loud = tuple(guardrail(name, acting=False, alarm=True, z=None) for name in watched)
    assert decision(built, look=look(), guardrails=loud).to is State.PROMOTING


def test_a_significant_worsening_within_its_margin_does_not_block(rollouts):
    """ADR 0007: 0.4 pp worse, for certain, against a margin of 1 pp that is kept for certain as well."""
    built, other = rollouts().at(State.LIVE), guardrail("latency_p95")
    worse = guardrail(z=6.0).model_copy(update={"worsening": 0.004, "candidate": 0.014})
    assert decision(built, look=look(), guardrails=(worse, other)).to is State.PROMOTING
    unproven = worse.model_copy(update={"z_non_inferiority": 1.0})
    assert decision(built, look=look(), guardrails=(unproven, other)).to is None


def test_a_win_may_have_to_be_approved(rollouts, churn):
    found = decision(rollouts(churn | {"decide": ASK}).at(State.LIVE), look=look())
    assert found.to is State.AWAITING_APPROVAL
    assert "asks growth-ml within 3d" in found.reasons[1]


def test_live_ends_without_an_answer_when_its_last_look_was_never_taken(rollouts):
    built = rollouts().at(State.LIVE).add(EventType.PLAN_FROZEN, **PLAN)
    assert decision(built, 16 * DAY).action is Action.CONTINUE
    over = decision(built, 16 * DAY + timedelta(seconds=1))
    assert (over.action, ends_in(over)) == (Action.KEEP_CHAMPION, State.KEPT_CHAMPION)


def test_silence_is_no_answer(rollouts, churn):
    built = asking(rollouts, churn)
    assert decision(built, timedelta(hours=70)).reasons[0].startswith("waiting for growth-ml to approve decision ")
    late = decision(built, timedelta(hours=73))
    assert (late.action, ends_in(late)) == (Action.KEEP_CHAMPION, State.KEPT_CHAMPION)


def test_an_approval_moves_on_and_a_rejection_rolls_back(rollouts, churn):
    approved = asking(rollouts, churn, EventType.APPROVED)
    assert (decision(approved, DAY).to, decision(approved, DAY).step) == (State.PROMOTING, 1)
    rejected = decision(asking(rollouts, churn, EventType.REJECTED), DAY)
    assert (rejected.action, ends_in(rejected)) == (Action.ROLL_BACK, State.ROLLED_BACK)


@pytest.mark.parametrize(
    ("served", "weights", "said"),
    [
        (timedelta(hours=23), True, "served 23h of 1d"),
        (10 * DAY, False, "endpoint Updating, not yet at 75%"),
    ],
)
def test_a_promote_step_waits_for_its_time_and_its_weights(rollouts, served, weights, said):
    built = rollouts().at(State.PROMOTING)
    shown = good(built.state, built.now).platform.model_copy(
        update={"endpoint_as_desired": weights, "status": "InService" if weights else "Updating"}
    )
    found = decision(built, served, platform=shown)
    assert (found.action, found.to) == (Action.CONTINUE, None)
    assert said in found.reasons[0]


def test_promote_steps_lead_to_the_bake(rollouts):
    built = rollouts().at(State.PROMOTING)
    assert (decision(built).to, decision(built).step) == (State.PROMOTING, 2)
    built.enter(State.PROMOTING, 2)
    assert decision(built, timedelta()).to is None  # not published yet
    built.publish()
    assert decision(built, timedelta()).to is State.BAKING  # a step without a time


def test_a_bake_ends_after_its_time(rollouts):
    built = rollouts().at(State.BAKING)
    assert decision(built, 47 * timedelta(hours=1)).to is None
    assert decision(built, 2 * DAY).to is State.PROMOTED


@pytest.mark.parametrize("baked", [None, figures.bake(0, 700), figures.bake(40, 0)])
def test_a_bake_without_outcomes_has_shown_nothing(rollouts, baked):
    found = decision(rollouts().at(State.BAKING), bake=baked)
    assert (found.action, found.to) == (Action.CONTINUE, None)
    assert "closed units with an outcome" in found.reasons[-1]


def test_without_a_holdback_nobody_is_waited_for(rollouts, churn):
    stages = churn["stages"] | {"promote": [{"share": 1.0}], "bake": {"for": "2d", "holdback": 0.0}}
    built = rollouts(churn | {"stages": stages}).register()
    path = [(State.SHADOW, 0), (State.CANARY, 1), (State.CANARY, 2), (State.CANARY, 3), (State.LIVE, 0)]
    for state, step in [*path, (State.PROMOTING, 1), (State.BAKING, 0)]:
        built.enter(state, step).publish()
    assert decision(built, bake=figures.bake(0, 700)).to is State.PROMOTED


def test_a_bake_alarm_rolls_back(rollouts):
    found = decision(rollouts().at(State.BAKING), bake=figures.bake(alarm=True))
    assert (found.action, ends_in(found)) == (Action.ROLL_BACK, State.ROLLED_BACK)


def test_a_rollback_needs_no_further_decision(rollouts):
    for ending in (State.ROLLED_BACK, State.KEPT_CHAMPION):
        built = rollouts().at(State.LIVE).enter(State.ROLLING_BACK, ending=ending).publish()
        assert (decision(built).action, decision(built).to) == (Action.CONTINUE, None)


@pytest.mark.parametrize("state", WATCHED)
def test_three_failed_days_in_a_row_roll_back(rollouts, churn, state):
    built = asking(rollouts, churn) if state is State.AWAITING_APPROVAL else rollouts().at(state)
    assert decision(built, timedelta(hours=1), quality=quality(2)).action is Action.HOLD
    found = decision(built, timedelta(hours=1), quality=quality(3))
    assert (found.action, ends_in(found)) == (Action.ROLL_BACK, State.ROLLED_BACK)


@pytest.mark.parametrize("state", WATCHED)
def test_spending_beyond_the_budget_keeps_the_champion(rollouts, churn, state):
    built = asking(rollouts, churn) if state is State.AWAITING_APPROVAL else rollouts().at(state)
    assert decision(built, timedelta(hours=1), spent_usd=900.0).action is not Action.KEEP_CHAMPION
    found = decision(built, timedelta(hours=1), spent_usd=900.01)
    assert (found.action, ends_in(found)) == (Action.KEEP_CHAMPION, State.KEPT_CHAMPION)


@pytest.mark.parametrize(
    ("reason", "changes"),
    [
        (HoldReason.QUALITY, {"quality": quality(1)}),
        (HoldReason.SRM, {"srm": (srm((700, 900), alarm=True),)}),
        (HoldReason.FREEZE, {"freeze": "2026-12-20/2027-01-03"}),
        (HoldReason.DRIFT, {"drift": (DriftFigures(name="score_drift", psi=0.31, limit=0.25, breached=True),)}),
        (HoldReason.DRIFT, {"drift": (DriftFigures(name="score_drift", psi=None, limit=0.25, breached=True),)}),
    ],
)
@pytest.mark.parametrize("state", [State.CANARY, State.LIVE, State.PROMOTING, State.BAKING])
def test_each_reason_holds_and_is_released_with_it(rollouts, state, reason, changes):
    built = rollouts().at(state)
    winning = {"look": look()} if state is State.LIVE else {}
    found = decision(built, **(winning | changes))
    assert (found.action, found.to) == (Action.HOLD, None)
    assert [known for known, _ in found.holds] == [reason]
    assert decision(built.hold(str(reason)), **winning).to is not None


def test_no_data_and_no_traffic_are_held_apart(rollouts):
    built = rollouts().at(State.LIVE)
    for reason in (HoldReason.NO_DATA, HoldReason.NO_TRAFFIC):
        found = decision(built, health=figures.health(built.now, **{str(reason): True}))
        assert [known for known, _ in found.holds] == [reason]


def test_only_the_operator_ends_a_pause(rollouts):
    built = rollouts().at(State.LIVE).hold("operator", "paused by ana: incident 112")
    found = decision(built, look=look())
    assert found.holds == ((HoldReason.OPERATOR, "paused by ana: incident 112"),)
    assert found.to is None

"""LIVE in words: futility, non-inferiority, inference at a stop, and a plan that was made anew."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from staged_rollout.evidence import StageWiseFigures
from staged_rollout.policy import Action, Decision, decide
from staged_rollout.state import EventType, HoldReason, State
from tests.fakes import figures
from tests.fakes.figures import PLAN, good, look, srm

DAY = timedelta(days=1)
AT = "look 1 (60% of the information)"
FOUND = StageWiseFigures(p_value=0.0031, estimate=0.0312, interval=(0.0051, 0.0573))
SAID = "stage-wise at this first stop: p 0.0031, median-unbiased difference +3.12 pp, [+0.51, +5.73]"
MARGIN = {"mde": None, "better_or_equal": {"value": 0.03, "kind": "absolute"}}
RELATIVE = {"mde": None, "better_or_equal": {"value": 0.03, "kind": "relative"}}


def decided(built: Any, **changes: Any) -> Decision:
    state = built.state
    return decide(state.spec, state, good(state, state.stage.effective_at + 9 * DAY, **changes))


def claiming(rollouts: Any, churn: dict[str, Any], claim: dict[str, Any], margin: float = 0.024) -> Any:
    built = rollouts(churn | {"success": churn["success"] | claim}).at(State.LIVE)
    return built.add(EventType.PLAN_FROZEN, **PLAN | {"margin": margin})


def test_futility_keeps_the_champion_and_says_what_would_flip_it(rollouts: Any) -> None:
    found = decided(rollouts().at(State.LIVE), look=look(z=0.12, futility=0.31))
    assert (found.action, found.ending) == (Action.KEEP_CHAMPION, State.KEPT_CHAMPION)
    assert found.reasons == (f"no win: futility at {AT}, z 0.12 <= 0.31",)
    assert found.would_flip == ("z above 0.31 at this look",)


@pytest.mark.parametrize(
    ("taken", "action"),
    [
        (look(z=0.31, futility=0.31), Action.KEEP_CHAMPION),
        (look(z=0.3101, futility=0.31), Action.CONTINUE),
        (look(z=2.5, futility=2.5), Action.PROMOTE),
        (look(z=-2.5, futility=0.31), Action.ROLL_BACK),
        (look("harm", z=0.1, futility=0.31), Action.CONTINUE),
        (look(z=0.1, futility=0.31, insufficient="40 of 100 closed units"), Action.CONTINUE),
        (look(z=None, futility=0.31), Action.CONTINUE),
        (look("final", z=2.4, futility=2.5), Action.KEEP_CHAMPION),
    ],
    ids=["at it", "above it", "met the win", "harm first", "harm look", "insufficient", "no z", "final"],
)
def test_harm_then_futility_then_efficacy(rollouts: Any, taken: Any, action: Action) -> None:
    assert decided(rollouts().at(State.LIVE), look=taken).action is action


def test_a_final_look_ends_as_it_always_did(rollouts: Any) -> None:
    found = decided(rollouts().at(State.LIVE), look=look("final", z=1.0, futility=2.5))
    assert found.reasons[0] == f"no win at the final {AT}: z 1.00 < 2.50"


@pytest.mark.parametrize(
    "blocked",
    [{"freeze": "2026-12-20/2027-01-03"}, {"srm": (srm((700, 900), alarm=True),)}, {"quality": figures.quality(1)}],
    ids=["freeze", "srm", "quality"],
)
def test_holds_do_not_stop_giving_up(rollouts: Any, blocked: dict[str, Any]) -> None:
    """It is no forward move; as at the final look."""
    found = decided(rollouts().at(State.LIVE), look=look(z=0.1, futility=0.3), **blocked)
    assert found.ending is State.KEPT_CHAMPION
    assert HoldReason.OPERATOR not in dict(found.holds)


def test_a_look_that_goes_on_names_both_bounds(rollouts: Any) -> None:
    found = decided(rollouts().at(State.LIVE), look=look(z=1.0, futility=0.31))
    assert found.reasons == (f"{AT}: z 1.00 < 2.50 and above 0.31 (futility)",)


@pytest.mark.parametrize(
    ("taken", "position"),
    [
        (look(stage_wise=FOUND), 1),
        (look(z=0.1, futility=0.3, stage_wise=FOUND), 1),
        (look("final", z=1.0, stage_wise=FOUND), 1),
    ],
    ids=["a win", "futility", "the final look"],
)
def test_what_may_be_said_at_a_stop_is_said(rollouts: Any, taken: Any, position: int) -> None:
    assert decided(rollouts().at(State.LIVE), look=taken).reasons[position] == SAID


def test_a_p_value_below_what_evidence_keeps_is_not_said_to_be_0(rollouts: Any) -> None:
    tiny = FOUND.model_copy(update={"p_value": 0.0})
    assert decided(rollouts().at(State.LIVE), look=look(stage_wise=tiny)).reasons[1] == SAID.replace(
        "p 0.0031", "p < 1e-9"
    )


def test_a_blocked_win_says_it_too(rollouts: Any) -> None:
    found = decided(rollouts().at(State.LIVE), look=look(stage_wise=FOUND), srm=())
    assert found.to is None
    assert SAID in found.reasons


@pytest.mark.parametrize(
    ("claim", "words"), [(MARGIN, "3pp"), (RELATIVE, "3% of the champion's (2.40 pp)")], ids=["absolute", "relative"]
)
def test_non_inferiority_in_words(rollouts: Any, churn: dict[str, Any], claim: dict[str, Any], words: str) -> None:
    built = claiming(rollouts, churn, claim)
    won, last = decided(built, look=look()), decided(built, look=look("final", z=1.0))
    given_up, harm = decided(built, look=look(z=0.1, futility=0.3)), decided(built, look=look(z=-3.0))
    assert won.reasons[0].startswith(f"{AT}: z 3.00 >= 2.50, not worse by more than {words}, every guardrail within")
    assert last.reasons[0] == f"no win at the final {AT}: z 1.00 < 2.50, it may be worse by more than {words}"
    assert given_up.reasons[0].endswith(f"z 0.10 <= 0.30, it may be worse by more than {words}")
    assert harm.reasons[0] == f"look 1: correct is worse by 5.00%, more than {words}, z -3.00 <= -2.50 (harm bound)"


def test_a_bake_names_the_margin_that_it_tolerated(rollouts: Any, churn: dict[str, Any]) -> None:
    built = rollouts(churn | {"success": churn["success"] | MARGIN}).at(State.BAKING)
    found = decided(built, bake=figures.bake(alarm=True))
    assert found.reasons[0].startswith("worse than the holdback by more than 3pp while baking: log e 9.00")


def test_shadow_cannot_rule_out_that_a_candidate_is_no_worse(rollouts: Any, churn: dict[str, Any]) -> None:
    """Few other answers bound the gain, and with it a win; where nothing has to be gained, they bound nothing."""
    few = figures.shadow(upper=0.001)
    superior = rollouts().at(State.SHADOW)
    no_worse = rollouts(churn | {"success": churn["success"] | MARGIN}).at(State.SHADOW)
    state = superior.state
    good_then = good(state, state.stage.effective_at + 3 * DAY, shadow=few)
    assert decide(state.spec, state, good_then).ending is State.KEPT_CHAMPION
    state = no_worse.state
    assert decide(state.spec, state, good(state, state.stage.effective_at + 3 * DAY, shadow=few)).to is State.CANARY


def test_a_margin_below_which_there_is_no_rate_ends_before_live(rollouts: Any, churn: dict[str, Any]) -> None:
    built = rollouts(churn | {"success": churn["success"] | MARGIN}).at(State.CANARY)
    built.enter(State.CANARY, 2).publish().enter(State.CANARY, 3).publish()
    low = figures.BaselineFigures(given=None, units=2000, successes=40)
    found = decided(built, baseline=low)
    assert found.ending is State.KEPT_CHAMPION
    assert found.reasons[0] == "no test can be planned: 3pp away from the champion's correct of 2.0% is no rate"


REESTIMATED = {"slot": 1, "before": 700.0, "n_eff_max": 800.0, "cap": 900.0, "events": 300, "units": 500}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "700 -> 800 effective units"),
        ({"n_eff_max": 900.0}, "700 -> 900 effective units, all that expected traffic brings"),
        ({"n_eff_max": 700.0}, "the plan of 700 effective units stays"),
    ],
)
def test_a_look_that_waited_for_a_new_plan_says_so(rollouts: Any, changes: dict[str, Any], said: str) -> None:
    built = rollouts().at(State.LIVE).add(EventType.PLAN_FROZEN, **PLAN)
    built.add(EventType.PLAN_REESTIMATED, **REESTIMATED | changes)
    reasons = decided(built, look=look(z=1.0)).reasons
    assert reasons[-1].startswith("re-estimated blinded, from a pooled rate of 60.0% in 500 units: ")
    assert reasons[-1].endswith(said)
    assert decided(built, look=look(z=1.0, slot=2)).reasons == (f"look 2{AT[6:]}: z 1.00 < 2.50",)

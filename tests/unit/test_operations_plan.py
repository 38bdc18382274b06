"""What is frozen at LIVE's entry: the claim, its size, and what futility costs."""

from __future__ import annotations

from typing import Any

import pytest

from staged_rollout.errors import StatisticsError
from staged_rollout.evidence import BaselineFigures
from staged_rollout.operations.plan import freeze_plan
from staged_rollout.spec.claim import Claim, claim_at
from staged_rollout.spec.model import RolloutSpec, Success
from staged_rollout.state import Plan, State, from_payload, to_payload
from staged_rollout.stats import Spending, design, two_proportions_units
from tests.fakes import figures

FRACTIONS = [day / 15 for day in range(8, 16)]
FIVE = {"mde": None, "better_or_equal": {"value": 0.05, "kind": "absolute"}}


def frozen(rollouts: Any, churn: dict[str, Any], baseline: float = 0.8, **success: Any) -> Plan:
    spec = churn | {"success": churn["success"] | success}
    built = rollouts(spec).at(State.CANARY)
    known = BaselineFigures(given=baseline, units=0, successes=0)
    return freeze_plan(built.spec, figures.good(built.state, built.now, baseline=known))


def test_a_plan_without_the_new_keys_is_as_it_was(rollouts: Any, churn: dict[str, Any]) -> None:
    """Two guardrails act: power 1 - .2 / 3. Reference: `inflation` and the fixed sample of statsmodels."""
    plan = frozen(rollouts, churn)
    power = 1 - 0.2 / 3
    factor = design(FRACTIONS, Spending("obrien-fleming", 0.025), power=power).inflation
    assert plan.inflation == pytest.approx(factor, rel=1e-12)
    assert plan.n_eff_max == pytest.approx(two_proportions_units(0.8, 0.85, 0.025, power) * factor / 4, rel=1e-12)
    assert (plan.margin, plan.beta, plan.drift) == (None, None, None)
    assert plan.planned_rate == pytest.approx(0.825)


@pytest.mark.parametrize("kind", ["obrien-fleming", "pocock", "power:3", "hsd:-4"])
def test_futility_is_paid_for_in_units(rollouts: Any, churn: dict[str, Any], kind: str) -> None:
    """What is spent is beta / (G + 1); at n_eff_max the design, giving up included, has its power."""
    plan, without = frozen(rollouts, churn, futility=kind), frozen(rollouts, churn)
    assert plan.beta == pytest.approx(0.2 / 3)
    whole = design(FRACTIONS, Spending("obrien-fleming", 0.025), futility=Spending.parse(kind, plan.beta))
    assert whole.power(plan.drift) == pytest.approx(1 - plan.beta, abs=1e-9)
    assert plan.inflation == pytest.approx(whole.inflation, rel=1e-12)
    assert plan.n_eff_max == pytest.approx(without.n_eff_max * plan.inflation / without.inflation, rel=1e-12)
    assert plan.n_eff_max > without.n_eff_max


@pytest.mark.parametrize(("better", "delta0"), [("higher", -0.05), ("lower", 0.05)])
def test_non_inferiority_is_planned_for_no_difference_at_all(
    rollouts: Any, churn: dict[str, Any], better: str, delta0: float
) -> None:
    """Restricted variance under H0 (Farrington and Manning 1990), the margin as the distance."""
    plan = frozen(rollouts, churn, better=better, **FIVE)
    fixed = two_proportions_units(0.8, 0.8, 0.025, 1 - 0.2 / 3, delta0=delta0)
    assert plan.n_eff_max == pytest.approx(fixed * plan.inflation / 4, rel=1e-12)
    assert (plan.mde, plan.margin) == (0.05, 0.05)
    assert plan.planned_rate == pytest.approx(0.8)


def test_a_relative_margin_is_of_the_baseline(rollouts: Any, churn: dict[str, Any]) -> None:
    plan = frozen(rollouts, churn, 0.6, mde=None, better_or_equal={"value": 0.1, "kind": "relative"})
    assert plan.margin == pytest.approx(0.06)


def test_the_plan_survives_the_ledger(rollouts: Any, churn: dict[str, Any]) -> None:
    plan = frozen(rollouts, churn, futility="pocock", **FIVE)
    assert plan == from_payload(Plan, to_payload(plan))


CLAIMS = [
    ({"mde": 0.05}, 0.8, Claim(0.8500000000000001, 0.0, 0.05, None)),
    ({"mde": 0.05}, 0.97, Claim(0.9199999999999999, 0.0, 0.05, None)),
    ({"mde": 0.05, "better": "lower"}, 0.8, Claim(0.75, 0.0, 0.05, None)),
    ({"mde": 0.6}, 0.5, None),
    ({"mde": 0.05}, 1.0, None),
    ({"better_or_equal": 0.05}, 0.8, Claim(0.8, -0.05, 0.05, 0.05)),
    ({"better_or_equal": 0.05, "better": "lower"}, 0.8, Claim(0.8, 0.05, 0.05, 0.05)),
    ({"better_or_equal": 0.05}, 0.97, Claim(0.97, -0.05, 0.05, 0.05)),
    ({"better_or_equal": 0.05}, 0.04, None),
    ({"better_or_equal": 0.05, "better": "lower"}, 0.96, None),
    ({"better_or_equal": 0.05}, 0.0, None),
]


@pytest.mark.parametrize(("keys", "baseline", "claim"), CLAIMS)
def test_the_claim_at_a_baseline(keys: dict[str, Any], baseline: float, claim: Claim | None) -> None:
    made = {name: {"value": value, "kind": "absolute"} if name != "better" else value for name, value in keys.items()}
    assert claim == claim_at(Success(metric="correct", matures_after="1d", **made), baseline)


def test_no_room_for_the_margin_says_so(rollouts: Any, churn: dict[str, Any]) -> None:
    with pytest.raises(StatisticsError, match=r"baseline 4.00% and a difference of 5pp") as caught:
        frozen(rollouts, churn, 0.04, **FIVE)
    assert "better_or_equal" in caught.value.hint


def test_a_spec_has_one_claim(churn: dict[str, Any]) -> None:
    for wrong in ({"mde": None}, {"better_or_equal": {"value": 0.05, "kind": "absolute"}}):
        with pytest.raises(ValueError, match="exactly one of mde and better_or_equal"):
            RolloutSpec.model_validate(churn | {"success": churn["success"] | wrong})

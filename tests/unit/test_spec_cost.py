from __future__ import annotations

from pathlib import Path

import pytest

from staged_rollout.errors import NotFoundError, SpecError
from staged_rollout.spec.cost import forecast, stage_times
from staged_rollout.spec.environment import load_environment
from staged_rollout.spec.load import load_rollout
from staged_rollout.spec.model import Budget, Instance
from staged_rollout.spec.prices import PriceOverrides, load_prices

CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.fixture(name="prices")
def _prices():
    return load_prices(CONFIGS / "prices.yaml")


@pytest.fixture(name="churn")
def _churn():
    return load_rollout(CONFIGS / "rollouts" / "churn.yaml", environment=load_environment("local", CONFIGS))


def test_two_variants_run_in_every_stage(churn, prices):
    # 2d shadow + 1d canary + 14d live + 1d labels + 1d promote + 2d bake, two variants at 0.23 an hour
    cost = forecast(churn, prices)
    assert cost.total_usd == pytest.approx(21 * 24 * 2 * 0.23)
    assert cost.champion_usd == pytest.approx(cost.total_usd / 2)
    assert cost.extra_usd == pytest.approx(cost.total_usd / 2)
    assert cost.total_usd == pytest.approx(sum(item.usd for item in cost.items))
    assert cost.within_budget


def test_live_is_counted_to_its_final_look(churn):
    times = {stage: time.days for stage, time in stage_times(churn)}
    assert times == {"shadow": 2, "canary 25%": 1, "live": 15, "promote 75%": 1, "bake": 2}


def test_instances_multiply(churn, prices):
    bigger = churn.model_copy(update={"instance": Instance(type="ml.g5.xlarge", count=3)})
    expected = forecast(churn, prices).total_usd * 3 * 1.408 / 0.23
    assert forecast(bigger, prices).total_usd == pytest.approx(expected)


def test_requests_are_paid_and_shadow_copies_too(churn, prices):
    paid = prices.overridden(PriceOverrides(per_million_requests=2.0))
    cost = forecast(churn, paid, requests_per_day=1e6)
    requests = sum(item.usd for item in cost.items if item.what.endswith("requests"))
    assert requests == pytest.approx(2.0 * (21 + 2))
    assert cost.champion_usd == pytest.approx(21 * 24 * 0.23 + 2.0 * 21)
    assert cost.extra_usd == pytest.approx(21 * 24 * 0.23 + 2.0 * 2)


def test_a_budget_limits_the_total(churn, prices):
    total = forecast(churn, prices).total_usd
    for limit, within in ((total, True), (total - 0.01, False), (None, True)):
        limited = churn.model_copy(update={"budget": Budget(max_usd=limit)})
        assert within is forecast(limited, prices).within_budget


def test_an_unknown_instance_names_the_table(churn, prices):
    odd = churn.model_copy(update={"instance": Instance(type="ml.x9.huge")})
    with pytest.raises(NotFoundError, match=r"'ml.x9.huge' has no price .*ml\.m5\.xlarge.*prices\.yaml"):
        forecast(odd, prices)


def test_an_environment_may_pay_less(prices):
    own = prices.overridden(PriceOverrides(instances={"ml.m5.xlarge": 0.18}))
    assert own.hourly("ml.m5.xlarge") == 0.18
    assert own.hourly("ml.g5.xlarge") == 1.408
    assert own.per_million_requests == prices.per_million_requests


def test_a_damaged_price_table_is_told_by_line(tmp_path):
    path = tmp_path / "prices.yaml"
    path.write_text(
        "region: r\nas_of: 2026-01-01\nsource: s\ninstances:\n  ml.a.b: free\nper_million_requests: 0\n",
        encoding="utf-8",
    )
    with pytest.raises(SpecError, match=r"prices\.yaml:5: instances\.ml\.a\.b: 'free'"):
        load_prices(path)

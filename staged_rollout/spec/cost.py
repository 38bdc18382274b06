"""What a rollout's endpoint will cost, stage by stage."""

from __future__ import annotations

from datetime import timedelta

from staged_rollout.spec.grammar import render_share
from staged_rollout.spec.model import RolloutSpec
from staged_rollout.spec.prices import PriceTable
from staged_rollout.spec.values import FrozenModel

_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)


class CostItem(FrozenModel):
    """One line of the forecast.

    Args:
        what: Stage and variant, or requests.
        hours: How long.
        rate_usd: US dollars an hour, all instances of the variant together.
        usd: `hours * rate_usd`.
    """

    what: str
    hours: float
    rate_usd: float
    usd: float


class CostForecast(FrozenModel):
    """What is expected if every stage takes its planned time and LIVE runs to its final look.

    Args:
        items: Every line; they sum to `total_usd`.
        total_usd: Both variants and all requests.
        champion_usd: What runs anyway: the champion, and the requests that it would answer alone.
        extra_usd: What the rollout adds.
        max_usd: The budget; None: no limit. It limits `total_usd`.
    """

    items: tuple[CostItem, ...]
    total_usd: float
    champion_usd: float
    extra_usd: float
    max_usd: float | None

    @property
    def within_budget(self) -> bool:
        """Whether the budget allows it."""
        return self.max_usd is None or self.total_usd <= self.max_usd


def stage_times(spec: RolloutSpec) -> tuple[tuple[str, timedelta], ...]:
    """Each stage with an endpoint of two variants, and its planned time; LIVE up to its final look."""
    stages = spec.stages
    canary = ((f"canary {render_share(step.share)}", step.for_) for step in stages.canary)
    promote = ((f"promote {render_share(step.share)}", step.for_) for step in stages.promote if step.for_)
    live = stages.live.max + spec.success.matures_after
    return (
        ("shadow", stages.shadow.for_),
        *canary,
        ("live", live),
        *((what, time) for what, time in promote if time is not None),
        ("bake", stages.bake.for_),
    )


def forecast(spec: RolloutSpec, prices: PriceTable, *, requests_per_day: float | None = None) -> CostForecast:
    """Instances x hours x variants, and a price per request.

    The champion keeps its capacity until PROMOTED, so two variants run in every stage; SHADOW also copies its sample of
    requests, and each copy is a request.

    Args:
        spec: The rollout.
        prices: The table, with the environment's own prices in place.
        requests_per_day: Calls a day; None: one for each unit of `traffic.units_per_day`, the least that can be.

    Raises:
        NotFoundError: If the table does not know the instance type.
    """
    rate = prices.hourly(spec.instance.type) * spec.instance.count
    per_day = spec.traffic.units_per_day if requests_per_day is None else requests_per_day
    items: list[CostItem] = []
    champion = 0.0
    for stage, time in stage_times(spec):
        hours = time / _HOUR
        for variant in ("champion", "candidate"):
            what = f"{stage}: {variant}, {spec.instance.count} x {spec.instance.type}"
            items.append(CostItem(what=what, hours=hours, rate_usd=rate, usd=hours * rate))
        a_request = prices.per_million_requests / 1e6
        copies = spec.stages.shadow.sample if stage == "shadow" else 0.0
        if a_request:
            hourly = per_day * (1 + copies) * a_request / (_DAY / _HOUR)
            items.append(CostItem(what=f"{stage}: requests", hours=hours, rate_usd=hourly, usd=hours * hourly))
        champion += hours * (rate + per_day * a_request / (_DAY / _HOUR))
    total = sum(item.usd for item in items)
    return CostForecast(
        items=tuple(items),
        total_usd=total,
        champion_usd=champion,
        extra_usd=total - champion,
        max_usd=spec.budget.max_usd,
    )

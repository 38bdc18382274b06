"""The plan that is frozen when LIVE begins: a wrong variance then costs power, not alpha."""

from __future__ import annotations

from staged_rollout.errors import StatisticsError
from staged_rollout.evidence import Evidence
from staged_rollout.spec.model import RolloutSpec
from staged_rollout.state import Plan
from staged_rollout.stats import (
    Spending,
    inflation,
    maximum_information_units,
    threshold_grid,
    two_proportions_units,
)


def freeze_plan(spec: RolloutSpec, evidence: Evidence) -> Plan:
    """Baseline, effect, I_max and looks, from what is known at LIVE's entry.

    With G guardrails that act, it is made for a power of 1 - beta / (G + 1), so that all of them pass with 1 - beta.

    Source: docs/statistics.md, "When the plan is frozen".

    Raises:
        StatisticsError: the baseline and the MDE leave no room between 0 and 1.
    """
    baseline = evidence.baseline
    if baseline is None or baseline.value is None:
        raise StatisticsError(
            "LIVE cannot begin without a baseline", hint="set success.baseline, or wait for closed champion units"
        )
    mde = spec.success.mde.absolute(baseline.value)
    sign = 1.0 if spec.success.better == "higher" else -1.0
    # A champion at 96% leaves no room for 5 pp more: then the same difference is planned for on the other side, where
    # there is room, so that the plan stays large enough to see harm of that size.
    targets = (baseline.value + sign * mde, baseline.value - sign * mde)
    target = next((rate for rate in targets if 0.0 < rate < 1.0), None)
    if target is None or not 0.0 < baseline.value < 1.0:
        raise StatisticsError(
            f"baseline {baseline.value:.2%} and MDE {mde:.2%} leave no rate between 0 and 1 to plan for",
            hint="set success.mde smaller",
            baseline=baseline.value,
            mde=mde,
        )
    acting = sum(guardrail.action == "roll_back" for guardrail in spec.guardrails.values())
    power = 1.0 - (1.0 - spec.success.power) / (acting + 1)
    split = spec.stages.live.split[1]
    fixed = two_proportions_units(baseline.value, target, spec.success.alpha, power, ratio=split / (1.0 - split))
    looks = spec.look_slots()
    last = looks[-1]
    fractions = tuple(slot / last for slot in looks)
    factor = inflation(fractions, Spending("obrien-fleming", spec.success.alpha), power)
    slots = tuple(sorted({*looks, *spec.harm_slots()}))
    p95 = evidence.champion_p95_ms
    return Plan(
        baseline=baseline.value,
        baseline_units=0 if baseline.given is not None else baseline.units,
        mde=mde,
        n_eff_max=maximum_information_units(fixed, factor, split),
        inflation=factor,
        latency_grid_ms=threshold_grid(p95) if p95 else (),
        slots=slots,
        efficacy=looks,
        last=last,
    )

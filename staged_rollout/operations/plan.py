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
    target = baseline.value + (mde if spec.success.better == "higher" else -mde)
    room = 1e-3
    if not room <= target <= 1.0 - room:
        target = min(max(target, room), 1.0 - room)
        mde = abs(target - baseline.value)
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

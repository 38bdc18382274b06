"""The plan that is frozen when LIVE begins: a wrong variance then costs power, not alpha."""

from __future__ import annotations

from staged_rollout.errors import StatisticsError
from staged_rollout.evidence import Evidence
from staged_rollout.spec.claim import claim_at
from staged_rollout.spec.model import RolloutSpec, Success
from staged_rollout.state import Plan
from staged_rollout.stats import (
    Spending,
    design,
    inflation,
    maximum_information_units,
    threshold_grid,
    two_means_units,
    two_proportions_units,
)


def freeze_plan(spec: RolloutSpec, evidence: Evidence) -> Plan:
    """Baseline, effect or margin, I_max and looks, from what is known at LIVE's entry.

    With G guardrails that act, it is made for a power of 1 - beta / (G + 1), so that all of them pass with 1 - beta.
    Futility, where it is asked for, spends that beta / (G + 1), and the size grows by what that costs.

    Source: docs/statistics.md, "When the plan is frozen".

    Raises:
        StatisticsError: the baseline and the MDE, or the margin, leave no room between 0 and 1.
    """
    baseline = evidence.baseline
    if baseline is None or baseline.value is None:
        raise StatisticsError(
            "LIVE cannot begin without a baseline", hint="set success.baseline, or wait for closed champion units"
        )
    success = spec.success
    claim = claim_at(success, baseline.value, in_shares=spec.in_shares)
    if claim is None and not spec.in_shares:
        raise StatisticsError(
            f"a champion at {baseline.value:g} leaves a relative difference of {success.distance} nothing to be of",
            hint="set success.mde or success.better_or_equal as a number in the metric's unit",
            baseline=baseline.value,
            difference=str(success.distance),
        )
    if claim is None:
        raise StatisticsError(
            f"baseline {baseline.value:.2%} and a difference of {success.distance} leave no rate between 0 and 1",
            hint=f"set success.{'mde' if success.better_or_equal is None else 'better_or_equal'} smaller",
            baseline=baseline.value,
            difference=str(success.distance),
        )
    acting = sum(guardrail.action == "roll_back" for guardrail in spec.guardrails.values())
    beta = (1.0 - success.power) / (acting + 1)
    split = spec.stages.live.split[1]
    ratio = split / (1.0 - split)
    if spec.in_shares:
        fixed = two_proportions_units(
            baseline.value, claim.rate, success.alpha, 1.0 - beta, ratio=ratio, delta0=claim.null
        )
    else:
        if baseline.sd is None:
            raise StatisticsError(
                "LIVE cannot begin without the standard deviation of a unit's value",
                hint="set success.sd, or wait for closed champion units whose values differ",
            )
        effect = claim.distance if claim.margin is None else 0.0
        fixed = two_means_units(
            baseline.sd, effect, success.alpha, 1.0 - beta, ratio=ratio, delta0=-(claim.margin or 0.0)
        )
    looks = spec.look_slots()
    last = looks[-1]
    factor, drift = _cost_of_looks(tuple(slot / last for slot in looks), success, beta)
    slots = tuple(sorted({*looks, *spec.harm_slots()}))
    p95 = evidence.champion_p95_ms
    return Plan(
        baseline=baseline.value,
        baseline_units=baseline.units if baseline.given is None or not spec.in_shares else 0,
        mde=claim.distance,
        n_eff_max=maximum_information_units(fixed, factor, split),
        inflation=factor,
        latency_grid_ms=threshold_grid(p95) if p95 else (),
        slots=slots,
        efficacy=looks,
        last=last,
        margin=claim.margin,
        planned_rate=(1.0 - split) * baseline.value + split * claim.rate if spec.in_shares else None,
        beta=None if drift is None else beta,
        drift=drift,
    )


def _cost_of_looks(fractions: tuple[float, ...], success: Success, beta: float) -> tuple[float, float | None]:
    """The inflation factor R of the planned looks; with futility also E[Z] at t = 1 that the plan is made for."""
    efficacy = Spending("obrien-fleming", success.alpha)
    if success.futility is None:
        return inflation(fractions, efficacy, 1.0 - beta), None
    planned = design(fractions, efficacy, futility=Spending.parse(success.futility, beta))
    if planned.inflation is None or planned.drift is None:
        raise AssertionError
    # Where the bounds meet before the last look, the design ends there; R is of t = 1 all the same.
    return max(1.0, planned.inflation / planned.information[-1]), planned.drift

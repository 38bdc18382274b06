"""decide(spec, state, evidence) -> Decision: pure, total, and explains itself with numbers.

Precedence: harm > futility > efficacy. Nothing here reads a clock, a file or a network: the same five hashes
(specification, ledger prefix, evidence, time, code) give the same bytes.
"""

from __future__ import annotations

from staged_rollout.evidence import Evidence
from staged_rollout.policy import stages
from staged_rollout.policy.decision import Action, Decision
from staged_rollout.policy.holds import holds_now
from staged_rollout.policy.live import awaiting, live
from staged_rollout.policy.moves import keep, margin_of, roll_back
from staged_rollout.spec.amounts import amount_text
from staged_rollout.spec.model import RolloutSpec
from staged_rollout.state import RolloutState, State

QUALITY_FAILURES = 3
"""Consecutive failed event days that roll back."""


def decide(spec: RolloutSpec, state: RolloutState, evidence: Evidence) -> Decision:
    """What to do with a rollout, given everything that is known.

    Args:
        spec: The resolved specification of REGISTERED.
        state: The fold of its ledger.
        evidence: The present evidence, as sealed.

    Returns:
        Exactly one decision for every state.
    """
    if state.terminal:
        return Decision(Action.CONTINUE, None, 0, None, (f"ended in {state.state}: {state.reason}",))
    if state.state is State.ROLLING_BACK:
        return Decision(Action.CONTINUE, None, 0, None, (f"rolling back to {state.ending}: reconcile ends it",))
    harm = _harm(state, evidence)
    if harm is not None:
        return harm
    holds = holds_now(spec, state, evidence)
    if (
        spec.budget.max_usd is not None
        and evidence.spent_usd > spec.budget.max_usd
        and state.state is not State.REGISTERED
    ):
        return keep(f"spent ${evidence.spent_usd:,.2f} of ${spec.budget.max_usd:,.2f}: over budget", holds=holds)
    match state.state:
        case State.REGISTERED:
            return stages.registered(state, evidence, holds)
        case State.SHADOW:
            return stages.shadow(spec, state, evidence, holds)
        case State.CANARY:
            return stages.canary(spec, state, evidence, holds)
        case State.LIVE:
            return live(spec, state, evidence, holds)
        case State.AWAITING_APPROVAL:
            return awaiting(spec, state, evidence, holds)
        case State.PROMOTING:
            return stages.promoting(spec, state, evidence, holds)
        case _:
            return stages.baking(spec, state, evidence, holds)


def _harm(state: RolloutState, evidence: Evidence) -> Decision | None:
    """What rolls back an exposed rollout, whatever else holds."""
    reasons: list[str] = []
    margin = margin_of(state)
    if state.exposed:
        reasons.extend(
            f"{guardrail.name} is worse by {_figure(guardrail.worsening, guardrail.unit)}, more than "
            f"{_figure(guardrail.margin, guardrail.unit)}: log e {guardrail.log_e:.2f} >= {guardrail.threshold_log:.2f}"
            for guardrail in evidence.guardrails
            if guardrail.acting and guardrail.alarm
        )
        look = evidence.look
        if look is not None and look.harmful and look.harm is not None and look.success.z is not None:
            more = f"more than {margin}, " if margin is not None else ""
            reasons.append(
                f"look {look.slot}: {state.spec.success.metric} is worse by "
                f"{amount_text(abs(look.success.estimate or 0.0), look.success.unit)}, "
                f"{more}z {look.success.z:.2f} <= {-look.harm.z:.2f} (harm bound)"
            )
        bake = evidence.bake
        if bake is not None and bake.alarm:
            by = f" by more than {margin}" if margin is not None else ""
            reasons.append(
                f"worse than the holdback{by} while baking: log e {bake.log_e:.2f} >= {bake.threshold_log:.2f}"
            )
    if state.state is not State.REGISTERED and evidence.quality.failed_in_a_row >= QUALITY_FAILURES:
        reasons.append(
            f"quality failed on {evidence.quality.failed_in_a_row} event days in a row (limit {QUALITY_FAILURES}): "
            + "; ".join(evidence.quality.failures)
        )
    if not reasons:
        return None
    return roll_back(reasons[0], *reasons[1:])


def _figure(value: float | None, unit: str) -> str:
    if value is None:
        return "unknown"
    return f"{value:.1f} ms" if unit == "ms" else f"{value:.2%}"

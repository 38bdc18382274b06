"""What the routers and the endpoint should be in each state: a pure function, the target of reconcile."""

from __future__ import annotations

from dataclasses import dataclass

from staged_rollout.assignment import VariantRef
from staged_rollout.state.fold import stage_label
from staged_rollout.state.model import RolloutState, State


@dataclass(frozen=True)
class DesiredRouting:
    """An assignment document without its epoch and time. Field by field as in `AssignmentDocument`."""

    rollout: str | None
    stage: str | None
    step: int
    champion: VariantRef
    candidate: VariantRef | None
    enrolled: float
    share: float


@dataclass(frozen=True)
class DesiredVariant:
    """A variant, what it loads, and its share of the endpoint's weights in [0, 1]."""

    name: str
    version: str
    reference: str
    weight: float


@dataclass(frozen=True)
class DesiredEndpoint:
    """Production variants whose weights sum to 1; a shadow beside exactly one of them, weighing the share it copies."""

    production: tuple[DesiredVariant, ...]
    shadow: DesiredVariant | None


@dataclass(frozen=True)
class Desired:
    """Routers and endpoint as they should be."""

    routing: DesiredRouting
    endpoint: DesiredEndpoint


def candidate_share(state: RolloutState) -> float:
    """The share of units that the candidate should answer, in [0, 1]."""
    stages = state.spec.stages
    split = stages.live.split[1]
    match state.state:
        case State.CANARY:
            return stages.canary[state.step - 1].share
        case State.LIVE | State.AWAITING_APPROVAL:
            return split
        case State.PROMOTING:
            return stages.promote[state.step - 1].share
        case State.BAKING:
            return 1.0 - stages.bake.holdback
        case State.PROMOTED:
            return 1.0
        case _:
            return 0.0


def desired(state: RolloutState) -> Desired:
    """The target of a state.

    Endpoint weights stay champion 1, candidate 0 until PROMOTING, so that callers outside the router never meet the
    candidate before.
    """
    champion = VariantRef(name=state.champion.variant, version=state.champion.version)
    candidate = VariantRef(name=state.candidate.variant, version=state.candidate.version)
    share = candidate_share(state)
    label = stage_label(state.state)
    split = state.spec.stages.live.split[1]
    promoting = state.state in {State.PROMOTING, State.BAKING}
    weight = share if promoting else 0.0
    champion_variant = DesiredVariant(champion.name, champion.version, state.champion.reference, 1.0 - weight)
    candidate_variant = DesiredVariant(candidate.name, candidate.version, state.candidate.reference, weight)

    if state.state is State.PROMOTED:
        alone = DesiredVariant(candidate.name, candidate.version, state.candidate.reference, 1.0)
        return Desired(DesiredRouting(None, None, 0, candidate, None, 0.0, 0.0), DesiredEndpoint((alone,), None))
    if label is None:
        return Desired(
            DesiredRouting(None, None, 0, champion, None, 0.0, 0.0), DesiredEndpoint((champion_variant,), None)
        )
    if state.state is State.SHADOW:
        shadow = DesiredVariant(
            candidate.name, candidate.version, state.candidate.reference, state.spec.stages.shadow.sample
        )
        return Desired(
            DesiredRouting(state.rollout, label, 0, champion, None, 0.0, 0.0),
            DesiredEndpoint((champion_variant,), shadow),
        )
    enrolled = 1.0 if promoting or state.state is not State.CANARY else min(share / split, 1.0)
    step = 0 if label == "live" else state.step
    return Desired(
        DesiredRouting(state.rollout, label, step, champion, candidate, enrolled, share if promoting else 0.0),
        DesiredEndpoint((champion_variant, candidate_variant), None),
    )

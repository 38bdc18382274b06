"""What may be said at an efficacy look beside its interval: at any look, and once when the test stops."""

from __future__ import annotations

from staged_rollout.evidence import BoundFigures, StageWiseFigures, StopFigures, SuccessFigures
from staged_rollout.operations.look_bounds import design_with
from staged_rollout.state import RolloutState
from staged_rollout.stats import repeated_p_value, stage_wise


def p_value(state: RolloutState, success: SuccessFigures, efficacy: BoundFigures | None, *, last: bool) -> float | None:
    """The repeated p-value of an efficacy look: the smallest alpha whose bound z reaches, one-sided.

    Source: Jennison and Turnbull (1989), JRSS B 51, 305-361.
    """
    if efficacy is None or success.z is None:
        return None
    return repeated_p_value(design_with(state, efficacy, last=last), success.z, efficacy.look)


def at_first_stop(
    state: RolloutState,
    success: SuccessFigures,
    efficacy: BoundFigures | None,
    futility: StopFigures | None,
    *,
    last: bool,
) -> StageWiseFigures | None:
    """Stage-wise p-value, median-unbiased difference and interval, where the test stops for the first time.

    A win that was blocked stopped it already: what was said then stands, and is not said again with more data.

    A rollout always ends at its futility bound: it is obeyed.

    Args:
        state: The rollout before this look.
        success: The look's figures.
        efficacy: Its efficacy bound.
        futility: Its futility bound.
        last: Whether no look follows.

    Returns:
        The figures, in the direction of the difference; None where the test goes on, or had stopped before.

    Source: Jennison and Turnbull (2000), sections 8.2-8.5.
    """
    z, se = success.z, success.se
    if efficacy is None or z is None or not se or any(look.crossed for look in state.looks):
        return None
    given_up = futility is not None and z <= futility.z
    if not (last or given_up or z >= efficacy.z):
        return None
    found = stage_wise(design_with(state, efficacy, futility, last=last), z, se, obeyed=True)
    sign = 1.0 if state.spec.success.better == "higher" else -1.0
    margin = success.margin or 0.0

    def difference(effect: float) -> float:
        """Candidate minus champion, from the effect that z measures: an improvement, counted from -margin."""
        return sign * (effect - margin)

    low, high = sorted(difference(limit) for limit in found.confidence_interval)
    return StageWiseFigures(
        p_value=found.p_value, estimate=difference(found.median_unbiased_estimate), interval=(low, high)
    )

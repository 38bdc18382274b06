"""Planning the size of LIVE anew: once, before the first efficacy look, from both variants together.

The rate of both together says nothing about their difference, so alpha is kept. It is in the ledger before any figure
of the look is computed, and a tick that is killed between the two finds it there.

Source: Kieser and Friede (2003), Statistics in Medicine 22, 3571-3581.
"""

from __future__ import annotations

from datetime import timedelta

from staged_rollout.operations.look_success import MIN_CLOSED, MIN_EVENTS, counts
from staged_rollout.operations.window import Window
from staged_rollout.spec.model import RolloutSpec
from staged_rollout.state import (
    EventType,
    LookKind,
    NewEvent,
    PlannedLook,
    Reestimation,
    RolloutState,
    State,
    to_payload,
)
from staged_rollout.stats import reestimate_blinded

_DAY = timedelta(days=1)


def due_reestimation(state: RolloutState, planned: PlannedLook) -> bool:
    """Whether the plan is to be made anew before a look is taken: an efficacy look, the first one, and not the last."""
    plan = state.plan
    return (
        state.spec.success.reestimate == "blinded"
        and plan is not None
        and plan.planned_rate is not None
        and state.reestimation is None
        and planned.kind is LookKind.EFFICACY
        and not state.efficacy_bounds()
    )


def reestimation(window: Window, planned: PlannedLook) -> tuple[NewEvent, ...]:
    """The event of the new plan, from what the look may see; none while there is too little for that look's test.

    Args:
        window: On the look's batch, up to its cut-off.
        planned: The look that waits.
    """
    state, plan = window.state, window.state.plan
    units = events = 0
    for row in counts(window, window.state.epochs_of(State.LIVE)):
        units += row["with_outcome"]
        events += row["correct"]
    too_few = units < 2 * MIN_CLOSED or min(events, units - events) < 2 * MIN_EVENTS
    if plan is None or plan.planned_rate is None or too_few:
        return ()
    cap = served_units(state.spec)
    # The plan's variance is that of both variants together, too: no effect has to be taken out of either.
    planned_variance = plan.planned_rate * (1.0 - plan.planned_rate)
    found = reestimate_blinded(plan.n_eff_max, planned_variance, (events, units), largest=max(cap, plan.n_eff_max))
    if found is None:
        return ()
    made = Reestimation(
        slot=planned.slot, before=plan.n_eff_max, n_eff_max=found.n_eff_max, cap=cap, events=events, units=units
    )
    return (NewEvent(EventType.PLAN_REESTIMATED, to_payload(made)),)


def served_units(spec: RolloutSpec) -> float:
    """Effective units that the expected traffic brings until `live.max`."""
    share = spec.stages.live.split[1]
    return spec.traffic.units_per_day * (spec.stages.live.max / _DAY) * share * (1.0 - share)

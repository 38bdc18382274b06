"""Which look is due: from the frozen plan, the clock and the ledger; never from a schedule."""

from __future__ import annotations

from datetime import datetime

from staged_rollout.state import LookKind, PlannedLook, RolloutState, State


def due_look(state: RolloutState, now: datetime, batch: int) -> PlannedLook | None:
    """The look to take now, or None.

    A slot that was planned is returned as it was planned (its cut-off does not move). Of several slots that have
    passed, only the newest is taken: a missed look spends no alpha, and a late efficacy look uses the information that
    there is. None is taken while held or awaiting approval.

    Args:
        state: The rollout.
        now: The clock's time.
        batch: The lake's newest batch, recorded with the slot.
    """
    if state.state is not State.LIVE or state.plan is None:
        return None
    began = state.effective_at(State.LIVE)
    if began is None or state.held:
        return None
    if state.planned is not None:
        return state.planned
    plan = state.plan
    taken = state.looks[-1].slot if state.looks else 0
    passed = [number for number, after in enumerate(plan.slots, start=1) if began + after <= now and number > taken]
    if not passed:
        return None
    number = passed[-1]
    after = plan.slots[number - 1]
    if after >= plan.last:
        kind = LookKind.FINAL
    elif any(slot in plan.efficacy for slot in (plan.slots[n - 1] for n in passed)):
        kind = LookKind.EFFICACY
    else:
        kind = LookKind.HARM
    return PlannedLook(slot=number, kind=kind, cut_off=began + after, batch=batch)

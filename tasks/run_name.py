"""Run names that tell the story: known only once the run has decided, so they are set after the fact."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prefect import get_run_logger
from prefect.client.orchestration import get_client
from prefect.context import FlowRunContext

from staged_rollout.report.inert import one_line, title
from staged_rollout.report.look import verdict

if TYPE_CHECKING:
    from staged_rollout.evidence import Evidence
    from staged_rollout.policy import Decision
    from staged_rollout.state import RolloutState

LONGEST = 110
"""Characters of a name; lists in Prefect's pages cut longer ones."""


def story(state: RolloutState, evidence: Evidence, decision: Decision) -> str:
    """What a tick did: `churn-v3 look 3: continue, z 1.42 < 2.68`, or the state and why it stays or moves."""
    look = evidence.look
    if look is not None:
        return title(one_line(f"{state.rollout} look {look.slot}: {decision.action}, {verdict(look)}", LONGEST))
    step = f" {state.step}" if state.step else ""
    return title(one_line(f"{state.rollout} {state.state}{step}: {decision.headline}", LONGEST))


def name_run(name: str, *, if_named: str | None = None) -> None:
    """Give the flow run that this task belongs to a name; nothing depends on it, so it never fails a run.

    Args:
        name: The name.
        if_named: Only when the run still has this one.
    """
    context = FlowRunContext.get()
    run = context.flow_run if context is not None else None
    if run is None or run.name == name or (if_named is not None and run.name != if_named):
        return
    try:
        with get_client(sync_client=True) as client:
            client.update_flow_run(run.id, name=name)
        run.name = name
    except Exception as error:  # noqa: BLE001 - a name is worth no rollout
        get_run_logger().warning("the run keeps its name: %s", type(error).__name__)

"""The tick: one advance for each active rollout."""

from __future__ import annotations

from typing import Literal

from prefect import flow
from prefect.deployments import run_deployment
from prefect.runtime import flow_run

from flows.advance_rollout import advance_rollout
from tasks.form_fields import EnvironmentName
from tasks.operate import active_rollouts, blind_rollouts, restore


@flow(name="sweep-rollouts", flow_run_name="sweep")
def sweep_rollouts(
    environment: EnvironmentName = "local", start: Literal["deployments", "inline"] = "deployments"
) -> list[str]:
    """Start one advance of each active rollout.

    Args:
        environment: Name of a file in configs/environments.
        start: `deployments` starts runs of the advance-rollout deployment, each with an idempotency key; `inline` runs
            them here, one after another (the demo, and small set-ups without a worker).

    Returns:
        The rollouts that were started, with their headlines when they ran inline.
    """
    for rollout, reason in blind_rollouts(environment):
        restore(rollout, "sweep_rollouts", reason, environment)
    started: list[str] = []
    failed: list[str] = []
    for rollout in active_rollouts(environment):
        if start == "inline":
            # One that fails must not stop the others: its own run says why, and the sweep fails at its end.
            run = advance_rollout(rollout, environment, return_state=True)
            if run.is_completed():
                started.append(f"{rollout} {run.result()}")
            else:
                failed.append(rollout)
        else:
            run_deployment(
                "advance-rollout/advance",
                parameters={"rollout": rollout, "environment": environment},
                idempotency_key=f"{rollout}:{flow_run.get_scheduled_start_time()}",
                timeout=0,
            )
            started.append(rollout)
    if failed:
        raise RuntimeError(f"{', '.join(failed)} could not be advanced; their own runs say why")
    return started

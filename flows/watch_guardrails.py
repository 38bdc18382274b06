"""The guard between looks."""

from __future__ import annotations

from prefect import flow

from tasks.advance import ingest_logs, reconcile_endpoint
from tasks.form_fields import EnvironmentName
from tasks.operate import exposed_rollouts, read_guards
from tasks.publish import publish


@flow(name="watch-guardrails", flow_run_name="watch")
def watch_guardrails(environment: EnvironmentName = "local") -> list[str]:
    """Read errors, latency and missing data of every exposed rollout; roll back or hold, never promote.

    Args:
        environment: Name of a file in configs/environments.

    Returns:
        One line for each exposed rollout.
    """
    rollouts = exposed_rollouts(environment)
    if rollouts:
        ingest_logs(environment)
    lines: list[str] = []
    for rollout in rollouts:
        lines.append(f"{rollout}: {read_guards(rollout, environment)}")
        reconcile_endpoint(rollout, environment)
        publish(rollout, environment)
    return lines

"""The guard between looks."""

from __future__ import annotations

from prefect import flow

from tasks.advance import ingest_logs, reconcile_endpoint
from tasks.operate import blind_rollouts, exposed_rollouts, read_guards, restore
from tasks.publish import publish


@flow(name="watch-guardrails", flow_run_name="watch")
def watch_guardrails(environment: str = "local") -> list[str]:
    """Read errors, latency and missing data of every exposed rollout; roll back or hold, never promote.

    One that nobody has watched for `blind_after` goes back to the champion first: to watch it now would hide that.

    Args:
        environment: The environment's name.

    Returns:
        One line for each exposed rollout.
    """
    for rollout, reason in blind_rollouts(environment):
        restore(rollout, "watch_guardrails", reason, environment)
        publish(rollout, environment)
    rollouts = exposed_rollouts(environment)
    if rollouts:
        ingest_logs(environment)
    lines: list[str] = []
    for rollout in rollouts:
        lines.append(f"{rollout}: {read_guards(rollout, environment)}")
        reconcile_endpoint(rollout, environment)
    for rollout in rollouts:  # only now: a channel that hangs must not delay the next rollout's guard
        publish(rollout, environment)
    return lines

"""The truth about new versions: events only make it faster."""

from __future__ import annotations

from prefect import flow

from tasks.form_fields import EnvironmentName
from tasks.publish import publish
from tasks.registry import poll_versions


@flow(name="poll-registry", flow_run_name="poll")
def poll_registry(environment: EnvironmentName = "local") -> list[str]:
    """Register every approved version since the cursor.

    Args:
        environment: Name of a file in configs/environments.

    Returns:
        The new rollouts' ids.
    """
    rollouts = poll_versions(environment)
    for rollout in rollouts:
        publish(rollout, environment)
    return rollouts

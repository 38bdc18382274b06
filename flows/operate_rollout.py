"""What a person does to a rollout, from a form in the Prefect UI; the docstring's Args are the form's texts."""

from __future__ import annotations

from typing import Literal

from prefect import flow

from tasks.advance import reconcile_endpoint
from tasks.form_fields import EnvironmentName, RolloutId
from tasks.operate import perform
from tasks.publish import publish


@flow(name="operate-rollout", flow_run_name="{act} {rollout} by {name}")
def operate_rollout(
    rollout: RolloutId,
    act: Literal["note", "pause", "resume", "approve", "reject", "rollback", "cancel"],
    name: str,
    reason: str,
    environment: EnvironmentName = "local",
) -> str:
    """Approve, reject, pause, resume, roll back, cancel or add a note.

    Has no concurrency limit: one rollout must never wait for another's rollback.

    Args:
        rollout: The rollout's id, such as churn-v3.
        act: What to do. rollback serves the champion to everyone at once.
        name: Who you are; recorded, and marked as unverified.
        reason: Why, in a sentence; recorded.
        environment: Name of a file in configs/environments.

    Returns:
        What the rollout is now.
    """
    line = perform(rollout, act, name, reason, environment)
    if act in {"rollback", "cancel"}:
        reconcile_endpoint(rollout, environment)
    publish(rollout, environment)
    return line

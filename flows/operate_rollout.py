"""What a person does to a rollout, from a form in the Prefect UI."""

from __future__ import annotations

from typing import Annotated, Literal

from prefect import flow
from pydantic import Field

from tasks.advance import reconcile_endpoint
from tasks.operate import perform
from tasks.publish import publish


@flow(name="operate-rollout", flow_run_name="{act} {rollout} by {name}")
def operate_rollout(
    rollout: Annotated[str, Field(description="The rollout's id, such as churn-v3")],
    act: Annotated[
        Literal["note", "pause", "resume", "approve", "reject", "rollback", "cancel"],
        Field(description="What to do. rollback serves the champion to everyone at once"),
    ],
    name: Annotated[str, Field(description="Who you are; recorded, and marked as unverified")],
    reason: Annotated[str, Field(description="Why, in a sentence; recorded")],
    environment: Annotated[str, Field(description="Name of a file in configs/environments")] = "local",
) -> str:
    """Approve, reject, pause, resume, roll back, cancel or add a note.

    Has no concurrency limit: one rollout must never wait for another's rollback.

    Args:
        rollout: The rollout's id.
        act: What to do.
        name: Who.
        reason: Why.
        environment: The environment's name.

    Returns:
        What the rollout is now.
    """
    line = perform(rollout, act, name, reason, environment)
    if act in {"rollback", "cancel"}:
        reconcile_endpoint(rollout, environment)
    publish(rollout, environment)
    return line

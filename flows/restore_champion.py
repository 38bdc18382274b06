"""Back to the champion, whatever else is broken."""

from __future__ import annotations

from typing import Annotated

from prefect import flow
from pydantic import Field

from tasks.operate import restore


@flow(name="restore-champion", flow_run_name="restore {rollout}")
def restore_champion(
    rollout: Annotated[str, Field(description="The rollout's id, such as churn-v3")],
    reason: Annotated[str, Field(description="Why, in a sentence; recorded")] = "restored by hand",
    environment: Annotated[str, Field(description="Name of a file in configs/environments")] = "local",
) -> str:
    """Roll back with nothing but the ledger, the assignments and the endpoint; doing it again changes nothing.

    Args:
        rollout: The rollout's id.
        reason: Why.
        environment: The environment's name.

    Returns:
        What the rollout is now.
    """
    return restore(rollout, "restore_champion", reason, environment)

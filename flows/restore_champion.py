"""Back to the champion, whatever else is broken."""

from __future__ import annotations

from prefect import flow

from tasks.form_fields import EnvironmentName, RolloutId
from tasks.operate import blind_rollouts, restore


@flow(name="restore-champion", flow_run_name="restore {rollout}")
def restore_champion(
    rollout: RolloutId,
    reason: str = "restored by hand",
    only_if_blind: bool = False,
    environment: EnvironmentName = "local",
) -> str:
    """Roll back with nothing but the ledger, the assignments and the endpoint; doing it again changes nothing.

    Args:
        rollout: The rollout's id, such as churn-v3.
        reason: Why, in a sentence; recorded.
        only_if_blind: Do nothing unless people meet the candidate and nobody has watched for blind_after.
        environment: Name of a file in configs/environments.

    Returns:
        What the rollout is now.
    """
    if only_if_blind and rollout not in dict(blind_rollouts(environment)):
        return f"{rollout} is watched, or nobody meets its candidate"
    return restore(rollout, "restore_champion", reason, environment)

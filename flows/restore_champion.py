"""Back to the champion, whatever else is broken."""

from __future__ import annotations

from prefect import flow

from tasks.operate import restore


@flow(name="restore-champion", flow_run_name="restore {rollout}")
def restore_champion(rollout: str, reason: str = "restored by hand", environment: str = "local") -> str:
    """Roll back with nothing but the ledger, the assignments and the endpoint; doing it again changes nothing.

    Args:
        rollout: The rollout's id, such as churn-v3.
        reason: Why, in a sentence; recorded.
        environment: Name of a file in configs/environments.

    Returns:
        What the rollout is now.
    """
    return restore(rollout, "restore_champion", reason, environment)

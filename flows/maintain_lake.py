"""The lake's housekeeping."""

from __future__ import annotations

from prefect import flow

from tasks.maintain import forget_old_snapshots


@flow(name="maintain-lake", flow_run_name="maintain")
def maintain_lake(environment: str = "local") -> str:
    """Forget snapshots that no batch of the retention time is pinned to; data files stay.

    Args:
        environment: The environment's name.

    Returns:
        What was forgotten.
    """
    return forget_old_snapshots(environment)

"""The lake's housekeeping."""

from __future__ import annotations

from prefect import flow

from tasks.maintain import keep_lake


@flow(name="maintain-lake", flow_run_name="maintain")
def maintain_lake(environment: str = "local") -> list[str]:
    """Compact small files, remove rows beyond the retention time, expire old snapshots, delete what nobody needs.

    A look that is being taken keeps its rows, and a rollout that runs keeps its days.

    Args:
        environment: The environment's name.

    Returns:
        What was done, in words.
    """
    return keep_lake(environment)

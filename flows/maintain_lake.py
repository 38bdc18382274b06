"""The lake's housekeeping."""

from __future__ import annotations

from prefect import flow

from tasks.form_fields import EnvironmentName
from tasks.maintain import keep_lake


@flow(name="maintain-lake", flow_run_name="maintain")
def maintain_lake(environment: EnvironmentName = "local") -> list[str]:
    """Compact small files, remove rows beyond the retention time, expire old snapshots, delete what nobody needs.

    A look that is being taken keeps its rows, and a rollout that runs keeps its days.

    Args:
        environment: Name of a file in configs/environments.

    Returns:
        What was done, in words.
    """
    return keep_lake(environment)

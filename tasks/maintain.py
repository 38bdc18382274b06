"""Housekeeping of the lake."""

from __future__ import annotations

from prefect import get_run_logger, task

from staged_rollout.operations.maintain import maintain
from tasks.platforms import platform_of
from tasks.retrying import transient


@task(name="maintain-lake", retries=1, retry_delay_seconds=5, retry_condition_fn=transient)
def keep_lake(environment: str) -> list[str]:
    """Compact, retain, expire and delete, so that nothing that a look needs is lost."""
    lines = maintain(platform_of(environment))
    for line in lines:
        get_run_logger().info(line)
    return lines

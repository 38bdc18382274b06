"""Housekeeping of the lake."""

from __future__ import annotations

from prefect import get_run_logger, task

from staged_rollout.operations.maintain import forget
from tasks.platforms import platform_of
from tasks.retrying import transient


@task(retries=1, retry_delay_seconds=5, retry_condition_fn=transient)
def forget_old_snapshots(environment: str) -> str:
    """Expire snapshots beyond the retention time that no waiting look is pinned to."""
    line = forget(platform_of(environment))
    get_run_logger().info(line)
    return line

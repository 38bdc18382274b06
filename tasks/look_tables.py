"""The tables that people read of what looks counted. No decision needs them, so they never fail a run."""

from __future__ import annotations

from prefect import get_run_logger, task

from staged_rollout.errors import StagedRolloutError
from staged_rollout.operations.look_tables import write_look_tables
from tasks.platforms import platform_of


@task
def write_tables(rollout: str, environment: str) -> int:
    """Write `units` and `moments` for each look taken since the last run; what fails is left to the next look.

    Returns:
        The looks that were written.
    """
    try:
        written = write_look_tables(platform_of(environment), rollout)
    except StagedRolloutError as error:
        get_run_logger().warning("units and moments wait for the next look: %s", error)
        return 0
    for one in written:
        told = one.skipped or f"{one.units:,} units that it counted first, {one.moments:,} rows of moments"
        get_run_logger().info("look %d: %s", one.slot, told)
    return len(written)

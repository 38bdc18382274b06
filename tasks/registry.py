"""New model versions become rollouts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from prefect import get_run_logger, task

from staged_rollout.errors import PlatformError
from staged_rollout.operations.register import Registered, poll, register
from staged_rollout.operations.version_events import drain
from staged_rollout.ports import ModelVersion, Platform
from staged_rollout.spec.load import load_rollout
from staged_rollout.spec.locations import configs_dir, find_rollout
from staged_rollout.spec.model import RolloutSpec
from staged_rollout.spec.prices import PriceTable, load_prices
from staged_rollout.state import Actor
from tasks.platforms import platform_of
from tasks.retrying import transient

REGISTRAR = Actor("register_candidate")


@task(retries=2, retry_delay_seconds=2, retry_condition_fn=transient)
def register_version(rollout_file: str, version: str, environment: str) -> str:
    """Lint the rollout file, forecast its cost and record REGISTERED, once. The rollout's id."""
    platform = platform_of(environment)
    spec = load_rollout(find_rollout(rollout_file), environment=platform.environment)
    registered = register(platform, spec, version, REGISTRAR, load_prices().overridden(platform.environment.prices))
    get_run_logger().info(
        "%s is %s; forecast $%.2f", registered.rollout, "registered" if registered.new else "known", registered.cost_usd
    )
    return registered.rollout


@task(retries=2, retry_delay_seconds=2, retry_condition_fn=transient)
def poll_versions(environment: str) -> list[str]:
    """Register every approved version since the cursor, for every rollout file; the new rollouts' ids.

    Before that, act on the registry's events where there is a queue of them: they are faster, polling is the truth.
    """
    platform = platform_of(environment)
    files = sorted((configs_dir() / "rollouts").glob("*.yaml"))
    specs = {path: load_rollout(path, environment=platform.environment) for path in files}
    prices = load_prices().overridden(platform.environment.prices)
    new: list[str] = []
    for version, outcome in [*_drained(platform, specs, prices), *poll(platform, specs, REGISTRAR, prices)]:
        if isinstance(outcome, Registered):
            get_run_logger().info("%s version %s: %s", version.model, version.version, outcome.rollout)
            if outcome.new:
                new.append(outcome.rollout)
        else:
            get_run_logger().warning("%s version %s is not registered: %s", version.model, version.version, outcome)
    return new


def _drained(
    platform: Platform, specs: Mapping[Path, RolloutSpec], prices: PriceTable
) -> list[tuple[ModelVersion, Registered | str]]:
    """What the queue's events brought; a queue that fails is told, and keeps nobody from polling."""
    events = platform.version_events
    if events is None:
        return []
    logger = get_run_logger()
    try:
        done = drain(platform, events, specs, REGISTRAR, prices)
    except PlatformError as error:
        logger.warning("the registry's events were not read: %s", error)
        return []
    for finding in done.parked:
        logger.warning("an event was put aside: %s", finding)
    for finding in done.left:
        logger.warning("an event waits for the next poll: %s", finding)
    return done.found

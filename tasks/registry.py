"""New model versions become rollouts."""

from __future__ import annotations

from prefect import get_run_logger, task

from staged_rollout.operations.register import Registered, poll, register
from staged_rollout.spec.load import load_rollout
from staged_rollout.spec.locations import configs_dir, find_rollout
from staged_rollout.spec.prices import load_prices
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
    """Register every approved version since the cursor, for every rollout file; the new rollouts' ids."""
    platform = platform_of(environment)
    files = sorted((configs_dir() / "rollouts").glob("*.yaml"))
    specs = {path: load_rollout(path, environment=platform.environment) for path in files}
    new: list[str] = []
    for version, outcome in poll(platform, specs, REGISTRAR, load_prices().overridden(platform.environment.prices)):
        if isinstance(outcome, Registered):
            get_run_logger().info("%s version %s: %s", version.model, version.version, outcome.rollout)
            if outcome.new:
                new.append(outcome.rollout)
        else:
            get_run_logger().warning("%s version %s is not registered: %s", version.model, version.version, outcome)
    return new

"""What people and guards do to a rollout outside its looks."""

from __future__ import annotations

from prefect import get_run_logger, task

from staged_rollout.operations.advance import settle
from staged_rollout.operations.journal import active
from staged_rollout.operations.operate import Act, operate
from staged_rollout.operations.restore import blind, restore_champion
from staged_rollout.operations.watch import watch
from staged_rollout.state import Actor
from tasks.events import tell_watched
from tasks.platforms import platform_of
from tasks.retrying import transient

GUARD = Actor("watch_guardrails")


@task(retries=1, retry_delay_seconds=1, retry_condition_fn=transient)
def perform(rollout: str, act: str, name: str, reason: str, environment: str) -> str:
    """One act of a person; a name typed in a form is recorded as unverified."""
    platform = platform_of(environment)
    state = operate(platform, rollout, Act(act), Actor(name, verified=False), reason)
    line = f"{act} by {name}: {state.rollout} is {state.state}"
    get_run_logger().info(line)
    return line


@task(retries=2, retry_delay_seconds=1, retry_condition_fn=transient)
def restore(rollout: str, name: str, reason: str, environment: str) -> str:
    """Routers to the champion at once, the endpoint after; needs only the ledger, the assignments and the endpoint."""
    platform = platform_of(environment)
    actor = Actor(name)
    state = restore_champion(platform, rollout, reason, actor)
    step = settle(platform, rollout, actor)
    line = f"{state.rollout} is {state.state}: {step.did}"
    get_run_logger().info(line)
    return line


@task(retries=1, retry_delay_seconds=1, retry_condition_fn=transient)
def read_guards(rollout: str, environment: str) -> str:
    """Errors, latency and missing data of one exposed rollout: may roll back or hold, never promotes."""
    decision = watch(platform_of(environment), rollout, GUARD)
    tell_watched(rollout, exposed=decision is not None)
    line = decision.headline if decision else "not exposed"
    get_run_logger().info("%s: %s", rollout, line)
    return line


@task
def exposed_rollouts(environment: str) -> list[str]:
    """Rollouts whose candidate answers people."""
    return [state.rollout for state in active(platform_of(environment)) if state.exposed]


@task
def active_rollouts(environment: str) -> list[str]:
    """Rollouts that have not ended, or are not cleaned up; oldest first."""
    return [state.rollout for state in active(platform_of(environment))]


@task
def blind_rollouts(environment: str) -> list[tuple[str, str]]:
    """Exposed rollouts that nobody has watched for too long, each with the sentence that says so."""
    return [(state.rollout, reason) for state, reason in blind(platform_of(environment))]

"""The tasks of one look: ingest, validate, look, and the five branches, each visible by its name in the Prefect UI."""

from __future__ import annotations

from dataclasses import dataclass

from prefect import get_run_logger, task
from prefect.tasks import exponential_backoff

from staged_rollout.evidence import Evidence
from staged_rollout.operations.advance import settle
from staged_rollout.operations.amend import amend_from_file
from staged_rollout.operations.decide import act_on, decide_on
from staged_rollout.operations.journal import load
from staged_rollout.operations.look import gather
from staged_rollout.operations.new_logs import ingest_new
from staged_rollout.operations.validate import validate
from staged_rollout.policy import Decision
from staged_rollout.state import Actor, RolloutState
from tasks.events import tell_watched
from tasks.lineage import tell_lineage
from tasks.platforms import platform_of
from tasks.retrying import transient
from tasks.run_name import name_run, story
from tasks.turns import LAKE_WRITER, turn

ADVANCE = Actor("advance_rollout")


@dataclass(frozen=True)
class Finding:
    """What a look found: the rollout as read, its evidence, and the decision on it."""

    state: RolloutState
    evidence: Evidence
    decision: Decision

    @property
    def branch(self) -> str:
        """The name of the branch to take."""
        return str(self.decision.action)


@task(retries=3, retry_delay_seconds=exponential_backoff(2), retry_jitter_factor=0.5, retry_condition_fn=transient)
def ingest_logs(environment: str) -> str:
    """Read what is new in the logs into the lake; one line of books."""
    platform = platform_of(environment)
    with turn(LAKE_WRITER):
        report = ingest_new(platform)
    line = (
        f"{report.lines:,} lines = {report.accepted:,} accepted + {report.duplicates:,} duplicates + "
        f"{report.quarantined:,} quarantined + {report.late:,} late + {report.blank:,} blank"
    )
    get_run_logger().info(line)
    for finding in report.findings:
        get_run_logger().warning("%s", finding)
    return line


@task(retries=1, retry_delay_seconds=2, retry_condition_fn=transient)
def validate_days(rollout: str, environment: str) -> int:
    """Follow owner, notify and freeze of the file, then run the quality suite on every event day that has ended.

    Returns:
        The number of failed days in a row.
    """
    platform = platform_of(environment)
    get_run_logger().info("rollout file: %s", amend_from_file(platform, rollout, ADVANCE))
    for day, report in validate(platform, load(platform, rollout), ADVANCE):
        failures = "; ".join(f"{failure.name}: {failure.observed}" for failure in report.failures)
        get_run_logger().info("quality of %s: %s", day, failures or f"passed on {report.rows:,} rows")
    return load(platform, rollout).quality_failures_in_a_row()


@task(retries=1, retry_delay_seconds=2, retry_condition_fn=transient)
def take_look(rollout: str, environment: str) -> Finding:
    """Gather the evidence of this moment, with a look if one is due, and decide. Writes at most the look's plan."""
    state, evidence = gather(platform_of(environment), rollout, ADVANCE)
    decision = decide_on(state, evidence)
    get_run_logger().info("%s", decision.headline)
    return Finding(state, evidence, decision)


def _act(finding: Finding, environment: str) -> str:
    state, decision = finding.state, finding.decision
    act_on(platform_of(environment), state, finding.evidence, decision, ADVANCE)
    tells = finding.evidence.look is not None or decision.to is not None  # a later round that only stays is no news
    if tells:
        tell_lineage(state, finding.evidence, decision)
    name_run(story(state, finding.evidence, decision), if_named=None if tells else state.rollout)
    get_run_logger().info("%s", finding.decision.headline)
    return finding.decision.headline


@task(task_run_name="promote")
def promote(finding: Finding, environment: str) -> str:
    """The rollout moves forward."""
    return _act(finding, environment)


@task(name="continue", task_run_name="continue")
def continue_rollout(finding: Finding, environment: str) -> str:
    """Nothing is wrong, and nothing is due."""
    return _act(finding, environment)


@task(task_run_name="hold")
def hold(finding: Finding, environment: str) -> str:
    """Forward moves are blocked."""
    return _act(finding, environment)


@task(task_run_name="roll-back")
def roll_back(finding: Finding, environment: str) -> str:
    """The candidate did harm, or could not be trusted: routers go back to the champion at once."""
    return _act(finding, environment)


@task(task_run_name="keep-champion")
def keep_champion(finding: Finding, environment: str) -> str:
    """The candidate did not win, and did no harm."""
    return _act(finding, environment)


@task(retries=3, retry_delay_seconds=exponential_backoff(2), retry_jitter_factor=0.5, retry_condition_fn=transient)
def reconcile_endpoint(rollout: str, environment: str) -> bool:
    """Move routers and endpoint towards what the ledger says; what takes longer goes on with the next tick.

    Returns:
        Whether anything was done: then there may be something new to decide.
    """
    platform = platform_of(environment)
    before = load(platform, rollout).seq
    step = settle(platform, rollout, ADVANCE)
    state = load(platform, rollout)
    if state.exposed:
        platform.ledger.watched(rollout, platform.clock.now())
    tell_watched(rollout, exposed=state.exposed)
    get_run_logger().info(step.did if step.done else f"not settled yet: {step.did}")
    return state.seq != before

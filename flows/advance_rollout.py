"""One tick of one rollout: ingest, validate, look, decide, branch, reconcile, publish."""

from __future__ import annotations

from prefect import flow

from tasks.advance import (
    continue_rollout,
    hold,
    ingest_logs,
    keep_champion,
    promote,
    reconcile_endpoint,
    roll_back,
    take_look,
    validate_days,
)
from tasks.form_fields import EnvironmentName, RolloutId
from tasks.look_tables import write_tables
from tasks.publish import publish

MAX_ROUNDS = 4


@flow(name="advance-rollout", flow_run_name="{rollout}")
def advance_rollout(rollout: RolloutId, environment: EnvironmentName = "local") -> str:
    """Advance one rollout by one tick.

    Safe to run at any time, any number of times: what is due comes from the ledger and the clock, not the schedule.

    Args:
        rollout: The rollout's id, such as `churn-v3`.
        environment: Name of a file in configs/environments.

    Returns:
        The last decision that moved the rollout, else the last decision.
    """
    ingest_logs(environment)
    validate_days(rollout, environment)
    moved = ""
    headline = ""
    # Entering a stage may open the next at once (a promote step without a time, the end of a rollback); so may ending
    # a step that a killed run began.
    for _ in range(MAX_ROUNDS):
        finding = take_look(rollout, environment)
        match finding.branch:
            case "promote":
                headline = promote(finding, environment)
            case "hold":
                headline = hold(finding, environment)
            case "roll back":
                headline = roll_back(finding, environment)
            case "keep champion":
                headline = keep_champion(finding, environment)
            case _:
                headline = continue_rollout(finding, environment)
        reconciled = reconcile_endpoint(rollout, environment)
        if finding.evidence.look is not None:
            write_tables(rollout, environment)
        if finding.decision.to is not None:
            moved = headline
        elif not reconciled:
            break
    publish(rollout, environment)
    return moved or headline

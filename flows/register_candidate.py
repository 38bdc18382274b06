"""A new model version becomes a rollout."""

from __future__ import annotations

from prefect import flow

from tasks.form_fields import EnvironmentName, ModelVersion, RolloutFile
from tasks.publish import publish
from tasks.registry import register_version


@flow(name="register-candidate", flow_run_name="{rollout_file} v{version}")
def register_candidate(
    rollout_file: RolloutFile,
    version: ModelVersion,
    environment: EnvironmentName = "local",
) -> str:
    """Lint, plan, forecast the cost and record REGISTERED, once per version.

    Several events for one version change nothing.

    Args:
        rollout_file: Name of a file in configs/rollouts, such as churn.
        version: The registry's version number, such as 3.
        environment: Name of a file in configs/environments.

    Returns:
        The rollout's id.
    """
    rollout = register_version(rollout_file, version, environment)
    publish(rollout, environment)
    return rollout

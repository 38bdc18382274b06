"""From a rollout file to a resolved spec."""

from __future__ import annotations

from pathlib import Path

from staged_rollout.spec.draft import Draft
from staged_rollout.spec.environment import EnvironmentSpec
from staged_rollout.spec.findings import errors_among, spec_error
from staged_rollout.spec.lint import judge
from staged_rollout.spec.model import RolloutSpec


def load_rollout(path: Path | str, *, environment: EnvironmentSpec) -> RolloutSpec:
    """Read, lint and resolve a rollout file.

    Args:
        path: The file.
        environment: Where it will run.

    Raises:
        SpecError: If it does not lint; `facts["findings"]` holds every finding, warnings included.
    """
    return load_draft(path, environment)[1]


def load_draft(path: Path | str, environment: EnvironmentSpec) -> tuple[Draft, RolloutSpec]:
    """The same, with the draft that knows where each value comes from.

    Raises:
        SpecError: As `load_rollout`.
    """
    draft, findings = judge(path, environment)
    if draft is None or errors_among(findings):
        raise spec_error(str(path), findings)
    return draft, RolloutSpec.model_validate(draft.nested())

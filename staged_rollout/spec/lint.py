"""Everything that is wrong with a rollout file, all at once."""

from __future__ import annotations

from pathlib import Path

from staged_rollout.spec.draft import Draft, read_draft
from staged_rollout.spec.environment import EnvironmentSpec
from staged_rollout.spec.findings import Finding, in_order
from staged_rollout.spec.rules import apply_rules
from staged_rollout.spec.yaml_tree import read_yaml


def lint_rollout(path: Path | str, environment: EnvironmentSpec) -> tuple[Finding, ...]:
    """Lint one rollout file for one environment.

    Args:
        path: The file; it is named in findings as it is named here.
        environment: Its defaults, approvers and whether it is local all matter.

    Returns:
        Errors and warnings in the order of lines; none if all is well.
    """
    return judge(path, environment)[1]


def judge(path: Path | str, environment: EnvironmentSpec) -> tuple[Draft | None, tuple[Finding, ...]]:
    """The draft of a file (None if it is no YAML mapping), and every finding about it."""
    tree, findings = read_yaml(Path(path))
    if tree is None:
        return None, findings
    draft = read_draft(tree, str(path), environment)
    apply_rules(draft)
    return draft, in_order((*findings, *draft.findings))

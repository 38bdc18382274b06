"""The resolved whole of a rollout file: every key with its value, where that comes from, and what it means."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from staged_rollout.spec.draft import Source
from staged_rollout.spec.environment import EnvironmentSpec
from staged_rollout.spec.grammar import render_share
from staged_rollout.spec.keys import KEYS, OPTIONAL_SECTIONS
from staged_rollout.spec.load import load_draft


@dataclass(frozen=True)
class ExplainRow:
    """One key.

    Args:
        key: Dotted path.
        value: In the file's form.
        source: Who says so.
        doc: One line.
    """

    key: str
    value: str
    source: Source
    doc: str


def explain(path: Path | str, environment: EnvironmentSpec) -> tuple[ExplainRow, ...]:
    """Every key of a rollout file as it will run in an environment.

    Raises:
        SpecError: If the file does not lint.
    """
    draft, spec = load_draft(path, environment)
    rows = []
    for key in KEYS:
        section = key.path.rpartition(".")[0]
        if section in OPTIONAL_SECTIONS and not draft.has(section):
            continue
        value = "realtime" if key.model is None else key.kind.render(draft[key.path])
        if key.path == "success.baseline" and spec.in_shares and spec.success.baseline is not None:
            value = render_share(spec.success.baseline)
        rows.append(ExplainRow(key.path, value, draft.source(key.path), key.doc))
    return tuple(rows)

"""The demo's own rollout file: a copy of `configs/`, edited between two rollouts as its owner would."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from staged_rollout.adapters.atomic_file import replace_file
from staged_rollout.errors import SpecError


@dataclass(frozen=True)
class Edit:
    """One piece of text that stands in the file exactly once, and what takes its place."""

    before: str
    after: str


def edited(text: str, edits: Sequence[Edit], name: str) -> str:
    """The text after the edits, each checked to stand exactly once; comments stay, as in an editor.

    Raises:
        SpecError: a piece is not there, or is there more than once.
    """
    for edit in edits:
        found = text.count(edit.before)
        if found != 1:
            raise SpecError(f"{name}: {edit.before!r} stands in it {found} times, the demo's edit needs it once")
        text = text.replace(edit.before, edit.after)
    return text


def write_rules(configs: Path, own: Path, edits: Sequence[Edit]) -> Path:
    """Make the demo's copy of `configs/` and let it hold the edited `churn.yaml`; again changes nothing.

    Args:
        configs: The checkout's folder.
        own: The demo's folder.
        edits: What the owner changes, counted from the checkout's file.

    Returns:
        The edited file.

    Raises:
        SpecError: an edit does not fit the file.
    """
    shutil.copytree(configs, own, dirs_exist_ok=True, ignore=shutil.ignore_patterns("churn.yaml"))
    source = configs / "rollouts" / "churn.yaml"
    file = own / "rollouts" / "churn.yaml"
    text = edited(source.read_text(encoding="utf-8"), edits, str(source))
    replace_file(file, text.encode())
    return file

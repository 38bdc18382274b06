"""The report of each rollout that has ended, and where it lies."""

from __future__ import annotations

import os
from pathlib import Path

from staged_rollout.adapters.atomic_file import replace_file
from staged_rollout.ports import Platform
from staged_rollout.report.html import rollout_html


def report_file(platform: Platform, rollout: str) -> Path:
    """Where `staged-rollout report` would write it, too."""
    return platform.home.root / "reports" / f"{rollout}.html"


def write_report(platform: Platform, rollout: str) -> Path:
    """Write the report; the same ledger gives the same bytes."""
    file = report_file(platform, rollout)
    replace_file(file, rollout_html(platform.ledger.events(rollout)).encode(), durable=False)
    file.chmod(0o644)
    return file


def where(path: Path) -> str:
    """A path as somebody in the working directory would type it, if that is shorter."""
    return min(str(path), os.path.relpath(path), key=len)

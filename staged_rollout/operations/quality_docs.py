"""Data Docs below the home: `quality/ROLLOUT/DAY.html` and `quality/index.html`, of a bounded number of days."""

from __future__ import annotations

import logging
import os
import re
from datetime import date, datetime
from pathlib import Path

from staged_rollout.ports import CheckReport
from staged_rollout.report.quality_html import DayPage, Judged, day_html, index_html
from staged_rollout.spec.home import Home
from staged_rollout.state import RolloutState

DAYS_KEPT = 90
"""Pages of one rollout that are kept; the oldest go first."""

_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_PASSED = re.compile(r"<h1>[^<]*: passed</h1>")


def write_docs(
    home: Home, state: RolloutState, day: date, batch: int, report: CheckReport, at: datetime
) -> Path | None:
    """Write one day's page, drop what is too old, and write the index again.

    The pages are for people; the ledger holds the verdict. So a full disk is logged, and stops nothing.

    Args:
        home: Where they lie.
        state: The rollout.
        day: The event day.
        batch: The sealed batch that was read.
        report: The suite's verdict.
        at: The clock's time.

    Returns:
        The page, or None when it could not be written.
    """
    page = home.quality / state.rollout / f"{day}.html"
    try:
        _replace(page, day_html(_shown(state, day, batch, report, at)))
        for old in _days(page.parent)[DAYS_KEPT:]:
            (page.parent / f"{old}.html").unlink(missing_ok=True)
        folders = sorted(each for each in home.quality.iterdir() if each.is_dir())
        pages = [(each.name, [(known, _verdict(each / f"{known}.html")) for known in _days(each)]) for each in folders]
        _replace(home.quality / "index.html", index_html(pages))
    except OSError as error:
        logging.getLogger(__name__).warning("Data Docs of %s, %s not written: %s", state.rollout, day, error)
        return None
    return page


def _shown(state: RolloutState, day: date, batch: int, report: CheckReport, at: datetime) -> DayPage:
    return DayPage(
        rollout=state.rollout,
        endpoint=state.spec.endpoint,
        suite=report.suite,
        day=day,
        batch=batch,
        rows=report.rows,
        at=at,
        results=[Judged(one.passed, one.name, one.observed, one.accepted, one.reason) for one in report.results],
        skipped=[(one.name, one.why) for one in report.skipped],
    )


def _days(folder: Path) -> list[str]:
    """Days with a page, newest first."""
    return sorted((page.stem for page in folder.glob("*.html") if _DAY.fullmatch(page.stem)), reverse=True)


def _verdict(page: Path) -> bool | None:
    with page.open(encoding="utf-8") as file:
        text = file.read()
    return bool(_PASSED.search(text))


def _replace(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.write_text(content, encoding="utf-8")
    aside.replace(path)

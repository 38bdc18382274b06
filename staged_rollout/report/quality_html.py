"""Data Docs: one self-contained page for each event day that was checked, and an index. No script, no network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from staged_rollout.report.figures import moment
from staged_rollout.report.html_markup import Html, blocks, command, section, table, tag, words
from staged_rollout.report.html_style import STYLE

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""What a browser may load for the page: nothing."""


@dataclass(frozen=True)
class Judged:
    """One expectation as the page shows it."""

    passed: bool
    name: str
    observed: str
    accepted: str
    reason: str


@dataclass(frozen=True)
class DayPage:
    """What one page shows.

    Attributes:
        rollout: Its id.
        endpoint: The endpoint.
        suite: The suite's name.
        day: The event day.
        batch: The sealed batch of the lake that was read.
        rows: Rows of the day.
        at: When it was checked, by the clock.
        results: Each expectation that was judged.
        skipped: Each one that could not be, and why.
    """

    rollout: str
    endpoint: str
    suite: str
    day: date
    batch: int
    rows: int
    at: datetime
    results: Sequence[Judged]
    skipped: Sequence[tuple[str, str]]


def day_html(page: DayPage) -> str:
    """One checked day; the same figures give the same page."""
    failed = sum(not result.passed for result in page.results)
    verdict = f"{failed} of {len(page.results)} expectations failed" if failed else "passed"
    results = [
        (
            tag("span", "passed") if result.passed else tag("span", "failed", class_="alarm"),
            result.name,
            result.observed,
            result.accepted,
            result.reason,
        )
        for result in sorted(page.results, key=lambda result: result.passed)
    ]
    header = ("verdict", "expectation", "found", "accepted", "why it is asked")
    body = blocks(
        tag(
            "header",
            tag("p", f"Data Docs · {page.endpoint} · suite {page.suite}", class_="eyebrow"),
            tag("h1", f"{page.rollout}, {page.day}: {verdict if page.results else 'no expectation ran'}"),
            tag("p", f"{page.rows:,} rows, lake batch {page.batch}, checked at {moment(page.at)}", class_="note"),
        ),
        tag("nav", tag("ul", tag("li", tag("a", "All checked days", href="../index.html")))),
        tag(
            "main",
            section("expectations", "Expectations", table(header, results, about="Expectations", text=(0, 1, 2, 3, 4))),
            section(
                "skipped",
                "Not judged",
                table(
                    ("expectation", "why not"),
                    page.skipped,
                    about="Expectations that this day cannot be asked",
                    text=(0, 1),
                ),
            ),
            section("next", "What to do", command(f"staged-rollout history {page.rollout}"), tag("p", _ADVICE)),
        ),
    )
    return _page(f"Data Docs: {page.rollout}, {page.day}", body)


def index_html(pages: Sequence[tuple[str, Sequence[tuple[str, bool | None]]]]) -> str:
    """Every page there is.

    Args:
        pages: Rollout, and its days (ISO) with their verdicts; None: not known here.
    """
    parts = [
        section(
            f"r{number}",
            rollout,
            tag(
                "ul",
                *(tag("li", words(tag("a", day, href=f"{rollout}/{day}.html"), _said(passed))) for day, passed in days),
            ),
        )
        for number, (rollout, days) in enumerate(pages)
    ]
    header = tag("header", tag("p", "Data Docs", class_="eyebrow"), tag("h1", "Event days that were checked"))
    return _page("Data Docs", blocks(header, tag("main", *parts)))


_ADVICE = (
    "A failed day holds the rollout, three in a row roll it back. The newest failed day is checked again at every "
    "tick, so logs that arrive later mend it. docs/runbook.md, Quality failed, says where to look."
)


def _said(passed: bool | None) -> Html:
    if passed is None:
        return Html()
    return tag("span", "passed") if passed else tag("span", "failed", class_="alarm")


def _page(title: str, body: Html) -> str:
    head = (
        '<meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"{tag('title', title)}<style>{STYLE}</style>"
    )
    return f'<!DOCTYPE html>\n<html lang="en">\n<head>{head}</head>\n<body>\n{body}\n</body>\n</html>\n'

"""One rollout as one HTML file: no script, no network, from the ledger's events alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from staged_rollout.report import html_looks, html_sections, html_verdict
from staged_rollout.report.figures import count, moment
from staged_rollout.report.history import sentence
from staged_rollout.report.html_facts import Facts
from staged_rollout.report.html_markup import Html, blocks, section, table, tag, words
from staged_rollout.report.html_style import STYLE
from staged_rollout.report.inert import one_line
from staged_rollout.state import Event, EventType

TIMELINE_CHARACTERS = 700_000
"""What the timeline may take of the page; past it, events that decide nothing are left out first, the oldest before."""
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""What a browser may load for the page: nothing."""

_TOLD = frozenset(
    {EventType.REGISTERED, EventType.STAGE_ENTERED, EventType.DECIDED, EventType.APPROVED, EventType.REJECTED}
)
_SAID = frozenset({EventType.NOTED, EventType.AMENDED, EventType.HELD, EventType.RELEASED, EventType.LOOK_TAKEN})
_CONTENTS = (
    ("verdict", "Decision"),
    ("test", "Test"),
    ("metric", "Metric"),
    ("guardrails", "Guardrails"),
    ("traffic", "Shares"),
    ("shadow", "Shadow"),
    ("trust", "Trust"),
    ("segments", "Segments"),
    ("timeline", "Timeline"),
    ("provenance", "Provenance"),
)


def rollout_html(events: Sequence[Event]) -> str:
    """The report of a rollout.

    Args:
        events: All of its events, in order, at least the registration. The same events give the same page: it knows no
            other clock than that of its last event.

    Returns:
        A whole HTML document of less than 2 MB, in which no foreign text is active.
    """
    facts = Facts(events)
    state = facts.state
    sections = (
        html_verdict.top(facts),
        html_looks.test(facts),
        html_looks.metric(facts),
        html_sections.guardrails(facts),
        html_sections.traffic(facts),
        html_sections.shadow(facts),
        html_sections.trust(facts),
        html_sections.segments(facts),
        _timeline(facts.events),
        _provenance(facts),
    )
    present = [
        tag("li", tag("a", name, href=f"#{anchor}"))
        for (anchor, name), part in zip(_CONTENTS, sections, strict=True)
        if part
    ]
    as_of = f"Ledger event {state.seq}, {moment(state.last_at)}"
    header = tag(
        "header",
        tag("p", f"Rollout report · {state.spec.endpoint} · {as_of}", class_="eyebrow"),
        tag(
            "h1",
            f"{state.rollout}: {state.candidate.model} version {state.candidate.version} against version "
            f"{state.champion.version}",
        ),
        tag("p", words(tag("strong", "Hypothesis:"), state.spec.hypothesis)),
        tag("p", words("Owner:", state.spec.owner), class_="note"),
    )
    body = blocks(
        header,
        tag("nav", tag("ul", *present), aria_label="Contents"),
        tag("main", blocks(*sections)),
        tag(
            "footer",
            tag("p", f"{as_of}. Times are UTC. Made from the ledger alone, by staged-rollout report {state.rollout}."),
            tag(
                "p",
                words(
                    "To ask the same of logs of your own:",
                    tag("code", "staged-rollout ingest LOGS --field NAME=THEIRS"),
                    "and README, On your own model and logs.",
                ),
            ),
        ),
    )
    head = (
        '<meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"{tag('title', f'{state.rollout}: {html_verdict.headline(state)}')}"
        f"<style>{STYLE}</style>"
    )
    return f'<!DOCTYPE html>\n<html lang="en">\n<head>{head}</head>\n<body>\n{body}\n</body>\n</html>\n'


def _timeline(events: Sequence[Event]) -> Html:
    """Every event with its reason; of very many, those that decided."""
    rows: dict[int, Html] = {}
    left = TIMELINE_CHARACTERS
    for event in sorted(events, key=lambda event: (_rank(event), -event.seq)):
        row = _row(event)
        left -= len(row)
        if left < 0:
            break
        rows[event.seq] = row
    headings = [tag("th", name, class_="text") for name in ("event", "when", "who", "what, and why")]
    whole = tag("table", tag("thead", tag("tr", *headings)), tag("tbody", *(rows[seq] for seq in sorted(rows))))
    missing = len(events) - len(rows)
    shown = (
        f"{count(missing, 'event')} left out to keep the page small; staged-rollout history shows all."
        if missing
        else ""
    )
    return section(
        "timeline",
        "Timeline",
        tag(
            "p",
            words(f"{count(len(events), 'event')}, oldest first; moves and decisions in bold.", shown),
            class_="note",
        ),
        tag("div", whole, class_="scroll", role="region", tabindex="0", aria_label="Timeline of events"),
    )


def _rank(event: Event) -> int:
    return 0 if event.type in _TOLD else 1 if event.type in _SAID else 2


def _row(event: Event) -> Html:
    who = one_line(event.actor.name, 80) + (" (verified)" if event.actor.verified else "")
    cells: Iterable[object] = (str(event.seq), moment(event.at), who, sentence(event))
    row = tag("tr", *(tag("td", cell, class_="text") for cell in cells), id=f"event-{event.seq}")
    return Html(row.replace("<tr ", '<tr class="told" ', 1)) if event.type in _TOLD else row


def _provenance(facts: Facts) -> Html:
    """What the page stands on, and how to check it."""
    state = facts.state
    decided = next((event for event in reversed(facts.events) if event.type is EventType.DECIDED), None)
    payload = decided.payload if decided is not None else {}
    hashes = payload.get("hashes") or {}
    rows = [
        ("last event of the ledger", tag("code", state.prefix_hash)),
        ("rollout file as resolved", tag("code", state.spec_hash)),
        *((f"newest decision: {name}", tag("code", hashes[name])) for name in ("prefix", "evidence") if name in hashes),
        *(
            (name.replace("_", " "), tag("code", payload[name]))
            for name in ("as_of", "code_version")
            if name in payload
        ),
    ]
    return section(
        "provenance",
        "Provenance",
        tag(
            "p",
            words(
                "The same five hashes give the same decision, byte for byte.",
                tag("code", "staged-rollout ledger verify"),
                "checks every event against its hash; docs/ledger.md shows how to replay a decision.",
            ),
        ),
        table(("what", "value"), rows, about="Hashes", text=(0, 1)),
    )

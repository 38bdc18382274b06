"""The HTML report: what it says, that nothing in it is active or fetched, and that it stays small."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest

from staged_rollout.report.html import POLICY, rollout_html
from staged_rollout.report.html_verdict import headline
from staged_rollout.state import EXPOSED, EventType, State
from tests.fakes.lived_rollout import HOSTILE, lived


class Page(HTMLParser):
    """Tags, attributes and visible text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def values(self, name: str) -> list[str]:
        return [value or "" for key, value in self.attributes if key == name]


@pytest.mark.parametrize("state", [state for state in State if state is not State.REGISTERED])
def test_every_state_has_a_report(rollouts: Any, state: State) -> None:
    """The page opens with a sentence on the state, whatever the state; a running one says how to stop it."""
    built = rollouts().at(state)
    page = rollout_html(built.events)
    assert headline(built.state) in page
    running = state is State.SHADOW or state in EXPOSED
    assert running == ("staged-rollout rollback churn-v3 --as" in page)


def test_the_same_events_give_the_same_page(rollouts: Any) -> None:
    events = lived(rollouts).events
    assert rollout_html(events) == rollout_html(events)


def test_it_tells_the_numbers_of_the_look(rollouts: Any) -> None:
    page = rollout_html(lived(rollouts).events)
    for said in ("+2.50 pp", "[-2.00, +7.00] pp", "1.50", "2.50", "0.20", "-2.50", "700", "740"):
        assert f">{said}<" in page


def test_hostile_text_is_inert_everywhere(rollouts: Any) -> None:
    """Foreign text adds no element and no attribute, and none of its control or direction characters arrives."""
    harmless = Page(rollout_html(lived(rollouts, "plain").events))
    page = rollout_html(lived(rollouts, HOSTILE).events)
    hostile = Page(page)
    assert harmless.tags == hostile.tags
    assert {key for key, _ in harmless.attributes} == {key for key, _ in hostile.attributes}
    assert not {"\u202e", "\x1b"} & set(page)


def test_nothing_is_run_or_fetched(rollouts: Any) -> None:
    page = Page(rollout_html(lived(rollouts).events))
    assert POLICY in page.values("content")
    assert not {"script", "iframe", "link", "img", "object", "base", "form"} & set(page.tags)
    assert all(target.startswith("#") for target in page.values("href"))
    assert not page.values("src")


def test_ids_are_unique_and_every_link_leads_somewhere(rollouts: Any) -> None:
    text = rollout_html(lived(rollouts).events)
    page = Page(text)
    ids = page.values("id")
    assert len(set(ids)) == len(ids)
    assert {target[1:] for target in page.values("href")} <= set(ids)
    assert set(re.findall(r"url\(#([^)]*)\)", text)) <= set(ids)


def test_every_chart_has_a_name_and_a_caption(rollouts: Any) -> None:
    page = Page(rollout_html(lived(rollouts).events))
    charts = page.tags.count("svg")
    assert charts >= 4
    assert (charts, charts) == (page.tags.count("figure"), page.tags.count("figcaption"))
    assert charts == page.values("role").count("img")


def test_very_many_hostile_events_stay_below_two_megabytes(rollouts: Any) -> None:
    """What was decided is kept; what is left out is counted."""
    built = lived(rollouts, HOSTILE)
    for _ in range(1500):
        built.add(EventType.NOTED, text=HOSTILE)
    page = rollout_html(built.events)
    assert len(page.encode()) < 2_000_000
    assert "left out to keep the page small" in page
    assert all(f'id="event-{event.seq}"' in page for event in built.events if event.type is EventType.DECIDED)


def test_a_promoted_candidate_is_said_to_have_won_and_who_approved(rollouts: Any) -> None:
    """The reason on top is the test's and the person's, not that nothing happened afterwards."""
    built = rollouts().at(State.LIVE).decide("promote", State.AWAITING_APPROVAL).enter(State.AWAITING_APPROVAL)
    built.add(EventType.APPROVED, decision_seq=built.state.decisions[-1].seq, reason="both plans gain")
    for step in (1, 2):
        built.add(
            EventType.DECIDED, action="promote", to="PROMOTING", reasons=["no harm"], hashes={"evidence": "e" * 64}
        )
        built.enter(State.PROMOTING, step)
    page = rollout_html(built.events)
    verdict = re.sub(r"<[^>]*>", "", page[page.index('class="verdict') :])
    told = [
        verdict.index(text) for text in ("Why: z 1.25", "Approved by tests: both plans gain", "Since then: promote to")
    ]
    assert sorted(told) == told

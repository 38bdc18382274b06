"""The report as a person opens it: on a desk, on a phone, on paper, without scripts, with hostile names."""

from __future__ import annotations

import io
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from demo.chromium import NAMES, browser
from staged_rollout.report.html import rollout_html
from staged_rollout.state import EventType, State, event_hash
from tests.fakes.browser import chromium, glyph_runs_by_page
from tests.fakes.lived_rollout import lived

pytestmark = pytest.mark.skipif(browser() is None, reason=f"no browser here: none of {', '.join(NAMES)} starts")

HOSTILE = (
    "</title></style></script><script>document.title='owned'</script><img src=http://x.invalid/a.png onerror=alert(1)>"
    "<svg onload=\"document.title='owned'\"><link rel=stylesheet href=http://x.invalid/s.css>\u202egnp.exe"
)
SIZES = {"phone": (390, 844), "desktop": (1280, 900)}
OWN = re.compile(r"(https?://)?[a-z0-9.-]+\.(google|googleapis|gvt1)\.com(:443)?(/|$)")
SHADE = 24
DARK = "--blink-settings=preferredColorScheme=0"

_FRAME = """<!DOCTYPE html><meta name="color-scheme" content="light dark"><title>frame</title>
<style>html, body, iframe {{ margin: 0; border: 0; display: block; overflow: hidden }}</style>
<iframe id="page" width="{width}" height="{height}" {sandbox} src="{page}"></iframe>
<script>
const frame = document.getElementById("page");
frame.onload = () => {{
  const inner = frame.contentDocument.documentElement;
  document.title = "measured " + inner.scrollWidth + " of " + inner.clientWidth;
}};
</script>
"""
FILES = "--allow-file-access-from-files"


def framed(page: Any, width: int, height: int, *, scripts: bool = True) -> Any:
    """A page that shows another one at exactly a size (no window is as narrow as a phone), with scripts or without."""
    frame = page.parent / f"{page.stem}-{width}-{'free' if scripts else 'blocked'}.html"
    sandbox = "" if scripts else 'sandbox="allow-same-origin"'
    frame.write_text(_FRAME.format(width=width, height=height, page=page.name, sandbox=sandbox))
    return frame


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with chromium(tmp_path_factory.mktemp("browser")) as started:
        yield started


def renamed(events: list[Any], model: str) -> list[Any]:
    """The same events with another model's name, hashed anew."""
    written: list[Any] = []
    for event in events:
        payload = event.payload
        if event.type is EventType.REGISTERED:
            payload = {**payload, "candidate": {**payload["candidate"], "model": model, "reference": model}}
        previous = written[-1].hash if written else event.prev_hash
        link = {
            "rollout": event.rollout,
            "seq": event.seq,
            "version": event.version,
            "at": event.at,
            "actor": event.actor,
            "payload": payload,
            "prev_hash": previous,
        }
        written.append(type(event)(type=event.type, hash=event_hash(type_=event.type, **link), **link))
    return written


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory, rollouts: Any) -> Any:
    file = tmp_path_factory.mktemp("plain") / "churn-v3.html"
    file.write_text(rollout_html(lived(rollouts).events), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory, rollouts: Any) -> Any:
    file = tmp_path_factory.mktemp("hostile") / "churn-v3.html"
    file.write_text(rollout_html(renamed(lived(rollouts, HOSTILE).events, HOSTILE)), encoding="utf-8")
    return file


class Page(HTMLParser):
    """Tags and attributes of a document, read as a browser wrote it out."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs


def title(document: str) -> str:
    found = re.search(r"(?s)<title>(.*?)</title>", document)
    assert found is not None
    return found[1]


def colours(png: bytes) -> int:
    """How many colours a picture has, at most 100,000."""
    from PIL import Image

    with Image.open(io.BytesIO(png)) as picture:
        found = picture.convert("RGB").getcolors(100_000)
    assert found is not None
    return len(found)


def differing(one: bytes, other: bytes) -> float:
    """Share of the pixels of two pictures of one size that differ by more than a shade, as letters' edges do."""
    from PIL import Image, ImageChops

    with Image.open(io.BytesIO(one)) as first, Image.open(io.BytesIO(other)) as second:
        assert first.size == second.size
        difference = ImageChops.difference(first.convert("L"), second.convert("L")).histogram()
        return sum(difference[SHADE:]) / (first.width * first.height)


def test_the_measuring_page_sees_scripts_and_requests(opened, tmp_path):
    """The control: where a page does run a script and ask for a picture, both are seen; and scripts can be blocked."""
    page = tmp_path / "active.html"
    page.write_text(
        "<!DOCTYPE html><title>quiet</title><img src=http://seen.invalid/a.png><p>x<script>"
        "document.title = 'ran'; document.body.style.background = 'red'</script>"
    )
    assert "ran" == title(opened.dom(page))
    assert any("seen.invalid/a.png" in address for address in opened.asked)
    free, blocked = (opened.screenshot(framed(page, 500, 500, scripts=on), 500, 500, FILES) for on in (True, False))
    assert differing(free, blocked) > 0.5


@pytest.mark.parametrize("kind", ["plain", "hostile"])
@pytest.mark.parametrize("size", SIZES)
def test_nothing_sticks_out_at_the_side(opened, request, kind, size):
    """At no size does the page scroll sideways: what is wide scrolls in its own box."""
    width, height = SIZES[size]
    measured = title(opened.dom(framed(request.getfixturevalue(kind), width, height), FILES))
    found = re.fullmatch(r"measured (\d+) of (\d+)", measured)
    assert found is not None, measured
    assert (width, width) == (int(found[1]), int(found[2]))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_it_looks_the_same_with_scripts_blocked(opened, plain, size, scheme):
    """It has no use for scripts; and it is not blank, in either scheme."""
    options = (FILES, DARK) if scheme == "dark" else (FILES,)
    free, blocked = (
        opened.screenshot(framed(plain, *SIZES[size], scripts=on), *SIZES[size], *options) for on in (True, False)
    )
    assert differing(free, blocked) < 0.001
    assert colours(free) > 20


def test_it_follows_the_dark_scheme(opened, plain):
    light = opened.screenshot(plain, 800, 600)
    assert differing(light, opened.screenshot(plain, 800, 600, DARK)) > 0.5


def test_hostile_names_do_nothing(opened, hostile):
    """A name, a hypothesis and a reason are text: no element comes of them, no script runs, nothing is asked."""
    document = opened.dom(hostile)
    assert title(document).startswith("churn-v3: ")
    page = Page(document)
    assert not {"script", "img", "link", "iframe", "object"} & set(page.tags)
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert "gnp.exe" in document, "the name is shown"


@pytest.mark.parametrize("kind", ["plain", "hostile"])
def test_nothing_is_asked_of_any_network(opened, request, kind):
    """The browser's own maker is asked for the time and for updates; nobody else is asked for anything."""
    page = request.getfixturevalue(kind)
    before = len(opened.asked)
    opened.dom(page)
    opened.screenshot(page, *SIZES["desktop"])
    assert [] == [address for address in opened.asked[before:] if not OWN.match(address)]


@pytest.mark.parametrize("state", [State.LIVE, State.PROMOTED])
def test_it_prints_on_a_few_pages_with_text_on_each(opened, rollouts, tmp_path, state):
    page = tmp_path / "printed.html"
    events = lived(rollouts).events if state is State.LIVE else rollouts().at(state).events
    page.write_text(rollout_html(events), encoding="utf-8")
    runs = glyph_runs_by_page(opened.pdf(page))
    assert 1 <= len(runs) <= 8
    assert min(runs) > 3, runs

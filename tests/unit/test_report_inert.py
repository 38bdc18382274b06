"""Foreign text can neither act nor hide, whether it is shown as markdown, as a title, as SVG or on a terminal."""

from __future__ import annotations

import html
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from staged_rollout.report.inert import code, one_line, prose, title, xml

HOSTILE = [
    "<script>alert(1)</script>",
    "[click](javascript:alert(1))",
    "![x](http://example.invalid/pixel.png)",
    "`code` and | pipes | and **stars**",
    "# heading",
    "- item",
    "1. first",
    "> quote",
    "line\n\n# heading in the middle",
    "\x1b[2J\x1b]0;title\x07 gone",
    "\u202efdp.exe",
    "&lt;b&gt; &#60;b&#62;",
    "\\<b\\> \\*x\\*",
    "| a | b |",
    "~~~\nfence",
    "",
]
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u200b-\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
RENDER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])


def text_of(rendered: str) -> str:
    """The text of rendered HTML that holds one paragraph."""
    return html.unescape(rendered.removeprefix("<p>").removesuffix("</p>\n"))


@pytest.mark.parametrize("hostile", HOSTILE)
def test_prose_renders_as_exactly_what_was_written(hostile: str) -> None:
    assert one_line(hostile) == text_of(RENDER.render(prose(hostile)))


@given(st.text(max_size=60))
def test_prose_survives_any_text(text: str) -> None:
    """Rendered prose is one paragraph of the cleaned text: no element, link or entity comes out of it."""
    assert one_line(f"x{text}") == text_of(RENDER.render(prose(f"x{text}")))


@given(st.text(max_size=60))
def test_code_stays_inside_its_span(text: str) -> None:
    """Whatever is written, a code span is one code span."""
    assert RENDER.render(f"a {code(text)} b").startswith("<p>a <code>")
    assert RENDER.render(f"a {code(text)} b").endswith("</code> b</p>\n")


@given(st.text(max_size=200))
def test_one_line_is_printable(text: str) -> None:
    """No control character, line break or direction mark is left, and cleaning twice changes nothing."""
    cleaned = one_line(text)

    assert cleaned == one_line(cleaned)
    assert not CONTROL.search(cleaned)


def test_one_line_is_cut_with_a_mark() -> None:
    assert one_line("a" * 50, 5) == "aaaa…"


def test_a_title_keeps_comparisons_and_loses_tags() -> None:
    assert title("churn-v3 look 3: continue, z 1.42 < 2.68") == "churn-v3 look 3: continue, z 1.42 < 2.68"
    assert title("<script>x</script>") == "‹script>x‹/script>"
    assert title("[here](x)") == "[here] (x)"


def test_xml_is_escaped_for_elements_and_attributes() -> None:
    assert xml('<b a="1">&') == "&lt;b a=&quot;1&quot;&gt;&amp;"

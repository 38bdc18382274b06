"""Markup in which foreign text is inert by construction: what is not `Html` already is cleaned and escaped."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

from staged_rollout.report.inert import one_line


class Html(str):
    """Text that is markup already. Made by the functions of this module, and never from what others wrote."""

    __slots__ = ()


def inert(value: object) -> Html:
    """Markup as it is; anything else as text without control characters, escaped for elements and attributes.

    >>> inert("<b>") , inert(tag("b", "<b>"))
    ('&lt;b&gt;', '<b>&lt;b&gt;</b>')
    """
    return value if isinstance(value, Html) else Html(html.escape(one_line(value), quote=True))


def tag(name: str, *children: object, **attributes: object) -> Html:
    """An element.

    Args:
        name: Of the element; written by this program.
        *children: Markup, or text that is escaped here.
        **attributes: Values are escaped; `class_` is `class`, `aria_label` is `aria-label`.

    >>> tag("a", "R&D", href='#"x"', class_="near")
    '<a href="#&quot;x&quot;" class="near">R&amp;D</a>'
    """
    named = "".join(f' {key.rstrip("_").replace("_", "-")}="{inert(value)}"' for key, value in attributes.items())
    return Html(f"<{name}{named}>{''.join(map(inert, children))}</{name}>")


def words(*parts: object) -> Html:
    """A sentence of text and markup, a space apart."""
    return Html(" ".join(inert(part) for part in parts))


def blocks(*parts: Html) -> Html:
    """Blocks below one another; empty ones leave nothing."""
    return Html("\n".join(part for part in parts if part))


def section(anchor: str, heading: str, *parts: Html) -> Html:
    """A section that a link can name; nothing when there is nothing in it."""
    body = blocks(*parts)
    return Html(tag("section", Html("\n"), tag("h2", heading), Html("\n"), body, id=anchor) if body else "")


def bullets(items: Iterable[object]) -> Html:
    """A list; nothing without items."""
    listed = [tag("li", item) for item in items]
    return tag("ul", *listed) if listed else Html()


def command(line: str) -> Html:
    """A command to copy."""
    return tag("pre", tag("code", line))


def table(
    header: Sequence[object], rows: Iterable[Sequence[object]], *, about: str, text: Sequence[int] = (0,)
) -> Html:
    """A table that scrolls by itself where the page is narrow; nothing without rows.

    Args:
        header: Column names.
        rows: Cells, as many as the header has.
        about: What the table holds, for those who cannot see it.
        text: Columns of text, from 0; the others are numbers and set to the right.
    """
    left = frozenset(text)

    def cells(kind: str, row: Sequence[object]) -> Html:
        sides = ("text" if number in left else "number" for number in range(len(header)))
        return tag("tr", *(tag(kind, cell, class_=side) for side, cell in zip(sides, row, strict=True)))

    body = [cells("td", row) for row in rows]
    if not body:
        return Html()
    whole = tag("table", tag("thead", cells("th", header)), tag("tbody", *body))
    return tag("div", whole, class_="scroll", role="region", tabindex="0", aria_label=about)


def figure(drawing: Html, caption: object, alternative: Html) -> Html:
    """A chart, what it shows in plain words, and the same numbers as a table."""
    numbers = tag("details", tag("summary", "The same in numbers"), alternative) if alternative else Html()
    return tag("figure", drawing, tag("figcaption", caption), numbers)

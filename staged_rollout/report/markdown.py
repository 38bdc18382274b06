"""Pieces of markdown that every renderer of ours shows: tables, lists, and a picture inside the text."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; cells are markdown already. The first column is text, the others are numbers and set to the right."""
    rule = ["---", *("---:" for _ in header[1:])]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, rule, *rows))


def bullets(items: Iterable[str]) -> str:
    """A list; items are markdown already."""
    return "\n".join(f"- {item}" for item in items)


def section(heading: str, *blocks: str) -> str:
    """A heading with what is below it, or nothing when there is nothing below it."""
    return "\n\n".join((f"## {heading}", *filled)) if (filled := [block for block in blocks if block]) else ""


def page(*blocks: str) -> str:
    """Blocks, those that are not empty, an empty line apart."""
    return "\n\n".join(block for block in blocks if block) + "\n"


def picture(alt: str, svg: str) -> str:
    """An SVG as an image with its data inside: Prefect strips inline SVG from artifacts, and shows this."""
    data = base64.b64encode(svg.encode()).decode()
    return f"![{alt}](data:image/svg+xml;base64,{data})"


def command(line: str) -> str:
    """A command to copy."""
    return f"```\n{line}\n```"

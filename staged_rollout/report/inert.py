"""What others wrote (names, reasons, notes, values of segments), made harmless for the place where it is shown."""

from __future__ import annotations

import html
import re
import unicodedata

LONGEST = 500
"""Characters of one piece of foreign text; more is cut, so that one note cannot bury a page."""

_REMOVED = frozenset({"Cc", "Cf", "Cs", "Co"})
_SPECIAL = re.compile(r"([\\`*_\[\]|~#])")
_LOOKALIKES = str.maketrans("`|<>", "'¦‹›")
_LEADING = re.compile(r"^([-+=>]|\d+[.)])")


def one_line(text: object, longest: int = LONGEST) -> str:
    r"""Text without line breaks, terminal escapes, or characters that change the direction of reading.

    Args:
        text: Anything; its `str` is taken.
        longest: Characters that are kept; what is cut is marked by an ellipsis.

    >>> one_line("first\nsecond \x1b[2Jthird")
    'first second [2Jthird'
    """
    spaced = (" " if letter.isspace() else letter for letter in str(text)[: 4 * longest])
    kept = "".join(letter for letter in spaced if unicodedata.category(letter) not in _REMOVED)
    clean = " ".join(kept.split())
    return clean if len(clean) <= longest else clean[: longest - 1].rstrip() + "…"


def prose(text: object) -> str:
    r"""Text that markdown and HTML show as it was written.

    >>> prose("<script>alert(1)</script> *now* | [here](x)")
    '&lt;script&gt;alert(1)&lt;/script&gt; \\*now\\* \\| \\[here\\](x)'
    """
    escaped = html.escape(_SPECIAL.sub(r"\\\1", one_line(text)), quote=False)
    return _LEADING.sub(lambda found: found[1][:-1] + "\\" + found[1][-1], escaped)


def code(text: object) -> str:
    """Text in a code span, which knows no escapes: what would end it or open a tag is replaced by a lookalike."""
    shown = one_line(text).translate(_LOOKALIKES)
    return f"`{shown or ' '}`"


def title(text: object) -> str:
    """Text for a heading that may be shown as plain text or as markdown: a `<` that could open a tag is replaced."""
    shown = one_line(text, 200)
    return re.sub(r"<(?![ =\d])", "‹", shown).replace("](", "] (").replace("`", "'")


def xml(text: object) -> str:
    """Text inside SVG, in an element or an attribute."""
    return html.escape(one_line(text), quote=True)

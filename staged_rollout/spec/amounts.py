"""How values and differences of a success metric are written for people: rates in percent, others in their own unit."""

from __future__ import annotations

import math
from typing import Literal

Unit = Literal["share", "value"]
"""`share`: a fraction of units; `value`: the metric's own unit."""

_DIGITS = 5


def plain(value: float) -> str:
    """A number with five digits that count, and no exponent where it is of a common size.

    >>> plain(1234.5678), plain(0.0123456), plain(-3.0)
    ('1,234.6', '0.012346', '-3')
    """
    if value == 0 or not math.isfinite(value):
        return f"{value + 0.0:g}"
    size = math.floor(math.log10(abs(value)))
    if not -6 <= size <= 12:
        return f"{value:.{_DIGITS}g}"
    text = f"{value:,.{max(0, _DIGITS - 1 - size)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def amount_text(value: float, unit: Unit) -> str:
    """A rate in percent, or a value.

    >>> amount_text(0.8, "share"), amount_text(12.5, "value")
    ('80.00%', '12.5')
    """
    return f"{value:.2%}" if unit == "share" else plain(value)


def difference_text(value: float, unit: Unit) -> str:
    """A difference with its sign: of rates in percentage points.

    >>> difference_text(0.0191, "share"), difference_text(-0.25, "value")
    ('+1.91 pp', '-0.25')
    """
    if unit == "share":
        return f"{100 * value:+.2f} pp"
    return f"{'+' if value >= 0 else ''}{plain(value)}"


def interval_text(limits: tuple[float, float], unit: Unit) -> str:
    """Two limits of a difference.

    >>> interval_text((-0.01, 0.02), "share"), interval_text((-0.5, 1.25), "value")
    ('[-1.00, +2.00] pp', '[-0.5, +1.25]')
    """
    if unit == "share":
        return f"[{100 * limits[0]:+.2f}, {100 * limits[1]:+.2f}] pp"
    return f"[{difference_text(limits[0], unit)}, {difference_text(limits[1], unit)}]"

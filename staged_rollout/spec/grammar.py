"""The small grammar of the rollout file: durations, shares, splits, steps, looks, margins, spending, rules, freezes.

Each `parse_x` has a `render_x` with `parse_x(render_x(v)) == v`. Shares are written with `%` and never as bare numbers:
`1` could mean 1% or 100%, and `0.25` could mean 25% or a quarter of a percent, so both are refused.
Percentages are read as decimals, so that `7%` is the float nearest to 0.07 and renders as `7%` again.
"""

from __future__ import annotations

import re
from datetime import date, timedelta
from decimal import Decimal
from typing import Literal

from staged_rollout.errors import SpecError

MarginKind = Literal["relative", "absolute", "ms", "value"]

DURATION_ACCEPTS = "a duration in whole w, d, h, m or s, largest first, such as 30m, 2h, 2d, 1w or 1d12h"
SHARE_ACCEPTS = "a share from 0% to 100%, such as 5% or 2.5%"
SPLIT_ACCEPTS = "champion/candidate in percent, both above 0 and adding up to 100, such as 50/50 or 80/20"
CANARY_ACCEPTS = "the candidate's share and a time, such as 25% 1d"
PROMOTE_ACCEPTS = "the candidate's share and, but for the last step, a time, such as 75% 1d or 95%"
LOOKS_ACCEPTS = "daily, weekly, 'every 2d', or a list of days such as [7d, 10d, 14d]"
THRESHOLD_ACCEPTS = "a lower limit in quotes, such as '>= 70%'"
WIN_ACCEPTS = "promote, or 'ask NAME within 3d'"
SPENDING_ACCEPTS = "obrien-fleming, pocock, power:RHO (above 0, at most 20) or hsd:GAMMA (-20 to 20), such as hsd:-2"
FREEZE_ACCEPTS = "two UTC dates, both included, such as 2026-12-20/2027-01-03"
MARGIN_ACCEPTS: dict[MarginKind, str] = {
    "absolute": "5pp (absolute)",
    "relative": "3% (relative)",
    "ms": "50ms",
    "value": "0.5 (in the metric's unit)",
}
NAME = r"[A-Za-z0-9][A-Za-z0-9._@-]{0,62}"

_DURATION = re.compile(r"(?:([0-9]{1,5})w)?(?:([0-9]{1,5})d)?(?:([0-9]{1,6})h)?(?:([0-9]{1,8})m)?(?:([0-9]{1,9})s)?")
_NUMBER = r"[0-9]{1,6}(?:\.[0-9]{1,24})?"
_SHARE = re.compile(rf"({_NUMBER})%")
_SPLIT = re.compile(rf"({_NUMBER}) ?/ ?({_NUMBER})")
_MARGIN = re.compile(rf"({_NUMBER})(?: ?(pp|%|ms))?")
_THRESHOLD = re.compile(rf">= ?({_NUMBER}%)")
_ASK = re.compile(rf"ask ({NAME}) within ([0-9a-z]+)")
_SPENDING = re.compile(r"(obrien-fleming|pocock)|(power|hsd):(-?[0-9]{1,2}(?:\.[0-9]{1,9})?)")
_STEEPEST = 20
_FREEZE = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})/([0-9]{4}-[0-9]{2}-[0-9]{2})")
_UNITS: dict[str, MarginKind] = {"pp": "absolute", "%": "relative", "ms": "ms"}


class GrammarError(SpecError, ValueError):
    """A value that the grammar does not accept.

    It is a `ValueError` too, so that pydantic reports it as a finding about its field.

    Args:
        value: What was written.
        problem: What is wrong with it, as a clause that follows the value.
        accepts: What would be accepted.
    """

    def __init__(self, value: str, problem: str, accepts: str) -> None:
        super().__init__(f"{value!r} {problem}; accepted: {accepts}", value=value, problem=problem, accepts=accepts)
        self.value = value
        self.problem = problem
        self.accepts = accepts


def parse_duration(text: str) -> timedelta:
    """Read a duration in whole units, largest first.

    Raises:
        GrammarError: For anything else, a unit written twice, or no unit at all.

    >>> parse_duration("1d12h")
    datetime.timedelta(days=1, seconds=43200)
    """
    match = _DURATION.fullmatch(text)
    if match is None or not text:
        raise GrammarError(text, "is not a duration", DURATION_ACCEPTS)
    weeks, days, hours, minutes, seconds = (int(group or 0) for group in match.groups())
    return timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds)


def render_duration(value: timedelta) -> str:
    """Write a duration of whole seconds in d, h, m and s (weeks as days, since `min` and `max` are thought of in days).

    Raises:
        GrammarError: If it is negative or has a fraction of a second.

    >>> render_duration(timedelta(days=7, minutes=90))
    '7d1h30m'
    """
    if value < timedelta(0) or value.microseconds:
        raise GrammarError(str(value), "is not a duration of whole seconds from 0", DURATION_ACCEPTS)
    hours, rest = divmod(value.seconds, 3600)
    minutes, seconds = divmod(rest, 60)
    parts = ((value.days, "d"), (hours, "h"), (minutes, "m"), (seconds, "s"))
    return "".join(f"{count}{unit}" for count, unit in parts if count) or "0d"


def parse_share(text: str) -> float:
    """Read a percentage as a fraction in [0, 1].

    Raises:
        GrammarError: Without a `%`, or beyond 100%.

    >>> parse_share("2.5%")
    0.025
    """
    match = _SHARE.fullmatch(text)
    if match is None:
        raise GrammarError(text, "is not a share", SHARE_ACCEPTS)
    share = Decimal(match[1]) / 100
    if share > 1:
        raise GrammarError(text, "is beyond 100%", SHARE_ACCEPTS)
    return float(share)


def render_share(value: float) -> str:
    """Write a fraction as a percentage, exactly.

    >>> render_share(0.07)
    '7%'
    """
    return f"{_percent(value)}%"


def parse_split(text: str) -> tuple[float, float]:
    """Read `champion/candidate` as two fractions that sum to 1.

    Raises:
        GrammarError: If a side is 0 or both do not add up to 100.
    """
    match = _SPLIT.fullmatch(text)
    if match is None:
        raise GrammarError(text, "is not a split", SPLIT_ACCEPTS)
    champion, candidate = Decimal(match[1]), Decimal(match[2])
    if champion + candidate != 100:
        raise GrammarError(text, f"adds up to {champion + candidate}", SPLIT_ACCEPTS)
    if not champion or not candidate:
        raise GrammarError(text, "leaves a side with nothing", SPLIT_ACCEPTS)
    return float(champion / 100), float(candidate / 100)


def render_split(value: tuple[float, float]) -> str:
    """Write a split as `champion/candidate` in percent."""
    return "/".join(_percent(share) for share in value)


def parse_canary_step(text: str) -> tuple[float, timedelta]:
    """Read one canary step: the candidate's share of all traffic, and how long it is served."""
    words = text.split(" ")
    if len(words) != 2:
        raise GrammarError(text, "is not a canary step", CANARY_ACCEPTS)
    return _of_part(text, words[0], CANARY_ACCEPTS), _time_part(text, words[1], CANARY_ACCEPTS)


def render_canary_step(share: float, served: timedelta) -> str:
    """Write one canary step."""
    return f"{render_share(share)} {render_duration(served)}"


def parse_promote_step(text: str) -> tuple[float, timedelta | None]:
    """Read one step of PROMOTING: the candidate's share, and how long it is served (None: until the next stage)."""
    words = text.split(" ")
    if len(words) > 2:
        raise GrammarError(text, "is not a promotion step", PROMOTE_ACCEPTS)
    share = _of_part(text, words[0], PROMOTE_ACCEPTS)
    return share, _time_part(text, words[1], PROMOTE_ACCEPTS) if len(words) == 2 else None


def render_promote_step(share: float, served: timedelta | None) -> str:
    """Write one step of PROMOTING."""
    return render_share(share) if served is None else render_canary_step(share, served)


def parse_looks(text: str) -> timedelta:
    """Read how far apart looks are: `daily`, `weekly` or `every 2d`."""
    if text in ("daily", "weekly"):
        return timedelta(days=1 if text == "daily" else 7)
    step = _time_part(text, text.removeprefix("every "), LOOKS_ACCEPTS) if text.startswith("every ") else timedelta(0)
    if not step:
        raise GrammarError(text, "is not a plan of looks", LOOKS_ACCEPTS)
    return step


def render_looks(every: timedelta) -> str:
    """Write how far apart looks are."""
    names = {timedelta(days=1): "daily", timedelta(days=7): "weekly"}
    return names.get(every) or f"every {render_duration(every)}"


def parse_margin(text: str, kinds: tuple[MarginKind, ...]) -> tuple[float, MarginKind]:
    """Read a margin: `5pp` is (0.05, absolute), `3%` is (0.03, relative), `50ms` is (50.0, ms), `0.5` is (0.5, value).

    Args:
        text: What was written.
        kinds: The kinds that make sense for this metric.

    Raises:
        GrammarError: If it is no margin, zero, or of a kind that the metric does not take.
    """
    accepts = " or ".join(MARGIN_ACCEPTS[kind] for kind in kinds)
    match = _MARGIN.fullmatch(text)
    if match is None or (match[2] is None and "value" not in kinds):
        raise GrammarError(text, "is not a margin", accepts)
    kind: MarginKind = _UNITS[match[2]] if match[2] else "value"
    if kind not in kinds:
        raise GrammarError(text, f"has the wrong unit ({match[2]})", accepts)
    number = Decimal(match[1])
    if not number:
        raise GrammarError(text, "is zero, which no finite sample can show", accepts)
    if kind == "absolute" and number >= 100:
        raise GrammarError(text, "is 100 points or more", accepts)
    return float(number if kind in ("ms", "value") else number / 100), kind


def render_margin(value: float, kind: MarginKind) -> str:
    """Write a margin."""
    if kind in ("ms", "value"):
        return f"{_plain(Decimal(repr(value)))}{'ms' if kind == 'ms' else ''}"
    return f"{_percent(value)}{'%' if kind == 'relative' else 'pp'}"


def parse_threshold(text: str) -> float:
    """Read a lower limit for a share: `>= 70%` is 0.7."""
    match = _THRESHOLD.fullmatch(text)
    if match is None:
        raise GrammarError(text, "is not a lower limit for a share", THRESHOLD_ACCEPTS)
    return _of_part(text, match[1], THRESHOLD_ACCEPTS)


def render_threshold(value: float) -> str:
    """Write a lower limit for a share."""
    return f">= {render_share(value)}"


def parse_win(text: str) -> tuple[str, timedelta] | None:
    """Read what a win does: None for `promote`, or who is asked and within what time."""
    if text == "promote":
        return None
    match = _ASK.fullmatch(text)
    if match is None:
        raise GrammarError(text, "is not a rule for a win", WIN_ACCEPTS)
    within = _time_part(text, match[2], WIN_ACCEPTS)
    if not within:
        raise GrammarError(text, "leaves no time to answer", WIN_ACCEPTS)
    return match[1], within


def render_win(asked: tuple[str, timedelta] | None) -> str:
    """Write what a win does."""
    return "promote" if asked is None else f"ask {asked[0]} within {render_duration(asked[1])}"


def parse_spending(text: str) -> tuple[str, float | None]:
    """Read how an error probability is spent: the shape, and the parameter of those that take one.

    Args:
        text: As `Spending.parse` reads it, with parameters no steeper than a test can use.

    Raises:
        GrammarError: Another shape, a parameter that is missing or not taken, or one out of bounds.

    >>> parse_spending("hsd:-2")
    ('hsd', -2.0)
    """
    match = _SPENDING.fullmatch(text)
    if match is None:
        raise GrammarError(text, "is not a way to spend", SPENDING_ACCEPTS)
    if match[1]:
        return match[1], None
    parameter = float(match[3])
    if abs(parameter) > _STEEPEST or (match[2] == "power" and parameter <= 0):
        raise GrammarError(text, "has a parameter out of bounds", SPENDING_ACCEPTS)
    return match[2], parameter


def render_spending(value: tuple[str, float | None]) -> str:
    """Write how an error probability is spent."""
    kind, parameter = value
    return kind if parameter is None else f"{kind}:{_plain(Decimal(repr(parameter)))}"


def parse_freeze(text: str) -> tuple[date, date]:
    """Read a freeze window: first and last day in UTC, both included."""
    match = _FREEZE.fullmatch(text)
    if match is None:
        raise GrammarError(text, "is not a freeze window", FREEZE_ACCEPTS)
    try:
        start, end = date.fromisoformat(match[1]), date.fromisoformat(match[2])
    except ValueError as error:
        raise GrammarError(text, "names a day that does not exist", FREEZE_ACCEPTS) from error
    if end < start:
        raise GrammarError(text, "ends before it starts", FREEZE_ACCEPTS)
    return start, end


def render_freeze(start: date, end: date) -> str:
    """Write a freeze window."""
    return f"{start.isoformat()}/{end.isoformat()}"


def _of_part(whole: str, part: str, accepts: str) -> float:
    try:
        return parse_share(part)
    except GrammarError as error:
        raise GrammarError(whole, f"holds {part!r}, which {error.problem}", accepts) from error


def _time_part(whole: str, part: str, accepts: str) -> timedelta:
    try:
        return parse_duration(part)
    except GrammarError as error:
        raise GrammarError(whole, f"holds {part!r}, which {error.problem}", accepts) from error


def _percent(fraction: float) -> str:
    return _plain(Decimal(repr(float(fraction))) * 100)


def _plain(number: Decimal) -> str:
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text

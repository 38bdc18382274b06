"""How each kind of value is read from the file, written back, and described to an editor."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import pairwise
from typing import Any

from staged_rollout.spec import grammar
from staged_rollout.spec.grammar import GrammarError, MarginKind
from staged_rollout.spec.looks import Looks
from staged_rollout.spec.model import CanaryStep, DecideWin, PromoteStep
from staged_rollout.spec.values import FreezeWindow, Margin, Split
from staged_rollout.spec.yaml_tree import Listing, Node, Scalar


@dataclass(frozen=True)
class Kind:
    """One kind of value.

    Args:
        accepts: What it takes, with an example.
        read: From a node to the model's value; raises `GrammarError`.
        render: From the model's value to the file's form.
        schema: JSON schema of the file's form.
        nullable: Whether `null` may be written.
        item: For a list, the kind of its items (`read` is then the item's).
        least: For a list, how many items there must be.
    """

    accepts: str
    read: Callable[[Node], Any]
    render: Callable[[Any], str]
    schema: Mapping[str, Any]
    nullable: bool = False
    item: Kind | None = None
    least: int = 0


def written(node: Node) -> str:
    """What stands in the file, for a message."""
    if isinstance(node, Scalar):
        return node.text
    return "a list" if isinstance(node, Listing) else "a mapping"


def text(accepts: str, pattern: str = r"[^\x00-\x1f]{1,1000}") -> Kind:
    """Text that matches a pattern as a whole."""

    def read(node: Node) -> str:
        if isinstance(node, Scalar) and node.kind != "text" and re.fullmatch(pattern, node.text):
            raise GrammarError(node.text, f"is a {node.kind} to YAML", f'text; in quotes: "{node.text}"')
        if not isinstance(node, Scalar) or not re.fullmatch(pattern, node.text):
            raise GrammarError(written(node), "is not accepted here", accepts)
        return node.text

    return Kind(accepts, read, str, {"type": "string", "pattern": f"^{pattern}$"})


def choice(*names: str, reasons: Mapping[str, str] | None = None) -> Kind:
    """One of some words; `reasons` say why others that exist elsewhere are refused."""
    accepts = " or ".join(names)

    def read(node: Node) -> str:
        if not isinstance(node, Scalar) or node.text not in names:
            reason = (reasons or {}).get(written(node))
            raise GrammarError(written(node), f"is refused: {reason}" if reason else "is not one of them", accepts)
        return node.text

    return Kind(accepts, read, str, {"enum": list(names)})


def integer(least: int, example: int) -> Kind:
    """A whole number from `least`."""
    accepts = f"a whole number from {least}, such as {example}"

    def read(node: Node) -> int:
        if not isinstance(node, Scalar) or node.kind != "number" or not re.fullmatch(r"[0-9]{1,12}", node.text):
            raise GrammarError(written(node), "is not a whole number", accepts)
        if int(node.text) < least:
            raise GrammarError(node.text, "is too small", accepts)
        return int(node.text)

    return Kind(accepts, read, str, {"type": "integer", "minimum": least})


def number(low: float, high: float | None, example: float) -> Kind:
    """A number strictly between two bounds."""
    accepts = f"a number above {low:g}{'' if high is None else f' and below {high:g}'}, such as {example:g}"

    def read(node: Node) -> float:
        if not isinstance(node, Scalar) or node.kind != "number":
            raise GrammarError(written(node), "is not a number", accepts)
        value = float(node.text)
        if value <= low or (high is not None and value >= high):
            raise GrammarError(node.text, "is out of bounds", accepts)
        return value

    schema = {"type": "number", "exclusiveMinimum": low} | ({} if high is None else {"exclusiveMaximum": high})
    return Kind(accepts, read, _shortest, schema)


def worded(accepts: str, parse: Callable[[str], Any], render: Callable[[Any], str], pattern: str) -> Kind:
    """A value of the grammar: parsed from the text as written, whatever YAML takes it for."""

    def read(node: Node) -> Any:
        if not isinstance(node, Scalar):
            raise GrammarError(written(node), "is not accepted here", accepts)
        try:
            return parse(node.text)
        except GrammarError as error:
            raise GrammarError(error.value, error.problem, accepts) from error

    return Kind(accepts, read, render, {"type": "string", "pattern": pattern})


def duration(*, positive: bool = True) -> Kind:
    """A duration, above 0 unless said otherwise."""

    def parse(written_text: str) -> timedelta:
        value = grammar.parse_duration(written_text)
        if positive and not value:
            raise GrammarError(written_text, "is no time at all", "")
        return value

    return worded(grammar.DURATION_ACCEPTS, parse, grammar.render_duration, r"^([0-9]+[wdhms])+$")


def share(low: float, high: float, *, strict_low: bool = False) -> Kind:
    """A share within bounds; `strict_low` leaves the lower one out."""
    bound = "above" if strict_low else "from"
    accepts = f"a share {bound} {grammar.render_share(low)} to {grammar.render_share(high)}, such as 5% or 2.5%"

    def parse(written_text: str) -> float:
        value = grammar.parse_share(written_text)
        if value < low or value > high or (strict_low and value == low):
            raise GrammarError(written_text, "is out of bounds", accepts)
        return value

    return worded(accepts, parse, grammar.render_share, r"^[0-9]+(\.[0-9]+)?%$")


def margin(kinds: tuple[MarginKind, ...]) -> Kind:
    """A margin of one of some kinds."""
    accepts = " or ".join(grammar.MARGIN_ACCEPTS[kind] for kind in kinds)
    units = {"absolute": "pp", "relative": "%", "ms": "ms"}
    suffix = f" ?({'|'.join(units[kind] for kind in kinds if kind != 'value')})"

    def parse(written_text: str) -> Margin:
        value, kind = grammar.parse_margin(written_text, kinds)
        return Margin(value=value, kind=kind)

    if "value" not in kinds:
        return worded(accepts, parse, str, rf"^[0-9]+(\.[0-9]+)?{suffix}$")
    either = worded(accepts, parse, str, rf"^[0-9]+(\.[0-9]+)?({suffix})?$")
    return replace(either, schema={"anyOf": [dict(either.schema), {"type": "number", "exclusiveMinimum": 0}]})


def amount() -> Kind:
    """A share such as 86%, or a number in the metric's own unit such as 12.5; which of them fits is the metric's."""
    accepts = f"{grammar.SHARE_ACCEPTS}; for a mean or a ratio a number, such as 12.5"
    pattern = r"-?[0-9]{1,15}(\.[0-9]{1,15})?"

    def parse(written_text: str) -> float:
        return float(written_text) if re.fullmatch(pattern, written_text) else grammar.parse_share(written_text)

    shares = worded(accepts, parse, _shortest, r"^[0-9]+(\.[0-9]+)?%$")
    return replace(shares, schema={"anyOf": [dict(shares.schema), {"type": "number"}]})


def optional(kind: Kind, *, word: str | None = None) -> Kind:
    """The same kind, where nothing may stand: `null`, or a word for it."""

    def read(node: Node) -> Any:
        if word is not None and isinstance(node, Scalar) and node.text == word:
            return None
        try:
            return kind.read(node)
        except GrammarError as error:
            raise GrammarError(error.value, error.problem, accepts) from error

    def render(value: Any) -> str:
        return (word or "null") if value is None else kind.render(value)

    accepts = f"{kind.accepts}, or {word or 'null'}"
    nothing = [{"type": "null"}] if word is None else [{"type": "null"}, {"const": word}]
    return Kind(accepts, read, render, {"anyOf": [*nothing, dict(kind.schema)]}, nullable=True)


def listing(item: Kind, *, least: int = 0, unique: bool = False) -> Kind:
    """A list of one kind."""

    def render(values: Any) -> str:
        return f"[{', '.join(item.render(value) for value in values)}]"

    schema = {"type": "array", "items": dict(item.schema), "minItems": least} | (
        {"uniqueItems": True} if unique else {}
    )
    return Kind(f"a list; each item {item.accepts}", item.read, render, schema, item=item, least=least)


def _split() -> Kind:
    def parse(written_text: str) -> Split:
        return Split(*grammar.parse_split(written_text))

    return worded(grammar.SPLIT_ACCEPTS, parse, grammar.render_split, r"^[0-9.]+ ?/ ?[0-9.]+$")


def _canary_step() -> Kind:
    def parse(written_text: str) -> CanaryStep:
        candidate, served = grammar.parse_canary_step(written_text)
        return CanaryStep(share=candidate, for_=served)

    def render(step: CanaryStep) -> str:
        return grammar.render_canary_step(step.share, step.for_)

    return worded(grammar.CANARY_ACCEPTS, parse, render, r"^[0-9.]+% [0-9wdhms]+$")


def _promote_step() -> Kind:
    def parse(written_text: str) -> PromoteStep:
        candidate, served = grammar.parse_promote_step(written_text)
        return PromoteStep(share=candidate, for_=served)

    def render(step: PromoteStep) -> str:
        return grammar.render_promote_step(step.share, step.for_)

    return worded(grammar.PROMOTE_ACCEPTS, parse, render, r"^[0-9.]+%( [0-9wdhms]+)?$")


def _looks() -> Kind:
    day = duration()

    def read(node: Node) -> Looks:
        if isinstance(node, Listing) and node.items:
            days = tuple(day.read(item) for item in node.items)
            if any(later <= earlier for earlier, later in pairwise(days)):
                raise GrammarError(", ".join(map(written, node.items)), "does not rise", grammar.LOOKS_ACCEPTS)
            return Looks(at=days)
        if not isinstance(node, Scalar):
            raise GrammarError(written(node), "is not a plan of looks", grammar.LOOKS_ACCEPTS)
        return Looks(every=grammar.parse_looks(node.text))

    words = {"type": "string", "pattern": r"^(daily|weekly|every [0-9wdhms]+)$"}
    days = {"type": "array", "items": dict(day.schema), "minItems": 1}
    return Kind(grammar.LOOKS_ACCEPTS, read, str, {"anyOf": [words, days]})


def _win() -> Kind:
    def parse(written_text: str) -> DecideWin:
        asked = grammar.parse_win(written_text)
        return DecideWin() if asked is None else DecideWin(action="ask", who=asked[0], within=asked[1])

    def render(win: DecideWin) -> str:
        return grammar.render_win(None if win.who is None or win.within is None else (win.who, win.within))

    return worded(grammar.WIN_ACCEPTS, parse, render, rf"^(promote|ask {grammar.NAME} within [0-9wdhms]+)$")


def _spending() -> Kind:
    def parse(written_text: str) -> str:
        return grammar.render_spending(grammar.parse_spending(written_text))

    pattern = r"^(obrien-fleming|pocock|(power|hsd):-?[0-9]+(\.[0-9]+)?)$"
    return worded(grammar.SPENDING_ACCEPTS, parse, str, pattern)


def _freeze() -> Kind:
    def parse(written_text: str) -> FreezeWindow:
        start, end = grammar.parse_freeze(written_text)
        return FreezeWindow(start=start, end=end)

    def render(window: FreezeWindow) -> str:
        return grammar.render_freeze(window.start, window.end)

    return worded(grammar.FREEZE_ACCEPTS, parse, render, r"^[0-9]{4}-[0-9]{2}-[0-9]{2}/[0-9]{4}-[0-9]{2}-[0-9]{2}$")


def _shortest(value: float) -> str:
    return f"{value:g}" if float(f"{value:g}") == value else repr(value)


THRESHOLD = worded(
    grammar.THRESHOLD_ACCEPTS, grammar.parse_threshold, grammar.render_threshold, r"^>= ?[0-9]+(\.[0-9]+)?%$"
)
SPLIT, CANARY_STEP, PROMOTE_STEP = _split(), _canary_step(), _promote_step()
LOOKS, SPENDING, WIN, FREEZE = _looks(), _spending(), _win(), _freeze()

"""How declared metrics are read from the rollout file, each key with its own finding, and described to an editor."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from staged_rollout.spec import kinds
from staged_rollout.spec.findings import unknown_key
from staged_rollout.spec.grammar import GrammarError
from staged_rollout.spec.kinds import Kind, written
from staged_rollout.spec.metric import BUILT_IN, LARGEST_RESOLUTION, LEAST_RESOLUTION, Metric, problems_of
from staged_rollout.spec.metric_grammar import CONDITION_ACCEPTS, FIELD_ACCEPTS, parse_condition, parse_field
from staged_rollout.spec.yaml_tree import Listing, Mapping, Node, Scalar

ACCEPTS = "a mapping of names to metrics, such as {revenue: {mean: revenue, resolution: 0.01}}"
METRIC_ACCEPTS = "a metric such as {rate: 'converted = 1'}, {mean: revenue, resolution: 0.01} or {ratio: [a, b], ...}"
RATIO_ACCEPTS = "a list of two fields, numerator and denominator, such as [revenue, orders]"
RESOLUTION_ACCEPTS = f"a number from {LEAST_RESOLUTION:g} to {LARGEST_RESOLUTION:g}, such as 0.01"
NUMBER_ACCEPTS = "a number, such as 500"

Refuse = Callable[[str, int, GrammarError], None]
"""Told of every finding: path below `metrics`, line, and what is wrong."""


def read_metrics(node: Node, refuse: Refuse) -> dict[str, Metric]:
    """Read the mapping of names to metrics; nothing stops at the first finding.

    Args:
        node: What stands under `metrics`.
        refuse: Told of each finding.
    """
    if not isinstance(node, Mapping):
        refuse("", node.line, GrammarError(written(node), "is not a mapping", ACCEPTS))
        return {}
    found: dict[str, Metric] = {}
    for name, line, child in node.entries:
        try:
            _NAME.read(Scalar(line=line, text=name, kind="text"))
        except GrammarError as error:
            refuse(name, line, error)
            continue
        if name == BUILT_IN:
            refuse(name, line, GrammarError(name, "is built in", "another name"))
        elif not isinstance(child, Mapping):
            refuse(name, line, GrammarError(written(child), "is not a mapping", METRIC_ACCEPTS))
        elif (metric := _read_metric(name, line, child, refuse)) is not None:
            found[name] = metric
    return found


def _read_metric(name: str, line: int, node: Mapping, refuse: Refuse) -> Metric | None:
    values: dict[str, Any] = {}
    lines: dict[str, int] = {}
    sound = True
    for key, at, child in node.entries:
        lines[key] = at
        try:
            reader: Callable[[Node], Any] = _READERS.get(key, partial(_unknown, key))
            values[key] = reader(child)
        except GrammarError as error:
            refuse(f"{name}.{key}", at, error)
            sound = False
    if not sound:
        return None
    problems = problems_of(values)
    for key, problem, accepts in problems:
        shown = str(values[key]) if key in values else ""
        refuse(f"{name}.{key}", lines.get(key, line), GrammarError(shown, problem, accepts))
    return None if problems else Metric(**values)


def _unknown(key: str, _: Node) -> Any:
    raise GrammarError(key, *unknown_key(key, tuple(_READERS)))


def _condition(node: Node) -> str:
    return str(parse_condition(_text(node, CONDITION_ACCEPTS)))


def _field(node: Node) -> str:
    return str(parse_field(_text(node, FIELD_ACCEPTS)))


def _ratio(node: Node) -> tuple[str, str]:
    if not isinstance(node, Listing) or len(node.items) != 2:
        raise GrammarError(written(node), "is not a pair of fields", RATIO_ACCEPTS)
    return _field(node.items[0]), _field(node.items[1])


def _resolution(node: Node) -> float:
    value = _number(node, RESOLUTION_ACCEPTS)
    if not LEAST_RESOLUTION <= value <= LARGEST_RESOLUTION:
        raise GrammarError(written(node), "is out of bounds", RESOLUTION_ACCEPTS)
    return value


def _winsorise(node: Node) -> float:
    return _number(node, NUMBER_ACCEPTS)


def _number(node: Node, accepts: str) -> float:
    if not isinstance(node, Scalar) or node.kind != "number":
        raise GrammarError(written(node), "is not a number", accepts)
    return float(node.text)


def _text(node: Node, accepts: str) -> str:
    if not isinstance(node, Scalar) or node.kind == "null":
        raise GrammarError(written(node), "is not accepted here", accepts)
    return node.text


_NAME = kinds.text("a name of letters, digits and '_', a letter first, at most 63", r"[A-Za-z][A-Za-z0-9_]{0,62}")
_UNIT_TOTAL = kinds.choice("sum", "mean")
_READERS: dict[str, Callable[[Node], Any]] = {
    "rate": _condition,
    "mean": _field,
    "ratio": _ratio,
    "resolution": _resolution,
    "winsorise": _winsorise,
    "unit_total": _UNIT_TOTAL.read,
}


def render_metrics(metrics: dict[str, Metric]) -> str:
    """The metrics on one line, in the file's form."""

    def value(found: Any) -> str:
        if isinstance(found, tuple):
            return f"[{', '.join(found)}]"
        return f"{found:g}" if isinstance(found, float) else str(found)

    def one(metric: Metric) -> str:
        return "{" + ", ".join(f"{key}: {value(found)}" for key, found in metric if found is not None) + "}"

    return "{" + ", ".join(f"{name}: {one(metric)}" for name, metric in metrics.items()) + "}"


def _schema() -> dict[str, Any]:
    field = {"type": "string", "pattern": r"^(features\.)?[A-Za-z_][A-Za-z0-9_]{0,62}$"}
    properties = {
        "rate": {"type": "string", "description": CONDITION_ACCEPTS},
        "mean": field | {"description": FIELD_ACCEPTS},
        "ratio": {"type": "array", "items": field, "minItems": 2, "maxItems": 2, "description": RATIO_ACCEPTS},
        "resolution": {"type": "number", "minimum": LEAST_RESOLUTION, "maximum": LARGEST_RESOLUTION},
        "winsorise": {"type": "number"},
        "unit_total": dict(_UNIT_TOTAL.schema),
    }
    metric = {
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
        "oneOf": [{"required": [name]} for name in ("rate", "mean", "ratio")],
    }
    names = {"pattern": r"^[A-Za-z][A-Za-z0-9_]{0,62}$", "not": {"const": BUILT_IN}}
    return {"type": "object", "propertyNames": names, "additionalProperties": metric}


def _read_whole(node: Node) -> dict[str, Metric]:
    first: list[GrammarError] = []
    found = read_metrics(node, lambda _path, _line, error: first.append(error))
    if first:
        raise first[0]
    return found


METRICS = Kind(ACCEPTS, _read_whole, render_metrics, _schema())
METRIC_NAME = kinds.text(f"{BUILT_IN}, or the name of a metric under metrics", r"[A-Za-z][A-Za-z0-9_]{0,62}")

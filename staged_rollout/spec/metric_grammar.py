"""What a declared metric may read and ask: fields and conditions. A closed grammar; nothing of it becomes SQL text.

`parse_x(render_x(v)) == v`. A field is a column of a prediction row, the unit's outcome, a rating, a feature, or a
measure by its own name.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal

from staged_rollout.spec.grammar import GrammarError

FieldKind = Literal["prediction", "latency_ms", "status", "requests", "outcome", "rating", "feature", "measure"]
Operator = Literal["=", "!=", "<", "<=", ">", ">="]

FIXED_FIELDS: dict[str, FieldKind] = {
    "prediction": "prediction",
    "latency_ms": "latency_ms",
    "status": "status",
    "requests": "requests",
    "outcome": "outcome",
    "rating": "rating",
}
"""Fields with a meaning of their own; every other name is a measure."""
SEPARATE: frozenset[FieldKind] = frozenset({"outcome", "rating"})
"""What comes from elsewhere, and later: a unit without one is left out, and never counted as 0."""

FIELD_ACCEPTS = (
    f"{', '.join(FIXED_FIELDS)}, features.NAME, or the name of a measure such as revenue (letters, digits and '_')"
)
CONDITION_ACCEPTS = (
    "FIELD OPERATOR VALUE with =, !=, <, <=, > or >=, such as 'converted = 1' or \"features.plan = 'pro'\"; "
    "a text stands in single quotes and takes = and !="
)

_KEY = r"[A-Za-z_][A-Za-z0-9_]{0,62}"
_FIELD = re.compile(rf"(features\.)?({_KEY})")
_CONDITION = re.compile(r"([^\s=!<>]+)\s*(=|!=|<=|>=|<|>)\s*(.+)")
_NUMBER = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]{1,15})?")
_TEXT = re.compile(r"'([^'\x00-\x1f]{0,200})'")


@dataclass(frozen=True)
class Field:
    """What one value is read from.

    Args:
        kind: Where it lies.
        key: Its name there, of a feature or a measure; else None.
    """

    kind: FieldKind
    key: str | None = None

    def __str__(self) -> str:
        return f"features.{self.key}" if self.kind == "feature" else self.key or self.kind


@dataclass(frozen=True)
class Condition:
    """A comparison that a row meets or not.

    Args:
        field: What is compared.
        operator: How.
        number: With which number; None: with a text.
        text: With which text; None: with a number.
    """

    field: Field
    operator: Operator
    number: float | None = None
    text: str | None = None

    def __str__(self) -> str:
        value = f"'{self.text}'" if self.number is None else _number_text(self.number)
        return f"{self.field} {self.operator} {value}"


def parse_field(text: str) -> Field:
    """Read the name of a field.

    Raises:
        GrammarError: If it is none.

    >>> parse_field("features.plan"), parse_field("revenue").kind
    (Field(kind='feature', key='plan'), 'measure')
    """
    match = _FIELD.fullmatch(text)
    if match is None:
        raise GrammarError(text, "is not a field", FIELD_ACCEPTS)
    if match[1]:
        return Field("feature", match[2])
    fixed = FIXED_FIELDS.get(text)
    return Field(fixed) if fixed else Field("measure", text)


def parse_condition(text: str) -> Condition:
    """Read a comparison.

    Raises:
        GrammarError: If it is none, or compares a number with a text.

    >>> str(parse_condition("converted=1.0"))
    'converted = 1'
    """
    match = _CONDITION.fullmatch(text.strip())
    if match is None:
        raise GrammarError(text, "is not a condition", CONDITION_ACCEPTS)
    try:
        field = parse_field(match[1])
    except GrammarError as error:
        raise GrammarError(text, f"holds {match[1]!r}, which {error.problem}", error.accepts) from error
    operator: Operator = match[2]  # type: ignore[assignment]  # the pattern has these and no others
    if _NUMBER.fullmatch(match[3]):
        return Condition(field, operator, number=float(match[3]) + 0.0)
    quoted = _TEXT.fullmatch(match[3])
    if quoted is None:
        raise GrammarError(text, f"compares with {match[3]!r}, no number and no text in quotes", CONDITION_ACCEPTS)
    if operator not in ("=", "!="):
        raise GrammarError(text, "asks which of two texts is larger", CONDITION_ACCEPTS)
    if field.kind != "feature":
        raise GrammarError(text, f"compares {field}, a number, with a text", CONDITION_ACCEPTS)
    return Condition(field, operator, text=quoted[1])


def _number_text(value: float) -> str:
    if math.isfinite(value) and value == int(value):
        return str(int(value))
    text = f"{value:.15f}"
    return text.rstrip("0")

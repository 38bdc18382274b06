"""Other people's keys: what a name in a field map may say, and the value that it finds on a line.

A name is one of

- `KEY`: a key of the line, or a path into it (`user.id`); a key that is spelled with the dots is found too, and a line
  that has both is refused;
- `=TEXT`: the same text on every line; for ids and names only;
- `None` (or nothing): their log has none of it.

After a key may stand how it is read, and then `?` when lines may lack it:

- `:unix`, `:unix-ms`: a timestamp as a number of seconds or milliseconds since 1970;
- `:utc`: a timestamp without a zone is UTC, `T` may be a blank, and a day stands for its midnight;
- `:flag`: a measure that is true (1) or false (0);
- `:N`: the Nth part, from 1, of a text that `:` separates; `:-N`, `:_N`, `:/N` and so on: that `-`, `_`, `/` separates.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from staged_rollout.records.blocks import FieldMap, LineKind
from staged_rollout.records.fields import MAX_TEXT
from staged_rollout.records.json_line import rejected

Way = Literal["", "unix", "unix-ms", "utc", "flag"]

MISSING: Any = object()
"""What `FieldRule.find` answers where a line lacks the key."""

_WAY = re.compile(r"(?P<key>.+):(?P<way>unix-ms|unix|utc|flag)", re.DOTALL)
_PART = re.compile(r"(?P<key>.+):(?P<separator>[^\w\s?]|_)?(?P<part>[1-9]\d?)", re.DOTALL | re.ASCII)
_MEASURE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}", re.ASCII)

_ENVELOPE = ("request_id", "timestamp", "rollout", "unit_id", "assigned_variant", "variant", "fallback", "epoch")
_ANSWER = ("model_version", "prediction", "latency_ms", "status", "features")
_SHADOW = ("shadow_variant", "shadow_prediction", "shadow_latency_ms")
FIELDS: Mapping[LineKind, tuple[str, ...]] = {
    "predictions": (*_ENVELOPE, *_ANSWER),
    "capture": ("rollout", "unit_id", "variant", "model_version", "prediction", "request_id", "features"),
    "shadow": (*_ENVELOPE, *_ANSWER, *_SHADOW),
    "outcomes": ("unit_id", "request_id", "timestamp", "outcome"),
    "ground-truth": ("timestamp",),
    "feedback": ("unit_id", "request_id", "timestamp", "rating"),
}
"""The fields of each kind that a map may name; for the first three, any other name is a measure."""

_NO_MEASURE = frozenset(name for names in FIELDS.values() for name in names)
WITH_MEASURES: frozenset[LineKind] = frozenset({"predictions", "capture", "shadow"})
"""Kinds whose rows keep measures."""

MAY_BE_MISSING = frozenset({"assigned_variant", "fallback", "epoch"})
"""Fields that have a default where a line lacks them: the variant, false, and 0."""

CONSTANT = frozenset({"rollout", "variant", "assigned_variant", "model_version", "shadow_variant"})
"""Fields that a map may set to one text for all lines."""

_PARTED = frozenset({"rollout", "unit_id", "variant", "assigned_variant", "request_id"})
_NEVER_ABSENT: Mapping[LineKind, frozenset[str]] = {
    "predictions": frozenset({"timestamp"}),
    "capture": frozenset({"request_id"}),
    "shadow": frozenset({"timestamp", "shadow_prediction"}),
    "outcomes": frozenset({"timestamp", "outcome"}),
    "ground-truth": frozenset({"timestamp"}),
    "feedback": frozenset({"timestamp", "rating"}),
}


@dataclass(frozen=True)
class FieldRule:
    """One name of a field map, read.

    Attributes:
        key: Their key or path.
        constant: The text of every line, instead of a key.
        way: How the value is read.
        separator: Separates parts; "": the whole value.
        part: Which part, from 1.
        optional: Whether lines may lack it.
    """

    key: str = ""
    constant: str | None = None
    way: Way = ""
    separator: str = ""
    part: int = 0
    optional: bool = False

    def find(self, record: Mapping[str, Any], label: str) -> Any:
        """The value on a line, or MISSING where the line lacks an optional key.

        Args:
            record: The line.
            label: What a reason calls the key.

        Raises:
            LineRejectedError: the key is missing, or is there twice (`a.b` and `b` within `a`).
        """
        if self.constant is not None:
            return self.constant
        found, inner = record.get(self.key, MISSING), MISSING
        if "." in self.key:
            inner = _walk(record, self.key)
            if found is not MISSING and inner is not MISSING:
                rejected(f"{label} is there twice: as a key with dots, and within objects")
        value = inner if found is MISSING else found
        if value is MISSING:
            if not self.optional:
                twin = next((other for other in record if other.lower() == self.key.lower()), None)
                rejected(f"missing key: {label}" + (f" (found {twin[:64]!a})" if twin else ""))
            return MISSING
        return self._part_of(value, label) if self.separator and value is not None else value

    def _part_of(self, value: Any, label: str) -> str:
        parts = value.split(self.separator) if isinstance(value, str) else []
        if len(parts) < self.part:
            rejected(f"{label}: it has no part {self.part}")
        return str(parts[self.part - 1])


def _walk(record: Mapping[str, Any], path: str) -> Any:
    value: Any = record
    for step in path.split("."):
        if not isinstance(value, dict) or step not in value:
            return MISSING
        value = value[step]
    return value


@lru_cache(maxsize=1024)
def rule_of(theirs: str) -> FieldRule:
    """A name of a field map, read.

    >>> rule_of("user.id"), rule_of("ts:unix-ms").way, rule_of("inferenceId:2").part
    (FieldRule(key='user.id', constant=None, way='', separator='', part=0, optional=False), 'unix-ms', 2)
    """
    if theirs.startswith("="):
        return FieldRule(constant=theirs[1:])
    optional = len(theirs) > 1 and theirs.endswith("?")
    key = theirs.removesuffix("?") if optional else theirs
    if (way := _WAY.fullmatch(key)) is not None:
        return FieldRule(way["key"], way=way["way"], optional=optional)  # type: ignore[arg-type]  # the pattern's four
    if (part := _PART.fullmatch(key)) is not None:
        return FieldRule(part["key"], separator=part["separator"] or ":", part=int(part["part"]), optional=optional)
    return FieldRule(key, optional=optional)


def problem_of(kind: LineKind, name: str, theirs: str | None) -> str:
    """What is wrong with one entry of a field map, or "".

    Args:
        kind: Kind of line.
        name: Our field, or a measure.
        theirs: Their key, or None.
    """
    known = FIELDS[kind]
    feature = name.startswith("features.") and "features" in known
    measure = name not in known and not feature
    if measure and (kind not in WITH_MEASURES or name in _NO_MEASURE or not _MEASURE.fullmatch(name)):
        also = "; others are measures: a letter, then letters, digits and '_'" if kind in WITH_MEASURES else ""
        return f"{name[:64]!r} is not a field of {kind} lines; accepted: {', '.join(known)}{also}"
    if not theirs:
        absent = not measure and not feature and name not in _NEVER_ABSENT[kind]
        return "" if absent else f"{name} cannot be absent; accepted: the key that holds it"
    if len(theirs) > MAX_TEXT:
        return f"{name} has a key longer than {MAX_TEXT} characters"
    rule = rule_of(theirs)
    if rule.constant is not None:
        fine = name in CONSTANT and rule.constant.strip()
        return "" if fine else f"{name} cannot be the same text on every line; accepted: {', '.join(sorted(CONSTANT))}"
    if rule.way and (name == "timestamp") != (rule.way in {"unix", "unix-ms", "utc"}):
        return (
            f"{name} cannot be read as :{rule.way}; accepted: :unix, :unix-ms, :utc for timestamp, :flag for measures"
        )
    if rule.way == "flag" and not measure:
        return f"{name} cannot be read as :flag; accepted: measures"
    if rule.separator and name not in _PARTED:
        return f"{name} cannot be a part of a text; accepted: {', '.join(sorted(_PARTED))}"
    if rule.optional and (name in _NEVER_ABSENT[kind] or (name == "request_id" and kind in WITH_MEASURES)):
        return f"{name} cannot be optional; accepted: {theirs.removesuffix('?')}"
    return ""


def problems_of(kind: LineKind, entries: Mapping[str, str | None]) -> list[str]:
    """What is wrong with a field map, entry by entry and as a whole; [] when nothing is.

    Args:
        kind: Kind of line.
        entries: Our names to theirs.
    """
    problems = [problem for entry in entries.items() if (problem := problem_of(kind, *entry))]
    if kind == "capture" and not problems and not entries.get("unit_id"):
        kept = [name for name in entries if name not in FIELDS["capture"] or name in {"features", "request_id"}]
        if kept:
            problems.append(f"{', '.join(kept)} of captures need a rule for unit_id: only exposures have them")
    return problems


def field_map(kind: LineKind, entries: Mapping[str, str | None]) -> FieldMap:
    """The field map of a kind of line from names without problems; see `problems_of`."""
    known = FIELDS[kind]
    ours = {name for name in entries if name in known or (name.startswith("features.") and "features" in known)}
    return FieldMap(
        theirs={name: theirs or None for name, theirs in entries.items() if name in ours},
        measures={name: theirs for name, theirs in sorted(entries.items()) if name not in ours and theirs},
    )

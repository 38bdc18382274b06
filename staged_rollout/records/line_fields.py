"""Our fields on one parsed line, by our names or by those of a field map."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from staged_rollout.records import fields
from staged_rollout.records.blocks import FieldMap
from staged_rollout.records.field_rules import MISSING, FieldRule, rule_of
from staged_rollout.records.json_line import rejected

_UNITS = {"unix": timedelta(seconds=1), "unix-ms": timedelta(milliseconds=1)}


class LineFields:
    """Reads a line; every refusal names the key, and our field where they differ.

    A text that a field map names may be an integer: other people's ids often are. It is written in decimal.

    Args:
        record: The parsed line.
        names: The field map.
    """

    def __init__(self, record: Mapping[str, Any], names: FieldMap) -> None:
        self._record = record
        self._theirs = names.theirs
        self._measures = names.measures
        self._lowered: set[str] | None = None

    def absent(self, name: str) -> bool:
        """Whether their log has no such field."""
        return name in self._theirs and self._theirs[name] is None

    def named(self, name: str) -> bool:
        """Whether the line holds the field, or the field map says where it is.

        Raises:
            LineRejectedError: only a key that differs in case is there: `Epoch` must not mean epoch 0 in silence.
        """
        if name in self._theirs:
            return self._theirs[name] is not None
        if name in self._record:
            return True
        if self._lowered is None:
            self._lowered = {key.lower() for key in self._record}
        if name in self._lowered:
            fields.present(self._record, name)
        return False

    def text(self, name: str) -> str:
        """A non-empty text.

        Raises:
            LineRejectedError: missing, null, or not such a text.
        """
        value, label, _ = self._found(name)
        return self._text(name, value, label)

    def text_or_null(self, name: str) -> str | None:
        """A non-empty text; None when it is null, declared absent, or optional and missing.

        Raises:
            LineRejectedError: missing, or not such a text.
        """
        if self.absent(name):
            return None
        value, label, _ = self._found(name)
        return None if value is None or value is MISSING else self._text(name, value, label)

    def optional_text(self, name: str) -> str | None:
        """As `text_or_null`, and None when the key is missing."""
        return self.text_or_null(name) if self.named(name) else None

    def number_or_null(self, name: str) -> float | None:
        """A number; None when it is null, declared absent, or optional and missing.

        Raises:
            LineRejectedError: missing, or not a number.
        """
        if self.absent(name):
            return None
        value, label, _ = self._found(name)
        return None if value is None or value is MISSING else fields.as_number(value, label)

    def optional_number(self, name: str) -> float | None:
        """As `number_or_null`, and None when the key is missing."""
        return self.number_or_null(name) if self.named(name) else None

    def number(self, name: str) -> float:
        """A number.

        Raises:
            LineRejectedError: missing, null, or not a number.
        """
        value, label, _ = self._found(name)
        return fields.as_number(value, label)

    def logged_number(self, name: str) -> float | None:
        """A number; None only when it is declared absent, or optional and missing or null.

        Raises:
            LineRejectedError: missing, null, or not a number.
        """
        value = self._logged(name)
        return None if value is MISSING else fields.as_number(value[0], value[1])

    def logged_integer(self, name: str) -> int | None:
        """An integer; None only when it is declared absent, or optional and missing or null.

        Raises:
            LineRejectedError: missing, null, or not an integer.
        """
        value = self._logged(name)
        return None if value is MISSING else fields.as_integer(value[0], value[1])

    def count(self, name: str) -> int:
        """An integer from 0; 0 when the key is missing.

        Raises:
            LineRejectedError: not such an integer.
        """
        value = self._logged(name) if self.named(name) else MISSING
        if value is MISSING:
            return 0
        if fields.as_integer(value[0], value[1]) < 0:
            rejected(f"{value[1]} is negative")
        return int(value[0])

    def flag(self, name: str) -> bool:
        """True or false; false when the key is missing.

        Raises:
            LineRejectedError: anything else.
        """
        value = self._logged(name) if self.named(name) else MISSING
        return False if value is MISSING else fields.as_flag(value[0], value[1])

    def timestamp(self, name: str = "timestamp") -> datetime:
        """A moment, in UTC.

        Raises:
            LineRejectedError: missing, or no moment.
        """
        value, label, rule = self._found(name)
        if rule is None or not rule.way:
            return fields.as_timestamp(value, label)
        return fields.as_utc(value, label) if rule.way == "utc" else fields.as_unix(value, label, _UNITS[rule.way])

    def features(self, *, needed: bool = True) -> str:
        """The features, as the text of a compact JSON object; `features.NAME` of the field map are added.

        Args:
            needed: Whether a line without the key is refused.

        Raises:
            LineRejectedError: missing, or not an object.
        """
        single = [name for name in self._theirs if name.startswith("features.")]
        found: dict[str, Any] = {}
        if self.named("features") or (needed and not single and not self.absent("features")):
            value, label, _ = self._found("features")
            found = {} if value is MISSING else fields.as_mapping(value, label)
        for name in single:
            value, _, _ = self._found(name)
            if value is not MISSING:
                found = {**found, name.removeprefix("features."): value}
        return compact(found)

    def measures(self) -> str | None:
        """The measures that are numbers on this line, as the text of a compact JSON object; None when there are none.

        Raises:
            LineRejectedError: one is missing, or not a number and not null.
        """
        found = {}
        for name, theirs in self._measures.items():
            rule, label = _read(name, theirs)
            value = rule.find(self._record, label)
            if value is None or value is MISSING:
                continue
            if rule.way == "flag":
                value = int(fields.as_flag(value, label))
            fields.as_number(value, label)
            found[name] = value
        return compact(found) if found else None

    def _text(self, name: str, value: Any, label: str) -> str:
        if name in self._theirs and isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        return fields.as_text(value, label)

    def _logged(self, name: str) -> Any:
        if self.absent(name):
            return MISSING
        value, label, rule = self._found(name)
        if rule is not None and rule.optional and (value is None or value is MISSING):
            return MISSING
        return value, label

    def _found(self, name: str) -> tuple[Any, str, FieldRule | None]:
        theirs = self._theirs.get(name)
        if theirs is None:
            return fields.present(self._record, name), name, None
        rule, label = _read(name, theirs)
        return rule.find(self._record, label), label, rule


_COMPACT = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


def compact(value: Mapping[str, Any]) -> str:
    """A JSON object as text, without blanks, in the letters that it has."""
    return _COMPACT.encode(value) if value else "{}"


@lru_cache(maxsize=1024)
def _read(name: str, theirs: str) -> tuple[FieldRule, str]:
    """A name of a field map, and what reasons call it."""
    rule = rule_of(theirs)
    key = theirs if rule.constant is not None else rule.key
    shown = key[:64] if key.isprintable() else ascii(key[:64])
    return rule, shown if key == name else f"{shown} ({name})"

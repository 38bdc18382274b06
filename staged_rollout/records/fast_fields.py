"""Our fields on lines of one shape, by our names or by those of a field map: `LineFields`, for many lines at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from staged_rollout.errors import LineRejectedError
from staged_rollout.records.fast_record import FastRecord, UnreadableShapeError
from staged_rollout.records.fast_shape import Slot
from staged_rollout.records.field_rules import MISSING, rule_of
from staged_rollout.records.line_fields import LineFields

_MICROSECONDS = {"unix": 1_000_000, "unix-ms": 1_000}


class FastFields:
    """Reads a record; where the strict parser would refuse every line of the shape, the shape is unreadable.

    Each method is the one of the same name in `LineFields`, and gives a pyarrow Array.

    Args:
        record: Lines of one shape.
    """

    def __init__(self, record: FastRecord) -> None:
        self._record = record
        self._theirs = record.context.fields.theirs
        self._measures = record.context.fields.measures
        self._lines = LineFields(record.skeleton, record.context.fields)

    def absent(self, name: str) -> bool:
        """Whether their log has no such field."""
        return self._lines.absent(name)

    def named(self, name: str) -> bool:
        """Whether the lines hold the field, or the field map says where it is."""
        try:
            return self._lines.named(name)
        except LineRejectedError as error:
            raise UnreadableShapeError from error

    def text(self, name: str) -> Any:
        """A non-empty text."""
        value, _ = self._found(name)
        if isinstance(value, str):
            return self._constant(value)
        return self._record.text(value, integers=name in self._theirs)

    def text_or_null(self, name: str) -> Any:
        """A non-empty text, or null."""
        if self.absent(name):
            return self._constant(None)
        value, _ = self._found(name)
        if value is MISSING or isinstance(value, str):
            return self._constant(None if value is MISSING else value)
        return self._record.text(value, nullable=True, integers=name in self._theirs)

    def unit_or_null(self, name: str) -> Any:
        """As `text_or_null`, hashed."""
        return self._record.hashed(self.text_or_null(name))

    def optional_unit(self, name: str) -> Any:
        """As `unit_or_null`, and null when the key is missing."""
        return self.unit_or_null(name) if self.named(name) else self._constant(None)

    def optional_text(self, name: str) -> Any:
        """As `text_or_null`, and null when the key is missing."""
        return self.text_or_null(name) if self.named(name) else self._constant(None)

    def number(self, name: str) -> Any:
        """A number."""
        return self._record.number(self._found(name)[0])

    def number_or_null(self, name: str) -> Any:
        """A number, or null."""
        value = MISSING if self.absent(name) else self._found(name)[0]
        return self._nulls("number") if value is MISSING else self._record.number(value, nullable=True)

    def logged_number(self, name: str) -> Any:
        """A number; null only when it is declared absent, or optional and missing or null."""
        value, optional = (MISSING, True) if self.absent(name) else self._found(name)
        return self._nulls("number") if value is MISSING else self._record.number(value, nullable=optional)

    def logged_integer(self, name: str) -> Any:
        """An integer; null only when it is declared absent, or optional and missing or null."""
        value, optional = (MISSING, True) if self.absent(name) else self._found(name)
        return self._nulls("integer") if value is MISSING else self._record.integer(value, nullable=optional)

    def integer(self, name: str, *, else_: int) -> Any:
        """An integer; `else_` when the key is missing or declared absent."""
        import pyarrow as pa

        value = self._found(name)[0] if self.named(name) else MISSING
        if value is MISSING:
            return pa.repeat(pa.scalar(else_, pa.int64()), self._record.count)
        return self._record.integer(value)

    def flag(self, name: str) -> Any:
        """True or false; false when the key is missing or declared absent."""
        import pyarrow as pa

        value = self._found(name)[0] if self.named(name) else MISSING
        return pa.repeat(pa.scalar(value=False), self._record.count) if value is MISSING else self._record.flag(value)

    def moment(self, name: str) -> Any:
        """A moment."""
        theirs = self._theirs.get(name)
        rule = None if theirs is None else rule_of(theirs)
        if theirs is None or rule is None or not rule.way:
            return self._record.moment(self._found(name)[0])
        value = self._find(theirs)
        return self._record.utc(value) if rule.way == "utc" else self._record.unix(value, _MICROSECONDS[rule.way])

    def features(self) -> Any:
        """The features, as the text of a compact JSON object."""
        single = [name for name in self._theirs if name.startswith("features.")]
        value: Any = {}
        if self.named("features") or (not single and not self.absent("features")):
            value = self._found("features")[0]
            value = {} if value is MISSING else value
        if not single:
            return self._record.object(value)
        if not isinstance(value, Mapping):
            raise UnreadableShapeError
        for name in single:
            found = self._found(name)[0]
            if found is not MISSING:
                value = {**value, name.removeprefix("features."): found}
        return self._record.object(value)

    def measures(self) -> Any:
        """The measures, as the text of a compact JSON object; lines where one is null are for the strict parser."""
        value: dict[str, Slot] = {}
        for name, theirs in self._measures.items():
            rule = rule_of(theirs)
            if rule.way or rule.separator:
                raise UnreadableShapeError
            found = self._find(theirs)
            if found is not MISSING:
                self._record.number(found)
                value[name] = found
        return self._record.object(value) if value else self._constant(None)

    def _found(self, name: str) -> tuple[Any, bool]:
        """The part of the skeleton that holds a field, a constant text or MISSING; and whether it is optional."""
        theirs = self._theirs.get(name)
        if theirs is None:
            if name not in self._record.skeleton:
                raise UnreadableShapeError
            return self._record.skeleton[name], False
        rule = rule_of(theirs)
        if rule.way or rule.separator:
            raise UnreadableShapeError
        return self._find(theirs), rule.optional

    def _find(self, theirs: str) -> Any:
        try:
            return rule_of(theirs).find(self._record.skeleton, theirs)
        except LineRejectedError as error:
            raise UnreadableShapeError from error

    def _constant(self, text: str | None) -> Any:
        import pyarrow as pa

        return pa.repeat(pa.scalar(text, pa.string()), self._record.count)

    def _nulls(self, kind: str) -> Any:
        import pyarrow as pa

        return pa.nulls(self._record.count, pa.float64() if kind == "number" else pa.int64())

"""Lines of one shape as one record whose values are columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from staged_rollout.records.blocks import LineContext
from staged_rollout.records.fast_columns import (
    Cells,
    Column,
    flag_column,
    integer_column,
    number_column,
    text_column,
)
from staged_rollout.records.fast_index import LineIndex, Mask
from staged_rollout.records.fast_json import joined_column, json_column, object_column
from staged_rollout.records.fast_match import Choice, Slots
from staged_rollout.records.fast_moments import moment_column, unix_column, utc_column
from staged_rollout.records.fast_shape import Shape, Slot, compact_parts, slots_of
from staged_rollout.records.fast_units import hashed_column


class UnreadableShapeError(Exception):
    """Lines of this shape are for the strict parser."""


@dataclass(frozen=True)
class FastRows:
    """What a record's lines are.

    Attributes:
        columns: Column to pyarrow Array, one value for each line.
        identities: Texts whose MD5 are the rows' identities, pyarrow StringArrays; null where a row has none.
    """

    columns: Mapping[str, Any]
    identities: tuple[Any, ...]


class FastRecord:
    """What the lines of one shape say, key by key.

    Each value that is asked for is proved to be what the strict parser would accept; `proved` says for which lines
    all of them were. A column means nothing where its line is not proved.

    Args:
        index: The block.
        shape: The lines' shape.
        slots: The lines, and where their values lie.
        context: What their file says of them.
    """

    def __init__(self, index: LineIndex, shape: Shape, slots: Slots, context: LineContext) -> None:
        self.context = context
        self.count = len(slots.lines)
        self.proved: Mask = np.ones(self.count, np.bool_)
        self.skeleton = shape.skeleton()
        self._index, self._shape, self._slots = index, shape, slots
        self._read: set[int] = set()

    def text(self, value: Any, *, nullable: bool = False, integers: bool = False) -> Any:
        """As `fields.text` or `fields.text_or_null`: a pyarrow Array.

        Args:
            value: The part of the skeleton.
            nullable: Whether null is accepted.
            integers: Whether an integer is accepted, and written in decimal.

        Raises:
            UnreadableShapeError: the part is no plain value.
        """
        return self._take(text_column(self.cells(value), nullable=nullable, integers=integers))

    def hashed(self, texts: Any) -> Any:
        """Keyed hashes of unit ids, a pyarrow Array of texts."""
        return hashed_column(texts, self.context.pseudonym)

    def number(self, value: Any, *, nullable: bool = False) -> Any:
        """As `fields.number` or `fields.number_or_null`; otherwise as `text`."""
        return self._take(number_column(self.cells(value), nullable=nullable))

    def integer(self, value: Any, *, nullable: bool = False) -> Any:
        """As `fields.integer`, or null; otherwise as `text`."""
        return self._take(integer_column(self.cells(value), nullable=nullable))

    def flag(self, value: Any) -> Any:
        """As `fields.flag`; otherwise as `text`."""
        return self._take(flag_column(self.cells(value)))

    def moment(self, value: Any) -> Any:
        """As `fields.timestamp`; otherwise as `text`."""
        return self._take(moment_column(self.cells(value)))

    def utc(self, value: Any) -> Any:
        """As `fields.as_utc`; otherwise as `text`."""
        return self._take(utc_column(self.text(value)))

    def unix(self, value: Any, scale: int) -> Any:
        """As `fields.as_unix`, of a unit of so many microseconds; otherwise as `text`."""
        return self._take(unix_column(self.number(value), scale))

    def object(self, value: Any) -> Any:
        """An object as compact JSON text; otherwise as `text`."""
        if isinstance(value, Slot) and self._shape.whole and value.number == len(self._shape.paths) - 1:
            return self._take(object_column(self._places(value)))
        if not isinstance(value, Mapping):
            raise UnreadableShapeError
        columns = {number: json_column(self.cells(Slot(number))) for number in slots_of(value)}
        return self._take(joined_column(compact_parts(value), columns, self.count))

    def rest(self) -> None:
        """Prove the values that nobody asked for to be JSON."""
        for number in set(range(len(self._shape.paths))) - self._read:
            whole = self._shape.whole and number == len(self._shape.paths) - 1
            slot = Slot(number)
            self._take(object_column(self._places(slot)) if whole else json_column(self.cells(slot)))

    def only(self, kept: Mask) -> None:
        """Leave lines to the strict parser.

        Args:
            kept: The others, `bool[lines]`.
        """
        self.proved &= kept

    def cells(self, value: Any) -> Cells | Choice:
        """Where a plain value lies, or which of a few it is.

        Raises:
            UnreadableShapeError: the part of the skeleton is an object or an array.
        """
        if not isinstance(value, Slot):
            raise UnreadableShapeError
        self._read.add(value.number)
        found = self._slots.values[value.number]
        return found if isinstance(found, Choice) else Cells(self._index, found.begins, found.ends, found.strings)

    def _places(self, value: Slot) -> Cells:
        cells = self.cells(value)
        if isinstance(cells, Choice):
            raise UnreadableShapeError
        return cells

    def _take(self, column: Column) -> Any:
        self.proved &= column.proved
        return column.values

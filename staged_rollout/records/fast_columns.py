"""Values of many lines to columns, each value proved to be what the strict parser would accept, or left to it.

Few different values: each is read once, by the strict parser's own functions. Many: they are proved by their form.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from staged_rollout.errors import LineRejectedError
from staged_rollout.records import fields
from staged_rollout.records.fast_index import LineIndex, Mask, Positions, slices
from staged_rollout.records.fast_match import Choice
from staged_rollout.records.json_line import json_object

Read = Callable[[Mapping[str, Any], str], Any]
"""One of the functions of `fields`: record and key to value, or LineRejectedError."""

_SAMPLE = 16  # values looked at to tell whether there are few different ones
_SAMPLE_FEW = 8
_SHORT, _SAMPLE_SHORT = 6, 256
_NULL = np.uint64(int.from_bytes(b"null", "little"))
_INTEGER = r"^(?:0|-?[1-9][0-9]{0,17})$"
NUMBER = (
    r"^(?:0|-?[1-9][0-9]{0,14}"  # an integer that a double holds exactly; -0 is 0 to the strict parser
    r"|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+(?:[eE][-+]?[0-9]{1,2})?|[eE][-+]?[0-9]{1,2}))$"
)
"""Numbers that are proved by their form, when no longer than MAX_NUMBER."""

MAX_NUMBER = 32
"""Characters; with an exponent of two digits that is far from overflow."""


@dataclass(frozen=True)
class Cells:
    """One value of many lines.

    Attributes:
        index: The block.
        begins: First byte of each, without quotation mark, `int32[lines]`.
        ends: The byte after each, without quotation mark, `int32[lines]`.
        strings: Whether it is a string, `bool[lines]`.
    """

    index: LineIndex
    begins: Positions
    ends: Positions
    strings: Mask

    def __len__(self) -> int:
        """How many."""
        return len(self.begins)

    def json(self, number: int) -> bytes:
        """A value as JSON, with the quotation marks of a string."""
        mark = int(self.strings[number])
        return self.index.content[self.begins[number] - mark : self.ends[number] + mark]

    def texts(self) -> Any:
        """The values without quotation marks, as a pyarrow StringArray."""
        return slices(self.index, self.begins, self.ends)

    def json_texts(self) -> Any:
        """The values as JSON, as a pyarrow StringArray."""
        return slices(self.index, self.begins - self.strings, self.ends + self.strings)

    def nulls(self) -> Mask:
        """Which are null."""
        four: Mask = (self.ends - self.begins == 4) & ~self.strings
        if not four.any():
            return four
        found: Mask = four & ((self.index.words[self.begins] & np.uint64(0xFFFFFFFF)) == _NULL)
        return found

    @property
    def few(self) -> bool:
        """Whether there seem to be few different values; short ones are compared so fast that more count as few."""
        shown = slice(0, _SAMPLE_SHORT)
        if int((self.ends[shown] - self.begins[shown]).max(initial=0)) <= _SHORT:
            words = self.index.words[self.begins[shown]] & _MASKS[self.ends[shown] - self.begins[shown]]
            return len(set(words.tolist())) <= _SAMPLE_SHORT // 2
        return _few([self.json(number) for number in range(min(len(self), _SAMPLE))])


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        values: A pyarrow Array.
        proved: Which of them are what the strict parser would give, `bool[lines]`; the others mean nothing.
    """

    values: Any
    proved: Mask


def text_column(cells: Cells | Choice, *, nullable: bool, integers: bool = False) -> Column:
    """As `fields.text`, or `fields.text_or_null`.

    Args:
        cells: The values.
        nullable: Whether null is accepted.
        integers: Whether an integer is accepted, and written in decimal.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    read = _TEXTS[nullable, integers]
    if isinstance(cells, Choice) or cells.few:
        return by_value(cells, read, pa.string())
    texts, lengths, first = cells.texts(), cells.ends - cells.begins, cells.index.letters[cells.begins]
    # A first letter of ASCII that is no blank proves that the text is not blank; bytes are no fewer than characters.
    proved = cells.strings & (lengths > 0) & (lengths <= fields.MAX_TEXT) & (first > 32) & (first < 127)
    if cells.index.escapes:
        proved &= ~bools(pc.match_substring(texts, "\\"))
    if integers and not cells.strings.all():
        proved |= matches(texts, _INTEGER) & ~cells.strings
    if proved.all():
        return Column(texts, proved)
    nulls = cells.nulls() if nullable else np.zeros(len(cells), np.bool_)
    others = np.flatnonzero(~(proved | nulls))
    found = [read_value(read, cells.json(int(number))) for number in others]
    proved[others] = [good for good, _ in found]
    proved |= nulls
    if len(others):
        given = np.zeros(len(cells), np.bool_)
        given[others] = True
        texts = pc.replace_with_mask(texts, given, pa.array([value for _, value in found], pa.string()))
    return Column(pc.if_else(pa.array(nulls), None, texts) if nulls.any() else texts, proved)


def number_column(cells: Cells | Choice, *, nullable: bool) -> Column:
    """As `fields.number`, or `fields.number_or_null`."""
    import pyarrow as pa

    if isinstance(cells, Choice) or cells.few:
        return by_value(cells, fields.number_or_null if nullable else fields.number, pa.float64())
    texts = cells.texts()
    good = matches(texts, NUMBER) & ~cells.strings & (cells.ends - cells.begins <= MAX_NUMBER)
    return Column(where(good, texts).cast(pa.float64()), good | cells.nulls() if nullable else good)


def integer_column(cells: Cells | Choice, *, nullable: bool = False) -> Column:
    """As `fields.integer`, or null."""
    import pyarrow as pa

    if isinstance(cells, Choice) or cells.few:
        return by_value(cells, integer_or_null if nullable else fields.integer, pa.int64())
    texts = cells.texts()
    good = matches(texts, _INTEGER) & ~cells.strings
    return Column(where(good, texts).cast(pa.int64()), good | cells.nulls() if nullable else good)


def integer_or_null(record: Mapping[str, Any], key: str) -> int | None:
    """As `fields.integer`, or null; the key must be there.

    Raises:
        LineRejectedError: as `fields.integer`.
    """
    return None if fields.present(record, key) is None else fields.integer(record, key)


def flag_column(cells: Cells | Choice) -> Column:
    """As `fields.flag`."""
    import pyarrow as pa

    return by_value(cells, fields.flag, pa.bool_())


def by_value(cells: Cells | Choice, read: Read, kind: Any) -> Column:
    """Each different value read once, strictly.

    Args:
        cells: The values.
        read: What reads one.
        kind: The column's pyarrow DataType.
    """
    import pyarrow as pa

    if isinstance(cells, Choice):
        codes, texts = pa.array(cells.codes), list(cells.texts)
    else:
        encoded = _keys(cells).dictionary_encode()
        codes, texts = encoded.indices, [_key_text(key) for key in encoded.dictionary.to_pylist()]
    found = [_value_kept(read, text) for text in texts]
    values = pa.array([value for _, value in found], kind).take(codes)
    if all(good for good, _ in found):
        return Column(values, np.ones(len(codes), np.bool_))
    return Column(values, np.array([good for good, _ in found], np.bool_)[codes.to_numpy()])


def _few(values: list[Any]) -> bool:
    return len(set(values)) <= _SAMPLE_FEW


def _keys(cells: Cells) -> Any:
    """The values as JSON in the form that is fastest to compare: an integer, 16 bytes, or text."""
    import pyarrow as pa

    marks = cells.strings.astype(np.int32)
    begins, lengths = cells.begins - marks, cells.ends - cells.begins + 2 * marks
    longest = int(lengths.max(initial=0))
    if longest <= 8:
        return pa.array(cells.index.words[begins] & _MASKS[lengths])
    if longest <= 16:
        words = np.empty((len(cells), 2), np.uint64)
        np.bitwise_and(cells.index.words[begins], _MASKS[np.minimum(lengths, 8)], out=words[:, 0])
        np.bitwise_and(cells.index.words[begins + 8], _MASKS[np.maximum(lengths - 8, 0)], out=words[:, 1])
        return pa.Array.from_buffers(pa.binary(16), len(cells), [None, pa.py_buffer(words)])
    return cells.json_texts()


def _key_text(key: int | bytes | str) -> bytes:
    # No usable line has a NUL, so that those behind a short value are not its own.
    if isinstance(key, int):
        return key.to_bytes(8, "little").rstrip(b"\0")
    return key.encode() if isinstance(key, str) else key.rstrip(b"\0")


def read_value(read: Read, text: bytes) -> tuple[bool, Any]:
    """What the strict parser makes of a value: whether it accepts it, and as what.

    Args:
        read: What reads it.
        text: The value as JSON, without anything that would end the object that it is put into.
    """
    try:
        return True, read(json_object(b'{"x":' + text + b"}"), "x")
    except LineRejectedError:
        return False, None


_value_kept = lru_cache(maxsize=1 << 12)(read_value)


def _text_or_integer(record: Mapping[str, Any], key: str) -> str:
    value = record[key]
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else fields.text(record, key)


def _text_or_integer_or_null(record: Mapping[str, Any], key: str) -> str | None:
    return None if record[key] is None else _text_or_integer(record, key)


_TEXTS: Mapping[tuple[bool, bool], Read] = {
    (False, False): fields.text,
    (True, False): fields.text_or_null,
    (False, True): _text_or_integer,
    (True, True): _text_or_integer_or_null,
}


def few_texts(texts: Any) -> bool:
    """Whether there seem to be few different texts in a pyarrow Array."""
    return _few(texts.slice(0, _SAMPLE).to_pylist())


def matches(texts: Any, pattern: str) -> Mask:
    """Which texts match a regular expression; pyarrow's, which takes `$` for the very end.

    Args:
        texts: A pyarrow StringArray without nulls.
        pattern: In RE2's syntax.
    """
    import pyarrow.compute as pc

    return bools(pc.match_substring_regex(texts, pattern))


def bools(values: Any) -> Mask:
    """A pyarrow BooleanArray as a mask; null is false."""
    import pyarrow.compute as pc

    values = pc.fill_null(values, fill_value=False) if values.null_count else values
    found: Mask = values.to_numpy(zero_copy_only=False)
    return found


def where(kept: Mask, texts: Any) -> Any:
    """The texts, and null where they are not kept.

    Args:
        kept: Which of them, `bool[texts]`.
        texts: A pyarrow Array.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    return texts if kept.all() else pc.if_else(pa.array(kept), texts, None)


_MASKS: npt.NDArray[np.uint64] = np.array([(1 << 8 * count) - 1 for count in range(9)], np.uint64)

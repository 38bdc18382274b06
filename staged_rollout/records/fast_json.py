"""JSON values of many lines to compact text, as the strict parser writes it, each proved or left to it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from staged_rollout.errors import LineRejectedError
from staged_rollout.records.fast_columns import Cells, Column, bools, by_value, matches, read_value
from staged_rollout.records.fast_match import Choice
from staged_rollout.records.fast_shape import Slot
from staged_rollout.records.json_line import json_object, rejected

_MAX_BRACKETS = 16

# What Python writes for the number just as it stands here. 15 digits survive the way through a double; more are tried.
_DECIMALS = r"\.(?:0|[0-9]*[1-9])"
_SMALL = r"\.(?:0|[0-9]{0,3}[1-9]|(?:[1-9][0-9]{3}|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9])[0-9]*[1-9])"
_WRITTEN = rf"^(?:0|-?[1-9][0-9]{{0,17}}|-?[1-9][0-9]*{_DECIMALS}|-?0{_SMALL})$"
_SURE_LENGTH = 16


def compact(value: Any) -> str:
    """A JSON value as the lake keeps it: no blanks, letters as they are, numbers as Python writes them."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def json_column(cells: Cells | Choice) -> Column:
    """Each value as compact JSON text.

    Args:
        cells: Values of any type.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if isinstance(cells, Choice) or cells.few:
        return by_value(cells, _compact_at, pa.string())
    texts = cells.json_texts()
    proved = cells.strings.copy()
    if cells.index.escapes and proved.any():
        proved &= ~bools(pc.match_substring(texts, "\\"))
    if not proved.all():
        written = matches(texts, _WRITTEN)
        lengths = cells.ends - cells.begins
        proved |= written & ((lengths <= _SURE_LENGTH) | (~bools(pc.match_substring(texts, "."))))
        long = np.flatnonzero(written & ~proved)
        if len(long):
            several = texts.take(pa.array(long))
            proved[long] = bools(pc.equal(several.cast(pa.float64()).cast(pa.string()), several))
    others = np.flatnonzero(~proved)
    if len(others):
        found = [read_value(_compact_at, cells.json(int(number))) for number in others]
        texts = pc.replace_with_mask(texts, pa.array(~proved), pa.array([value for _, value in found], pa.string()))
        proved[others] = [good for good, _ in found]
    return Column(texts, proved)


def joined_column(parts: Sequence[str | Slot], columns: Mapping[int, Column], count: int) -> Column:
    """Objects as compact JSON text, from their values.

    Args:
        parts: What `compact_parts` gives.
        columns: Slot number to `json_column`.
        count: Lines.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    used = [part.number for part in parts if isinstance(part, Slot)]
    if not used:
        return Column(pa.repeat("".join(map(str, parts)), count), np.ones(count, np.bool_))
    pieces = [columns[part.number].values if isinstance(part, Slot) else part for part in parts]
    proved = np.logical_and.reduce([columns[number].proved for number in used])
    return Column(pc.binary_join_element_wise(*pieces, ""), proved)


def object_column(cells: Cells) -> Column:
    """Objects taken as one, each read by the strict parser; equal ones once.

    Args:
        cells: Text from an opening brace to a closing one.
    """
    import pyarrow as pa

    encoded = cells.json_texts().dictionary_encode()
    found = [_object_text(text) for text in encoded.dictionary.to_pylist()]
    good = np.array([text is not None for text in found], np.bool_)
    codes = encoded.indices
    return Column(pa.array(found, pa.string()).take(codes), good[codes.to_numpy()])


def _compact_at(record: Mapping[str, Any], key: str) -> str:
    text = compact(record[key])
    if text.count("[") + text.count("{") > _MAX_BRACKETS:
        rejected("perhaps too deep")
    return text


def _object_text(text: str) -> str | None:
    # The strict parser allows what is around it, too, for depth.
    if text.count("[") + text.count("{") > _MAX_BRACKETS:
        return None
    try:
        return compact(json_object(text.encode()))
    except LineRejectedError:
        return None

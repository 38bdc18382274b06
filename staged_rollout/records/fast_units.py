"""Keyed hashes of unit ids, many at once; units seen lately are not hashed again.

A dictionary would do, but looking up a million ids in one costs as much as parsing half of their lines: each step of
each look-up waits for memory. Here all look-ups of a step wait together.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

_WORDS = 5
_LONGEST = 8 * _WORDS  # bytes of an id that the table holds
_HASH = 32  # letters of a hash that the table holds
_BITS = 19
_LIMIT = 3 << (_BITS - 2)
# Drawn anew in each process, so that nobody can choose ids that all look for the same place.
_FACTORS = np.random.default_rng().integers(1 << 63, 1 << 64, _WORDS, np.uint64) | np.uint64(1)
_MASKS: npt.NDArray[np.uint64] = np.array(
    [[(1 << 8 * min(max(length - 8 * word, 0), 8)) - 1 for word in range(_WORDS)] for length in range(_LONGEST + 1)],
    np.uint64,
)

_Keys = npt.NDArray[np.uint64]
_Slots = npt.NDArray[np.int64]


def hashed_column(texts: Any, pseudonym: Callable[[str], str]) -> Any:
    """The keyed hash of each unit id: a pyarrow StringArray.

    Args:
        texts: A pyarrow StringArray of ids, none of them empty or with a NUL; null stays null.
        pseudonym: Keyed hash of a unit id.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    longest = pc.max(pc.binary_length(texts)).as_py()
    if longest is None:
        return pa.nulls(len(texts), pa.string())
    if longest <= _LONGEST:
        found = _table(pseudonym).look_up(texts)
        if found is not None:
            return found
    encoded = texts.dictionary_encode()
    return pa.array([pseudonym(unit) for unit in encoded.dictionary.to_pylist()], pa.string()).take(encoded.indices)


class _Table:
    """Ids and their hashes, in a table with open addressing; bounded, and empty again when it is full.

    Args:
        pseudonym: Keyed hash of a unit id.
    """

    def __init__(self, pseudonym: Callable[[str], str]) -> None:
        self.pseudonym = pseudonym
        self._clear()

    def look_up(self, texts: Any) -> Any:
        """The hash of each id; None when hashes are not of the length that the table holds.

        Args:
            texts: A pyarrow StringArray.
        """
        import pyarrow as pa

        valid = None if not texts.null_count else texts.is_valid()
        present = texts if valid is None else texts.filter(valid)
        keys = _keys(present)
        slots = self._find(keys)
        missing = np.flatnonzero(slots < 0)
        if len(missing):
            encoded = present.take(pa.array(missing)).dictionary_encode()
            if self._used > 0 and self._used + len(encoded.dictionary) > _LIMIT:
                self._clear()
                return self.look_up(texts)
            hashes = [self.pseudonym(unit) for unit in encoded.dictionary.to_pylist()]
            if any(len(found) != _HASH or not found.isascii() for found in hashes):
                return None
            codes = encoded.indices.to_numpy()
            one = np.empty(len(hashes), np.int64)
            one[codes] = missing  # any of the lines that name a new id
            slots[missing] = self._add(keys[one], np.array(hashes, f"S{_HASH}"))[codes]
        return _column(self._hashes[slots], valid)

    def _clear(self) -> None:
        self._used = 0
        self._keys: _Keys = np.zeros((1 << _BITS, _WORDS), np.uint64)
        self._hashes = np.zeros(1 << _BITS, f"S{_HASH}")

    def _find(self, keys: _Keys) -> _Slots:
        """Where each key lies, or -1 where it is not in the table."""
        slots, found = _first(keys), np.full(len(keys), -1, np.int64)
        pending = np.arange(len(keys))
        while len(pending):
            here = self._keys[slots[pending]]
            same = np.ones(len(pending), np.bool_)
            for word in range(_WORDS):
                same &= here[:, word] == keys[pending, word]
            found[pending[same]] = slots[pending[same]]
            pending = pending[~same & (here[:, 0] != 0)]
            slots[pending] = _next(slots[pending])
        return found

    def _add(self, keys: _Keys, hashes: npt.NDArray[np.bytes_]) -> _Slots:
        """Put different new keys into the table, which has room: where each lies now."""
        slots, pending = _first(keys), np.arange(len(keys))
        while len(pending):
            free = pending[self._keys[slots[pending], 0] == 0]
            # Of several keys that want the same place one gets it, and the others look further.
            _, winners = np.unique(slots[free], return_index=True)
            winners = free[winners]
            self._keys[slots[winners]], self._hashes[slots[winners]] = keys[winners], hashes[winners]
            pending = np.setdiff1d(pending, winners, assume_unique=True)
            slots[pending] = _next(slots[pending])
        self._used += len(keys)
        return slots


class _Tables(threading.local):
    """The thread's own table, for the last key."""

    table: _Table | None = None


_TABLES = _Tables()


def _table(pseudonym: Callable[[str], str]) -> _Table:
    found = _TABLES.table
    if found is None or found.pseudonym != pseudonym:
        found = _TABLES.table = _Table(pseudonym)
    return found


def _keys(texts: Any) -> _Keys:
    """Texts of at most 40 bytes as five words each, filled with NUL, which no text has."""
    offsets, content = texts.buffers()[1:]
    bounds = np.frombuffer(offsets, np.int32)[texts.offset : texts.offset + len(texts) + 1]
    padded = b"".join((memoryview(content)[: bounds[-1]], bytes(_LONGEST)))
    places = np.ndarray((len(padded) - _LONGEST + 1,), f"V{_LONGEST}", padded, 0, (1,))
    words = places[bounds[:-1]].view(np.uint64).reshape(len(texts), _WORDS)
    keys: _Keys = words & _MASKS[np.diff(bounds)]
    return keys


def _first(keys: _Keys) -> _Slots:
    """Where the search for each key begins; multiplications wrap around."""
    mixed = keys[:, 0] * _FACTORS[0]
    for word in range(1, _WORDS):
        mixed = (mixed ^ (mixed >> np.uint64(29)) ^ keys[:, word]) * _FACTORS[word]
    mixed ^= mixed >> np.uint64(32)
    slots: _Slots = ((mixed * _FACTORS[0]) >> np.uint64(64 - _BITS)).astype(np.int64)
    return slots


def _next(slots: _Slots) -> _Slots:
    return (slots + 1) & ((1 << _BITS) - 1)


def _column(hashes: npt.NDArray[np.bytes_], valid: Any) -> Any:
    """Hashes as a pyarrow StringArray, null where they are not valid."""
    import pyarrow as pa

    if valid is not None:
        mask = valid.to_numpy(zero_copy_only=False)
        spread = np.zeros(len(mask), f"S{_HASH}")
        spread[mask] = hashes
        hashes = spread
    offsets = np.arange(0, _HASH * (len(hashes) + 1), _HASH, dtype=np.int32)
    bits = None if valid is None else pa.py_buffer(np.packbits(mask, bitorder="little"))
    return pa.Array.from_buffers(pa.string(), len(hashes), [bits, pa.py_buffer(offsets), pa.py_buffer(hashes)])

"""Keyed hashes of many units at once are those of each."""

from __future__ import annotations

import random
from functools import partial

import numpy as np
import pyarrow as pa
import pytest

from staged_rollout.records import fast_units
from staged_rollout.records.fast_units import hashed_column
from staged_rollout.records.units import unit_hash


def some_units(seed, count=3000, longest=40):
    draw = random.Random(seed)
    letters = "abc0123456789é顧-_ "
    return ["".join(draw.choices(letters, k=draw.randint(1, longest)))[:longest] or "x" for _ in range(count)]


def hashed_each(pseudonym, units):
    return [None if unit is None else pseudonym(unit) for unit in units]


@pytest.mark.parametrize("longest", [3, 8, 9, 12, 40])
def test_short_and_long_ids_again_and_again(longest):
    """The law: whatever was looked up before, and however long ids are, each gets its own hash."""
    pseudonym = partial(unit_hash, b"k" * 32)
    for seed in (1, 2, 1):
        units = some_units(seed, longest=longest)

        assert hashed_each(pseudonym, units) == hashed_column(pa.array(units), pseudonym).to_pylist()


def test_nulls_and_slices():
    """The law: null stays null, and a slice of an array is what it shows."""
    pseudonym = partial(unit_hash, b"k" * 32)
    units = [unit if place % 3 else None for place, unit in enumerate(some_units(3, longest=9))]

    assert hashed_each(pseudonym, units[7:]) == hashed_column(pa.array(units)[7:], pseudonym).to_pylist()
    assert [None, None] == hashed_column(pa.array([None, None], pa.string()), pseudonym).to_pylist()
    assert [] == hashed_column(pa.array([], pa.string()), pseudonym).to_pylist()


def test_ids_that_look_for_the_same_place(monkeypatch):
    """The law: a collision costs time and nothing else."""
    monkeypatch.setattr(fast_units, "_first", lambda keys: np.full(len(keys), (1 << 19) - 2, np.int64))
    pseudonym = partial(unit_hash, b"c" * 32)
    for seed in (4, 5, 4):
        units = some_units(seed, count=60)

        assert hashed_each(pseudonym, units) == hashed_column(pa.array(units), pseudonym).to_pylist()


def test_a_full_table_begins_anew(monkeypatch):
    """The law: memory is bounded, and a table that was emptied still answers."""
    monkeypatch.setattr(fast_units, "_LIMIT", 500)
    asked = []
    pseudonym = lambda unit: asked.append(unit) or unit_hash(b"f" * 32, unit)  # noqa: E731 - compared by identity
    for seed in range(4):
        units = some_units(seed, count=400, longest=12)

        assert (
            hashed_each(partial(unit_hash, b"f" * 32), units) == hashed_column(pa.array(units), pseudonym).to_pylist()
        )
    assert len(set(asked)) <= len(asked) <= 2 * len(set(asked))


def test_hashes_of_another_length():
    """The law: a pseudonym may be any text."""
    units = some_units(6, count=50)

    assert units == hashed_column(pa.array(units), str).to_pylist()

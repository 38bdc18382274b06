"""Sets of identities in arrays and files."""

from __future__ import annotations

import random

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from staged_rollout.adapters import lake_identities as sets

# Few values of each half, so that first words are often equal while second words differ.
halves = st.tuples(st.sampled_from(b"abc"), st.sampled_from(b"xyz"))
identities = halves.map(lambda pair: bytes([pair[0]] * 8 + [pair[1]] * 8))


def words(keys):
    first, second, places = sets.words_of(pa.array(keys, type=pa.binary(16)))
    return first, second, places


@given(st.sets(identities), st.lists(identities))
def test_a_run_holds_what_was_put_in(held, asked):
    """The law: a run is a set, also where first words are equal."""
    run = sets.run_of(sorted(held))
    first, second, _ = words(asked)

    assert [key in held for key in asked] == run.holds(first, second).tolist()


@given(st.lists(st.sets(identities), max_size=8), st.lists(identities))
def test_growing_holds_what_was_added(parts, asked):
    """The law: merging changes nothing of what is held."""
    growing, held = sets.Growing(), set()
    for part in parts:
        growing.add(sets.run_of(sorted(part - held)))
        held |= part
    first, second, _ = words(asked)

    assert [key in held for key in asked] == growing.holds(first, second).tolist()
    assert (len(held), len(held)) == (len(growing), len(growing.all()))


@given(st.lists(st.lists(st.none() | identities, min_size=2, max_size=2), max_size=12), st.sets(identities))
def test_the_first_row_of_an_identity_is_admitted(rows, held):
    """The law: row by row, a row is refused when any identity of it is held or belongs to an admitted row before it."""
    expected, taken = set(), set(held)
    for place, row in enumerate(rows):
        keys = {key for key in row if key is not None}
        if keys & taken:
            expected.add(place)
        else:
            taken |= keys
    both = [words([row[column] for row in rows]) for column in (0, 1)]
    first, second, places = (np.concatenate([column[at] for column in both]) for at in range(3))
    order = np.argsort(first)
    first, second, places = first[order], second[order], places[order]
    known = sets.run_of(sorted(held)).holds(first, second)

    refused, mine = sets.admitted(known, first, second, places)

    assert expected == set(refused.tolist())
    assert sets.run_of(sorted(taken - held)).holds(first[mine], second[mine]).all()
    assert set(places.tolist()) - expected == set(places[mine].tolist())


def test_nulls_slices_and_chunks_are_read_as_they_are():
    keys = [bytes([number] * 16) for number in range(6)]
    array = pa.chunked_array([pa.array(keys[:3], pa.binary(16)), pa.array([None, *keys[3:]], pa.binary(16))])
    first, _, places = sets.words_of(array.slice(1))

    assert [0, 1, 3, 4, 5] == places.tolist()
    assert [int.from_bytes(key[:8], "little") for key in keys[1:]] == first.tolist()


@pytest.fixture
def written(tmp_path):
    chance = random.Random(1)
    run = sets.run_of([chance.randbytes(16) for _ in range(1000)])
    path = tmp_path / "a" / "b.run"
    return path, run, sets.write_run(path, run)


def test_a_file_holds_the_run(written):
    path, run, digest = written
    with sets.opened(path, 1000, digest) as found:
        assert run.first.tolist() == found.first.tolist()
        assert run.second.tolist() == found.second.tolist()
    assert sets.intact(path, 1000, digest)
    assert 64 + 16 * 1000 == path.stat().st_size


@pytest.mark.parametrize("harm", ["missing", "short", "long", "header", "count", "digest"])
def test_another_file_is_not_the_run(written, harm):
    path, _, digest = written
    content, count = path.read_bytes(), 1000
    if harm == "missing":
        path.unlink()
    elif harm == "count":
        count = 999
    elif harm == "digest":
        digest = "00" * 32
    else:
        changed = {"short": content[:-1], "long": content + b"x", "header": b"x" + content[1:]}
        path.write_bytes(changed[harm])
    with sets.opened(path, count, digest) as found:
        assert found is None
    assert not sets.intact(path, count, digest)


def test_a_changed_byte_is_found_when_all_is_read(written):
    path, _, digest = written
    content = bytearray(path.read_bytes())
    content[1000] ^= 1
    path.write_bytes(content)

    assert not sets.intact(path, 1000, digest)


def test_an_empty_run_is_a_file_too(tmp_path):
    digest = sets.write_run(tmp_path / "a", sets.run_of([]))
    with sets.opened(tmp_path / "a", 0, digest) as found:
        assert 0 == len(found)

"""MD5 of many texts is the identity of each."""

from __future__ import annotations

import pyarrow as pa
import pytest

from staged_rollout.records.fast_hashes import md5_column
from staged_rollout.records.row import identity


@pytest.mark.parametrize("count", [0, 3, 20_000])
def test_few_and_many(count):
    """The law: however many are hashed at once, each has its own hash, and null has none."""
    texts = [None if number % 7 == 1 else f"request\x1fchurn\x1f顧{number}" * (number % 5) for number in range(count)]
    chunks = pa.chunked_array([texts[: count // 3], texts[count // 3 :]], pa.string())

    expected = [None if text is None else identity(text) for text in texts]

    assert expected == md5_column(chunks).to_pylist()
    assert pa.binary(16) == md5_column(chunks).type

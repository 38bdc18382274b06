"""Sets of 16-byte identities as numpy arrays: sorted runs, one of which takes its place in a file of the lake.

An identity is two 64-bit words. A run is sorted by the first; among the (very few) equal first words the order of the
second is any, and looking up walks over them.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]

_MAGIC = b"SRIDRUN1"
_HEADER = 64


@dataclass(frozen=True)
class Run:
    """Identities, sorted by their first words.

    Attributes:
        first: First words, ascending.
        second: Second words.
    """

    first: Words
    second: Words

    def __len__(self) -> int:
        """How many there are."""
        return len(self.first)

    def holds(self, first: Words, second: Words) -> NDArray[np.bool_]:
        """Which of some identities it holds; quickest when they are sorted, too."""
        found = np.zeros(len(first), dtype=bool)
        places = np.searchsorted(self.first, first)
        asked = np.flatnonzero(places < len(self.first))
        places = places[asked]
        while len(asked):
            same = self.first[places] == first[asked]
            asked, places = asked[same], places[same]
            hit = self.second[places] == second[asked]
            found[asked[hit]] = True
            asked, places = asked[~hit], places[~hit] + 1
            inside = places < len(self.first)
            asked, places = asked[inside], places[inside]
        return found


def sorted_run(first: Words, second: Words) -> Run:
    """Identities in any order as a run."""
    order = np.argsort(first, kind="stable")
    return Run(first[order], second[order])


def merged(runs: Sequence[Run]) -> Run:
    """Several runs as one; what two of them hold is there twice."""
    # A stable sort of sorted parts is a merge.
    return sorted_run(np.concatenate([run.first for run in runs]), np.concatenate([run.second for run in runs]))


def words_of(identities: Any) -> tuple[Words, Words, NDArray[np.intp]]:
    """First words, second words and places of the values of a `binary(16)` pyarrow array; nulls are left out."""
    import pyarrow as pa

    array = pa.concat_arrays(identities.chunks) if isinstance(identities, pa.ChunkedArray) else identities
    places = np.arange(len(array))
    if array.null_count:
        valid = array.is_valid()
        places, array = places[valid.to_numpy(zero_copy_only=False)], array.filter(valid)
    buffer = array.buffers()[1]
    if not len(array):
        return np.zeros(0, np.uint64), np.zeros(0, np.uint64), places
    words = np.frombuffer(buffer, dtype="<u8").reshape(-1, 2)[array.offset : array.offset + len(array)]
    return np.ascontiguousarray(words[:, 0]), np.ascontiguousarray(words[:, 1]), places


def run_of(identities: Sequence[bytes]) -> Run:
    """Identities of 16 bytes each as a run."""
    words = np.frombuffer(b"".join(identities), dtype="<u8").reshape(-1, 2)
    return sorted_run(words[:, 0], words[:, 1])


class Growing:
    """Identities of an open batch: runs of growing size, so that each is moved a few times only."""

    def __init__(self) -> None:
        self._runs: list[Run] = []

    def __len__(self) -> int:
        """How many there are."""
        return sum(len(run) for run in self._runs)

    def holds(self, first: Words, second: Words) -> NDArray[np.bool_]:
        """Which of some identities are among them."""
        found = np.zeros(len(first), dtype=bool)
        for run in self._runs:
            found |= run.holds(first, second)
        return found

    def add(self, run: Run) -> None:
        """Add identities that are not among them."""
        if len(run):
            self._runs.append(run)
        while len(self._runs) > 1 and len(self._runs[-2]) <= 2 * len(self._runs[-1]):
            self._runs[-2:] = [merged(self._runs[-2:])]

    def all(self) -> Run:
        """All of them, as one run."""
        if len(self._runs) != 1:
            self._runs = [merged(self._runs)] if self._runs else [run_of([])]
        return self._runs[0]


def admitted(
    known: NDArray[np.bool_], first: Words, second: Words, rows: NDArray[np.intp]
) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Rows without any identity that is held, or that an admitted row before them has.

    Args:
        known: Which identities are held already.
        first: First words of the rows' identities, ascending.
        second: Their second words.
        rows: The row that each belongs to; a row may have several.

    Returns:
        The rows that are refused, and which identities belong to the others.
    """
    refused = set(rows[known].tolist())
    # Only rows that share a first word with another one need to be looked at one by one.
    twin = np.zeros(len(first), dtype=bool)
    same = first[1:] == first[:-1]
    twin[1:] |= same
    twin[:-1] |= same
    if twin.any():
        refused |= _doubled(refused, first, second, rows, np.isin(rows, rows[twin]))
    out = np.fromiter(refused, dtype=np.intp, count=len(refused))
    return out, ~np.isin(rows, out) if len(out) else np.ones(len(rows), dtype=bool)


def _doubled(
    refused: set[int], first: Words, second: Words, rows: NDArray[np.intp], suspects: NDArray[np.bool_]
) -> set[int]:
    found: set[int] = set()
    identities: dict[int, list[tuple[int, int]]] = {}
    triples = zip(rows[suspects].tolist(), first[suspects].tolist(), second[suspects].tolist(), strict=True)
    for row, one, two in triples:
        identities.setdefault(row, []).append((one, two))
    taken: set[tuple[int, int]] = set()
    for row in sorted(identities.keys() - refused):
        if taken.isdisjoint(identities[row]):
            taken.update(identities[row])
        else:
            found.add(row)
    return found


def write_run(path: Path, run: Run) -> str:
    """Write a run to a file; its digest. Half of a file is not taken for one: `opened` compares its length."""
    parts = [words.astype("<u8", copy=False) for words in (run.first, run.second)]
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.data)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write((_MAGIC + len(run).to_bytes(8, "little") + digest.digest()).ljust(_HEADER, b"\0"))
        for part in parts:
            file.write(part.data)
    return digest.hexdigest()


@contextmanager
def opened(path: Path, count: int, digest: str) -> Iterator[Run | None]:
    """A run in its file, mapped for as long as it is asked; None when the file is not the one that was sealed.

    Length and header are compared each time, the whole content by `intact` only: reading it all would cost more than
    the question.
    """
    # Mapped anew each time: pages that were looked at do not add up in the process.
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        yield None
        return
    try:
        header = os.read(descriptor, _HEADER)
        expected = (_MAGIC + count.to_bytes(8, "little") + bytes.fromhex(digest)).ljust(_HEADER, b"\0")
        if header != expected or os.fstat(descriptor).st_size != _HEADER + 16 * count:
            yield None
            return
    finally:
        os.close(descriptor)
    if not count:
        yield run_of([])
        return
    words = np.memmap(path, dtype="<u8", mode="r", offset=_HEADER, shape=(2, count))
    yield Run(words[0], words[1])


def intact(path: Path, count: int, digest: str) -> bool:
    """Whether a run's file is, byte by byte, the one that was sealed."""
    with opened(path, count, digest) as run:
        if run is None:
            return False
    return hashlib.sha256(path.read_bytes()[_HEADER:]).hexdigest() == digest

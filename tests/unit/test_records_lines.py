"""Bytes to lines."""

from __future__ import annotations

import hashlib

from staged_rollout.records.lines import KEPT_BYTES, LineSplitter


def split(chunks, offset=0):
    splitter = LineSplitter(offset)
    return [line for chunk in chunks for line in splitter.feed(chunk)], splitter


def test_lines_with_offsets_whatever_the_chunks():
    for chunks in (
        [b"ab\n\ncd\r\nef"],
        [b"a", b"b\n", b"\nc", b"d\r", b"\ne", b"f"],
        [bytes([c]) for c in b"ab\n\ncd\r\nef"],
    ):
        lines, splitter = split(chunks, offset=10)

        assert [(10, 3, b"ab"), (13, 1, b""), (14, 4, b"cd\r")] == [(x.offset, x.size, x.content) for x in lines]
        assert (18, 2, b"ef") == (splitter.rest().offset, splitter.rest().size, splitter.rest().content)


def test_nothing_is_left_after_a_line_end():
    lines, splitter = split([b"a\n"])

    assert 1 == len(lines)
    assert splitter.rest() is None


def test_a_long_line_is_cut_and_its_size_kept():
    lines, _ = split([b"x" * KEPT_BYTES, b"yy", b"\nz\n"])

    assert (True, KEPT_BYTES, KEPT_BYTES + 3) == (lines[0].cut, len(lines[0].content), lines[0].size)
    assert (False, b"z", KEPT_BYTES + 3) == (lines[1].cut, lines[1].content, lines[1].offset)


def test_cuts_hash_exactly_the_lines_given():
    splitter = LineSplitter()
    lines = splitter.feed(b"a\nbb\nccc")
    next(lines)
    first = splitter.cut()
    nothing = splitter.cut()
    list(lines)
    splitter.take_rest()
    second = splitter.cut()

    assert (0, 2, hashlib.sha256(b"a\n").hexdigest()) == first
    assert (2, 2) == nothing[:2]
    assert (2, 8, hashlib.sha256(b"bb\nccc").hexdigest()) == second

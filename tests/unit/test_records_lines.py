"""Bytes to blocks of lines."""

from __future__ import annotations

import hashlib

import pytest

from staged_rollout.records.lines import BLOCK_BYTES, KEPT_BYTES, LineReader

ROOM = (1 << 30, 1 << 40)


def blocks(chunks, *, offset=0, lines=0, inside_line=False, whole=False, room=ROOM):
    reader = LineReader(chunks, offset, lines, inside_line=inside_line)
    return list(reader.blocks(lambda: room, lambda _: whole)), reader


def shown(found):
    return [(block.offset, block.first_line, block.content, block.size, block.cut) for block in found]


@pytest.mark.parametrize(
    "chunks",
    [[b"ab\n\ncd\r\nef"], [b"a", b"b\n", b"\nc", b"d\r", b"\ne", b"f"], [bytes([c]) for c in b"ab\n\ncd\r\nef"]],
)
def test_whole_lines_with_their_place_whatever_the_chunks(chunks):
    found, reader = blocks(chunks, offset=10, lines=3)

    assert [(10, 4, b"ab\n\ncd\r\n", 8, False)] == shown(found)
    assert (10, 18, 3, hashlib.sha256(b"ab\n\ncd\r\n").hexdigest()) == reader.cut()


def test_what_follows_the_last_line_end_is_taken_when_it_is_whole():
    found, reader = blocks([b"a\nbc"], whole=True)

    assert [(0, 1, b"a\n", 2, False), (2, 2, b"bc", 2, False)] == shown(found)
    assert (0, 4, 2) == reader.cut()[:3]
    assert (4, 4, 0) == reader.cut()[:3]


def test_a_long_line_is_cut_and_its_size_kept():
    """The law: a line longer than KEPT_BYTES is given as its beginning, wherever chunks and blocks end."""
    longest, longer = b"w" * KEPT_BYTES, b"x" * KEPT_BYTES + b"yy"
    expected = [
        (0, 1, b"a\n" + longest + b"\n", KEPT_BYTES + 3, False),
        (KEPT_BYTES + 3, 3, longer[:KEPT_BYTES], KEPT_BYTES + 3, True),
        (2 * KEPT_BYTES + 6, 4, b"z\n", 2, False),
    ]
    content = b"a\n" + longest + b"\n" + longer + b"\nz\n"

    assert expected == shown(blocks([content])[0])
    assert expected == shown(blocks([content[:9], content[9:]])[0])


@pytest.mark.parametrize("end", [b"\nz\n", b""])
def test_a_line_longer_than_a_block_is_hashed_and_not_held(end):
    chunk = b"y" * (1 << 20)
    chunks = [b"a\n", *[chunk] * (3 * BLOCK_BYTES >> 20)]
    size = 3 * BLOCK_BYTES
    found, reader = blocks([*chunks, end] if end else chunks, whole=True)

    long = (2, 2, chunk[:KEPT_BYTES], size + bool(end), True)
    expected = [(0, 1, b"a\n", 2, False), long, (3 + size, 3, b"z\n", 2, False)]
    assert expected[: 3 if end else 2] == shown(found)
    digest = hashlib.sha256(b"".join(chunks) + end).hexdigest()
    assert (0, 2 + size + len(end), 3 if end else 2, digest) == reader.cut()


def test_a_long_line_without_its_end_is_left():
    chunk = b"y" * (1 << 20)
    found, reader = blocks([b"a\n", *[chunk] * (3 * BLOCK_BYTES >> 20)])

    assert [(0, 1, b"a\n", 2, False)] == shown(found)
    assert (0, 2, 1, hashlib.sha256(b"a\n").hexdigest()) == reader.cut()


def test_a_block_holds_what_there_is_room_for():
    content = b"a\nbb\nccc\ndddd\n"

    assert [b"a\nbb\n", b"ccc\ndddd\n"] == [block.content for block in blocks([content], room=(2, 100))[0]]
    # A line is never cut for want of room.
    assert [b"a\nbb\n", b"ccc\n", b"dddd\n"] == [block.content for block in blocks([content], room=(9, 4))[0]]
    assert [b"a\n", b"bb\n", b"ccc\n", b"dddd\n"] == [block.content for block in blocks([content], room=(0, 0))[0]]


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
def test_the_end_of_a_line_that_was_taken_before_is_no_line(line_end):
    found, reader = blocks([line_end + b"b\n"], offset=5, lines=2, inside_line=True)

    assert [(5 + len(line_end), 3, b"b\n", 2, False)] == shown(found)
    assert (5, 7 + len(line_end), 1, hashlib.sha256(line_end + b"b\n").hexdigest()) == reader.cut()


def test_what_comes_before_a_failure_is_given():
    def chunks():
        yield b"a\nb"
        raise ValueError("broken")

    reader = LineReader(chunks())
    found = []
    with pytest.raises(ValueError, match="broken"):
        found.extend(reader.blocks(lambda: ROOM, lambda _: True))

    assert [b"a\n"] == [block.content for block in found]
    assert (0, 2, 1) == reader.cut()[:3]

"""The law of the fast path: whatever the bytes and however they are cut, it is the strict parser, only sooner."""

from __future__ import annotations

import json
from functools import partial
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from staged_rollout.records import block_parser, fast_lines
from staged_rollout.records.blocks import FieldMap, LineContext
from staged_rollout.records.units import unit_hash
from tests.fakes.strict_blocks import block_of, exact, in_block, strictly

PSEUDONYM = partial(unit_hash, b"k" * 32)
FIELDS = FieldMap(theirs={"unit_id": "user.id", "latency_ms": "took?", "status": None}, measures={"spent": "m"})
CONTEXTS = {
    "predictions": LineContext("predictions", "churn", PSEUDONYM),
    "foreign": LineContext("predictions", "churn", PSEUDONYM, fields=FIELDS),
    "utc": LineContext("predictions", "churn", PSEUDONYM, fields=FieldMap(theirs={"timestamp": "timestamp:utc"})),
    "unix": LineContext("predictions", "churn", PSEUDONYM, fields=FieldMap(theirs={"timestamp": "at:unix"})),
    "unix-ms": LineContext("predictions", "churn", PSEUDONYM, fields=FieldMap(theirs={"timestamp": "at:unix-ms"})),
    "outcomes": LineContext("outcomes", "churn", PSEUDONYM),
    "capture": LineContext("capture", "churn", PSEUDONYM, variant="v2"),
}

texts = st.text(max_size=8) | st.sampled_from(
    ["v1", "a", "", " ", "null", "0", 'a"b', "\\", "\x00", "\ud800", "}", ", "]
)
numbers = (
    st.integers(-(2**65), 2**65)
    | st.integers(-20, 300)
    | st.floats(allow_nan=True, allow_infinity=True)
    | st.floats(-1000, 1000).map(lambda value: round(value, 3))
)
scalars = st.none() | st.booleans() | numbers | texts
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=6
)
moments = (
    st.datetimes().map(lambda moment: moment.isoformat() + "Z")
    | st.builds(
        "2026-03-0{}T1{}:{:02d}:{:02d}{}{}".format,
        st.integers(0, 9),
        st.integers(0, 9),
        st.integers(0, 61),
        st.integers(0, 61),
        st.sampled_from(["", ".5", ".250", ".123456", ".1234567", "."]),
        st.sampled_from(["Z", "+00:00", "-05:30", "", "z", "+99:99"]),
    )
    | texts
)


def mostly(good, odd=values):
    """A good value, and an odd one now and then."""
    return st.integers(0, 14).flatmap(lambda chance: odd if chance == 0 else good)


flat = st.fixed_dictionaries(
    {
        "request_id": mostly(st.uuids().map(str) | texts),
        "timestamp": mostly(moments),
        "rollout": mostly(st.none() | texts),
        "unit_id": mostly(texts),
        "variant": mostly(texts),
        "model_version": mostly(texts),
        "prediction": mostly(numbers | st.none()),
        "latency_ms": mostly(numbers),
        "status": mostly(st.integers(0, 600)),
        "features": mostly(
            st.fixed_dictionaries({"a": values, "b": values}) | st.dictionaries(texts, values, max_size=3)
        ),
    },
    optional={
        "epoch": mostly(st.integers(-1, 9)),
        "fallback": mostly(st.booleans()),
        "assigned_variant": mostly(texts),
    },
)
foreign = st.fixed_dictionaries(
    {
        "request_id": mostly(st.integers(0, 9) | texts),
        "timestamp": mostly(moments),
        "user": mostly(st.fixed_dictionaries({"id": mostly(st.integers(0, 9) | texts)})),
        "rollout": mostly(texts),
        "variant": mostly(texts),
        "model_version": mostly(texts),
        "prediction": mostly(numbers),
        "m": mostly(numbers),
        "features": mostly(st.fixed_dictionaries({"a": values})),
    },
    optional={"took": mostly(numbers | st.none()), "user.id": texts},
)
outcomes = st.fixed_dictionaries(
    {"timestamp": mostly(moments), "outcome": mostly(numbers)},
    optional={"unit_id": mostly(texts | st.none()), "request_id": mostly(texts | st.none())},
)
payloads = st.fixed_dictionaries(
    {
        "data": mostly(texts | numbers.map(str) | numbers.map(lambda number: json.dumps({"prediction": number}))),
        "encoding": mostly(st.sampled_from(["CSV", "JSON", "BASE64"])),
    }
)
captures = st.fixed_dictionaries(
    {
        "captureData": mostly(st.fixed_dictionaries({"endpointInput": payloads, "endpointOutput": mostly(payloads)})),
        "eventMetadata": st.fixed_dictionaries(
            {"eventId": mostly(texts), "inferenceTime": mostly(moments)}, optional={"inferenceId": mostly(texts)}
        ),
    }
)
loose = (
    st.datetimes().map(lambda moment: moment.isoformat(sep=" "))
    | st.builds(
        "20{:02d}-0{}-{:02d}{}{:02d}:{:02d}:{:02d}{}{}".format,
        st.integers(0, 99),
        st.integers(1, 9),
        st.integers(1, 31),
        st.sampled_from([" ", "T", " ", "_"]),
        st.integers(0, 24),
        st.integers(0, 60),
        st.integers(0, 60),
        st.sampled_from(["", ".5", ".250", ".123456", ".1234567", "."]),
        st.sampled_from(["", "", "", "Z", "+02:00"]),
    )
    | st.dates().map(str)
    | moments
)
seconds = (
    st.integers(900_000_000, 2_300_000_000)
    | st.floats(9e8, 2.3e9)
    | st.builds(lambda whole, part: whole + part / 1e7, st.integers(10**9, 2 * 10**9), st.integers(0, 10**7))
)
RECORDS = {
    "predictions": flat,
    "foreign": foreign,
    "outcomes": outcomes,
    "capture": captures,
    "utc": st.builds(lambda record, moment: record | {"timestamp": moment}, flat, mostly(loose)),
    "unix": st.builds(lambda record, moment: record | {"at": moment}, flat, mostly(seconds)),
    "unix-ms": st.builds(
        lambda record, moment: record | {"at": moment}, flat, mostly(seconds.map(lambda at: at * 1000))
    ),
}
kinds = st.sampled_from(sorted(RECORDS))


@st.composite
def logs(draw):
    """A kind of log and its lines: records as a serializer writes them, some of them bitten by hand."""
    kind = draw(kinds)
    ascii_only, compact = draw(st.booleans()), draw(st.booleans())
    separators = (",", ":") if compact else (", ", ": ")
    records = draw(st.lists(RECORDS[kind], min_size=1, max_size=8))
    lines = [_written(record, ascii_only, separators) for record in records]
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.integers(0, len(lines) - 1))
        lines[place] = _bitten(draw, lines[place])
    # Each line again, so that some have a shape in common whatever the rest says.
    return kind, [line for line in lines for _ in range(draw(st.integers(1, 3)))]


def _written(record, ascii_only, separators):
    text = json.dumps(record, ensure_ascii=ascii_only, separators=separators)
    return text.encode("utf-8", errors="surrogatepass")


def _bitten(draw, line):
    begin = draw(st.integers(0, len(line)))
    end = draw(st.integers(begin, min(len(line), begin + 3)))
    marks = [
        b'"',
        b"\\",
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b" ",
        b"\n",
        b"\r",
        b"\x00",
        b"\xff",
        b"1",
        b"e",
        b"-",
        b"null",
    ]
    return line[:begin] + draw(st.sampled_from(marks) | st.binary(max_size=3)) + line[end:]


def _compared(kind, content, piece=1 << 20):
    block = block_of(content, first_line=3, offset=11)
    with pytest.MonkeyPatch.context() as patched:
        # Every line may teach a shape, and what one piece taught is looked for in the next.
        patched.setattr(fast_lines, "MIN_LINES", 1)
        patched.setattr(block_parser, "PIECE_BYTES", piece)
        return exact(strictly(block, CONTEXTS[kind])), exact(in_block(block, CONTEXTS[kind]))


@settings(deadline=None, max_examples=150)
@given(logs(), st.booleans(), st.sampled_from([1, 500, 2000, 1 << 20]))
@example(
    log=("outcomes", [b'{"timestamp": null, "outcome": null}', b'{"outcome": 0, "timestamp": "x"}']),
    ended=False,
    piece=1,
)
def test_any_log_is_read_as_the_strict_parser_reads_it(log, ended, piece):
    """The law: rows, identities, rejects with their reasons, blank lines: all the same, line by line."""
    kind, lines = log
    strict, fast = _compared(kind, b"\n".join(lines) + b"\n" * ended, piece)

    assert strict == fast


@settings(deadline=None, max_examples=80)
@given(kinds, st.binary(max_size=200) | st.lists(st.binary(max_size=20), max_size=20).map(b"\n".join))
def test_any_bytes_are_lines(kind, content):
    """The law: nothing that a file may hold breaks a block."""
    strict, fast = _compared(kind, content)

    assert strict == fast


@settings(deadline=None, max_examples=30)
@given(logs(), st.data())
def test_any_split_into_blocks_gives_the_same(log, data):
    """The law: a line's verdict does not depend on the lines that are read with it."""
    kind, lines = log
    content = b"".join(line + b"\n" for line in lines)
    ends = [place + 1 for place, letter in enumerate(content) if letter == 10]
    cuts = sorted(data.draw(st.sets(st.sampled_from(ends))) | {0, len(content)})
    rows, rejects, blank, number = [], [], 0, 3
    for begin, end in pairwise(cuts):
        part = exact(in_block(block_of(content[begin:end], number, 11 + begin), CONTEXTS[kind]))
        rows, rejects, blank, number = rows + part[0], rejects + part[1], blank + part[2], number + part[3]

    assert exact(in_block(block_of(content, 3, 11), CONTEXTS[kind])) == (rows, rejects, blank, number - 3)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=30, max_size=40, unique=True))
def test_numbers_keep_their_text(values):
    """The law: what pyarrow makes of a double's text is what Python makes of it, for all doubles."""
    record = {"request_id": "r", "timestamp": "2026-03-02T10:00:00Z", "rollout": None, "unit_id": None, "variant": "v"}
    record |= {"model_version": "1", "prediction": None, "latency_ms": 1, "status": 200}
    lines = [json.dumps({**record, "latency_ms": value, "features": {"x": value}}).encode() for value in values]
    strict, fast = _compared("predictions", b"\n".join(lines))

    assert strict == fast

"""Blocks of lines: the fast path agrees with the strict parser, whatever lies among good lines."""

from __future__ import annotations

import json
from functools import partial

import pytest

from staged_rollout.records import block_parser
from staged_rollout.records.block_parser import parse_block
from staged_rollout.records.blocks import FieldMap, LineBlock, LineContext
from staged_rollout.records.units import unit_hash
from tests.fakes.strict_blocks import block_of, exact, in_block, strictly

PSEUDONYM = partial(unit_hash, b"k" * 32)
FLAT = LineContext("predictions", "churn", PSEUDONYM)
OUTCOMES = LineContext("outcomes", "churn", PSEUDONYM)
CAPTURE = LineContext("capture", "churn", PSEUDONYM, variant="v2")


def flat(number, **changes):
    return {
        "request_id": f"r-{number}",
        "timestamp": f"2026-03-02T10:{number % 60:02d}:00.250Z",
        "rollout": "churn-v3",
        "unit_id": f"c-{number % 37}",
        "assigned_variant": "v1",
        "variant": "v1",
        "fallback": False,
        "epoch": 7,
        "model_version": "1",
        "prediction": number % 2,
        "latency_ms": 12.5 + number / 7,
        "status": 200,
        "features": {"plan": "basic", "calls": number, "minutes": number / 3},
        **changes,
    }


def outcome(number):
    return {"unit_id": f"c-{number}", "timestamp": "2026-03-03T10:00:00Z", "outcome": number % 2}


def capture(number, encoding="CSV", data=None):
    answer = f"0.{number + 1}" if data is None else data
    return {
        "captureData": {
            "endpointInput": {"observedContentType": "text/csv", "mode": "INPUT", "data": "1,2\n", "encoding": "CSV"},
            "endpointOutput": {"observedContentType": "x", "mode": "OUTPUT", "data": answer, "encoding": encoding},
        },
        "eventMetadata": {
            "eventId": f"e{number}",
            "inferenceId": f"r{number}",
            "inferenceTime": "2026-02-14T17:25:49Z",
        },
        "eventVersion": "0",
    }


def lines(records, separators=(", ", ": ")):
    return b"".join(json.dumps(record, separators=separators).encode() + b"\n" for record in records)


GOOD = lines(flat(number) for number in range(300))
ONE = json.dumps(flat(5)).encode()


def changed(**changes):
    return json.dumps(flat(5, **changes)).encode()


ODD = {
    "truncated": ONE[:-9],
    "not JSON": b"hello",
    "not an object": b"[1, 2]",
    "two objects": ONE + ONE,
    "two objects, blank between": ONE + b" " + ONE,
    "object and comma": ONE + b",",
    "object over two lines": ONE.replace(b', "status"', b',\n"status"'),
    "string over two lines": ONE.replace(b"basic", b"ba\nsic"),
    "NaN": ONE.replace(b'"status": 200', b'"status": NaN'),
    "NaN in features": ONE.replace(b'"calls": 5', b'"calls": NaN'),
    "Infinity": ONE.replace(b'"prediction": 1', b'"prediction": Infinity'),
    "1e999": ONE.replace(b'"prediction": 1', b'"prediction": 1e999'),
    "1e999 in features": ONE.replace(b'"calls": 5', b'"calls": 1e999'),
    "1e99": ONE.replace(b'"prediction": 1', b'"prediction": 1e99'),
    "1e-400": ONE.replace(b'"prediction": 1', b'"prediction": 1e-400'),
    "-0": ONE.replace(b'"prediction": 1', b'"prediction": -0'),
    "-0.0": ONE.replace(b'"prediction": 1', b'"prediction": -0.0'),
    "-0 in features": ONE.replace(b'"calls": 5', b'"calls": -0'),
    "1.50 in features": ONE.replace(b'"calls": 5', b'"calls": 1.50'),
    "1E5 in features": ONE.replace(b'"calls": 5', b'"calls": 1E5'),
    "0.00001 in features": ONE.replace(b'"calls": 5', b'"calls": 0.00001'),
    "many digits in features": ONE.replace(b'"calls": 5', b'"calls": 0.12345678901234567890'),
    "large in features": ONE.replace(b'"calls": 5', b'"calls": 12345678901234567.5'),
    "garbage behind a text": ONE.replace(b'"r-5",', b'"r-5"x,'),
    "text behind a text": ONE.replace(b'"r-5",', b'"r-5" "x",'),
    "text behind a number": ONE.replace(b'"epoch": 7', b'"epoch": 7 "x"'),
    "no number": ONE.replace(b'"prediction": 1', b'"prediction": '),
    "leading zero": ONE.replace(b'"epoch": 7', b'"epoch": 07'),
    "plus": ONE.replace(b'"epoch": 7', b'"epoch": +7'),
    "no digit before the point": ONE.replace(b'"prediction": 1', b'"prediction": .5'),
    "no digit after the point": ONE.replace(b'"prediction": 1', b'"prediction": 1.'),
    "hexadecimal": ONE.replace(b'"prediction": 1', b'"prediction": 0x1p3'),
    "comment": ONE.replace(b'"epoch": 7', b'"epoch": /**/7'),
    "number as string": changed(prediction="0.73"),
    "integer as string": changed(status="200"),
    "string as number": changed(rollout=3),
    "true as number": changed(prediction=True),
    "null as integer": changed(status=None),
    "null as text": changed(request_id=None),
    "null as flag": changed(fallback=None),
    "'null' as text": changed(variant="null"),
    "'' as text": changed(variant=""),
    "blank text": changed(unit_id=" \u2003"),
    "ideographic blank": changed(unit_id="\u3000"),
    "letters of other scripts": json.dumps(flat(5, unit_id="顧客"), ensure_ascii=False).encode(),
    "letters as escapes": changed(unit_id="顧客"),
    "long text": changed(unit_id="x" * 1025),
    "text of the greatest length": changed(unit_id="é" * 1024),
    "whole float as integer": changed(status=200.0),
    "float as integer": changed(status=200.7),
    "exponent as integer": ONE.replace(b'"epoch": 7', b'"epoch": 7e0'),
    "largest integer": changed(epoch=2**63 - 1),
    "beyond 64 bits": changed(epoch=2**63),
    "beyond 64 bits in features": changed(features={"plan": "basic", "calls": 2**64, "minutes": 1}),
    "beyond double precision": changed(prediction=2**53 + 1),
    "negative epoch": changed(epoch=-1),
    "duplicate key": ONE.replace(b'"status": 200', b'"status": 200, "status": 500'),
    "duplicate key while another is missing": ONE.replace(b'"status": 200', b'"epoch": 7'),
    "duplicate key in features": ONE.replace(b'"calls"', b'"plan"'),
    "duplicate key, escaped": ONE.replace(b'"status": 200', b'"status": 200, "stat\\u0075s": 500'),
    "key with an escape": ONE.replace(b'"status"', b'"stat\\u0075s"'),
    "invalid UTF-8": ONE.replace(b"basic", b"bas\xff"),
    "invalid UTF-8 in an id": ONE.replace(b"r-5", b"r\xc3"),
    "surrogate in UTF-8": ONE.replace(b"basic", b"\xed\xa0\x80"),
    "lone surrogate": ONE.replace(b"basic", b"\\ud800"),
    "surrogate pair": ONE.replace(b"basic", b"\\ud83d\\ude00"),
    "NUL": ONE.replace(b"basic", b"\x00"),
    "NUL, escaped": ONE.replace(b"basic", b"\\u0000"),
    "NUL behind a number": ONE.replace(b'"status": 200', b'"status": 200\x00'),
    "raw control character": ONE.replace(b"basic", b"a\x01b"),
    "raw tab": ONE.replace(b"basic", b"a\tb"),
    "delete": ONE.replace(b"basic", b"a\x7fb"),
    "escaped quotation mark": ONE.replace(b"basic", b'a\\"b'),
    "escaped backslash": ONE.replace(b"basic", b"a\\\\"),
    "escaped backslash and quotation mark": ONE.replace(b"basic", b'a\\\\\\"b'),
    "escape that is none": ONE.replace(b"basic", b"a\\x"),
    "escape before the end": ONE.replace(b"basic", b"a\\"),
    "line end, escaped": ONE.replace(b"basic", b"a\\n"),
    "byte order mark": b"\xef\xbb\xbf" + ONE,
    "CRLF": ONE + b"\r",
    "CR CR LF": ONE + b"\r\r",
    "CR within": ONE.replace(b', "status"', b',\r"status"'),
    "blanks around": b" \t" + ONE + b" \t",
    "blanks before a comma": ONE.replace(b"7,", b"7 ,"),
    "blank before a colon": ONE.replace(b'"epoch":', b'"epoch" :'),
    "two blanks after a colon": ONE.replace(b'"epoch": 7', b'"epoch":  7'),
    "offset": changed(timestamp="2026-03-02T15:30:00.250+05:30"),
    "offset over midnight": changed(timestamp="2026-03-02T23:30:00-05:00"),
    "naive": changed(timestamp="2026-03-02T10:00:00.250"),
    "nanoseconds": changed(timestamp="2026-03-02T10:00:00.123456789Z"),
    "microseconds": changed(timestamp="2026-03-02T10:00:00.123456Z"),
    "no decimals": changed(timestamp="2026-03-02T10:00:00Z"),
    "point without decimals": changed(timestamp="2026-03-02T10:00:00.Z"),
    "comma for the point": changed(timestamp="2026-03-02T10:00:00,250Z"),
    "blank for T": changed(timestamp="2026-03-02 10:00:00.250Z"),
    "lower case": changed(timestamp="2026-03-02t10:00:00.250z"),
    "no such day": changed(timestamp="2026-02-30T10:00:00.250Z"),
    "no such hour": changed(timestamp="2026-03-02T24:00:00.250Z"),
    "no such minute": changed(timestamp="2026-03-02T10:60:00.250Z"),
    "leap second": changed(timestamp="2026-03-02T10:00:60.250Z"),
    "other digits": json.dumps(flat(5, timestamp="2026-03-02T10:00:0٣.250Z"), ensure_ascii=False).encode(),
    "ancient": changed(timestamp="1970-01-01T00:00:00.000Z"),
    "nearly the year 2000": changed(timestamp="2000-01-01T00:45:00.000+00:30"),
    "the end of time": changed(timestamp="9999-12-31T23:59:59.999Z"),
    "beyond the end of time": changed(timestamp="9999-12-31T23:45:00.000-00:30"),
    "number as timestamp": changed(timestamp=1772445600),
    **{f"missing {key}": json.dumps({k: v for k, v in flat(5).items() if k != key}).encode() for key in flat(5)},
    "wrong case": ONE.replace(b'"status"', b'"Status"'),
    "wrong case of an optional key": ONE.replace(b'"epoch"', b'"Epoch"'),
    "numeric id": changed(unit_id=42),
    "unknown key": changed(region="eu"),
    "other order": json.dumps(dict(reversed(flat(5).items()))).encode(),
    "features empty": changed(features={}),
    "features null": changed(features=None),
    "features as text": changed(features='{"plan": 1}'),
    "features as an array": changed(features=[1, 2]),
    "features nested": changed(features={"plan": {"a": [1, {"b": None}]}, "calls": [1, "x"], "minutes": []}),
    "array for a feature": changed(features={"plan": [1, 2.50, None], "calls": 1, "minutes": 1}),
    "deep": changed(features={"plan": json.loads("[" * 30 + "]" * 30), "calls": 1, "minutes": 1}),
    "too deep": changed(features={"plan": json.loads("[" * 31 + "]" * 31), "calls": 1, "minutes": 1}),
    "brackets in a text": changed(variant="}{][" * 20),
    "JSON in a text": changed(variant='", "epoch": 8, "x": "'),
    "huge": changed(features={"plan": "y" * (1 << 20), "calls": 1, "minutes": 1}),
    "large": changed(features={"plan": "y" * 100_000, "calls": 1, "minutes": 1}),
    "blank": b"",
    "blanks": b" \t\r",
    "two quotation marks": b'""',
    "one quotation mark": b'"',
    "brace": b"{",
    "empty object": b"{}",
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_one_odd_line_among_good_ones(odd):
    """The law: its verdict is the strict parser's, and the lines around it do not suffer."""
    block = block_of(GOOD + odd + b"\n" + GOOD, first_line=1000, offset=77)

    assert exact(strictly(block, FLAT)) == exact(in_block(block, FLAT))


def test_all_odd_lines_at_once_and_again():
    """The law: no two lines make up for one another, as counts would."""
    block = block_of(b"".join(line + b"\n" for line in ODD.values() if len(line) < 5000) * 3 + GOOD)

    assert exact(strictly(block, FLAT)) == exact(in_block(block, FLAT))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"\n\n \t\n",
        GOOD.rstrip(b"\n"),
        GOOD.replace(b"\n", b"\r\n"),
        GOOD.replace(b"\n", b"\n\n"),
        GOOD.rstrip(b"\n") + b"\r",
        GOOD[:-20],
        lines((flat(n) for n in range(200)), (",", ":")),
        lines((flat(n) for n in range(200)), (" , ", " : ")),
        lines(flat(n, prediction=None, variant=None) for n in range(200)),
        lines(flat(n, unit_id=None if n % 3 else f"c{n}", rollout=None if n % 2 else "x") for n in range(200)),
        lines(flat(n, unit_id=f"顧客 {n}", variant=f'a"{n % 2}\\') for n in range(200)),
        lines(flat(n, features={f"f{n % 9}": n, "text": 'say "hi"\n' * (n % 3)}) for n in range(400)),
        lines(flat(n, features={"a": {"b": [n, n / 7]}, "c": {}, "d": [], "e": [{"f": "x"}]}) for n in range(200)),
        lines(flat(n, timestamp=f"2026-03-02T10:00:{n % 60:02d}+0{n % 3}:30") for n in range(200)),
        lines(flat(n, timestamp=f"2026-03-{n % 28 + 1:02d}T1{n % 10}:00:00.{n:0{n % 6 + 1}d}Z"[:27]) for n in range(9)),
        lines(
            {k: v for k, v in flat(n).items() if k not in {"epoch", "fallback", "assigned_variant"}} for n in range(99)
        ),
        lines({"trace": {"id": n, "tags": ["a"]}, **flat(n)} for n in range(200)),
        lines(dict(reversed(flat(n).items())) for n in range(200)),
        lines(flat(n, latency_ms=float(f"{n + 1}e{n % 40 - 20}")) for n in range(200)),
        lines(flat(n, status=n * 10**14, epoch=n * 3**n) for n in range(80)),
        b"hello\n" * 500,
        GOOD.replace(b"12", b"12x"),
        b'{"a": 1}\n' * 500,
    ],
)
def test_whole_blocks(content):
    """The law: the rows, rejects, blank lines and lines of any block are the strict parser's."""
    block = block_of(content, first_line=5, offset=10)

    assert exact(strictly(block, FLAT)) == exact(in_block(block, FLAT))


@pytest.mark.parametrize(
    "content",
    [
        lines(outcome(n) for n in range(200)),
        lines({"request_id": f"r{n}", **outcome(n), "outcome": n / 7, "more": "x"} for n in range(200)),
        lines({"request_id": None if n % 2 else "r", **outcome(n), "unit_id": None} for n in range(200)),
        lines({**outcome(n), "timestamp": f"2026-03-03T10:00:00.{n % 2}00Z", "outcome": -0.0} for n in range(200)),
        lines({**outcome(n), "outcome": [1, None, "1", 2**60, True][n % 5]} for n in range(200)),
        lines({"timestamp": "2026-03-03T10:00:00Z", "outcome": 1} for n in range(200)),
    ],
)
def test_outcomes(content):
    """The law: identities of outcomes, which are made of four parts, are the strict parser's, too."""
    block = block_of(content)

    assert exact(strictly(block, OUTCOMES)) == exact(in_block(block, OUTCOMES))


@pytest.mark.parametrize(
    "content",
    [
        lines(capture(n) for n in range(200)),
        lines((capture(n) for n in range(200)), (",", ":")),
        lines(capture(n, "CSV", f"{n / 7},1\n") for n in range(200)),
        lines(capture(n, "JSON", json.dumps({"prediction": n / 7})) for n in range(200)),
        lines(capture(n, "JSON", json.dumps({"prediction": n / 7, "text": 'a"b\\c\n'})) for n in range(200)),
        lines(capture(n, "BASE64", ["MC41", "AAAA", "/w==", "x", "MQ==", "é"][n % 6]) for n in range(200)),
        lines(
            capture(n, "CSV", ["", " 1 ", "1e999", "nan", "-0", "1;2", "\ud83d\ude00", "1\r\n"][n % 8])
            for n in range(200)
        ),
        lines({**capture(n), "captureData": {"endpointOutput": None}} for n in range(200)),
        lines({**capture(n), "captureData": {}} for n in range(200)),
        lines(
            {**capture(n), "eventMetadata": {"eventId": "e", "inferenceTime": "2026-02-14T17:25:49Z"}}
            for n in range(99)
        ),
        lines(capture(n).get("eventMetadata") for n in range(200)),
    ],
)
def test_captures(content):
    """The law: payloads with escapes and in BASE64 are what the strict parser makes of them."""
    block = block_of(content)

    assert exact(strictly(block, CAPTURE)) == exact(in_block(block, CAPTURE))


FOREIGN = FieldMap(
    theirs={
        "request_id": "id",
        "unit_id": "user.id",
        "rollout": "=exp",
        "latency_ms": None,
        "status": "code?",
        "variant": "arm",
        "features": None,
        "features.country": "user.country",
    },
    measures={"revenue": "spent", "clicks": "n"},
)


def foreign(number, **changes):
    return {
        "id": number,
        "timestamp": "2026-03-02T10:00:00Z",
        "user": {"id": number * 7, "country": "de"},
        "arm": "b",
        "model_version": "1",
        "prediction": 0.5,
        "spent": number / 4,
        "n": 3,
        **changes,
    }


@pytest.mark.parametrize(
    "content",
    [
        lines(foreign(n) for n in range(200)),
        lines(foreign(n, code=None if n % 2 else 200) for n in range(200)),
        lines(foreign(n, spent=None if n % 2 else 1.50) for n in range(200)),
        lines(foreign(n, user={"id": f"u{n}", "country": None}) for n in range(200)),
        lines({**foreign(n), "user.id": 4} for n in range(200)),
        lines(foreign(n, id=[n, "x", -0, 2**70, True, None, 1.0][n % 7]) for n in range(200)),
        lines(flat(n) for n in range(200)),
    ],
)
def test_other_peoples_names(content):
    """The law: a field map means the same on the fast path."""
    context = LineContext("predictions", "churn", PSEUDONYM, fields=FOREIGN)
    block = block_of(content)

    assert exact(strictly(block, context)) == exact(in_block(block, context))


@pytest.mark.parametrize("kind", ["shadow", "feedback", "ground-truth"])
def test_other_kinds_are_read_strictly(kind):
    """The law: a kind without a fast path is read all the same."""
    context = LineContext(kind, "churn", PSEUDONYM)
    records = [{**flat(1), "shadow_prediction": 1}, {"unit_id": "c", "timestamp": "2026-03-02T10:00:00Z", "rating": 4}]
    block = block_of(lines(records) * 50)

    assert exact(strictly(block, context)) == exact(in_block(block, context))


@pytest.mark.parametrize(
    ("context", "content"),
    [
        (FLAT, GOOD),
        (FLAT, lines(flat(n, features={f"f{n % 9}": n, "text": "one\n" * (n % 3)}) for n in range(300))),
        (FLAT, lines(flat(n, latency_ms=n / 7, features={"x": n / 7}) for n in range(300))),
        (OUTCOMES, lines(outcome(n) for n in range(300))),
        (CAPTURE, lines(capture(n) for n in range(300))),
        (CAPTURE, lines(capture(n, "JSON", json.dumps({"prediction": n / 7})) for n in range(300))),
        (LineContext("predictions", "churn", PSEUDONYM, fields=FOREIGN), lines(foreign(n) for n in range(300))),
        *(
            (
                LineContext("predictions", "churn", PSEUDONYM, fields=FieldMap(theirs={"timestamp": f"at:{way}"})),
                lines(flat(n, at=at(n)) for n in range(300)),
            )
            for way, at in {
                "utc": lambda n: f"2026-03-02 10:{n % 60:02d}:59" + (".125" if n % 2 else ""),
                "unix": lambda n: 1_772_409_600 + n * 0.37,
                "unix-ms": lambda n: 1_772_409_600_123 + n,
            }.items()
        ),
    ],
)
def test_good_lines_take_the_fast_path(monkeypatch, context, content):
    """The law: of what a serializer writes the strict parser sees hardly a line: speed is not lost unnoticed."""
    seen = []
    strict = block_parser.parse_line
    monkeypatch.setattr(block_parser, "parse_line", lambda *given: seen.append(given) or strict(*given))

    parsed = parse_block(block_of(content), context)

    assert 300 == parsed.rows.num_rows
    assert len(seen) <= 40


def test_a_cut_line_is_a_reject():
    """The law: what is longer than a line may be is kept, and says so."""
    block = LineBlock(content=b"x" * 100, offset=5, first_line=3, size=3_000_000, cut=True)

    parsed = parse_block(block, FLAT)

    assert [(3, 5, b"x" * 100, "longer than 1048576 bytes")] == [
        (reject.line, reject.offset, reject.raw, reject.reason) for reject in parsed.rejects
    ]
    assert (0, 0, 1) == (parsed.rows.num_rows, parsed.blank, parsed.lines)


def test_pieces_do_not_show(monkeypatch):
    """The law: how a block is cut for the processor's cache changes nothing."""
    block = block_of(GOOD + b"".join(line + b"\n" for line in list(ODD.values())[:40]) + GOOD)
    expected = exact(strictly(block, FLAT))

    for size in (1, 700, 40_000):
        monkeypatch.setattr(block_parser, "PIECE_BYTES", size)

        assert expected == exact(in_block(block, FLAT))


def test_hashing_asks_once_for_each_unit():
    """The law: a unit is hashed once under a key, and another key is not confused with it.

    One line of each shape is read strictly, too, which hashes its unit again.
    """
    asked = []
    for key in (b"a", b"b"):
        context = LineContext("predictions", "churn", lambda u, k=key: asked.append((k, u)) or unit_hash(k, u))
        for _ in range(3):
            parse_block(block_of(GOOD), context)

    assert 2 * 37 == len(set(asked))
    assert len(asked) <= 2 * 38 + 8

"""Every kind of line and its verdict."""

from __future__ import annotations

import base64
import json
from datetime import UTC, date, datetime

import pytest

from staged_rollout.errors import LineRejectedError
from staged_rollout.records.blocks import LineContext
from staged_rollout.records.json_line import MAX_DEPTH, MAX_LINE_BYTES, json_object, stripped
from staged_rollout.records.parse import parse_line
from staged_rollout.records.parse_captures import prediction_of
from staged_rollout.records.units import unit_hash

PREDICTION = {
    "request_id": "r1",
    "timestamp": "2026-03-02T10:00:00.250Z",
    "rollout": "churn-v3",
    "unit_id": "c-42",
    "assigned_variant": "v1",
    "variant": "v1",
    "fallback": False,
    "epoch": 7,
    "model_version": "1",
    "prediction": 1.0,
    "latency_ms": 12.5,
    "status": 200,
    "features": {"plan": "basic"},
}
OUTCOME = {"unit_id": "c-42", "timestamp": "2026-03-03T10:00:00Z", "outcome": 1}
CAPTURE = {
    "captureData": {
        "endpointInput": {"observedContentType": "text/csv", "mode": "INPUT", "data": "1,2", "encoding": "CSV"},
        "endpointOutput": {"observedContentType": "text/csv", "mode": "OUTPUT", "data": "0.02", "encoding": "CSV"},
    },
    "eventMetadata": {"eventId": "e1", "inferenceId": "r1", "inferenceTime": "2026-02-14T17:25:49Z"},
    "eventVersion": "0",
}


def line(record, **changes):
    return json.dumps({**record, **changes}).encode()


def without(record, key):
    return json.dumps({name: value for name, value in record.items() if name != key}).encode()


def predict(content):
    return parse_line(content, LineContext("predictions", "churn", lambda unit: unit_hash(b"k" * 32, unit)))


def outcome(content):
    return parse_line(content, LineContext("outcomes", "churn", lambda unit: f"hash of {unit}"))


def capture(content):
    return parse_line(content, LineContext("capture", "churn", str, variant="v2"))


TEXT = line(PREDICTION).decode()
REFUSED = [
    ("not JSON", b"{", "not JSON"),
    ("words", b"hello", "not JSON"),
    ("half a line", line(PREDICTION)[:-5], "not JSON"),
    ("trailing comma", b'{"a": 1,}', "not JSON"),
    ("single quotes", b"{'a': 1}", "not JSON"),
    ("raw control character", b'{"a": "\x01"}', "not JSON"),
    ("array", b"[1]", "not an object but an array"),
    ("string", b'"a"', "not an object but a string"),
    ("number", b"1", "not an object but a number"),
    ("true", b"true", "not an object but true or false"),
    ("null", b"null", "not an object but null"),
    ("two objects", line(PREDICTION) * 2, "more than one value on the line"),
    ("object and garbage", line(PREDICTION) + b"x", "more than one value on the line"),
    (
        "duplicate key",
        TEXT.replace('"status": 200', '"status": 200, "status": 500').encode(),
        "duplicate key: 'status'",
    ),
    ("duplicate key, escaped", b'{"a": 1, "\\u0061": 2}', "duplicate key: 'a'"),
    ("duplicate key, nested", TEXT.replace('{"plan"', '{"plan": 1, "plan"').encode(), "duplicate key: 'plan'"),
    (
        "duplicate key while another is missing",
        TEXT.replace('"status": 200', '"epoch": 7').encode(),
        "duplicate key: 'epoch'",
    ),
    ("NaN", line(PREDICTION, prediction=float("nan")), "not a number that JSON knows: NaN"),
    ("Infinity", line(PREDICTION, prediction=float("inf")), "not a number that JSON knows: Infinity"),
    ("-Infinity", line(PREDICTION, latency_ms=-float("inf")), "not a number that JSON knows: -Infinity"),
    ("1e999", TEXT.replace("12.5", "1e999").encode(), "number beyond double precision"),
    ("number as string", line(PREDICTION, prediction="0.73"), "prediction is not a number"),
    ("integer as string", line(PREDICTION, status="200"), "status is not an integer"),
    ("true as number", line(PREDICTION, prediction=True), "prediction is not a number"),
    ("true as integer", line(PREDICTION, epoch=True), "epoch is not an integer"),
    ("0 as flag", line(PREDICTION, fallback=0), "fallback is not true or false"),
    ("string as flag", line(PREDICTION, fallback="false"), "fallback is not true or false"),
    ("float as integer", line(PREDICTION, status=200.7), "status is not an integer"),
    ("whole float as integer", line(PREDICTION, status=200.0), "status is not an integer"),
    ("exponent as integer", TEXT.replace('"epoch": 7', '"epoch": 7e0').encode(), "epoch is not an integer"),
    ("beyond 64 bits", line(PREDICTION, epoch=2**63), "integer beyond 64 bits"),
    ("far beyond 64 bits", TEXT.replace('"epoch": 7', '"epoch": ' + "9" * 5000).encode(), "integer beyond 64 bits"),
    ("changed by double precision", line(PREDICTION, prediction=2**53 + 1), "double precision would change"),
    ("negative epoch", line(PREDICTION, epoch=-1), "epoch is negative"),
    ("invalid UTF-8", TEXT.encode().replace(b"basic", b"bas\xff"), "invalid UTF-8"),
    ("surrogate in UTF-8", TEXT.encode().replace(b"basic", b"\xed\xa0\x80"), "invalid UTF-8"),
    ("lone surrogate", TEXT.replace("basic", "\\ud800").encode(), "lone surrogate"),
    ("lone surrogate in a key", TEXT.replace('"plan"', '"\\udc00"').encode(), "lone surrogate"),
    ("NUL byte", TEXT.encode().replace(b"basic", b"\x00"), "NUL character"),
    ("NUL escape", TEXT.replace("basic", "\\u0000").encode(), "NUL character"),
    ("naive timestamp", line(PREDICTION, timestamp="2026-03-02T10:00:00"), "timestamp has no time zone"),
    ("number as timestamp", line(PREDICTION, timestamp=1772445600), "timestamp is not a string"),
    ("date as timestamp", line(PREDICTION, timestamp="2026-03-02"), "timestamp is not a timestamp"),
    ("nanoseconds", line(PREDICTION, timestamp="2026-03-02T10:00:00.123456789Z"), "timestamp is not a timestamp"),
    ("space for T", line(PREDICTION, timestamp="2026-03-02 10:00:00Z"), "timestamp is not a timestamp"),
    ("other digits", line(PREDICTION, timestamp="٢٠٢٦-03-02T10:00:00Z"), "timestamp is not a timestamp"),
    ("no such day", line(PREDICTION, timestamp="2026-02-30T10:00:00Z"), "timestamp is not a real moment"),
    ("leap second", line(PREDICTION, timestamp="2016-12-31T23:59:60Z"), "timestamp is not a real moment"),
    ("before time", line(PREDICTION, timestamp="0001-01-01T00:00:00+23:59"), "timestamp is not a real moment"),
    ("clock at its epoch", line(PREDICTION, timestamp="1970-01-01T00:00:00Z"), "timestamp is before the year 2000"),
    *(
        (f"missing {key}", without(PREDICTION, key), f"missing key: {key}")
        for key in PREDICTION
        if key not in {"assigned_variant", "fallback", "epoch"}
    ),
    ("wrong case of a key that may be missing", TEXT.replace('"epoch"', '"Epoch"').encode(), "(found 'Epoch')"),
    ("wrong case", TEXT.replace('"status"', '"Status"').encode(), "missing key: status (found 'Status')"),
    ("empty request id", line(PREDICTION, request_id=""), "request_id is empty"),
    ("empty unit", line(PREDICTION, unit_id=""), "unit_id is empty"),
    ("blank unit", line(PREDICTION, unit_id=" \t"), "unit_id is empty"),
    ("number as unit", line(PREDICTION, unit_id=42), "unit_id is not a string"),
    ("long unit", line(PREDICTION, unit_id="x" * 1025), "unit_id is longer than 1024 characters"),
    ("null request id", line(PREDICTION, request_id=None), "request_id is not a string"),
    ("null status", line(PREDICTION, status=None), "status is not an integer"),
    ("null latency", line(PREDICTION, latency_ms=None), "latency_ms is not a number"),
    ("features as string", line(PREDICTION, features="{}"), "features is not an object"),
    ("deep", b'{"a":' + b"[" * 40 + b"]" * 40 + b"}", f"nested deeper than {MAX_DEPTH}"),
    ("very deep", b"[" * 200_000, f"nested deeper than {MAX_DEPTH}"),
    ("huge", line(PREDICTION, features={"x": "y" * MAX_LINE_BYTES}), f"longer than {MAX_LINE_BYTES} bytes"),
]


@pytest.mark.parametrize(("content", "reason"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_refused_with_its_reason(content, reason):
    with pytest.raises(LineRejectedError) as caught:
        predict(content)

    assert reason in caught.value.message


ACCEPTED = [
    ("plain", line(PREDICTION), {}),
    ("LF", line(PREDICTION) + b"\n", {}),
    ("CRLF", line(PREDICTION) + b"\r\n", {}),
    ("byte order mark", b"\xef\xbb\xbf" + line(PREDICTION), {}),
    ("blanks around", b" \t" + line(PREDICTION) + b"  ", {}),
    ("unknown key", line(PREDICTION, region="eu"), {}),
    ("offset", line(PREDICTION, timestamp="2026-03-02T15:30:00.250+05:30"), {}),
    ("integer prediction", line(PREDICTION, prediction=1), {}),
    ("escaped letters", TEXT.replace("basic", "b\\u0061sic").encode(), {}),
    ("brackets in strings", line(PREDICTION, extra="[" * 100 + '\\"{'), {}),
    ("surrogate pair", TEXT.replace("basic", "\\ud83d\\ude00").encode(), {"features": '{"plan":"😀"}'}),
    (
        "not enrolled",
        line(PREDICTION, rollout=None, assigned_variant=None),
        {"rollout": None, "assigned_variant": None},
    ),
    ("no unit", line(PREDICTION, unit_id=None), {"unit_id": None}),
    (
        "failed",
        line(PREDICTION, prediction=None, variant=None, model_version=None, status=503),
        {"prediction": None, "variant": None, "model_version": None, "status": 503},
    ),
    ("no assigned variant", without(PREDICTION, "assigned_variant"), {"assigned_variant": "v1"}),
    ("no fallback", without(PREDICTION, "fallback"), {"fallback": False}),
    ("no epoch", without(PREDICTION, "epoch"), {"epoch": 0}),
    ("32 deep", line(PREDICTION, x=json.loads("[" * 31 + "]" * 31)), {}),
    ("largest integer", line(PREDICTION, epoch=2**63 - 1), {"epoch": 2**63 - 1}),
]


@pytest.mark.parametrize(("content", "changes"), [row[1:] for row in ACCEPTED], ids=[row[0] for row in ACCEPTED])
def test_accepted_as_the_same_row(content, changes):
    expected = {
        **PREDICTION,
        "timestamp": datetime(2026, 3, 2, 10, 0, 0, 250_000, UTC),
        "event_date": date(2026, 3, 2),
        "endpoint": "churn",
        "unit_id": unit_hash(b"k" * 32, "c-42"),
        "features": '{"plan":"basic"}',
        "measures": None,
        "shadow_variant": None,
        "shadow_prediction": None,
        "shadow_latency_ms": None,
        **changes,
    }

    assert expected == dict(predict(content).values)


@pytest.mark.parametrize("content", [b"", b"\n", b"\r\n", b" \t ", b"\xef\xbb\xbf", b"\xef\xbb\xbf\r\n"])
def test_blank_lines_are_blank(content):
    assert stripped(content) == b""


def test_event_date_is_the_utc_day():
    row = predict(line(PREDICTION, timestamp="2026-03-02T23:30:00-05:00"))

    assert date(2026, 3, 3) == row.event_date


def test_reasons_never_show_a_unit():
    """The law: what may reach a log does not name people."""
    for content in (line(PREDICTION, unit_id="secret" * 500), line(PREDICTION, unit_id=["secret"])):
        with pytest.raises(LineRejectedError) as caught:
            predict(content)

        assert "secret" not in str(caught.value)


def test_unit_hashes_depend_on_key_and_unit():
    assert 32 == len(unit_hash(b"a", "u"))
    assert 3 == len({unit_hash(b"a", "u"), unit_hash(b"b", "u"), unit_hash(b"a", "v")})


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"unit_id": None}, "missing key: unit_id or request_id"),
        ({"unit_id": ""}, "unit_id is empty"),
        ({"request_id": 5}, "request_id is not a string"),
        ({"outcome": None}, "outcome is not a number"),
        ({"outcome": "1"}, "outcome is not a number"),
        ({"timestamp": "2026-03-03T10:00:00"}, "timestamp has no time zone"),
    ],
)
def test_outcomes_refused(changes, reason):
    with pytest.raises(LineRejectedError, match=reason):
        outcome(line(OUTCOME, **changes))


def test_outcome_by_unit_by_request_or_by_both():
    both = outcome(line(OUTCOME, request_id="r1")).values

    assert ("hash of c-42", None) == tuple(outcome(line(OUTCOME)).values[key] for key in ("unit_id", "request_id"))
    assert (None, "r1") == tuple(
        outcome(without({**OUTCOME, "request_id": "r1"}, "unit_id")).values[key] for key in ("unit_id", "request_id")
    )
    assert ("hash of c-42", "r1") == (both["unit_id"], both["request_id"])


def test_identity_of_outcomes_is_all_that_they_say():
    same = [line(OUTCOME), line(OUTCOME, outcome=1.0), line(OUTCOME, timestamp="2026-03-03T11:00:00+01:00")]
    other = [
        line(OUTCOME, outcome=0),
        line(OUTCOME, unit_id="c-43"),
        line(OUTCOME, timestamp="2026-03-03T10:00:01Z"),
        line(OUTCOME, request_id="r1"),
    ]

    assert 1 == len({outcome(content).identities for content in same})
    assert 5 == len({outcome(content).identities for content in (*other, same[0])})
    assert outcome(line(OUTCOME, outcome=0.0)).identities == outcome(line(OUTCOME, outcome=-0.0)).identities


def test_capture_line_as_sagemaker_writes_it():
    row = capture(line(CAPTURE))

    expected = {
        "event_id": "e1",
        "inference_id": "r1",
        "timestamp": datetime(2026, 2, 14, 17, 25, 49, tzinfo=UTC),
        "event_date": date(2026, 2, 14),
        "endpoint": "churn",
        "variant": "v2",
        "input": "1,2",
        "output": "0.02",
        "prediction": 0.02,
        "rollout": None,
        "unit_id": None,
    }
    assert expected == dict(row.values)
    assert 2 == len(row.identities)


def test_capture_without_inference_id_or_input():
    row = capture(
        line(
            CAPTURE,
            captureData={"endpointOutput": CAPTURE["captureData"]["endpointOutput"]},
            eventMetadata={"eventId": "e1", "inferenceTime": "2026-02-14T17:25:49Z"},
        )
    )

    assert (None, None, 0.02) == tuple(row.values[key] for key in ("inference_id", "input", "prediction"))
    assert 1 == len(row.identities)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (base64.b64encode(b'{"prediction": 1}').decode(), ('{"prediction": 1}', 1.0)),
        (base64.b64encode(b"\xff\xfe").decode(), ("//4=", None)),
        (base64.b64encode(b"a\x00b").decode(), ("YQBi", None)),
    ],
)
def test_base64_becomes_text_when_it_is_text(data, expected):
    output = {"data": data, "encoding": "BASE64"}
    row = capture(line(CAPTURE, captureData={"endpointOutput": output}))

    assert expected == (row.values["output"], row.values["prediction"])


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"captureData": {"endpointOutput": {"data": "%%%", "encoding": "BASE64"}}}, "not BASE64"),
        ({"captureData": {"endpointOutput": {"data": 1, "encoding": "CSV"}}}, "endpointOutput.data is not a string"),
        ({"captureData": {"endpointOutput": {"encoding": "CSV"}}}, "missing key: data"),
        ({"captureData": None}, "captureData is not an object"),
        ({"eventMetadata": {"inferenceTime": "2026-02-14T17:25:49Z"}}, "missing key: eventId"),
        ({"eventMetadata": {"eventId": "e"}}, "missing key: inferenceTime"),
    ],
)
def test_captures_refused(changes, reason):
    with pytest.raises(LineRejectedError, match=reason):
        capture(line(CAPTURE, **changes))


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ('{"prediction": 1}', 1.0),
        (' {"prediction": 0.25, "model": "v1"}\n', 0.25),
        ('{"prediction": null}', None),
        ('{"prediction": NaN}', None),
        ('{"prediction": "1"}', None),
        ('{"score": 1}', None),
        ("0.25,0.75", 0.25),
        ("1\n0\n", 1.0),
        ("-1e-3", -0.001),
        ("nan", None),
        ("", None),
        ("1 2", None),
        ('"1"', None),
        ('1}{"prediction":2', None),
    ],
)
def test_prediction_in_an_output(output, expected):
    assert expected == prediction_of(output)


def test_json_object_keeps_what_it_reads():
    assert {"a": [1, 2.5, None, {"b": "c"}]} == json_object(b'{"a": [1, 2.5, null, {"b": "c"}]}')

"""Other people's names: what each says, what it finds, and what is refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from staged_rollout.errors import LineRejectedError
from staged_rollout.records.blocks import FieldMap, LineContext
from staged_rollout.records.field_rules import FieldRule, field_map, problem_of, rule_of
from staged_rollout.records.parse import parse_line

FOREIGN = {"user": {"id": 851104}, "ts": "2017-01-21 22:11:48.556739", "group": "control", "converted": 0}
ABSENT = dict.fromkeys(("request_id", "model_version", "prediction", "latency_ms", "status", "features"))
NAMES = {
    **ABSENT,
    "unit_id": "user.id",
    "timestamp": "ts:utc",
    "variant": "group",
    "rollout": "=landing-v1",
    "converted": "converted",
}


def read(record, kind="predictions", **names):
    context = LineContext(kind, "web", lambda unit: f"hash of {unit}", fields=field_map(kind, {**NAMES, **names}))
    return parse_line(json.dumps(record).encode(), context).values


@pytest.mark.parametrize(
    ("theirs", "expected"),
    [
        ("a", FieldRule("a")),
        ("a.b", FieldRule("a.b")),
        ("a?", FieldRule("a", optional=True)),
        ("?", FieldRule("?")),
        ("=x", FieldRule(constant="x")),
        ("a:utc", FieldRule("a", way="utc")),
        ("a:unix-ms", FieldRule("a", way="unix-ms")),
        ("a:b", FieldRule("a:b")),
        ("a:flag?", FieldRule("a", way="flag", optional=True)),
        ("a:2", FieldRule("a", separator=":", part=2)),
        ("a:-12", FieldRule("a", separator="-", part=12)),
        ("a:_1", FieldRule("a", separator="_", part=1)),
        ("a_1", FieldRule("a_1")),
        ("a:0", FieldRule("a:0")),
    ],
)
def test_a_name_says_one_thing(theirs, expected):
    assert expected == rule_of(theirs)


def test_a_foreign_line_becomes_a_row():
    values = read(FOREIGN)

    expected = {
        "timestamp": datetime(2017, 1, 21, 22, 11, 48, 556739, UTC),
        "rollout": "landing-v1",
        "unit_id": "hash of 851104",
        "assigned_variant": "control",
        "variant": "control",
        "fallback": False,
        "epoch": 0,
        "model_version": None,
        "prediction": None,
        "latency_ms": None,
        "status": None,
        "features": "{}",
        "measures": '{"converted":0}',
    }
    assert expected == {key: values[key] for key in expected}


def test_content_stands_for_a_request_without_an_id():
    """The law: the same content is the same request, whatever the order of keys; other content is another one."""
    turned = dict(reversed(FOREIGN.items()))

    assert read(FOREIGN)["request_id"] == read(turned)["request_id"]
    assert read(FOREIGN)["request_id"] != read({**FOREIGN, "converted": 1})["request_id"]
    assert read(FOREIGN)["request_id"].startswith("hash of ")


@pytest.mark.parametrize(
    ("rule", "value", "expected"),
    [
        ("ts:unix", 1772445600, datetime(2026, 3, 2, 10, tzinfo=UTC)),
        ("ts:unix", 1772445600.25, datetime(2026, 3, 2, 10, 0, 0, 250_000, UTC)),
        ("ts:unix-ms", 1772445600250, datetime(2026, 3, 2, 10, 0, 0, 250_000, UTC)),
        ("ts:utc", "2026-03-02", datetime(2026, 3, 2, tzinfo=UTC)),
        ("ts:utc", "2026-03-02T10:00:00", datetime(2026, 3, 2, 10, tzinfo=UTC)),
        ("ts:utc", "2026-03-02 10:00:00.5+02:00", datetime(2026, 3, 2, 8, 0, 0, 500_000, UTC)),
    ],
)
def test_timestamps_in_other_forms(rule, value, expected):
    assert expected == read({**FOREIGN, "ts": value}, timestamp=rule)["timestamp"]


@pytest.mark.parametrize(
    ("changes", "names", "reason"),
    [
        ({"ts": "soon"}, {}, "ts (timestamp) is not a timestamp like"),
        ({"ts": "1772445600"}, {"timestamp": "ts:unix"}, "ts (timestamp) is not a number"),
        ({"ts": True}, {"timestamp": "ts:unix"}, "ts (timestamp) is not a number"),
        ({"ts": 1e300}, {"timestamp": "ts:unix"}, "ts (timestamp) is not a real moment"),
        ({"ts": 12}, {"timestamp": "ts:unix"}, "ts (timestamp) is before the year 2000"),
        ({"ts": "2026-03-02T10:00:00"}, {"timestamp": "ts"}, "ts (timestamp) has no time zone"),
        ({"ts": "2026-02-30"}, {}, "ts (timestamp) is not a real moment"),
        ({"user": {}}, {}, "missing key: user.id (unit_id)"),
        ({"user": 5}, {}, "missing key: user.id (unit_id)"),
        ({"user.id": "u"}, {}, "user.id (unit_id) is there twice"),
        ({"user": {"id": 1.5}}, {}, "user.id (unit_id) is not a string"),
        ({"user": {"id": True}}, {}, "user.id (unit_id) is not a string"),
        ({"user": {"id": ""}}, {}, "user.id (unit_id) is empty"),
        ({}, {"variant": "Group"}, "missing key: Group (variant) (found 'group')"),
        ({"converted": "0"}, {}, "converted is not a number"),
        ({"converted": True}, {}, "converted is not a number"),
        ({"converted": 1}, {"converted": "converted:flag"}, "converted is not true or false"),
        ({}, {"revenue": "revenue"}, "missing key: revenue"),
        ({}, {"status": "code"}, "missing key: code (status)"),
        ({"group": "ab"}, {"variant": "group:2"}, "group (variant): it has no part 2"),
        ({"code": None}, {"status": "code"}, "code (status) is not an integer"),
    ],
)
def test_refusals_name_their_key_and_our_field(changes, names, reason):
    with pytest.raises(LineRejectedError) as caught:
        read({**FOREIGN, **changes}, **names)

    assert caught.value.message.startswith(reason)


def test_optional_names_may_be_missing_or_null():
    names = {"status": "code?", "revenue": "revenue?", "latency_ms": "ms?", "features": "context?"}

    missing = read(FOREIGN, **names)
    null = read({**FOREIGN, "code": None, "revenue": None, "ms": None}, **names)
    there = read({**FOREIGN, "code": 200, "revenue": 9.5, "ms": 3, "context": {"a": 1}}, **names)

    keys = ("status", "latency_ms", "measures", "features")
    assert (None, None, '{"converted":0}', "{}") == tuple(missing[key] for key in keys)
    assert (None, None, '{"converted":0}', "{}") == tuple(null[key] for key in keys)
    assert (200, 3.0, '{"converted":0,"revenue":9.5}', '{"a":1}') == tuple(there[key] for key in keys)


def test_measures_flags_parts_and_single_features():
    values = read(
        {**FOREIGN, "clicked": True, "session": "u7-99", "country": "NO"},
        **{"clicks": "clicked:flag", "unit_id": "session:-1", "features.country": "country"},
    )

    assert '{"clicks":1,"converted":0}' == values["measures"]
    assert "hash of u7" == values["unit_id"]
    assert '{"country":"NO"}' == values["features"]


def test_a_key_with_dots_is_found_by_its_own_name():
    assert "hash of 7" == read({**FOREIGN, "user": {}, "user.id": 7})["unit_id"]


@pytest.mark.parametrize(
    ("kind", "name", "theirs", "problem"),
    [
        ("predictions", "timestamp", None, "timestamp cannot be absent"),
        ("predictions", "timestamp", "ts?", "timestamp cannot be optional"),
        ("predictions", "timestamp", "ts:flag", "timestamp cannot be read as :flag"),
        ("predictions", "unit_id", "ts:unix", "unit_id cannot be read as :unix"),
        ("predictions", "unit_id", "=u", "unit_id cannot be the same text on every line"),
        ("predictions", "rollout", "= ", "rollout cannot be the same text on every line"),
        ("predictions", "status", "code:flag", "status cannot be read as :flag"),
        ("predictions", "status", "code:2", "status cannot be a part of a text"),
        ("predictions", "revenue", None, "revenue cannot be absent"),
        ("predictions", "re venue", "x", "'re venue' is not a field of predictions lines"),
        ("outcomes", "prediction", "x", "'prediction' is not a field of outcomes lines"),
        ("outcomes", "outcome", None, "outcome cannot be absent"),
        ("feedback", "rating", "", "rating cannot be absent"),
        ("capture", "timestamp", "ts", "'timestamp' is not a field of capture lines"),
        ("predictions", "request_id", None, ""),
        ("predictions", "features.country", "country", ""),
        ("predictions", "revenue", "x" * 1025, "revenue has a key longer than 1024"),
    ],
)
def test_what_is_wrong_with_a_name_is_said(kind, name, theirs, problem):
    found = problem_of(kind, name, theirs)

    assert found.startswith(problem)
    assert bool(problem) == bool(found)


def test_a_map_parts_fields_from_measures():
    assert FieldMap({"status": "code", "latency_ms": None}, {"a": "x", "b": "y"}) == field_map(
        "predictions", {"b": "y", "status": "code", "a": "x", "latency_ms": ""}
    )

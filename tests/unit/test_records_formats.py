"""Shadow lines, captures as exposures, ground truth and ratings: each shape, and what is refused."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime

import pytest

from staged_rollout.errors import LineRejectedError
from staged_rollout.records.blocks import LineContext
from staged_rollout.records.field_rules import field_map
from staged_rollout.records.parse import parse_line

AT = datetime(2026, 3, 2, 10, 59, 59, 999_999, UTC)
TIME = "2026-03-02T10:00:00Z"
ENVELOPE = {"request_id": "r1", "timestamp": TIME, "rollout": "churn-v3", "unit_id": "c-42"}
CAPTURE = {
    "captureData": {
        "endpointInput": {
            "observedContentType": "application/json; charset=utf-8",
            "mode": "INPUT",
            "data": '{"plan": "basic", "customer": 42}',
            "encoding": "JSON",
        },
        "endpointOutput": {"observedContentType": "text/csv", "mode": "OUTPUT", "data": "0.02", "encoding": "CSV"},
    },
    "eventMetadata": {
        "eventId": "e1",
        "inferenceId": "c-42:r1",
        "customAttributes": ["unit=c-42; rollout=churn-v3&trace=x", "note"],
        "inferenceTime": TIME,
    },
    "eventVersion": "0",
}
TRUTH = {
    "groundTruthData": {"data": "1", "encoding": "CSV"},
    "eventMetadata": {"eventId": "r1"},
    "eventVersion": "0",
}
RATING = {"request_id": "r1", "timestamp": TIME, "rating": 4}


def parse(kind, record, *, variant=None, at=AT, **names):
    context = LineContext(kind, "churn", lambda unit: f"hash of {unit}", variant, field_map(kind, names), at)
    return parse_line(json.dumps(record).encode(), context)


def refusal(kind, record, **options):
    with pytest.raises(LineRejectedError) as caught:
        parse(kind, record, **options)
    return caught.value.message


def capture(**metadata):
    return {**CAPTURE, "eventMetadata": {**CAPTURE["eventMetadata"], **metadata}}


CHAMPION = {"variant": "v1", "model_version": "1", "prediction": 1, "latency_ms": 12.5, "status": 200}
SHADOW = {"variant": "v2", "prediction": 0.5, "latency_ms": 20}
SHAPES = {
    "objects": {"champion": CHAMPION, "shadow": SHADOW},
    "other words": {"production": CHAMPION, "challenger": SHADOW},
    "flat names": {
        **{f"champion_{name}": value for name, value in CHAMPION.items()},
        **{f"candidate_{name}": value for name, value in SHADOW.items()},
    },
    "a flat line": {**CHAMPION, **{f"shadow_{name}": value for name, value in SHADOW.items()}},
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_shadow_lines_of_every_shape_are_the_same_row(shape):
    row = parse("shadow", {**ENVELOPE, **shape})

    expected = {
        "request_id": "r1",
        "rollout": "churn-v3",
        "unit_id": "hash of c-42",
        "assigned_variant": "v1",
        "variant": "v1",
        "model_version": "1",
        "prediction": 1.0,
        "latency_ms": 12.5,
        "status": 200,
        "features": "{}",
        "shadow_variant": "v2",
        "shadow_prediction": 0.5,
        "shadow_latency_ms": 20.0,
    }
    assert "predictions" == row.table
    assert expected == {key: row.values[key] for key in expected}


def test_a_shadow_line_needs_only_its_two_answers():
    values = parse("shadow", {**ENVELOPE, "champion": {"prediction": 1}, "shadow": {"prediction": None}}).values

    keys = ("variant", "model_version", "latency_ms", "status", "shadow_variant", "shadow_prediction")
    assert ("champion", None, None, None, "shadow", None) == tuple(values[key] for key in keys)


def test_a_shadow_line_by_other_names():
    record = {**ENVELOPE, "old": {"score": 0.25}, "new": {"score": 0.75}}
    values = parse("shadow", record, prediction="old.score", shadow_prediction="new.score", shadow_variant="=v2").values

    assert (0.25, 0.75, "v2") == tuple(values[key] for key in ("prediction", "shadow_prediction", "shadow_variant"))


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({**ENVELOPE, "shadow": SHADOW}, "missing key: champion.prediction or champion_prediction"),
        ({**ENVELOPE, "champion": CHAMPION}, "missing key: shadow.prediction or shadow_prediction"),
        ({**ENVELOPE, "champion": {}, "shadow": SHADOW}, "missing key: champion.prediction"),
        (
            {**ENVELOPE, "champion": CHAMPION, "production": CHAMPION, "shadow": SHADOW},
            "two answers for one side: champion and production",
        ),
        ({**ENVELOPE, "champion": CHAMPION, "shadow": {"prediction": "1"}}, "shadow_prediction is not a number"),
        ({**ENVELOPE, "champion": CHAMPION, "shadow": SHADOW, "unit_id": 5}, "unit_id is not a string"),
        ({"request_id": "r", "timestamp": TIME, "champion": CHAMPION, "shadow": SHADOW}, "missing key: unit_id"),
    ],
)
def test_shadow_lines_refused(record, reason):
    assert reason == refusal("shadow", record)


def test_a_shadow_line_and_a_flat_line_of_one_request_are_one():
    flat = {**ENVELOPE, **CHAMPION, "features": {}}

    assert parse("predictions", flat).identities == parse("shadow", {**ENVELOPE, **SHAPES["objects"]}).identities


@pytest.mark.parametrize(
    ("names", "unit"),
    [
        ({"unit_id": "customAttributes.unit"}, "c-42"),
        ({"unit_id": "inferenceId:1"}, "c-42"),
        ({"unit_id": "input.customer"}, "42"),
        ({"unit_id": "inferenceId"}, "c-42:r1"),
    ],
)
def test_with_a_rule_for_the_unit_a_capture_is_an_exposure(names, unit):
    row = parse("capture", CAPTURE, variant="v1", **names, rollout="customAttributes.rollout")

    expected = {
        "request_id": "c-42:r1",
        "rollout": "churn-v3",
        "unit_id": f"hash of {unit}",
        "assigned_variant": "v1",
        "variant": "v1",
        "prediction": 0.02,
        "latency_ms": None,
        "status": None,
        "features": '{"plan":"basic","customer":42}',
        "measures": None,
    }
    assert "predictions" == row.table
    assert expected == {key: row.values[key] for key in expected}


def test_without_an_inference_id_the_event_id_is_the_request():
    record = capture(inferenceId=None)

    assert "e1" == parse("capture", record, variant="v1", unit_id="customAttributes.unit").values["request_id"]


def test_a_rule_for_the_rollout_alone_leaves_a_capture_a_capture():
    row = parse("capture", CAPTURE, variant="v1", rollout="customAttributes.rollout")

    assert ("captures", "churn-v3", None) == (row.table, row.values["rollout"], row.values["unit_id"])


def test_rules_reach_into_base64_payloads_that_are_objects():
    data = base64.b64encode(b'{"score": 0.75, "unit": "u9", "eur": 3}').decode()
    output = {"observedContentType": "application/octet-stream", "mode": "OUTPUT", "data": data, "encoding": "BASE64"}
    record = {**CAPTURE, "captureData": {"endpointOutput": output}}

    values = parse(
        "capture", record, variant="v1", unit_id="output.unit", prediction="output.score", eur="output.eur"
    ).values

    keys = ("unit_id", "prediction", "measures", "features")
    assert ("hash of u9", 0.75, '{"eur":3}', "{}") == tuple(values[key] for key in keys)


@pytest.mark.parametrize(
    ("record", "names", "reason"),
    [
        (capture(customAttributes=[]), {}, "missing key: customAttributes.unit (unit_id)"),
        (capture(customAttributes=["unit="]), {}, "customAttributes.unit (unit_id) is empty"),
        (capture(customAttributes=["unit=a", "unit=b"]), {}, "customAttributes.unit is there twice, with two values"),
        (CAPTURE, {"unit_id": "inferenceId:3"}, "inferenceId (unit_id): it has no part 3"),
        (capture(inferenceId=None), {"unit_id": "inferenceId:1"}, "missing key: inferenceId (unit_id)"),
    ],
)
def test_captures_without_the_unit_that_a_rule_wants_are_refused(record, names, reason):
    assert reason == refusal("capture", record, variant="v1", **{"unit_id": "customAttributes.unit", **names})


def test_a_capture_without_a_variant_is_refused():
    assert "no variant: the file's place does not say it" == refusal("capture", CAPTURE)
    context = LineContext("capture", "churn", str, fields=field_map("capture", {"variant": "=v9"}))
    assert "v9" == parse_line(json.dumps(CAPTURE).encode(), context).values["variant"]


def test_ground_truth_is_an_outcome_of_its_file_s_time():
    row = parse("ground-truth", TRUTH)

    expected = {
        "unit_id": None,
        "request_id": "r1",
        "timestamp": AT,
        "event_date": AT.date(),
        "endpoint": "churn",
        "outcome": 1.0,
        "name": None,
    }
    assert ("outcomes", expected) == (row.table, dict(row.values))


def test_a_later_copy_of_ground_truth_tells_nothing_new():
    later = parse("ground-truth", TRUTH, at=datetime(2026, 3, 2, 23, tzinfo=UTC))
    other = parse("ground-truth", {**TRUTH, "groundTruthData": {"data": "0", "encoding": "CSV"}})

    assert parse("ground-truth", TRUTH).identities == later.identities
    assert later.identities != other.identities


def test_ground_truth_in_other_encodings_and_with_its_own_time():
    encoded = {"data": base64.b64encode(b"0.5").decode(), "encoding": "BASE64"}
    timed = {**TRUTH, "groundTruthData": encoded, "known": "2026-03-05 01:00:00"}
    values = parse("ground-truth", timed, timestamp="known:utc").values

    assert (0.5, datetime(2026, 3, 5, 1, tzinfo=UTC)) == (values["outcome"], values["timestamp"])


@pytest.mark.parametrize(
    ("changes", "at", "reason"),
    [
        ({}, None, "no timestamp: neither the line nor its file's place tells one"),
        ({"groundTruthData": {"data": "yes", "encoding": "CSV"}}, AT, "groundTruthData.data is not a number"),
        ({"groundTruthData": {"data": "true", "encoding": "CSV"}}, AT, "groundTruthData.data is not a number"),
        ({"groundTruthData": {"data": "", "encoding": "CSV"}}, AT, "groundTruthData.data is not a number"),
        ({"groundTruthData": None}, AT, "missing key: groundTruthData"),
        ({"eventMetadata": {}}, AT, "missing key: eventId"),
    ],
)
def test_ground_truth_refused(changes, at, reason):
    assert refusal("ground-truth", {**TRUTH, **changes}, at=at).startswith(reason)


def test_a_rating_is_an_outcome_with_a_name():
    values = parse("feedback", RATING).values

    assert ("r1", None, 4.0, "rating") == tuple(values[key] for key in ("request_id", "unit_id", "outcome", "name"))
    assert "hash of u" == parse("feedback", {"unit_id": "u", "timestamp": TIME, "rating": 1}).values["unit_id"]


def test_a_rating_is_another_thing_than_the_same_outcome():
    outcome = {"request_id": "r1", "timestamp": TIME, "outcome": 4}

    assert parse("feedback", RATING).identities != parse("outcomes", outcome).identities


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"request_id": None}, "missing key: unit_id or request_id"),
        ({"rating": "5"}, "rating is not a number"),
        ({"rating": None}, "rating is not a number"),
        ({"timestamp": None}, "timestamp is not a string"),
    ],
)
def test_ratings_refused(changes, reason):
    assert reason == refusal("feedback", {**RATING, **changes})

"""Which unit gets which variant: rows of a table, and the statistics of 100,000 units."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError
from scipy.stats import chi2_contingency, chisquare, kstest

from staged_rollout.assignment import (
    Assigned,
    AssignmentDocument,
    VariantRef,
    arm_of,
    assign,
    position,
    request_id,
)

CHAMPION = VariantRef(name="v2", version="2")
CANDIDATE = VariantRef(name="v3", version="3")
UNITS = [f"customer-{number}" for number in range(100_000)]
UNLIKELY = 1e-4
"""The units are fixed, so a verdict below this is not bad luck on another day: it is the same every day."""


def document(**fields: Any) -> AssignmentDocument:
    """A 50/50 rollout in LIVE, unless told otherwise."""
    live: dict[str, Any] = {
        "endpoint": "churn-prod",
        "epoch": 7,
        "rollout": "churn-v3",
        "stage": "live",
        "champion": CHAMPION,
        "candidate": CANDIDATE,
        "split": 0.5,
        "enrolled": 1.0,
        "published_at": datetime(2026, 3, 2, tzinfo=UTC),
    }
    return AssignmentDocument(**{**live, **fields})


IDLE = document(rollout=None, stage=None, candidate=None, enrolled=0.0)
SHADOW = document(stage="shadow", candidate=None, enrolled=0.0)


@pytest.fixture(scope="module")
def arms() -> list[bool]:
    """Of each unit: drawn for the treatment."""
    return [arm_of(document(), unit) == "treatment" for unit in UNITS]


@pytest.mark.parametrize("split", [0.5, 0.3, 0.05])
def test_arms_are_balanced_as_designed(split):
    """Chi-squared against the designed split, one degree of freedom."""
    drawn = sum(arm_of(document(split=split), unit) == "treatment" for unit in UNITS)
    expected = [split * len(UNITS), (1 - split) * len(UNITS)]
    assert chisquare([drawn, len(UNITS) - drawn], expected).pvalue > UNLIKELY


@pytest.mark.parametrize("salt", ["churn-v3:arm", "churn-v3:enrol", "churn-v4:arm"])
def test_positions_are_uniform(salt):
    """Kolmogorov-Smirnov against the uniform distribution."""
    assert kstest([position(salt, unit) for unit in UNITS], "uniform").pvalue > UNLIKELY


def test_arm_and_enrolment_are_independent(arms):
    """A 2 x 10 table of arm by decile of the enrolment hash."""
    table = [[0] * 10, [0] * 10]
    for unit, treatment in zip(UNITS, arms, strict=True):
        table[treatment][int(position(document().enrol_salt, unit) * 10)] += 1
    assert chi2_contingency(table).pvalue > UNLIKELY


def test_the_arms_of_two_rollouts_are_independent(arms):
    """Who was on the candidate last time says nothing about this time: no carry-over."""
    table = [[0, 0], [0, 0]]
    for unit, treatment in zip(UNITS, arms, strict=True):
        table[treatment][arm_of(document(rollout="churn-v4"), unit) == "treatment"] += 1
    assert chi2_contingency(table).pvalue > UNLIKELY


@pytest.mark.parametrize("enrolled", [0.02, 0.1, 0.5, 1.0])
def test_enrolled_units_are_balanced_in_each_stage(enrolled):
    """Within the enrolled share each arm has its half: champion units of equal age stand beside the candidate's."""
    stage = document(stage="canary", step=1, enrolled=enrolled)
    drawn = [assign(stage, unit).arm for unit in UNITS]
    counts = [drawn.count("control"), drawn.count("treatment"), drawn.count(None)]
    shares = [enrolled / 2, enrolled / 2, 1 - enrolled]
    expected = [share * len(UNITS) for share in shares]
    cells = slice(0, 3 if enrolled < 1 else 2)
    assert sum(counts[cells]) == len(UNITS)
    assert chisquare(counts[cells], expected[cells]).pvalue > UNLIKELY


def test_a_unit_id_is_text_not_a_number():
    assert position("s", "7") != position("s", "07")


def test_the_position_of_a_unit_is_pinned():
    """Another hash would move units of running rollouts: these figures never change.

    SHA-256 of salt, U+001F, unit; the first 53 bits as a fraction.
    """
    assert position("churn-v3:arm", "customer-1") == 0.8217541057260451
    assert position("churn-v3:enrol", "customer-1") == 0.8212836883093824


@pytest.mark.parametrize(
    ("published", "unit", "expected"),
    [
        pytest.param(IDLE, "u", Assigned(CHAMPION, None, None, target=True), id="no-rollout"),
        pytest.param(IDLE, None, Assigned(CHAMPION, None, None, target=True), id="no-rollout-no-unit"),
        pytest.param(SHADOW, "u", Assigned(CHAMPION, "churn-v3", None, target=False), id="shadow"),
        pytest.param(SHADOW, None, Assigned(CHAMPION, None, None, target=False), id="shadow-no-unit"),
        pytest.param(document(), None, Assigned(CHAMPION, None, None, target=True), id="live-no-unit"),
        pytest.param(document(), "", Assigned(CHAMPION, None, None, target=True), id="live-empty-unit"),
        pytest.param(document(share=0.95), None, Assigned(CHAMPION, None, None, target=True), id="promoting-no-unit"),
        pytest.param(document(enrolled=0.0), "u", Assigned(CHAMPION, None, None, target=True), id="not-enrolled"),
    ],
)
def test_who_is_not_counted_gets_the_champion(published, unit, expected):
    assert assign(published, unit) == expected


def test_shadow_names_no_variant_so_that_the_endpoint_copies_everything():
    assert not any(assign(SHADOW, unit).target for unit in (*UNITS[:50], None))


def test_outside_shadow_the_router_always_names_the_variant():
    """The endpoint's own weights must never decide for a routed unit."""
    for published in (IDLE, document(), document(enrolled=0.1), document(share=0.75)):
        assert all(assign(published, unit).target for unit in (*UNITS[:50], None))


def test_the_arm_decides_the_variant():
    for unit in UNITS[:1000]:
        assigned = assign(document(), unit)
        expected = CANDIDATE if assigned.arm == "treatment" else CHAMPION
        assert assigned == Assigned(expected, "churn-v3", assigned.arm, target=True)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"enrolled": 0.1}, 0.05),
        ({"enrolled": 1.0}, 0.5),
        ({"enrolled": 1.0, "split": 0.2}, 0.2),
        ({"share": 0.95}, 0.95),
        ({"candidate": None}, 0.0),
    ],
)
def test_exposure_is_the_share_that_the_candidate_answers(fields, expected):
    assert document(**fields).exposure == pytest.approx(expected)


def test_exposure_is_what_happens():
    for published in (document(enrolled=0.1), document(), document(share=0.75)):
        served = sum(assign(published, unit).variant == CANDIDATE for unit in UNITS)
        expected = [published.exposure * len(UNITS), (1 - published.exposure) * len(UNITS)]
        assert chisquare([served, len(UNITS) - served], expected).pvalue > UNLIKELY


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"rollout": None}, "needs the rollout"),
        ({"share": 0.4}, "would take units back"),
        ({"split": 0.0}, "greater than 0"),
        ({"split": 1.0}, "less than 1"),
        ({"enrolled": 1.1}, "less than or equal to 1"),
        ({"epoch": -1}, "greater than or equal to 0"),
        ({"weight": 0.1}, "Extra inputs"),
        ({"document": "staged-rollout/assignment/2"}, "Input should be"),
    ],
)
def test_a_document_that_makes_no_sense_is_refused(fields, message):
    with pytest.raises(ValidationError, match=message):
        document(**fields)


def test_a_document_survives_its_json():
    published = document(share=0.75)
    assert AssignmentDocument.model_validate_json(published.model_dump_json()) == published


def test_epoch_and_time_are_not_content():
    later = document(epoch=8, published_at=datetime(2026, 3, 3, tzinfo=UTC))
    assert document().same_content(later)
    assert not document().same_content(document(enrolled=0.5))


def test_a_request_id_is_one_for_the_same_call_and_fits_an_inference_id():
    same = {request_id("churn-v3", "u1", "n1") for _ in range(3)}
    others = {request_id(*call) for call in [("x", "u1", "n1"), ("churn-v3", "u2", "n1"), ("churn-v3", "u1", "n2")]}
    assert len(same) == 1
    assert len(same | others) == 4
    assert all(len(found) == 32 and int(found, 16) >= 0 for found in same | others)


def test_the_parts_of_a_request_id_do_not_run_into_each_other():
    assert request_id("a", "bc", "d") != request_id("a", "b", "cd")

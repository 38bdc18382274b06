from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from staged_rollout.spec.environment import load_environment
from staged_rollout.spec.load import load_rollout
from staged_rollout.spec.looks import Looks
from staged_rollout.spec.model import (
    DecideWin,
    FreezeWindow,
    Live,
    Margin,
    RolloutSpec,
    Split,
    canonical_json,
    spec_hash,
)
from staged_rollout.spec.plan import planned_units

CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.fixture(name="churn")
def _churn():
    return load_rollout(CONFIGS / "rollouts" / "churn.yaml", environment=load_environment("demo", CONFIGS))


def days(*counts):
    return tuple(timedelta(days=count) for count in counts)


def test_churn_as_it_resolves(churn):
    assert churn.stages.live.split.candidate == 0.5
    assert churn.stages.canary[0].for_ == timedelta(days=1)
    assert churn.stages.promote[1].for_ is None
    assert churn.success.mde == Margin(value=0.05, kind="absolute")
    assert churn.guardrails["latency_p95"].action == "watch"
    assert (timedelta(hours=36), timedelta(hours=30)) == (churn.blind_after, churn.capture_delay)
    assert churn.success.baseline is None


def test_the_ledgers_form_is_stable(churn):
    """A change of this hash changes what every stored spec hashes to: it needs a new version of the event."""
    stored = json.loads(canonical_json(churn))
    assert churn == RolloutSpec.model_validate(stored)
    assert stored["stages"]["shadow"] == {"agreement": 0.7, "for": "2d", "min_requests": 500, "sample": 1.0}
    assert stored["stages"]["live"]["looks"] == {"at": [], "every": "1d"}
    assert spec_hash(churn) == "1ad8f80a3dc2006f31af9afe121832aff241ef9208dde28bc8c19e12ae2e6c49"


def test_editing_anything_changes_the_hash(churn):
    assert spec_hash(churn) != spec_hash(churn.model_copy(update={"min_units": 51}))


def test_a_spec_cannot_change(churn):
    with pytest.raises(ValidationError, match="frozen"):
        churn.owner = "somebody"


def test_unknown_keys_are_refused(churn):
    stored = json.loads(canonical_json(churn)) | {"surprise": 1}
    with pytest.raises(ValidationError, match="surprise"):
        RolloutSpec.model_validate(stored)


def test_planned_looks(churn):
    assert days(8, 9, 10, 11, 12, 13, 14, 15) == churn.look_slots()
    assert days(*range(2, 16)) == churn.harm_slots()


@pytest.mark.parametrize(
    ("looks", "expected"),
    [
        (Looks(every=timedelta(days=7)), days(8, 15)),
        (Looks(every=timedelta(days=4)), days(8, 12, 15)),
        (Looks(every=timedelta(days=30)), days(8, 15)),
        (Looks(at=days(7, 10, 14)), days(8, 11, 15)),
        (Looks(at=days(9)), days(10, 15)),
    ],
)
def test_slots_of_each_plan(looks, expected):
    assert expected == looks.slots(timedelta(days=14), timedelta(days=1), timedelta(days=7))


def test_a_live_stage_of_hours_has_one_look_and_one_harm_slot():
    looks = Looks(every=timedelta(days=1))
    hours = timedelta(hours=6)
    assert (hours,) == looks.slots(hours, timedelta(0), hours)
    assert (hours,) == looks.harm_slots(hours, timedelta(0))


@pytest.mark.parametrize("given", [{}, {"every": "1d", "at": ["7d"]}, {"every": "0d"}, {"at": ["7d", "7d"]}])
def test_looks_are_one_plan(given):
    with pytest.raises(ValidationError):
        Looks.model_validate(given)


def test_margins_in_the_metrics_units():
    assert Margin(value=0.05, kind="absolute").absolute(0.8) == 0.05
    assert Margin(value=0.05, kind="relative").absolute(0.8) == pytest.approx(0.04)
    assert Margin(value=50, kind="ms").absolute(120.0) == 50


def test_a_freeze_window_includes_both_days():
    window = FreezeWindow(start=date(2026, 12, 20), end=date(2027, 1, 3))
    assert not window.covers(datetime(2026, 12, 19, 23, 59, 59, tzinfo=UTC))
    assert window.covers(datetime(2026, 12, 20, tzinfo=UTC))
    assert window.covers(datetime(2027, 1, 3, 23, 59, 59, tzinfo=UTC))
    assert not window.covers(datetime(2027, 1, 4, tzinfo=UTC))
    with pytest.raises(ValueError, match="time zone"):
        window.covers(datetime(2027, 1, 1, tzinfo=UTC).replace(tzinfo=None))


def test_a_split_sums_to_one():
    with pytest.raises(ValidationError, match="sum to 1"):
        Live(split=Split(0.5, 0.6))


def test_a_question_has_somebody_to_answer_it():
    with pytest.raises(ValidationError, match="who and within"):
        DecideWin(action="ask", who="growth-ml")
    with pytest.raises(ValidationError, match="who and within"):
        DecideWin(action="promote", who="growth-ml", within=timedelta(days=1))


def test_planned_units_are_the_fixed_sample_and_a_tenth():
    # References: statsmodels samplesize_proportions_2indep_onetail, 0.10 -> 0.12, one-sided 0.025, power 0.8: 7681.69
    units = planned_units(
        baseline=0.1,
        mde=Margin(value=0.02, kind="absolute"),
        better="higher",
        alpha=0.025,
        power=0.8,
        split=Split(0.5, 0.5),
    )
    assert units == pytest.approx(7681.69496487255 * 1.1, rel=1e-9)


def test_a_plan_beyond_a_rate_has_no_size():
    sizes = {"mde": Margin(value=0.2, kind="absolute"), "alpha": 0.025, "power": 0.8, "split": Split(0.5, 0.5)}
    assert planned_units(baseline=0.9, better="higher", **sizes) is None
    assert planned_units(baseline=0.1, better="lower", **sizes) is None
    assert planned_units(baseline=0.9, better="lower", **sizes) is not None

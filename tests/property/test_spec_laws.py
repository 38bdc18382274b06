from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from staged_rollout.spec.environment import EnvironmentSpec
from staged_rollout.spec.lint import lint_rollout
from staged_rollout.spec.looks import Looks
from staged_rollout.spec.model import (
    Bake,
    Budget,
    CanaryStep,
    DecideRules,
    DecideWin,
    FreezeWindow,
    Guardrail,
    Live,
    Margin,
    PromoteStep,
    RolloutSpec,
    Shadow,
    Split,
    Stages,
    Success,
    Traffic,
    canonical_json,
    spec_hash,
)

CHURN = Path(__file__).parents[2] / "configs" / "rollouts" / "churn.yaml"
LOCAL = EnvironmentSpec(name="local", local=True)

MOMENTS = [datetime(year, 1, 1, tzinfo=UTC).replace(tzinfo=None) for year in (1000, 9000)]

shares = st.floats(0, 1)
durations = st.integers(1, 90 * 86400).map(lambda seconds: timedelta(seconds=seconds))
names = st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9-]{0,20}\Z")
margins = st.builds(Margin, value=st.floats(1e-6, 1e6), kind=st.sampled_from(["relative", "absolute", "ms"]))
day_lists = st.lists(st.integers(1, 90), min_size=1, max_size=8, unique=True).map(sorted)
looks = st.one_of(
    durations.map(lambda every: Looks(every=every)),
    day_lists.map(lambda days: Looks(at=tuple(timedelta(days=day) for day in days))),
)
spendings = st.sampled_from(["obrien-fleming", "pocock", "power:0.5", "power:3", "hsd:-4", "hsd:0", "hsd:1.25"])
splits = st.floats(0.01, 0.99).map(lambda candidate: Split(1 - candidate, candidate))
windows = st.lists(st.dates(), min_size=2, max_size=2).map(lambda days: FreezeWindow(start=min(days), end=max(days)))
wins = st.one_of(st.just(DecideWin()), st.builds(DecideWin, action=st.just("ask"), who=names, within=durations))
specs = st.builds(
    RolloutSpec,
    rollout=names,
    hypothesis=st.text(),
    owner=names,
    endpoint=names,
    registry=names,
    unit=names,
    stages=st.builds(
        Stages,
        shadow=st.builds(Shadow, sample=shares, for_=durations, min_requests=st.integers(1, 10**9), agreement=shares),
        canary=st.lists(st.builds(CanaryStep, share=shares, for_=durations), min_size=1, max_size=3).map(tuple),
        live=st.builds(Live, split=splits, looks=looks, min=durations, max=durations),
        promote=st.lists(st.builds(PromoteStep, share=shares, for_=st.none() | durations), min_size=1, max_size=3).map(
            tuple
        ),
        bake=st.builds(Bake, for_=durations, holdback=shares),
    ),
    traffic=st.builds(Traffic, units_per_day=st.integers(1, 10**9)),
    success=st.one_of(
        st.fixed_dictionaries({"mde": margins}), st.fixed_dictionaries({"better_or_equal": margins})
    ).flatmap(
        lambda claim: st.builds(
            Success,
            metric=names,
            better=st.sampled_from(["higher", "lower"]),
            alpha=st.floats(1e-9, 0.49),
            power=st.floats(0.01, 0.99),
            futility=st.none() | spendings,
            reestimate=st.none() | st.just("blinded"),
            matures_after=durations,
            baseline=st.none() | shares,
            **{name: st.just(value) for name, value in claim.items()},
        )
    ),
    guardrails=st.dictionaries(
        names, st.builds(Guardrail, worse_by=margins, action=st.sampled_from(["roll_back", "watch"])), max_size=3
    ),
    signals=st.lists(names, max_size=2).map(tuple),
    segments=st.lists(names, max_size=2).map(tuple),
    decide=st.builds(DecideRules, win=wins),
    budget=st.builds(Budget, max_usd=st.none() | st.floats(0.01, 1e9)),
    freeze=st.lists(windows, max_size=2).map(tuple),
    notify=st.none() | names,
    capture_delay=durations,
    blind_after=durations,
    on_newer=st.sampled_from(["queue", "supersede"]),
)


@settings(deadline=None)
@given(specs)
def test_a_resolved_spec_survives_the_ledger(spec):
    """Canonical JSON validates back to the same spec, and then has the same bytes and hash."""
    back = RolloutSpec.model_validate(json.loads(canonical_json(spec)))
    assert spec == back
    assert canonical_json(spec) == canonical_json(back)
    assert spec_hash(spec) == spec_hash(back)


@given(looks, st.integers(1, 60), st.integers(0, 60), st.integers(0, 10))
def test_looks_rise_and_end_when_the_last_labels_are_in(plan, least, longer, matures):
    """Slots rise strictly, none comes before min + matures_after, and the last is max + matures_after."""
    if plan.every is not None and plan.every < timedelta(hours=6):
        plan = Looks(every=timedelta(hours=6))
    live_min, matures_after = timedelta(days=least), timedelta(days=matures)
    live_max = live_min + timedelta(days=longer)
    slots = plan.slots(live_max, matures_after, live_min)
    assert list(slots) == sorted(set(slots))
    assert slots[0] >= live_min + matures_after
    assert slots[-1] == live_max + matures_after


@given(looks, st.integers(1, 90 * 24), st.integers(0, 10))
def test_harm_is_tested_once_for_every_closed_day(plan, hours, matures):
    """One harm slot per day of enrolment, a part of a day counting as one, whatever the efficacy looks."""
    live_max, matures_after = timedelta(hours=hours), timedelta(days=matures)
    slots = plan.harm_slots(live_max, matures_after)
    assert list(slots) == sorted(set(slots))
    assert len(slots) == -(-hours // 24)
    assert slots[0] == matures_after + min(timedelta(days=1), live_max)
    assert slots[-1] == live_max + matures_after


@given(windows, st.datetimes(min_value=MOMENTS[0], max_value=MOMENTS[1], timezones=st.just(UTC)), st.integers(-14, 14))
def test_a_freeze_window_covers_days_of_utc(window, moment, hours):
    """Whether a moment is frozen depends on its UTC date alone, not on the zone that it is told in."""
    elsewhere = moment.astimezone(timezone(timedelta(hours=hours)))
    assert (window.start <= moment.date() <= window.end) is window.covers(elsewhere)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_lint_is_total_on_a_damaged_file(data, tmp_path_factory):
    """Whatever stands at any key, lint answers with findings and never with another error."""
    content = yaml.safe_load(CHURN.read_text(encoding="utf-8"))
    junk = st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.floats() | st.just(date(2026, 1, 1)),
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
        max_leaves=4,
    )
    for _ in range(data.draw(st.integers(1, 3))):
        place = content
        while True:
            key = data.draw(st.sampled_from(sorted(place)))
            if not (isinstance(place[key], dict) and place[key] and data.draw(st.booleans())):
                break
            place = place[key]
            if not all(isinstance(name, str) for name in place):
                break
        if data.draw(st.booleans()):
            place[key] = data.draw(junk)
        else:
            del place[key]
            break
    path = tmp_path_factory.getbasetemp() / "churn.yaml"
    path.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    lines = len(path.read_text(encoding="utf-8").splitlines())
    for finding in lint_rollout(path, LOCAL):
        assert 1 <= finding.line <= max(lines, 1)
        assert finding.problem
        assert finding.accepts

"""Laws of assignment, for any rollout, unit and course of shares."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from staged_rollout.assignment import AssignmentDocument, VariantRef, arm_of, assign, position, request_id

CHAMPION = VariantRef(name="v2", version="2")
CANDIDATE = VariantRef(name="v3", version="3")
AT = datetime(2026, 3, 2, tzinfo=UTC)

units = st.text(min_size=1, max_size=40)
populations = st.lists(units, min_size=1, max_size=60, unique=True)
rollouts = st.from_regex(r"[a-z]{1,10}-v[1-9][0-9]?", fullmatch=True)
shares = st.floats(0.0, 1.0)
splits = st.floats(0.01, 0.99)


def document(rollout: str, split: float, enrolled: float = 1.0, share: float = 0.0, **more: Any) -> AssignmentDocument:
    return AssignmentDocument(
        endpoint="e",
        rollout=rollout,
        stage="live",
        champion=more.pop("champion", CHAMPION),
        candidate=more.pop("candidate", CANDIDATE),
        split=split,
        enrolled=enrolled,
        share=share,
        published_at=AT,
        epoch=more.pop("epoch", 1),
    )


def course(rollout: str, split: float, ramp: list[float], promotion: list[float]) -> list[AssignmentDocument]:
    """A rollout that never rolls back: the enrolled share grows, is whole, then the candidate's share grows."""
    grown = [document(rollout, split, enrolled=enrolled, epoch=n) for n, enrolled in enumerate(sorted(ramp))]
    live = document(rollout, split, epoch=len(grown))
    moved = [
        document(rollout, split, share=max(share, split), epoch=len(grown) + 1 + n)
        for n, share in enumerate(sorted(promotion))
    ]
    return [*grown, live, *moved]


courses = st.builds(
    course, rollouts, splits, st.lists(shares, min_size=1, max_size=5), st.lists(shares, min_size=1, max_size=4)
)


@given(rollout=rollouts, split=splits, enrolled=shares, unit=units)
def test_assignment_is_sticky(rollout, split, enrolled, unit):
    """The same document and unit give the same answer, whatever the epoch and the time of publication."""
    first = document(rollout, split, enrolled)
    again = document(rollout, split, enrolled, epoch=99)
    assert assign(first, unit) == assign(again, unit)


@given(published=courses, unit=units)
def test_invariant_05_nobody_changes_arm_while_the_rollout_runs(published, unit):
    """The split of LIVE is that of the canary and of promotion: a counted unit's arm is one and the same."""
    arms = {assigned.arm for assigned in (assign(each, unit) for each in published)} - {None}
    assert arms == {arm_of(published[0], unit)}


@given(published=courses, unit=units)
def test_a_unit_that_is_counted_stays_counted(published, unit):
    """A ramp only adds units: enrolment is monotone in the enrolled share, and kept while promoting."""
    counted = [assign(each, unit).rollout is not None for each in published]
    assert counted == sorted(counted)


@given(published=courses, unit=units)
def test_nobody_on_the_candidate_goes_back(published, unit):
    """Forward moves never take a unit from the candidate to the champion, also when the control arm moves over."""
    on_candidate = [assign(each, unit).variant == CANDIDATE for each in published]
    assert on_candidate == sorted(on_candidate)


@given(published=courses, unit=units)
def test_counted_units_keep_their_variant_until_promotion(published, unit):
    """Before promotion a counted unit's variant is its arm's: a bigger canary pushes nobody over."""
    for each in published:
        assigned = assign(each, unit)
        if assigned.arm is not None and not each.share:
            assert assigned.variant == (CANDIDATE if assigned.arm == "treatment" else CHAMPION)


@given(population=populations, rollout=rollouts, split=splits, low=shares, high=shares)
def test_a_bigger_share_enrols_a_superset(population, rollout, split, low, high):
    """The enrolled units of a smaller share are among those of a larger one, and all are enrolled at 1."""
    low, high = sorted((low, high))

    def enrolled(share: float) -> set[str]:
        return {unit for unit in population if assign(document(rollout, split, share), unit).rollout}

    assert enrolled(low) <= enrolled(high)
    assert enrolled(1.0) == set(population)
    assert enrolled(0.0) == set()


@given(rollout=rollouts, split=splits, enrolled=shares, unit=units)
def test_swapping_the_variants_mirrors_the_answer(rollout, split, enrolled, unit):
    """Names decide nothing: exchanging champion and candidate exchanges the answers of counted units, and no arm."""
    straight = assign(document(rollout, split, enrolled), unit)
    swapped = assign(document(rollout, split, enrolled, champion=CANDIDATE, candidate=CHAMPION), unit)
    assert straight.arm == swapped.arm
    if straight.arm is None:
        assert (straight.variant, swapped.variant) == (CHAMPION, CANDIDATE)
    else:
        assert {straight.variant, swapped.variant} == {CHAMPION, CANDIDATE}


@given(published=courses, missing=st.sampled_from([None, ""]))
def test_without_a_unit_the_champion_answers_and_nobody_counts(published, missing):
    """A missing id never reaches the candidate and never enters a statistic, at any share."""
    for each in published:
        assigned = assign(each, missing)
        assert (assigned.variant, assigned.rollout, assigned.arm) == (CHAMPION, None, None)


@given(salt=st.text(max_size=20), unit=st.text(st.characters(exclude_categories=()), max_size=40))
def test_a_position_is_exact_and_below_one_for_any_text(salt, unit):
    """Positions are multiples of 2**-53, so none rounds up to 1.0, which no share enrols; any text has one."""
    found = position(salt, unit)
    assert 0.0 <= found < 1.0
    assert (found * 2**53).is_integer()
    assert len(request_id(salt, unit, "1")) == 32


@given(rollout=rollouts, unit=units)
def test_the_two_hashes_are_salted_apart(rollout, unit):
    """Arm and enrolment never read the same hash."""
    published = document(rollout, 0.5)
    assert published.arm_salt != published.enrol_salt
    assert position(published.arm_salt, unit) != position(published.enrol_salt, unit)


@given(rollout=rollouts, enrolled=st.lists(shares, min_size=2, max_size=5), split=splits)
def test_exposure_grows_with_the_enrolled_share(rollout, enrolled, split):
    """Exposure is a share in [0, split] that orders documents as their enrolled shares do."""
    exposures = [document(rollout, split, share).exposure for share in sorted(enrolled)]
    assert all(0.0 <= low <= high <= split for low, high in pairwise(exposures))

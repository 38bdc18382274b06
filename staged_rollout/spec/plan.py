"""Whether the traffic can carry the test that a rollout file plans."""

from __future__ import annotations

from datetime import timedelta
from math import ceil

from staged_rollout.spec.draft import Draft
from staged_rollout.spec.values import Margin, Split

INFLATION = 1.1
"""What interim looks cost, as a factor on the fixed sample: a round upper figure for O'Brien-Fleming designs. The exact
factor is frozen with the information plan as LIVE is entered."""

WORST_RATE = 0.5
"""The rate at which an absolute difference needs most units; taken where no baseline is given."""

_DAY = timedelta(days=1)


def planned_units(
    *, baseline: float, mde: Margin, better: str, alpha: float, power: float, split: Split
) -> float | None:
    """Units that the test needs, both variants together.

    Args:
        baseline: The champion's rate.
        mde: The smallest difference worth finding.
        better: `higher` or `lower`.
        alpha: Type-I error, per side.
        power: Chance to find `mde`.
        split: Champion and candidate.

    Returns:
        The fixed sample of two proportions times `INFLATION`; None if a rate lies outside (0, 1), or they are equal.
    """
    difference = mde.absolute(baseline)
    candidate = baseline + (difference if better == "higher" else -difference)
    if not 0 < candidate < 1 or not 0 < baseline < 1 or candidate == baseline:
        return None
    from staged_rollout.stats.planning import two_proportions_units

    fixed = two_proportions_units(baseline, candidate, alpha, power, ratio=split.candidate / split.champion)
    return float(fixed) * INFLATION


def check_plan(draft: Draft) -> None:
    """Add a finding if the planned size lies beyond the expected traffic, or cannot be told."""
    mde, measured = draft["success.mde"], draft["success.baseline"]
    if measured is None and mde.kind == "relative":
        draft.add(
            "success.baseline",
            "is not known before LIVE, so a relative mde gives no planned size yet",
            "the champion's rate, such as 86%",
            severity="warning",
        )
        return
    baseline = WORST_RATE if measured is None else measured
    units = planned_units(
        baseline=baseline,
        mde=mde,
        better=draft["success.better"],
        alpha=draft["success.alpha"],
        power=draft["success.power"],
        split=draft["stages.live.split"],
    )
    if units is None:
        better = draft["success.better"]
        draft.add(
            "success.mde",
            f"{better} than a baseline of {baseline:.1%} is no rate",
            "a visible difference that stays within 0% to 100%",
        )
        return
    a_day, longest = draft["traffic.units_per_day"], draft["stages.live.max"]
    expected = a_day * (longest / _DAY)
    if units > expected:
        enough, longer = ceil(units / (longest / _DAY)), ceil(units / a_day)
        at = f"baseline {baseline:.1%}" if measured is not None else "no baseline given, so the worst case 50%"
        draft.add(
            "traffic.units_per_day",
            f"brings {expected:,.0f} units in live.max, and the test needs {units:,.0f} ({at}): an impossible plan",
            f"at least {enough:,} units a day, live.max of {longer:,}d, or a larger mde",
        )

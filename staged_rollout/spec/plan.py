"""Whether the traffic can carry the test that a rollout file plans."""

from __future__ import annotations

from datetime import timedelta
from math import ceil

from staged_rollout.spec.draft import Draft
from staged_rollout.spec.looks import Looks
from staged_rollout.spec.metric_rules import declared_metric
from staged_rollout.spec.values import Margin, Split

INFLATION = 1.1
"""What interim looks cost, as a factor on the fixed sample: a round upper figure for O'Brien-Fleming designs. The exact
factor is frozen with the information plan as LIVE is entered."""

MOST_FRACTIONS = 20
"""Looks by which their cost is told in lint; all of them count when the plan is frozen."""

WORST_RATE = 0.5
"""The rate at which an absolute difference needs most units; taken where no baseline is given."""

_DAY = timedelta(days=1)


def planned_units(
    *,
    baseline: float,
    mde: Margin | None,
    better_or_equal: Margin | None = None,
    better: str,
    alpha: float,
    power: float,
    split: Split,
    inflation: float = INFLATION,
) -> float | None:
    """Units that the test needs, both variants together.

    Args:
        baseline: The champion's rate.
        mde: The smallest difference worth finding.
        better_or_equal: The largest tolerated worsening, where it takes the place of `mde`: the candidate is then
            planned to be as good as the champion.
        better: `higher` or `lower`.
        alpha: Type-I error, per side.
        power: Chance to find `mde`, or to be shown no worse.
        split: Champion and candidate.
        inflation: What interim looks cost, as a factor on the fixed sample.

    Returns:
        The fixed sample of two proportions times `inflation`; None if a rate lies outside (0, 1), or they are equal.
    """
    sign = 1.0 if better == "higher" else -1.0
    effect = mde.absolute(baseline) if mde is not None else 0.0
    margin = better_or_equal.absolute(baseline) if better_or_equal is not None else 0.0
    candidate, null = baseline + sign * effect, baseline - sign * margin
    if not all(0 < rate < 1 for rate in (baseline, candidate, null)) or candidate == null:
        return None
    from staged_rollout.stats.planning import two_proportions_units

    ratio = split.candidate / split.champion
    fixed = two_proportions_units(baseline, candidate, alpha, power, ratio, delta0=null - baseline)
    return float(fixed) * inflation


def planned_mean_units(
    *,
    sd: float,
    effect: float,
    margin: float = 0.0,
    alpha: float,
    power: float,
    split: Split,
    inflation: float = INFLATION,
) -> float:
    """Units that a test of a mean or a ratio needs, both variants together.

    Args:
        sd: Standard deviation of one unit's value, in the metric's unit.
        effect: Smallest improvement worth finding, in the same unit; 0 with a margin.
        margin: Largest tolerated worsening, in the same unit; 0 without.
        alpha: Type-I error, per side.
        power: Chance to find `effect`, or to be shown no worse.
        split: Champion and candidate.
        inflation: What interim looks cost, as a factor on the fixed sample.
    """
    from staged_rollout.stats.planning import two_means_units

    fixed = two_means_units(sd, effect, alpha, power, split.candidate / split.champion, delta0=-margin)
    return float(fixed) * inflation


def looks_inflation(
    looks: Looks,
    live_max: timedelta,
    matures_after: timedelta,
    live_min: timedelta,
    *,
    alpha: float,
    beta: float,
    futility: str | None,
) -> float:
    """What the planned looks cost, as a factor on the fixed sample: at least `INFLATION`, more with much futility.

    Args:
        looks: The plan of looks.
        live_max: When enrolment ends.
        matures_after: From a unit's first exposure to its outcome.
        live_min: Enrolment before the first efficacy look.
        alpha: Type-I error, per side.
        beta: What futility spends, 1 - power.
        futility: How; None: nothing is spent.
    """
    if futility is None:
        return INFLATION
    from staged_rollout.stats import Spending, design

    slots = looks.slots(live_max, matures_after, live_min)
    # From the end backwards, so that the last one stays: more looks than so many hardly cost anything further.
    some = slots[:: -ceil(len(slots) / MOST_FRACTIONS)][::-1]
    fractions = [slot / slots[-1] for slot in some]
    found = design(fractions, Spending("obrien-fleming", alpha), futility=Spending.parse(futility, beta))
    return max(INFLATION, (found.inflation or 1.0) / found.information[-1])


def check_plan(draft: Draft) -> None:
    """Add a finding if the planned size lies beyond the expected traffic, or cannot be told."""
    mde, margin, measured = draft["success.mde"], draft["success.better_or_equal"], draft["success.baseline"]
    key = "success.mde" if margin is None else "success.better_or_equal"
    name = key.rpartition(".")[2]
    distance = mde or margin
    alpha, power, futility = draft["success.alpha"], draft["success.power"], draft["success.futility"]
    if power <= alpha:
        draft.add("success.power", f"is not above alpha ({alpha:g})", "a number such as 0.8")
        return
    if futility is not None and power <= 0.5:
        problem = (
            f"spends 1 - power, which is {1 - power:g}: a candidate as planned would be given up more often than not"
        )
        draft.add("success.futility", problem, "none, or a power above 0.5")
        return
    metric = declared_metric(draft)
    of_means = metric is not None and metric.kind != "rate"
    if measured is None and distance.kind == "relative":
        draft.add(
            "success.baseline",
            f"is not known before LIVE, so a relative {name} gives no planned size yet",
            "the champion's value, such as 12.5" if of_means else "the champion's rate, such as 86%",
            severity="warning",
        )
        return
    if of_means and draft["success.sd"] is None:
        problem = "is not known before LIVE, so there is no planned size yet"
        accepts = "the standard deviation of one unit's value, such as 25"
        draft.add("success.sd", problem, accepts, severity="warning")
        return
    baseline = WORST_RATE if measured is None else measured
    unsound = any(finding.key.startswith("stages.live.") for finding in draft.findings)
    factor = looks_inflation(
        draft["stages.live.looks"],
        draft["stages.live.max"],
        draft["success.matures_after"],
        draft["stages.live.min"],
        alpha=alpha,
        beta=1 - power,
        futility=None if unsound else futility,
    )
    units: float | None
    if of_means:
        if distance.kind == "relative" and not measured:
            draft.add("success.baseline", f"is 0, and a share of it is no {name}", f"a {name} as a number")
            return
        apart = distance.absolute(abs(measured or 0.0))
        units = planned_mean_units(
            sd=draft["success.sd"],
            effect=0.0 if mde is None else apart,
            margin=0.0 if margin is None else apart,
            alpha=alpha,
            power=power,
            split=draft["stages.live.split"],
            inflation=factor,
        )
    else:
        units = planned_units(
            baseline=baseline,
            mde=mde,
            better_or_equal=margin,
            better=draft["success.better"],
            alpha=alpha,
            power=power,
            split=draft["stages.live.split"],
            inflation=factor,
        )
    if units is None:
        better = draft["success.better"] if margin is None else "worse"
        draft.add(
            key,
            f"{better} than a baseline of {baseline:.1%} is no rate",
            "a visible difference that stays within 0% to 100%",
        )
        return
    a_day, longest = draft["traffic.units_per_day"], draft["stages.live.max"]
    expected = a_day * (longest / _DAY)
    if units > expected:
        enough, longer = ceil(units / (longest / _DAY)), ceil(units / a_day)
        at = f"baseline {baseline:.1%}" if measured is not None else "no baseline given, so the worst case 50%"
        if of_means:
            at = f"standard deviation {draft['success.sd']:g} a unit"
        larger = "mde" if margin is None else "margin"
        draft.add(
            "traffic.units_per_day",
            f"brings {expected:,.0f} units in live.max, and the test needs {units:,.0f} ({at}): an impossible plan",
            f"at least {enough:,} units a day, live.max of {longer:,}d, or a larger {larger}",
        )

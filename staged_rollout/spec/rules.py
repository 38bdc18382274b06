"""What must hold between the values of a rollout file, beyond what each may be.

A rule reads values from the draft and adds findings. A value that could not be read ends its rule, never the others.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from itertools import pairwise
from math import ceil
from pathlib import Path

from staged_rollout.spec.draft import Draft, UnreadError
from staged_rollout.spec.grammar import render_duration, render_share
from staged_rollout.spec.keys import BY_PATH
from staged_rollout.spec.looks import Looks
from staged_rollout.spec.metric_rules import metric_is_known, success_fits_metric
from staged_rollout.spec.metrics import CORRECT, SUCCESS_METRICS
from staged_rollout.spec.model import CanaryStep, PromoteStep
from staged_rollout.spec.plan import check_plan

_DAY = timedelta(days=1)
_WEEK = timedelta(days=7)
LONGEST_LIVE = timedelta(days=90)
MOST_LOOKS = 500
LEAST_STEP = 1e-4
"""Of the planned information: closer looks are not taken."""
_CLOSE = 1e-9


def apply_rules(draft: Draft) -> None:
    """Judge every rule; findings go into the draft."""
    for rule in RULES:
        with suppress(UnreadError):
            rule(draft)


def _name_of_file(draft: Draft) -> None:
    stem = Path(draft.file).stem
    if draft["rollout"] != stem:
        draft.add("rollout", "is not the file's name", f"{stem}, or the file renamed", severity="warning")


def _unit_of_metric(draft: Draft) -> None:
    if draft["unit"] == "request" and SUCCESS_METRICS.get(draft["success.metric"], CORRECT).per != "request":
        per_request = [name for name, metric in SUCCESS_METRICS.items() if metric.per == "request"]
        draft.add(
            "unit",
            f"is routed per request, while success.metric {draft['success.metric']!r} is per unit: routing "
            "and analysis must have the same unit",
            f"a sticky unit such as customer_id (metrics per request: {', '.join(per_request) or 'none yet'})",
        )


def _one_claim(draft: Draft) -> None:
    mde, margin = draft["success.mde"], draft["success.better_or_equal"]
    if (mde is None) is not (margin is None):
        return
    # What depends on either cannot be judged.
    draft.unread.update(("success.mde", "success.better_or_equal"))
    accepts = f"{BY_PATH['success.mde'].kind.accepts}; or success.better_or_equal in its place"
    if mde is None:
        draft.add("success.mde", "is missing", accepts)
    else:
        problem = f"stands beside mde ({mde}): a test shows a candidate to be better, or to be no worse"
        draft.add("success.better_or_equal", problem, "one of the two")


def _looks_apart(draft: Draft) -> None:
    looks: Looks = draft["stages.live.looks"]
    least, most, matures_after = draft["stages.live.min"], draft["stages.live.max"], draft["success.matures_after"]
    if looks.every is not None and (most - least) / looks.every > MOST_LOOKS:
        return  # said already
    slots = looks.slots(most, matures_after, least)
    close = next((pair for pair in pairwise(slots) if (pair[1] - pair[0]) / slots[-1] < LEAST_STEP), None)
    if close:
        first, second = (render_duration(slot - matures_after) for slot in close)
        shortest = render_duration(timedelta(minutes=ceil(slots[-1] * LEAST_STEP / timedelta(minutes=1))))
        draft.add(
            "stages.live.looks",
            f"has looks at {first} and {second}, closer than {LEAST_STEP:g} of the time to the last one",
            f"looks at least {shortest} apart",
        )


def _interim_looks_are_there(draft: Draft) -> None:
    looks: Looks = draft["stages.live.looks"]
    matures_after, least, most = draft["success.matures_after"], draft["stages.live.min"], draft["stages.live.max"]
    if looks.every is not None and most - least > looks.every:
        return
    if len(looks.slots(most, matures_after, least)) > 1:
        return
    for path in ("success.futility", "success.reestimate"):
        if draft[path] is not None:
            accepts = "none, or looks before the final one"
            draft.add(path, "acts before the final look, and no other is planned", accepts, severity="warning")


def _whole_weeks(draft: Draft) -> None:
    if draft["stages.live.min"] % _WEEK and not draft.environment.local:
        draft.add(
            "stages.live.min",
            f"is not whole weeks, and environment {draft.environment.name!r} is not local",
            "whole weeks (7d, 14d, ...)",
        )


def _live_bounds(draft: Draft) -> None:
    longest = draft["stages.live.max"]
    if longest > LONGEST_LIVE:
        draft.add("stages.live.max", "is longer than 90d", "at most 90d")
    if draft["stages.live.min"] > longest:
        draft.add("stages.live.min", f"is longer than max ({render_duration(longest)})", "at most stages.live.max")


def _looks_within_live(draft: Draft) -> None:
    looks, least, most = draft["stages.live.looks"], draft["stages.live.min"], draft["stages.live.max"]
    bounds = f"{render_duration(least)} to {render_duration(most)}"
    if looks.every is not None and looks.every > most:
        draft.add("stages.live.looks", "is longer than max", f"at most {render_duration(most)}")
    if looks.every is not None and (most - least) / looks.every > MOST_LOOKS:
        draft.add("stages.live.looks", f"plans more than {MOST_LOOKS} looks", "looks further apart")
    if looks.at and looks.at[0] < least:
        draft.add(
            "stages.live.looks",
            f"has a look at {render_duration(looks.at[0])}, before live.min ({render_duration(least)}) has labels",
            f"rising days within {bounds}; each look is taken matures_after later",
        )
    if looks.at and looks.at[-1] != most:
        draft.add(
            "stages.live.looks",
            "does not end with the final look",
            f"rising days that end with {render_duration(most)}",
        )


def _canary_shares(draft: Draft) -> None:
    steps: tuple[CanaryStep, ...] = draft["stages.canary"]
    candidate = draft["stages.live.split"].candidate
    for index, step in enumerate(steps):
        path = f"stages.canary[{index}]"
        shown = render_share(step.share)
        if not step.share or not step.for_:
            draft.add(path, "has no share or no time", "both above 0", value=shown)
        if step.share > candidate + _CLOSE:
            draft.add(
                path,
                f"is above the candidate's part of the split ({render_share(candidate)}), all that can be enrolled",
                f"at most {render_share(candidate)}",
                value=shown,
            )
        if index and step.share <= steps[index - 1].share:
            before = render_share(steps[index - 1].share)
            draft.add(path, f"does not rise above the step before ({before})", f"above {before}", value=shown)


def _canary_units(draft: Draft) -> None:
    units, least = draft["traffic.units_per_day"], draft["min_units"]
    champion, candidate = draft["stages.live.split"]
    smaller = min(1.0, champion / candidate)
    for index, step in enumerate(draft["stages.canary"]):
        expected = units * (step.for_ / _DAY) * step.share * smaller
        if step.share and step.for_ and expected < least:
            days = ceil(step.for_ / _DAY * least / expected)
            longer = f", about {days}d of time" if days <= LONGEST_LIVE.days else ""
            draft.add(
                f"stages.canary[{index}]",
                f"expects {expected:.0f} units in its smaller arm ({units} units a day), below min_units ({least})",
                f"a larger share{longer}, or a lower min_units",
                value=f"{render_share(step.share)} {render_duration(step.for_)}",
            )


def _promote_shares(draft: Draft) -> None:
    steps: tuple[PromoteStep, ...] = draft["stages.promote"]
    before, of_before = draft["stages.live.split"].candidate, "the candidate's part of the split"
    for index, step in enumerate(steps):
        path, shown = f"stages.promote[{index}]", render_share(step.share)
        if step.share <= before + _CLOSE:
            least = render_share(before)
            draft.add(path, f"does not rise above {of_before} ({least})", f"above {least}", value=shown)
        if not step.for_ and index < len(steps) - 1:
            draft.add(path, "has no time to serve", f"a time, such as {shown} 1d", value=shown)
        before, of_before = step.share, "the step before"


def _promote_ends_at_holdback(draft: Draft) -> None:
    steps: tuple[PromoteStep, ...] = draft["stages.promote"]
    holdback = draft["stages.bake.holdback"]
    last = steps[-1].share
    if abs(last + holdback - 1) > _CLOSE:
        due = render_share(round(1 - holdback, 12))
        draft.add(
            f"stages.promote[{len(steps) - 1}]",
            f"leaves {render_share(round(1 - last, 12))} on the champion; the holdback is {render_share(holdback)}",
            due,
            value=render_share(last),
        )


_FULL_DAY = "a first full day of labels is in (matures_after + 1d)"


def _bake_outlasts_labels(draft: Draft) -> None:
    matures_after = draft["success.matures_after"]
    least = matures_after if draft.environment.local else matures_after + _DAY
    if draft["stages.bake.for"] < least:
        labels = "labels are in (matures_after)" if draft.environment.local else _FULL_DAY
        draft.add("stages.bake.for", f"ends before {labels}", f"at least {render_duration(least)}")


def _asked_exist(draft: Draft) -> None:
    who = draft["decide.win"].who
    if who is None or draft.environment.approvers.get(who):
        return
    known = ", ".join(sorted(draft.environment.approvers)) or "none"
    problem = f"asks {who!r}, who has no keys in approvers of environment {draft.environment.name!r}"
    local = draft.environment.local
    draft.add("decide.win", problem, f"a group of approvers ({known})", severity="warning" if local else "error")


def _freeze_in_order(draft: Draft) -> None:
    windows = draft["freeze"]
    for index in range(1, len(windows)):
        if windows[index].start <= windows[index - 1].end:
            draft.add(
                f"freeze[{index}]",
                f"begins before the window above it has ended ({windows[index - 1].end})",
                "windows in order of time that do not overlap",
                value=f"{windows[index].start}/{windows[index].end}",
            )


RULES: tuple[Callable[[Draft], None], ...] = (
    _name_of_file,
    metric_is_known,
    _unit_of_metric,
    _one_claim,
    success_fits_metric,
    _whole_weeks,
    _live_bounds,
    _looks_within_live,
    _looks_apart,
    _interim_looks_are_there,
    _canary_shares,
    _canary_units,
    _promote_shares,
    _promote_ends_at_holdback,
    _bake_outlasts_labels,
    _asked_exist,
    _freeze_in_order,
    check_plan,
)

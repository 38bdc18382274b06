"""The moves that decisions are made of, and the gates that several states share. Every sentence carries its numbers."""

from __future__ import annotations

from datetime import datetime, timedelta

from staged_rollout.evidence import Evidence
from staged_rollout.policy.decision import Action, Decision
from staged_rollout.policy.holds import Hold
from staged_rollout.spec.amounts import difference_text
from staged_rollout.spec.grammar import render_duration
from staged_rollout.state import HoldReason, RolloutState, State


def keep(reason: str, *more: str, flip: tuple[str, ...] = (), holds: tuple[Hold, ...] = ()) -> Decision:
    """Keep the champion: clean up, then end in KEPT_CHAMPION."""
    return Decision(Action.KEEP_CHAMPION, State.ROLLING_BACK, 0, State.KEPT_CHAMPION, (reason, *more), flip, holds)


def roll_back(reason: str, *more: str, flip: tuple[str, ...] = (), holds: tuple[Hold, ...] = ()) -> Decision:
    """Roll back: routers first, then the endpoint, then ROLLED_BACK."""
    return Decision(Action.ROLL_BACK, State.ROLLING_BACK, 0, State.ROLLED_BACK, (reason, *more), flip, holds)


def forward(to: State, reason: str, *more: str, step: int = 0) -> Decision:
    """Move on."""
    return Decision(Action.PROMOTE, to, step, None, (reason, *more))


def stay(reasons: tuple[str, ...], holds: tuple[Hold, ...], flip: tuple[str, ...] = ()) -> Decision:
    """Stay: a hold when something blocks, else continue."""
    if holds:
        held = tuple(f"{reason}: {detail}" for reason, detail in holds)
        return Decision(Action.HOLD, None, 0, None, (*held, *reasons), flip, holds)
    return Decision(Action.CONTINUE, None, 0, None, reasons, flip, ())


def no_answer(reason: str, holds: tuple[Hold, ...], *more: str) -> Decision:
    """No answer keeps the champion; data that cannot be trusted is a rollback."""
    if any(kind in {HoldReason.SRM, HoldReason.QUALITY} for kind, _ in holds):
        return roll_back(reason, *more, holds=holds)
    return keep(reason, *more, holds=holds)


def lasting(time: timedelta) -> str:
    """A duration as the rollout file writes it, whole seconds."""
    return render_duration(timedelta(seconds=max(0, int(time.total_seconds()))))


def served(state: RolloutState, now: datetime) -> timedelta | None:
    """Time in the present stay, counted from the publication of its assignment; None before."""
    return None if state.stage.effective_at is None else now - state.stage.effective_at


def waiting(state: RolloutState, wanted: timedelta | None, now: datetime) -> str | None:
    """Why the stay has not lasted long enough, or None."""
    time = served(state, now)
    if time is None:
        return "waiting for endpoint and routers to take up this stage"
    if wanted is not None and time < wanted:
        return f"served {lasting(time)} of {lasting(wanted)}"
    return None


def quality_shut(evidence: Evidence) -> tuple[str, ...]:
    """Missing data is never a pass: a gate needs a checked day."""
    return ("no event day has been checked yet",) if evidence.quality.day is None else ()


def integrity_shut(evidence: Evidence) -> tuple[str, ...]:
    """As `quality_shut`; once people meet the candidate, a gate needs a sample-ratio test on the same snapshot too."""
    return (*quality_shut(evidence), *(() if evidence.srm else ("the sample ratio has not been tested yet",)))


def margin_of(state: RolloutState) -> str | None:
    """The largest tolerated worsening in words; None where the candidate must be better."""
    margin = state.spec.success.better_or_equal
    if margin is None or margin.kind != "relative" or state.plan is None or state.plan.margin is None:
        return None if margin is None else str(margin)
    absolute = difference_text(state.plan.margin, "share" if state.spec.in_shares else "value").removeprefix("+")
    return f"{margin} of the champion's ({absolute})"


def number(value: float | None) -> str:
    """A z, or that there is none."""
    return "none" if value is None else f"{value:.2f}"

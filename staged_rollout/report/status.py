"""One line per rollout: where it is, what was decided, and how far it is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from staged_rollout.report.figures import days
from staged_rollout.spec.cost import stage_times
from staged_rollout.state import RolloutState, State

_HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class StatusRow:
    """One rollout now.

    Attributes:
        rollout: Its id.
        state: Where it is, by name.
        step: The canary or promote step, from 1; 0 elsewhere.
        steps: Steps of that kind in the plan; 0 elsewhere.
        holds: Reasons that block forward moves.
        settled: Whether it has ended and everything outside is cleaned up.
        verdict: The newest decision in one line; what a person did, when that came later.
        z: Of the last look; None before the first, or when it made no test.
        bound: What that z must reach: the efficacy bound, else the negative harm bound.
        bound_kind: `efficacy`, `harm` or None.
        information: Fraction of the planned information at the last look.
        stage_days_left: Days until this stage has been served, from 0; None when it has no time or has not begun.
        plan_days_left: The same with all stages that follow, if each takes its planned time.
        spent_usd: Taken to be spent so far: hours with two variants at the planned hourly cost.
        budget_usd: The limit; None: no limit.
        updated: The last event's time.
    """

    rollout: str
    state: str
    step: int
    steps: int
    holds: tuple[str, ...]
    settled: bool
    verdict: str
    z: float | None
    bound: float | None
    bound_kind: str | None
    information: float | None
    stage_days_left: float | None
    plan_days_left: float | None
    spent_usd: float
    budget_usd: float | None
    updated: datetime | None

    @property
    def place(self) -> str:
        """State, step and holds in a few words: `CANARY 2/3 held: srm, freeze`."""
        step = f" {self.step}/{self.steps}" if self.step else ""
        held = f" held: {', '.join(self.holds)}" if self.holds else ""
        cleaning = "" if self.settled or not self._ended else " (cleaning up)"
        return f"{self.state}{step}{held}{cleaning}"

    @property
    def test(self) -> str:
        """`z 1.42 < 2.68`, or a dash before the first look."""
        if self.z is None:
            return "-"
        if self.bound is None:
            return f"z {self.z:.2f}"
        if self.bound_kind == "harm":
            return f"z {self.z:.2f} {'<=' if self.z <= self.bound else '>'} {self.bound:.2f}"
        return f"z {self.z:.2f} {'>=' if self.z >= self.bound else '<'} {self.bound:.2f}"

    @property
    def _ended(self) -> bool:
        return self.state in {State.PROMOTED, State.ROLLED_BACK, State.KEPT_CHAMPION, State.CANCELLED}


def status_row(state: RolloutState, now: datetime) -> StatusRow:
    """The line of one rollout.

    Args:
        state: The fold of its ledger.
        now: The clock's time.
    """
    look = state.looks[-1] if state.looks else None
    bound: float | None = None
    kind: str | None = None
    if look is not None and look.efficacy is not None:
        bound, kind = look.efficacy.z, "efficacy"
    elif look is not None and look.harm is not None:
        bound, kind = -look.harm.z, "harm"
    left = stage_left(state, now)
    return StatusRow(
        rollout=state.rollout,
        state=str(state.state),
        step=state.step,
        steps=_steps(state),
        holds=tuple(str(reason) for reason in state.holds),
        settled=state.settled,
        verdict=newest_verdict(state),
        z=look.z if look else None,
        bound=bound,
        bound_kind=kind,
        information=look.information if look else None,
        stage_days_left=days(left),
        plan_days_left=days(plan_left(state, left)),
        spent_usd=spent_usd(state, now),
        budget_usd=state.spec.budget.max_usd,
        updated=state.last_at,
    )


def newest_verdict(state: RolloutState) -> str:
    """The newest decision's headline, or why a person or a failed endpoint moved the rollout after it."""
    newest = state.decisions[-1] if state.decisions else None
    ending = state.terminal or state.state is State.ROLLING_BACK
    explains = newest is not None and (newest.to is state.state or (not ending and newest.at >= state.stage.entered_at))
    if newest is None or not explains:
        return state.reason
    move = f" to {newest.to}" if newest.to else ""
    return f"{newest.action}{move}: {newest.reasons[0]}"


def stage_left(state: RolloutState, now: datetime) -> timedelta | None:
    """Time until the present stage has been served, at least 0; None without a planned time or before it counts."""
    stages = state.spec.stages
    begun = state.stage.effective_at
    wanted: timedelta | None
    match state.state:
        case State.SHADOW:
            wanted = stages.shadow.for_
        case State.CANARY:
            wanted = stages.canary[state.step - 1].for_
        case State.LIVE:
            wanted = state.plan.last if state.plan else stages.live.max + state.spec.success.matures_after
        case State.AWAITING_APPROVAL:
            begun, wanted = state.stage.entered_at, state.spec.decide.win.within
        case State.PROMOTING:
            wanted = stages.promote[state.step - 1].for_
        case State.BAKING:
            wanted = stages.bake.for_
        case _:
            wanted = None
    if wanted is None or begun is None:
        return None
    return max(begun + wanted - now, timedelta())


def plan_left(state: RolloutState, left: timedelta | None) -> timedelta | None:
    """Time until the bake has been served, if every stage takes its planned time; None once the rollout is ending."""
    planned = stage_times(state.spec)
    if state.terminal or state.state is State.ROLLING_BACK:
        return None
    if state.state is State.REGISTERED:
        return sum((time for _, time in planned), timedelta())
    canary = len(state.spec.stages.canary)
    timed = (
        sum(1 for step in state.spec.stages.promote[: state.step] if step.for_) if state.state is State.PROMOTING else 0
    )
    index = {
        State.SHADOW: 0,
        State.CANARY: state.step,
        State.LIVE: canary + 1,
        State.AWAITING_APPROVAL: canary + 1,
        State.PROMOTING: canary + 1 + timed,
        State.BAKING: len(planned) - 1,
    }[state.state]
    own = planned[index][1] if left is None and state.stage.effective_at is None else (left or timedelta())
    return own + sum((time for _, time in planned[index + 1 :]), timedelta())


def spent_usd(state: RolloutState, now: datetime) -> float:
    """US dollars since two variants run, at the forecast's hourly cost; ends with the rollout."""
    begun = state.effective_at(State.SHADOW)
    if begun is None:
        return 0.0
    until = state.stage.entered_at if state.terminal else now
    return max((until - begun) / _HOUR, 0.0) * state.usd_per_hour


def _steps(state: RolloutState) -> int:
    stages = state.spec.stages
    return {State.CANARY: len(stages.canary), State.PROMOTING: len(stages.promote)}.get(state.state, 0)

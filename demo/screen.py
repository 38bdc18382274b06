"""What the demo shows: one line a day, a progress bar, and a final table."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from staged_rollout.state import Event, EventType, RolloutState, State, candidate_share


@dataclass(frozen=True)
class Ending:
    """One rollout as the final table shows it."""

    rollout: str
    version: str
    ending: str
    days: int
    requests: int
    units: str
    figures: str
    bound: str
    reason: str


class Screen:
    """Lines and bars; plain when the output is not a terminal."""

    def __init__(self) -> None:
        self.console = Console(highlight=False, soft_wrap=True)

    def say(self, text: str) -> None:
        """One line."""
        self.console.print(text, markup=False)

    @contextmanager
    def bar(self, total: int) -> Iterator[Progress]:
        """A progress bar for one day's calls; only on a terminal."""
        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
        with Progress(*columns, console=self.console, transient=True, disable=not self.console.is_terminal) as progress:
            progress.add_task("calls", total=total)
            yield progress

    def day(
        self, number: int, day: datetime, served: RolloutState | None, calls: int, now: RolloutState | None
    ) -> None:
        """The live line of one day.

        Args:
            number: From 1.
            day: Midnight at its start.
            served: The rollout as it was while the day's calls were made, or None.
            calls: How many.
            now: The rollout after the night's sweep.
        """
        begin = f"day {number:>2}  {day:%a %d %b}"
        if served is None or now is None or now.rollout != served.rollout:
            self.say(f"{begin}  champion only {calls:>21} calls")
            return
        held = f" HELD {','.join(sorted(now.holds))}" if now.holds else ""
        line = f"{begin}  {served.rollout:<9} {_stage(served):<30} {calls:>4} calls  {_look(served, now)}{held}"
        self.say(line.rstrip())
        if (now.state, now.step) != (served.state, served.step):
            self.say(f"{'':16}-> {_stage(now, shares=False)}: {now.reason}")

    def table(self, endings: list[Ending]) -> None:
        """The final table."""
        table = Table(title="What was decided, and why", show_lines=True, title_justify="left")
        for column in (
            "rollout",
            "ending",
            "days",
            "requests",
            "closed units",
            "right answers",
            "z against bound",
            "reason",
        ):
            table.add_column(column, overflow="fold")
        for ending in endings:
            table.add_row(
                ending.rollout,
                ending.ending,
                str(ending.days),
                f"{ending.requests:,}",
                ending.units,
                ending.figures,
                ending.bound,
                ending.reason,
            )
        # A file or a pipe has no width of its own: wide enough that a reason reads as a sentence.
        wide = Console(highlight=False, width=150)
        (self.console if self.console.is_terminal else wide).print(table)


def _stage(state: RolloutState, *, shares: bool = True) -> str:
    """The state, its step, and the candidate's share of units."""
    label = str(state.state) + (f" {state.step}" if state.step else "")
    if not shares:
        return label
    share = candidate_share(state)
    return f"{label} {share:.0%} candidate" if share else f"{label} candidate unseen"


def _look(before: RolloutState, now: RolloutState) -> str:
    """Z against bound and information of the look that was taken this night, if one was."""
    if len(now.looks) == len(before.looks):
        return ""
    look = now.looks[-1]
    if look.insufficient:
        return f"look {look.slot}: no test, {look.insufficient}"
    bound = look.efficacy or look.harm
    against = "no bound" if bound is None else f"{bound.z:.2f}" if look.efficacy else f"{-bound.z:.2f} (harm)"
    return f"look {look.slot}: z {look.z:+.2f} against {against}, {look.information:.0%} of the information"


def ending_of(state: RolloutState, events: list[Event], requests: int) -> Ending:
    """One row of the final table, from the ledger alone."""
    look = next((e.payload["evidence"]["look"] for e in reversed(events) if e.type is EventType.LOOK_TAKEN), None)
    units = figures = bound = "-"
    if look is not None:
        success = look["success"]
        units = f"{success['n_champion']:,} + {success['n_candidate']:,}"
        if success["n_champion"] and success["n_candidate"]:
            champion = success["x_champion"] / success["n_champion"]
            candidate = success["x_candidate"] / success["n_candidate"]
            figures = f"{champion:.1%} -> {candidate:.1%}"
        if look["efficacy"] is not None:
            bound = f"{success['z']:.2f} against {look['efficacy']['z']:.2f}"
        elif look["harm"] is not None:
            bound = f"{success['z']:.2f} against {-look['harm']['z']:.2f} (harm)"
    won = next(
        (e for e in events if e.type is EventType.STAGE_ENTERED and e.payload["state"] == str(State.PROMOTING)), None
    )
    reason = won.payload["reason"] if won is not None and state.state is State.PROMOTED else state.reason
    began, ended = events[0].at, events[-1].at
    return Ending(
        rollout=state.rollout,
        version=state.candidate.version,
        ending=str(state.state),
        days=(ended - began).days,
        requests=requests,
        units=units,
        figures=figures,
        bound=bound,
        reason=reason,
    )

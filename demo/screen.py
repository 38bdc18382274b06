"""What the demo shows: one line a day, a progress bar, and a final table."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from staged_rollout.state import Event, EventType, RolloutState, State


@dataclass(frozen=True)
class Ending:
    """One rollout as the final table shows it."""

    rollout: str
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

    def day(self, number: int, day: datetime, state: RolloutState | None, calls: int, note: str) -> None:
        """The live line of one day."""
        if state is None:
            self.say(f"day {number:>2}  {day:%a %d %b}  champion only                 {calls:>4} calls")
            return
        label = str(state.state) + (f" {state.step}" if state.step else "")
        held = " HELD " + ",".join(sorted(state.holds)) if state.holds else ""
        self.say(
            f"day {number:>2}  {day:%a %d %b}  {state.rollout:<9} {label:<13}{held} {calls:>4} calls  {_look(state)}  {note}"
        )

    def table(self, endings: list[Ending]) -> None:
        """The final table."""
        table = Table(title="What was decided, and why", show_lines=True, title_justify="left")
        for column in ("rollout", "ending", "days", "requests", "closed units", "right answers", "z against bound", "reason"):
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
        width = max(self.console.width, 140) if not self.console.is_terminal else None
        self.console.print(table, width=width) if width else self.console.print(table)


def _look(state: RolloutState) -> str:
    """z against bound and information of the newest look."""
    if not state.looks:
        return ""
    look = state.looks[-1]
    if look.z is None:
        return f"look {look.slot}: insufficient"
    if look.efficacy is not None:
        against = f"{look.efficacy.z:.2f}"
    else:
        against = f"{-look.harm.z:.2f} (harm)" if look.harm else "none"
    return f"look {look.slot}: z {look.z:+.2f} against {against}, {look.information:.0%} information"


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
    won = next((e for e in events if e.type is EventType.STAGE_ENTERED and e.payload["state"] == str(State.PROMOTING)), None)
    reason = won.payload["reason"] if won is not None and state.state is State.PROMOTED else state.reason
    began, ended = events[0].at, events[-1].at
    return Ending(
        rollout=state.rollout,
        ending=str(state.state),
        days=(ended - began).days,
        requests=requests,
        units=units,
        figures=figures,
        bound=bound,
        reason=reason,
    )

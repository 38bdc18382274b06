"""What a reader can do now, and the one command that does it."""

from __future__ import annotations

import shlex
from datetime import datetime

from staged_rollout.report.figures import moment
from staged_rollout.report.inert import prose
from staged_rollout.report.markdown import command, section
from staged_rollout.state import RolloutState, State


def act(verb: str, rollout: str, who: str = "NAME") -> str:
    """The command line of an act, to be completed with a reason."""
    return f"staged-rollout {verb} {shlex.quote(rollout)} --as {shlex.quote(who)} --reason 'WHY'"


def next_look(state: RolloutState, after: datetime) -> datetime | None:
    """The first planned look after a moment, or None when the plan has no more."""
    began = state.effective_at(State.LIVE)
    if began is None or state.plan is None:
        return None
    return next((began + slot for slot in state.plan.slots if began + slot > after), None)


def next_steps(state: RolloutState, here: State, *, held: bool, paused: bool, after: datetime) -> str:
    """The section that ends every page.

    Args:
        state: The rollout.
        here: The state that the page leaves it in.
        held: Whether forward moves are blocked.
        paused: Whether an operator blocks them.
        after: The page's time.
    """
    sentence, line = advice(state, here, held=held, paused=paused, after=after)
    quoted = shlex.quote(state.rollout)
    more = f"staged-rollout history {quoted}\nstaged-rollout report {quoted} --open"
    return section("Next", prose(sentence), command(line), "Every event, and the whole report:", command(more))


_OVER = frozenset({State.ROLLING_BACK, State.ROLLED_BACK, State.KEPT_CHAMPION, State.CANCELLED})


def advice(state: RolloutState, here: State, *, held: bool, paused: bool, after: datetime) -> tuple[str, str]:
    """What a reader can do now, as plain text, and the command line; for the arguments of `next_steps`."""
    rollout = state.rollout
    history = f"staged-rollout history {shlex.quote(rollout)}"
    due = next_look(state, after) if here is State.LIVE else None
    who = state.spec.decide.win.who or "NAME"
    if here is State.AWAITING_APPROVAL:
        asked = f"{who} approves or rejects this decision; without an answer the champion is kept."
        found = asked, act("approve", rollout, who)
    elif here is State.PROMOTED:
        found = "The candidate is the champion now. Nothing is left to do.", history
    elif here in _OVER:
        found = "Routers serve the champion alone. Nothing is left to decide.", history
    elif here is State.REGISTERED:
        found = "Nothing is served yet. To call it off:", act("cancel", rollout)
    elif paused:
        found = "An operator paused it. To go on:", act("resume", rollout)
    elif held:
        found = "It goes on by itself once every hold has cleared. To stop it now:", act("rollback", rollout)
    else:
        wait = f"The next look is at {moment(due)}." if due else "The next tick goes on."
        found = f"{wait} To stop it now:", act("rollback", rollout)
    return found

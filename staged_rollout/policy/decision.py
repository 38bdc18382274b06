"""What a decision is."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from staged_rollout.state import HoldReason, State


class Action(StrEnum):
    """The five branches of a rollout."""

    PROMOTE = "promote"
    """Move forward to the state named in `to`."""
    CONTINUE = "continue"
    """Stay; nothing is wrong and nothing is due."""
    HOLD = "hold"
    """Stay; forward moves are blocked for the reasons named."""
    ROLL_BACK = "roll back"
    """The candidate did harm, or could not be trusted."""
    KEEP_CHAMPION = "keep champion"
    """The candidate did not win, and did no harm."""


@dataclass(frozen=True)
class Decision:
    """A decision that explains itself with numbers.

    Attributes:
        action: Which branch.
        to: The state to enter, or None to stay.
        step: The step of that state.
        ending: Where ROLLING_BACK leads.
        reasons: Sentences with numbers; the first is the one that decided.
        would_flip: What would have to change for another answer.
        holds: All reasons that block forward moves now, with their details; reasons that are not named are released
            (an operator's pause is released only by the operator).
    """

    action: Action
    to: State | None
    step: int
    ending: State | None
    reasons: tuple[str, ...]
    would_flip: tuple[str, ...] = ()
    holds: tuple[tuple[HoldReason, str], ...] = ()

    @property
    def headline(self) -> str:
        """One line for logs, run names and notifications."""
        moves = self.to is not None and self.action is Action.PROMOTE
        move = f" to {self.to}" + (f" {self.step}" if self.step else "") if moves else ""
        return f"{self.action}{move}: {self.reasons[0]}"

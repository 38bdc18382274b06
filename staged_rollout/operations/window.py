"""What one gathering of evidence may see: a sealed batch, up to a cut-off."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from staged_rollout.ports import Batch, Platform, Rows
from staged_rollout.state import RolloutState


@dataclass(frozen=True)
class Window:
    """What one gathering may see.

    Attributes:
        platform: Where the rollout lives.
        state: The rollout.
        batch: The sealed batch.
        cut_off: No later row or outcome counts.
    """

    platform: Platform
    state: RolloutState
    batch: Batch
    cut_off: datetime

    def ask(self, name: str, epochs: tuple[int, ...], **more: Any) -> Rows:
        """Run one statement over the rows of some epochs of this rollout."""
        state = self.state
        parameters: dict[str, Any] = {
            "endpoint": state.spec.endpoint,
            "rollout": state.rollout,
            "epochs": list(epochs),
            "cut_off": self.cut_off,
            "champion": state.champion.variant,
            "candidate": state.candidate.variant,
            **more,
        }
        return self.platform.lake.query(name, parameters, batch=self.batch)

    @property
    def present(self) -> tuple[int, ...]:
        """The epochs of the present stay."""
        return self.state.epochs_of(self.state.state, self.state.step or None)

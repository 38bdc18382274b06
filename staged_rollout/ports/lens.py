"""A log seen as the log of a rollout that was never run: what analyses look through."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

BEFORE_EPOCH = 1
"""What a lens shows as the epoch of a row from before LIVE."""
LIVE_EPOCH = 2
"""What a lens shows as the epoch of a row of LIVE."""


@dataclass(frozen=True)
class Lens:
    """How rows are shown: only names and epochs change, and rows outside the comparison are left out.

    Of the rollout's rows, those of `live_epochs` from `since` on are LIVE's; all rows before `since` are from before
    LIVE; the others, and those of further variants, are not shown. Rows that the rollout does not count stay, with
    epoch 0 and without a rollout: they tell the endpoint's volume.

    Attributes:
        endpoint: The endpoint as it is to be shown.
        logged_endpoint: The endpoint as it was logged; rows of others are not shown.
        rollout: The rollout as it is to be shown.
        logged_rollout: The rollout as it was logged; None: rows without one.
        variants: Champion and candidate, as they were logged.
        live_epochs: The logged epochs that make up LIVE.
        since: When LIVE begins.
    """

    endpoint: str
    logged_endpoint: str
    rollout: str
    logged_rollout: str | None
    variants: tuple[str, str]
    live_epochs: tuple[int, ...]
    since: datetime

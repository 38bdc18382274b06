"""Events about rollouts, for automations on a Prefect server: hints only, the ledger is the truth."""

from __future__ import annotations

from prefect.events import emit_event
from prefect.settings import get_current_settings

PREFIX = "staged-rollout.rollout."
"""Of a rollout's resource id."""
WATCHED = "staged-rollout.rollout.watched"
ENDED = "staged-rollout.rollout.unexposed"


def tell_watched(rollout: str, *, exposed: bool) -> None:
    """Say that a rollout was watched just now, and whether people meet its candidate. Without a server nobody listens.

    Args:
        rollout: Its id.
        exposed: Whether people meet the candidate.
    """
    if get_current_settings().api.url is None:
        return
    emit_event(
        event=WATCHED if exposed else ENDED,
        resource={"prefect.resource.id": f"{PREFIX}{rollout}", "prefect.resource.name": rollout},
    )

"""Editing the rollout file changes nothing for a running rollout, except owner, notify and freeze."""

from __future__ import annotations

from staged_rollout.errors import StagedRolloutError
from staged_rollout.operations.journal import load, write
from staged_rollout.ports import Platform
from staged_rollout.spec.load import load_rollout
from staged_rollout.spec.locations import find_rollout
from staged_rollout.state import AMENDABLE, Actor, EventType, NewEvent


def amend_from_file(platform: Platform, rollout: str, actor: Actor) -> str:
    """Write what differs between a running rollout and its file in those three keys.

    Returns:
        What happened, in words. A file that is gone or does not lint changes nothing.
    """
    state = load(platform, rollout)
    if state.terminal:
        return "ended"
    try:
        spec = load_rollout(find_rollout(state.spec.rollout), environment=platform.environment)
    except StagedRolloutError as error:
        return f"its file is not followed: {error.message}"
    now, before = spec.model_dump(mode="json"), state.spec.model_dump(mode="json")
    changed = {key: now[key] for key in sorted(AMENDABLE) if now[key] != before[key]}
    if not changed:
        return "unchanged"
    write(platform, state, [NewEvent(EventType.AMENDED, changed)], actor)
    return f"amended {', '.join(changed)}"

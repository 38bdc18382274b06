"""When a task is worth trying again: somebody else was first, or an outside service failed for a moment."""

from __future__ import annotations

from typing import Any

from staged_rollout.errors import ConflictError, PlatformError


async def transient(_task: Any, _run: Any, state: Any) -> bool:
    """A Prefect retry condition: conflicts and outside failures, never bad input or a refusal."""
    try:
        await state.aresult()
    except (ConflictError, PlatformError, ConnectionError, TimeoutError):
        return True
    except Exception:  # noqa: BLE001 - whatever else it is, trying again would not mend it
        return False
    return False

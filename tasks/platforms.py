"""The environment's parts, opened once per process."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from staged_rollout.adapters.platform import open_platform
from staged_rollout.ports import Platform
from staged_rollout.spec.environment import load_environment
from staged_rollout.spec.home import Home
from tasks.notifier import PrefectNotifier


def platform_of(environment: str) -> Platform:
    """The platform of a named environment below `STAGED_ROLLOUT_HOME`."""
    return _opened(environment, Home.from_environment().root)


@lru_cache(maxsize=4)
def _opened(environment: str, root: Path) -> Platform:
    spec = load_environment(environment)
    notifier = PrefectNotifier() if spec.adapters.notifier == "prefect" else None
    return open_platform(spec, Home(root), notifier=notifier)

"""Seconds per component: each second of the demo is charged to exactly one of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import Any
from unittest.mock import patch

OTHER = "other"
COMPONENTS = ("traffic", "Prefect", "ingest", "quality", "statistics", "reconcile", OTHER)


class Stopwatch:
    """Wall seconds by component; the innermost one that runs is charged. For one thread."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._running = [OTHER]
        self._since = clock()
        self.seconds = dict.fromkeys(COMPONENTS, 0.0)

    @contextmanager
    def running(self, component: str) -> Iterator[None]:
        """Charge what happens inside to a component, and not to the one around it."""
        self._charge()
        self._running.append(component)
        try:
            yield
        finally:
            self._charge()
            self._running.pop()

    def told(self) -> str:
        """All components in one line."""
        self._charge()
        return ", ".join(f"{name} {seconds:.0f} s" for name, seconds in self.seconds.items())

    def timed(self, component: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, charged to a component."""

        @wraps(function)
        def charged(*arguments: Any, **named: Any) -> Any:
            with self.running(component):
                return function(*arguments, **named)

        return charged

    def _charge(self) -> None:
        now = self._clock()
        self.seconds[self._running[-1]] += now - self._since
        self._since = now


@contextmanager
def measured_at_the_seams(stopwatch: Stopwatch) -> Iterator[None]:
    """Time what the tasks call, for as long as the context lasts: what is left of a flow is Prefect itself."""
    from staged_rollout.adapters.tracker_mlflow import MlflowTracker
    from tasks import advance, look_tables, operate, publish, registry

    seams: tuple[tuple[Any, str, str], ...] = (
        (advance, "ingest_new", "ingest"),
        (advance, "validate", "quality"),
        (advance, "gather", "statistics"),
        (advance, "decide_on", "statistics"),
        (advance, "act_on", OTHER),
        (advance, "settle", "reconcile"),
        (operate, "watch", "statistics"),
        (operate, "settle", "reconcile"),
        (look_tables, "write_look_tables", OTHER),
        (publish, "outbox", OTHER),
        (MlflowTracker, "record", OTHER),
        (registry, "poll", OTHER),
    )
    with ExitStack() as patches:
        for owner, name, component in seams:
            patches.enter_context(patch.object(owner, name, stopwatch.timed(component, getattr(owner, name))))
        yield

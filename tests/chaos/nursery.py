"""A program that runs ticks in child processes, as a command line or a worker would, and tells who they are.

Reads one JSON line per tick, `{"rollout": ..., "way": ..., "effects": n, "before": bool}`, answers `pid N` when the
child runs and `exit CODE` when it has ended (-9 when it was killed). With `effects` the child kills itself at its
n-th outside effect: before it happens (so between intent and effect) or right after it (so before it is recorded).
Everything heavy is imported once, before the children are forked; nothing is opened before.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import signal
import sys
import traceback
from typing import Any

PRELOADED = (
    "alembic",
    "boto3",
    "duckdb",
    "great_expectations",
    "mlflow.tracking",
    "pyarrow",
    "pyiceberg.catalog.sql",
    "staged_rollout.operations.advance",
)
FLOWS = ("flows.advance_rollout", "flows.watch_guardrails")
EFFECTS = {
    "ledger": {"append", "lease", "unlease", "watched"},
    "assignments": {"publish"},
    "serving": {"apply"},
    "registry": {"set_champion", "set_lifecycle"},
}
"""Everything that a tick does outside its own memory, but for the lake, which has kills of its own (killed ingest)."""


class Doomed:
    """A port of a process that dies at its n-th effect, counted over all ports."""

    left = 0
    before = False

    def __init__(self, port: Any, effects: set[str]) -> None:
        self._port, self._effects = port, effects

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._port, name)
        if name not in self._effects:
            return found

        def lethal(*arguments: Any, **named: Any) -> Any:
            Doomed.left -= 1
            if Doomed.left == 0 and Doomed.before:
                os.kill(os.getpid(), signal.SIGKILL)
            result = found(*arguments, **named)
            if Doomed.left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return lethal


def doom(platform: Any, effects: int, *, before: bool) -> None:
    """Make a platform one on which this process dies."""
    Doomed.left, Doomed.before = effects, before
    if effects:
        for port, names in EFFECTS.items():
            vars(platform)[port] = Doomed(getattr(platform, port), names)


def tick(environment: str, told: dict[str, Any]) -> None:
    """One tick of one rollout, by one of the ways in which ticks are run."""
    rollout, way = told["rollout"], told["way"]
    if way == "operation":
        from staged_rollout.adapters.platform import open_platform
        from staged_rollout.operations.advance import advance
        from staged_rollout.spec.environment import load_environment
        from staged_rollout.spec.home import Home
        from staged_rollout.state import Actor

        platform = open_platform(load_environment(environment), Home.from_environment())
        doom(platform, told["effects"], before=told["before"])
        advance(platform, rollout, Actor("advance_rollout"))
        return
    from tasks.platforms import platform_of

    doom(platform_of(environment), told["effects"], before=told["before"])  # the flow finds it opened
    if way == "flow":
        from flows.advance_rollout import advance_rollout

        advance_rollout(rollout, environment)
    else:
        from flows.watch_guardrails import watch_guardrails

        watch_guardrails(environment)


def main() -> None:
    for name in (*PRELOADED, *(FLOWS if os.environ.get("PREFECT_API_URL") else ())):
        importlib.import_module(name)
    logging.disable(logging.CRITICAL)
    environment = sys.argv[1]
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the answers' pipe is the parent's
                tick(environment, json.loads(line))
                code = 0
            finally:  # whatever happens, the child never becomes a second parent
                if code:
                    traceback.print_exc()
                os._exit(code)
        sys.stdout.write(f"pid {child}\n")
        sys.stdout.flush()
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"exit {os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()

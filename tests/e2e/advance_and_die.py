"""A program that advances rollouts in child processes and kills them: `ROLLOUT effects 3` or `ROLLOUT seconds 0.2`.

Reads one command a line, and answers each with the child's exit code (-9 when it was killed, 0 when it came to its
end). Everything heavy is imported once, before the children are forked; nothing is opened before. The home and its
environment are those of the variables.
"""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from typing import Any

PRELOADED = ("alembic", "boto3", "duckdb", "great_expectations", "mlflow.tracking", "pyarrow", "pyiceberg.catalog.sql")
EFFECTS = {
    "ledger": {"append"},
    "assignments": {"publish"},
    "serving": {"apply"},
    "registry": {"set_champion", "set_lifecycle"},
}


class Mortal:
    """A port whose process dies right after its n-th effect, counted over all ports."""

    left = 0

    def __init__(self, port: Any, effects: set[str]) -> None:
        self._port, self._effects = port, effects

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._port, name)
        if name not in self._effects:
            return found

        def lethal(*arguments: Any, **named: Any) -> Any:
            result = found(*arguments, **named)
            Mortal.left -= 1
            if Mortal.left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return lethal


def advance_once(environment: str, rollout: str, effects: int) -> None:
    """One tick; dies after so many effects, or not at all if there are fewer."""
    from staged_rollout.adapters.platform import open_platform
    from staged_rollout.operations.advance import advance
    from staged_rollout.spec.environment import load_environment
    from staged_rollout.spec.home import Home
    from staged_rollout.state import Actor

    platform = open_platform(load_environment(environment), Home.from_environment())
    Mortal.left = effects
    if effects:
        for port, names in EFFECTS.items():
            vars(platform)[port] = Mortal(getattr(platform, port), names)
    advance(platform, rollout, Actor("advance_rollout"))


def main() -> None:
    import importlib
    import logging

    for name in PRELOADED:
        importlib.import_module(name)
    logging.disable(logging.CRITICAL)
    environment = sys.argv[1]
    for line in sys.stdin:
        rollout, kind, amount = line.split()
        child = os.fork()
        if child == 0:
            code = 1
            try:
                advance_once(environment, rollout, int(amount) if kind == "effects" else 0)
                code = 0
            finally:  # whatever happens, the child never becomes a second parent
                if code:
                    traceback.print_exc()
                os._exit(code)
        if kind == "seconds":
            time.sleep(float(amount))
            os.kill(child, signal.SIGKILL)  # a child that has ended is a zombie: nothing happens to it
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()

"""`make up`, `make down`: Prefect server, work pool, deployments, automations, worker, endpoint, router and traffic."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from demo.stack.stack import Stack
from staged_rollout.errors import StagedRolloutError

DEFAULT_HOME = Path(".staged-rollout") / "up"


def main() -> int:
    """Start or stop the stack.

    Returns:
        0 when it runs, or is stopped; an error's own exit code otherwise.
    """
    parser = argparse.ArgumentParser(prog="python -m demo.stack", description=__doc__)
    parser.add_argument("act", choices=("up", "down"))
    parser.add_argument("--home", type=Path, default=DEFAULT_HOME, help=f"(default {DEFAULT_HOME})")
    parser.add_argument("--port", type=int, help="Prefect's (default 4200, or any that is free)")
    parser.add_argument(
        "--database", metavar="URL", help="postgresql://..., for Prefect and the ledger (default SQLite)"
    )
    options = parser.parse_args()
    stack = Stack(options.home.absolute(), print)
    try:
        if options.act == "up":
            stack.up(options.port, options.database)
        else:
            stack.down()
    except KeyboardInterrupt:
        sys.stderr.write("\ninterrupted; make up goes on, make down stops what was started\n")
        return 130
    except StagedRolloutError as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""`python -m staged_rollout.servers.endpoint`: the local endpoint as a process."""

from __future__ import annotations

import argparse
import os
import re
import sys

from staged_rollout.errors import StagedRolloutError
from staged_rollout.servers.endpoint.app import create_app
from staged_rollout.servers.endpoint.state import StateFile
from staged_rollout.servers.listening import LOOPBACK, add_request_timeout, listen
from staged_rollout.spec.home import Home

_SLOW = re.compile(r"(?P<package>[a-zA-Z0-9-]+/[0-9]+)=(?P<milliseconds>[0-9]+(\.[0-9]+)?)ms")


def main() -> int:
    """Serve until stopped; the exit code tells why it could not."""
    # Before numpy is loaded: a one-row prediction gains nothing from a team of threads, and pays for gathering it.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    arguments = _parser().parse_args()
    home = Home.from_environment(arguments.home)
    try:
        with StateFile(home.serving).held():
            app = create_app(
                home,
                update_seconds=arguments.update_seconds,
                delays=dict(arguments.slow),
                simulated_time=arguments.simulated_time,
            )
            listen(
                app,
                host=arguments.host,
                port=arguments.port,
                parent_pipe=arguments.parent_pipe,
                request_s=arguments.request_timeout,
            )
    except StagedRolloutError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    except OSError as error:
        sys.stderr.write(f"cannot listen on {arguments.host}:{arguments.port}: {error}\n")
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m staged_rollout.servers.endpoint", description=__doc__)
    parser.add_argument("--home", help="STAGED_ROLLOUT_HOME: registry, state and capture lie below it")
    parser.add_argument(
        "--host", default=LOOPBACK, help="address to bind; signatures are not checked, so keep it local"
    )
    parser.add_argument("--port", type=int, default=0, help="0 chooses a free one and prints it")
    parser.add_argument(
        "--slow",
        type=_delay,
        action="append",
        default=[],
        metavar="MODEL/VERSION=80ms",
        help="delay a version's answers",
    )
    parser.add_argument(
        "--update-seconds", type=float, default=1.0, help="how long creating and updating last at least"
    )
    add_request_timeout(parser)
    parser.add_argument("--simulated-time", action="store_true", help="honour x-staged-rollout-time from this machine")
    parser.add_argument("--parent-pipe", action="store_true", help="stop when standard input ends")
    return parser


def _delay(text: str) -> tuple[str, float]:
    match = _SLOW.fullmatch(text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r}, must be like churn/2=80ms")
    return match["package"], float(match["milliseconds"]) / 1000


if __name__ == "__main__":
    raise SystemExit(main())

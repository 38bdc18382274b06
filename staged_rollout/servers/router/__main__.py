"""`python -m staged_rollout.servers.router`: the router as a process."""

from __future__ import annotations

import argparse
import os
import sys
import uuid

from staged_rollout.adapters.resource_names import checked_name
from staged_rollout.errors import StagedRolloutError
from staged_rollout.servers.listening import LOOPBACK, add_request_timeout, listen
from staged_rollout.servers.router.app import RouterSettings, create_app
from staged_rollout.spec.environment import load_environment
from staged_rollout.spec.home import Home


def main() -> int:
    """Serve until stopped; the exit code tells why it could not."""
    arguments = _parser().parse_args()
    try:
        endpoint = arguments.endpoint
        settings = RouterSettings(
            home=Home.from_environment(arguments.home),
            # A new id for each process: its files are its own, and counters of earlier processes are kept beside them.
            router=checked_name(arguments.router or f"r{os.getpid()}-{uuid.uuid4().hex[:8]}", "router"),
            endpoint=None if endpoint is None else checked_name(endpoint, "endpoint"),
            runtime_url=arguments.runtime_url,
            poll_s=arguments.poll,
            timeout_s=arguments.timeout,
            simulated_time=arguments.simulated_time,
            assignments_uri=arguments.assignments,
            logs_uri=arguments.logs,
            kms_key=arguments.kms_key,
            ship_s=arguments.ship_every,
            environment=None if arguments.environment is None else load_environment(arguments.environment),
        )
        app = create_app(settings)
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
    parser = argparse.ArgumentParser(prog="python -m staged_rollout.servers.router", description=__doc__)
    parser.add_argument("--home", help="STAGED_ROLLOUT_HOME: assignments, logs and counters lie below it")
    parser.add_argument("--host", default=LOOPBACK, help="address to bind")
    parser.add_argument("--port", type=int, default=0, help="0 chooses a free one and prints it")
    parser.add_argument("--endpoint", help="what /predict asks; /endpoints/NAME/predict asks any")
    parser.add_argument("--runtime-url", help="address of the SageMaker runtime; left out: AWS")
    parser.add_argument("--environment", help="NAME|FILE: where documents are published, and whose endpoints are asked")
    parser.add_argument("--router", help="this router's id; by default a new one for each process")
    parser.add_argument("--poll", type=_seconds, default=5.0, help="between reads of the assignment document, e.g. 5s")
    parser.add_argument("--timeout", type=_seconds, default=5.0, help="for each attempt at the endpoint, e.g. 5s")
    add_request_timeout(parser)
    parser.add_argument(
        "--assignments", metavar="URI", help="s3://BUCKET/PREFIX of the documents; left out: the home's"
    )
    parser.add_argument(
        "--logs", metavar="URI", help="s3://BUCKET/PREFIX that the log is shipped to; left out: nowhere"
    )
    parser.add_argument("--kms-key", help="the key that shipped objects are encrypted with")
    parser.add_argument("--ship-every", type=_seconds, default=30.0, help="between two rounds of shipping, e.g. 30s")
    parser.add_argument("--simulated-time", action="store_true", help="honour x-staged-rollout-time from this machine")
    parser.add_argument("--parent-pipe", action="store_true", help="stop when standard input ends")
    return parser


def _seconds(text: str) -> float:
    try:
        seconds = float(text.removesuffix("s"))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r}, must be like 5s") from error
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r}, must be above 0s")
    return seconds


if __name__ == "__main__":
    raise SystemExit(main())

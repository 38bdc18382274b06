"""`make demo`: five candidates, one after another, every ending; nothing is simulated but the calendar."""

from __future__ import annotations

import argparse
import logging
import os
import shutil
import sys
import time
import warnings
from contextlib import nullcontext
from pathlib import Path

DEFAULT_HOME = Path(".staged-rollout") / "demo"


def main() -> int:
    """Run the demo.

    Returns:
        0 with every ending shown; an error's own exit code otherwise.
    """
    options = _options()
    home = options.home.absolute()
    _settings(home, ui=options.ui)
    resume = options.resume and (home / "demo.json").exists()
    if not resume:
        shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True, exist_ok=True)

    from staged_rollout.errors import StagedRolloutError

    began = time.monotonic()
    try:
        _run(home, options, resume=resume)
    except KeyboardInterrupt:
        sys.stderr.write("\nstopped; make demo RESUME=1 goes on\n")
        return 130
    except StagedRolloutError as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return error.exit_code
    if not options.ui:  # there it has told so already, and then waited for Ctrl-C
        print(f"took {time.monotonic() - began:.0f} s")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m demo", description=__doc__, epilog="example: python -m demo --seed 7"
    )
    parser.add_argument("--seed", type=int, default=7, help="who trains, who comes when (default 7)")
    parser.add_argument("--resume", action="store_true", help="go on with a demo that was killed")
    parser.add_argument("--last", type=int, choices=range(2, 7), default=6, help="the last version to try (default 6)")
    parser.add_argument(
        "--ui", action="store_true", help="run against a Prefect server, and leave it running to look at"
    )
    parser.add_argument("--port", type=int, help="the server's port (default 4200, or any that is free)")
    parser.add_argument(
        "--home", type=Path, default=DEFAULT_HOME, help=f"where everything lies (default {DEFAULT_HOME})"
    )
    return parser.parse_args()


def _settings(home: Path, *, ui: bool) -> None:
    """What Prefect, MLflow and ourselves read from the environment; before any of them is imported."""
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    os.environ.update(
        {
            "STAGED_ROLLOUT_HOME": str(home),
            "STAGED_ROLLOUT_ENVIRONMENT": "demo",
            "STAGED_ROLLOUT_CONFIGS": str(home / "configs"),
            "PREFECT_HOME": str(home / "prefect"),
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
            "PREFECT_LOGGING_LEVEL": "INFO" if ui else "WARNING",
            "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "WARNING",
            "PREFECT_LOGGING_TO_API_ENABLED": str(ui).lower(),
            # One task run at a time, the recorder locks SQLite at every other flow, which then waits for two seconds.
            "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_READ_BATCH_SIZE": "200",
            "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "200",
            "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
            "PREFECT_SERVER_DATABASE_TIMEOUT": "60",  # SQLite on a busy machine
            "PREFECT_SERVER_LOGGING_LEVEL": "CRITICAL",
            "DO_NOT_TRACK": "1",
            "OMP_NUM_THREADS": "1",
        }
    )
    os.environ.pop("PREFECT_API_URL", None)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    logging.getLogger("staged_rollout.notifications").setLevel(logging.CRITICAL)  # the day's line tells the same


def _run(home: Path, options: argparse.Namespace, *, resume: bool) -> None:
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

    from demo.finale import finale
    from demo.prefect_servers import temporary_prefect, ui_server
    from demo.progress import resume as resumed
    from demo.rules import write_rules
    from demo.screen import Screen
    from demo.stopwatch import measured_at_the_seams
    from demo.story import CONFIGS, ENVIRONMENT, Story
    from staged_rollout.adapters.local_servers import LocalServers
    from staged_rollout.spec.environment import load_environment
    from staged_rollout.spec.home import Home
    from staged_rollout.spec.load import load_rollout
    from staged_rollout.spec.locations import find_rollout
    from tasks.platforms import platform_of

    screen = Screen()
    if not (home / "configs").exists():
        write_rules(CONFIGS, home / "configs", ())
    spec = load_rollout(find_rollout("churn"), environment=load_environment(ENVIRONMENT))
    screen.say(f"seed {options.seed}; everything lies in {os.path.relpath(home)}")
    with ui_server(home, options.port) if options.ui else nullcontext() as ui:
        if ui is not None:
            screen.say(f"Prefect's pages: {ui.url}")
        with (
            temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}),
            nullcontext() if ui is not None else temporary_prefect(),
            LocalServers(
                Home(home), endpoint=spec.endpoint, simulated_time=True, router_poll_s=0.2, router_timeout_s=30.0
            ) as servers,
        ):
            platform = platform_of(ENVIRONMENT)
            start = resumed(home / "demo.json", platform.ledger) if resume else None
            seed = start.seed if start else options.seed
            story = Story(platform, servers, screen, spec, seed, last=options.last)
            with measured_at_the_seams(story.stopwatch):
                if start is None:
                    story.begin()
                else:
                    screen.say(f"resuming on day {start.day + 1}: the ledger begins as it did")
                endings = story.run(start)
            finale(screen, platform, endings, story.stopwatch)
        if ui is not None:
            ui.stay(screen.say)


if __name__ == "__main__":
    sys.exit(main())

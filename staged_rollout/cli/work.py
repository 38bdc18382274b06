"""Commands that do a flow's work without Prefect: register, serve, advance, sweep; and the local servers."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any

import typer

from staged_rollout.cli.files import FileArgument, prices_of
from staged_rollout.cli.output import print_json, say, waiting
from staged_rollout.cli.reading import status_line
from staged_rollout.cli.session import RolloutArgument, Session, rollout_id, shared
from staged_rollout.errors import EndpointUpdatingError, NotFoundError, PlatformError, StagedRolloutError
from staged_rollout.report.figures import usd
from staged_rollout.report.status import status_row
from staged_rollout.spec.load import load_rollout
from staged_rollout.spec.locations import find_rollout
from staged_rollout.state import Actor

if TYPE_CHECKING:
    from staged_rollout.operations.advance import Advanced
    from staged_rollout.operations.ingest import IngestReport

VersionOption = Annotated[str, typer.Option("--version", metavar="N", help="The model version in the registry.")]
ActorOption = Annotated[str, typer.Option("--as", metavar="NAME", help="Who acts; recorded as typed.")]
TimeoutOption = Annotated[
    float, typer.Option("--timeout", metavar="SECONDS", min=0.0, help="How long to wait for the endpoint.")
]
NOBODY = "command line"


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    for command in (register, serve, advance, sweep, servers):
        app.command(command.__name__)(shared(command))


def register(session: Session, rollout_file: FileArgument, version: VersionOption, name: ActorOption = NOBODY) -> None:
    """Begin a rollout of an approved model version.

    Once per version, however often it is called. Refused when the forecast exceeds the budget.

    JSON: {"rollout", "new", "cost_usd"}.

    Example: staged-rollout register churn --version 3
    """
    from staged_rollout.operations.register import register as register_version

    spec = load_rollout(find_rollout(rollout_file, session.configs), environment=session.environment)
    prices = prices_of(session)
    done = register_version(session.platform, spec, _version(version), Actor(name), prices)
    if session.as_json:
        print_json({"rollout": done.rollout, "new": done.new, "cost_usd": done.cost_usd})
    elif done.new:
        say(f"registered {done.rollout}, forecast {usd(done.cost_usd)}")
    else:
        say(f"{done.rollout} was registered before; nothing was written")


def serve(
    session: Session, rollout_file: FileArgument, version: VersionOption, timeout: TimeoutOption = 1800.0
) -> None:
    """Serve a version outside any rollout: the first champion, or the way back from a wrong promotion.

    Waits until it is in service, alone. Where another version serves, both do until routers have followed. Nothing is
    tested. Refused while a rollout owns the endpoint.

    JSON: {"endpoint", "version", "status", "seconds"}.

    Example: staged-rollout serve churn --version 2
    """
    from staged_rollout.operations.serve import IN_SERVICE, UPDATING
    from staged_rollout.operations.serve import serve as serve_version

    spec = load_rollout(find_rollout(rollout_file, session.configs), environment=session.environment)
    platform, number = session.platform, _version(version)
    began = platform.clock.wall()
    with waiting(f"{spec.endpoint}: version {number}", as_json=session.as_json):
        while True:
            try:
                status = serve_version(platform, spec, number)
            except EndpointUpdatingError:
                status = UPDATING
            seconds = platform.clock.wall() - began
            if status == IN_SERVICE:
                break
            if seconds + session.environment.poll_s > timeout:
                raise PlatformError(
                    f"endpoint {spec.endpoint} is {status} after {seconds:.0f} s, waited up to {timeout:g} s",
                    hint="run it again: it goes on where it is",
                    endpoint=spec.endpoint,
                )
            time.sleep(session.environment.poll_s)
    if session.as_json:
        print_json({"endpoint": spec.endpoint, "version": number, "status": status, "seconds": round(seconds, 1)})
    else:
        say(f"{spec.endpoint} serves version {number}: {status} after {seconds:.0f} s")


def advance(session: Session, rollout: RolloutArgument, name: ActorOption = NOBODY) -> None:
    """One tick of one rollout, without Prefect.

    Ingest, validate, look if one is due, decide, act, reconcile.

    JSON: {"rollout", "headline", "decision": {"action", "to", "step", "ending", "reasons", "would_flip", "holds"},
    "ingest", "status"}; status has the keys of the command status.

    Example: staged-rollout advance churn-v3
    """
    from staged_rollout.operations.advance import advance as advance_rollout

    platform = session.platform
    known = rollout_id(rollout)
    with waiting(f"{rollout}: one tick", as_json=session.as_json):
        done = advance_rollout(platform, known, Actor(name))
    if session.as_json:
        print_json(_advanced(session, done))
    else:
        say(f"{done.rollout}: {done.headline}")
        say(status_line(status_row(done.state, platform.clock.now())))


def sweep(session: Session, name: ActorOption = NOBODY) -> None:
    """One tick of every rollout that has not ended.

    Logs are read once, then each rollout is ticked, oldest first; one that fails does not stop the others.

    JSON: {"advanced": [the document of advance], "failed": [{"rollout", "type", "message", "exit_code"}]}; leaves with
    the exit code of the first that failed.

    Example: staged-rollout sweep
    """
    from staged_rollout.operations.advance import advance as advance_rollout
    from staged_rollout.operations.journal import load
    from staged_rollout.operations.new_logs import ingest_new

    platform = session.platform
    advanced: list[Advanced] = []
    failed: list[tuple[str, StagedRolloutError]] = []
    ingested: IngestReport | None = None
    with suppress(StagedRolloutError):  # each tick tries again, and says so
        if platform.ledger.registrations():
            ingested = ingest_new(platform)
    for rollout in platform.ledger.rollouts():
        try:
            if load(platform, rollout).settled:
                continue
            with waiting(f"{rollout}: one tick", as_json=session.as_json):
                advanced.append(advance_rollout(platform, rollout, Actor(name), ingested=ingested))
        except StagedRolloutError as error:
            failed.append((rollout, error))
    if session.as_json:
        faults = [
            {"rollout": ended, "type": type(found).__name__, "message": found.message, "exit_code": found.exit_code}
            for ended, found in failed
        ]
        print_json({"advanced": [_advanced(session, done) for done in advanced], "failed": faults})
    else:
        for done in advanced:
            say(f"{done.rollout}: {done.headline}")
        for rollout, problem in failed:
            say(f"{rollout}: failed, {problem.message}", "red")
        if not advanced and not failed:
            say("no rollout is running")
    if failed:
        raise failed[0][1]


def servers(
    session: Session,
    rollout_file: FileArgument,
    router_poll: Annotated[
        float, typer.Option("--router-poll", metavar="SECONDS", min=0.05, help="Between reads of the assignment.")
    ] = 5.0,
) -> None:
    """Run the local endpoint and router until Ctrl-C.

    What they serve, and their logs, lie below the home folder: started again, they go on as they were. The router asks
    the endpoint of the rollout file: POST /predict {"unit_id", "features"}.

    JSON: {"endpoint_url", "router_url", "pids"}, printed once when both are ready.

    Example: staged-rollout servers churn
    """
    from staged_rollout.adapters.local_servers import LocalServers

    spec = load_rollout(find_rollout(rollout_file, session.configs), environment=session.environment)
    simulated = session.platform.clock.simulated
    running = LocalServers(session.home, endpoint=spec.endpoint, simulated_time=simulated, router_poll_s=router_poll)
    with running:
        if session.as_json:
            print_json({"endpoint_url": running.endpoint_url, "router_url": running.router_url, "pids": running.pids})
        else:
            say(f"endpoint {running.endpoint_url}, router {running.router_url}/predict; Ctrl-C stops both")
        threading.Event().wait()


def _advanced(session: Session, done: Advanced) -> dict[str, Any]:
    return {
        "rollout": done.rollout,
        "headline": done.headline,
        "decision": done.decision,
        "ingest": done.ingest,
        "status": status_row(done.state, session.platform.clock.now()),
    }


def _version(text: str) -> str:
    """A registry version.

    Raises:
        NotFoundError: it is not a decimal integer from 1, so that no registry has it.
    """
    if not (text.isascii() and text.isdigit() and len(text) <= 18) or text.startswith("0"):
        raise NotFoundError(f"no version {text[:40]!r}: versions are whole numbers from 1", hint="such as --version 3")
    return text

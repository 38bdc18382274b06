"""`staged-rollout report`: one rollout as one HTML file."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from staged_rollout.adapters.atomic_file import replace_file
from staged_rollout.cli.output import print_json, say, where
from staged_rollout.cli.session import RolloutArgument, Session, rollout_id, shared
from staged_rollout.errors import PlatformError

OutputOption = Annotated[
    Path | None,
    typer.Option("--output", metavar="FILE", help="The file to write. [default: reports/ROLLOUT.html below the home]"),
]
OpenOption = Annotated[bool, typer.Option("--open", help="Show it in the browser, where there is one.")]


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("report")(shared(report))


def report(
    session: Session, rollout: RolloutArgument, *, output: OutputOption = None, show: OpenOption = False
) -> None:
    """One rollout as one HTML file: what was decided and why, with charts.

    The file needs no network and no script, and is made from the ledger alone: the same events give the same page.

    JSON: {"rollout", "file", "bytes", "events", "opened"}.

    Example: staged-rollout report churn-v3 --open
    """
    from staged_rollout.operations.journal import load
    from staged_rollout.report.html import rollout_html

    platform = session.platform
    name = rollout_id(rollout)
    events = platform.ledger.events(name)
    if not events:
        load(platform, name)  # says which rollouts there are
    file = (output or session.home.root / "reports" / f"{name}.html").absolute()
    content = rollout_html(events).encode()
    try:
        replace_file(file, content, durable=False)
        file.chmod(0o644)
    except OSError as error:
        raise PlatformError(
            f"the report cannot be written to {where(file)}: {error.strerror}",
            hint="--output names another file",
            file=str(file),
        ) from error
    opened = show and _opened(file)
    if session.as_json:
        print_json({"rollout": name, "file": file, "bytes": len(content), "events": len(events), "opened": opened})
        return
    say(where(file))
    if show and not opened:
        say("no browser could be opened here; the file is above")


def _opened(file: Path) -> bool:
    """Whether a browser took the file; a machine without one is no reason to fail."""
    try:
        return webbrowser.open(file.as_uri())
    except (webbrowser.Error, OSError):
        return False

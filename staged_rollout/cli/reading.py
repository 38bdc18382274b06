"""Commands that only read: status, history, version."""

from __future__ import annotations

import platform as machine
from typing import Annotated

import typer

import staged_rollout
from staged_rollout.cli.output import as_data, print_json, print_table, say
from staged_rollout.cli.session import RolloutArgument, Session, rollout_id, shared
from staged_rollout.errors import LedgerCorruptError
from staged_rollout.report.figures import NONE, moment, share, usd
from staged_rollout.report.history import history_rows
from staged_rollout.report.inert import one_line
from staged_rollout.report.status import StatusRow, status_row

STATUS_HEADER = ("rollout", "state", "verdict", "z against bound", "information", "days left", "spent", "updated")


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command("status")(shared(status))
    app.command("history")(shared(history))
    app.command("version")(shared(version))


def status(
    session: Session,
    rollout: Annotated[str | None, typer.Argument(metavar="[ROLLOUT]", help="One rollout; all without it.")] = None,
) -> None:
    """Where each rollout is, one line per rollout.

    State, verdict, z against its bound, information, days left of the stage and of the plan, and what is spent.

    JSON: {"environment", "rollouts": [{"rollout", "state", "step", "steps", "holds", "settled", "verdict", "z",
    "bound", "bound_kind", "information", "stage_days_left", "plan_days_left", "spent_usd", "budget_usd", "updated"}],
    "unreadable": [{"rollout", "message"}]}; leaves with 6 when a rollout cannot be read.

    Example: staged-rollout status churn-v3
    """
    from staged_rollout.operations.journal import load

    platform = session.platform
    rows: list[StatusRow] = []
    unreadable: list[LedgerCorruptError] = []
    for name in [rollout_id(rollout)] if rollout is not None else platform.ledger.rollouts():
        try:
            rows.append(status_row(load(platform, name), platform.clock.now()))
        except LedgerCorruptError as error:
            unreadable.append(error)
    if session.as_json:
        broken = [{"rollout": error.facts.get("rollout"), "message": error.message} for error in unreadable]
        print_json({"environment": session.environment.name, "rollouts": rows, "unreadable": broken})
    elif rows:
        print_table(STATUS_HEADER, [_status_cells(row) for row in rows], wide="verdict")
    elif not unreadable:
        hint = session.elsewhere() or "staged-rollout register begins one"
        say(f"no rollouts yet in environment {session.environment.name}; {hint}")
    if unreadable:
        raise unreadable[0]


def history(session: Session, rollout: RolloutArgument) -> None:
    """Every event of a rollout: who, when and why.

    JSON: {"rollout", "events": [{"seq", "at", "actor", "verified", "type", "what", "hash", "payload"}]}.

    Example: staged-rollout history churn-v3
    """
    from staged_rollout.operations.journal import load

    platform = session.platform
    events = platform.ledger.events(rollout_id(rollout))
    if not events:
        load(platform, rollout)  # says which rollouts there are
    rows = history_rows(events)
    if session.as_json:
        stored = [
            {**as_data(row), "hash": event.hash, "payload": event.payload}
            for row, event in zip(rows, events, strict=True)
        ]
        print_json({"rollout": rollout, "events": stored})
        return
    cells = [(str(row.seq), moment(row.at), _who(row.actor, verified=row.verified), row.what) for row in rows]
    print_table(("#", "when", "who", "what"), cells)


def version(session: Session) -> None:
    """The version of the program.

    It is stored with every decision, as a part of what makes it reproducible.

    JSON: {"version", "python"}.

    Example: staged-rollout version
    """
    if session.as_json:
        print_json({"version": staged_rollout.__version__, "python": machine.python_version()})
    else:
        say(f"staged-rollout {staged_rollout.__version__}")


def status_line(row: StatusRow) -> str:
    """A rollout on one line of text, for what acts answer."""
    return f"{row.rollout}: {row.place}; {row.verdict}"


def _status_cells(row: StatusRow) -> tuple[str, ...]:
    stage, plan = row.stage_days_left, row.plan_days_left
    left = NONE if plan is None else f"{NONE if stage is None else f'{stage:.1f}'} of {plan:.1f}"
    budget = f" of {usd(row.budget_usd)}" if row.budget_usd is not None else ""
    return (
        row.rollout,
        row.place,
        row.verdict,
        row.test,
        share(row.information, 0),
        left,
        f"{usd(row.spent_usd)}{budget}",
        moment(row.updated),
    )


def _who(actor: str, *, verified: bool) -> str:
    return one_line(actor) + (" (verified)" if verified else "")

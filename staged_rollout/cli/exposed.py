"""`staged-rollout exposed`: which units met a candidate, and when."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from staged_rollout.cli.lake_option import LakeOption, existing_lake
from staged_rollout.cli.output import print_json, print_table, say, waiting, where
from staged_rollout.cli.session import RolloutArgument, Session, rollout_id, shared
from staged_rollout.cli.times import given_time
from staged_rollout.errors import RefusedError
from staged_rollout.report.figures import count, moment

if TYPE_CHECKING:
    from staged_rollout.operations.exposed import Exposure

SinceOption = Annotated[
    str | None, typer.Option("--since", metavar="WHEN", help="Answers from then on. [default: registration]")
]
UntilOption = Annotated[str | None, typer.Option("--until", metavar="WHEN", help="Answers before then. [default: all]")]
UnitsOption = Annotated[
    list[str] | None, typer.Option("--unit", metavar="ID", help="Only this unit, as callers give it. Repeatable.")
]
OutputOption = Annotated[
    Path | None, typer.Option("--output", metavar="FILE", help="All units into FILE.csv or FILE.parquet.")
]
ForceOption = Annotated[bool, typer.Option("--force", help="Replace a file that is there.")]
SHOWN = 20
"""Units of a table for people; a file and JSON hold all."""


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("exposed")(shared(exposed))


def exposed(
    session: Session,
    rollout: RolloutArgument,
    *,
    since: SinceOption = None,
    until: UntilOption = None,
    unit: UnitsOption = None,
    output: OutputOption = None,
    force: ForceOption = False,
    lake: LakeOption = None,
) -> None:
    """Which units met the candidate, and when: for remediation.

    From the router's log, also of ended rollouts: every unit that the candidate answered, or failed. Units outside of
    the rollout meet it too while it is promoted, and as the champion afterwards; --until leaves that out. Shadow
    answers reached nobody and are not counted. WHEN is a day (UTC) or a time with a zone. Units are keyed hashes, as
    the lake keeps them; --unit looks one up by its id.

    JSON: {"rollout", "candidate", "endpoint", "batch", "since", "until", "exposed_from", "champion_since",
    "forgotten", "units", "requests", "by_candidate", "failed", "without_unit", "first_at", "last_at", "held_since",
    "file", "exposed": [{"unit", "unit_id", "first_at", "last_at", "requests", "by_candidate", "by_others", "failed",
    "fallbacks", "assigned_candidate", "assigned_others", "not_assigned"}] or null with --output}.

    Example: staged-rollout exposed churn-v3 --output met-v3.csv
    """
    from staged_rollout.operations.exposed import exposure, rows, save

    begin, end = given_time("--since", since), given_time("--until", until)
    if output is not None and os.path.lexists(output) and not force:
        raise RefusedError(f"{where(output)} is there already", hint="another name, or --force", file=str(output))
    platform = existing_lake(session, lake)
    with waiting("reading the lake", as_json=session.as_json):
        found = exposure(platform, rollout_id(rollout), since=begin, until=end, units=unit or ())
        if output is not None:
            save(platform, found, output.absolute())
        listed = rows(platform, found) if output is None else None
    if session.as_json:
        print_json(_document(found, output, listed))
        return
    _say(found)
    if output is not None:
        say(f"written to {where(output)}")
    elif listed:
        _table(listed)


def _document(found: Exposure, output: Path | None, listed: Any) -> dict[str, Any]:
    state = found.state
    return {
        "rollout": state.rollout,
        "candidate": state.candidate.variant,
        "endpoint": state.spec.endpoint,
        "batch": found.batch.number,
        "since": found.since,
        "until": found.until,
        "exposed_from": found.began,
        "champion_since": found.champion_since,
        "forgotten": found.forgotten,
        **found.totals,
        "file": output,
        "exposed": listed,
    }


def _say(found: Exposure) -> None:
    state, totals = found.state, found.totals
    variant = state.candidate.variant
    if not totals["by_candidate"]:
        say(f"{state.rollout}: no unit is known to have met {variant}")
    else:
        times = f"{moment(totals['first_at'])} to {moment(totals['last_at'])}"
        told = f"{count(totals['units'], 'unit')} met {variant} in {count(totals['by_candidate'], 'request')}, {times}"
        say(f"{state.rollout}: {told}")
    if totals["failed"]:
        say(f"{totals['failed']:,} of these requests failed")
    if totals["without_unit"]:
        say(f"{totals['without_unit']:,} of these requests named no unit: nobody can tell whose they were", "yellow")
    if found.champion_since is not None:
        say(f"{variant} is the champion since {moment(found.champion_since)}; its answers since then are counted")
    if found.began is None:
        say(f"routers never sent people to {variant} for this rollout")
    elif found.forgotten:
        held = totals["held_since"]
        since = f"since {moment(held)} only" if held is not None else "no longer"
        say(
            f"people met {variant} from {moment(found.began)}, and the lake holds rows of {state.spec.endpoint} "
            f"{since}: earlier units are not listed",
            "yellow",
        )


def _table(listed: list[dict[str, Any]]) -> None:
    named = any(row["unit"] for row in listed)
    cells = [
        (
            row["unit_id"] or "no unit",
            moment(row["first_at"]),
            moment(row["last_at"]),
            f"{row['by_candidate']:,}",
            f"{row['by_others']:,}",
            f"{row['failed']:,}",
            f"{row['fallbacks']:,}",
            *((row["unit"] or "",) if named else ()),
        )
        for row in listed[:SHOWN]
    ]
    header = ("unit_id", "first met", "last met", "by candidate", "by others", "failed", "fallbacks")
    print_table((*header, "unit") if named else header, cells)
    if len(listed) > SHOWN:
        say(f"and {count(len(listed) - SHOWN, 'more unit')}; --output FILE.csv or --json lists all")

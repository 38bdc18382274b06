"""`staged-rollout lake`: what the lake holds, whether its books add up, and its upkeep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any

import typer

from staged_rollout.cli.lake_option import LakeOption, existing_lake
from staged_rollout.cli.output import print_json, print_table, say, waiting
from staged_rollout.cli.session import Session, shared
from staged_rollout.errors import DataError, NotFoundError, RefusedError
from staged_rollout.ports.lake import Batch, Lake
from staged_rollout.ports.lake_upkeep import TableChange
from staged_rollout.records.tables import TABLES, TableName
from staged_rollout.report.figures import count

BatchOption = Annotated[
    int | None, typer.Option("--batch", metavar="N", min=0, help="A sealed batch. [default: the newest]")
]
TableArgument = Annotated[str, typer.Argument(metavar="TABLE", help=f"One of {', '.join(TABLES)}.")]
UnitOption = Annotated[str, typer.Option("--unit", metavar="ID", help="The unit's id, as callers give it.")]
YesOption = Annotated[bool, typer.Option("--yes", help="Do it; without it, nothing is changed.")]


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    group = typer.Typer(help="What the lake holds, whether its books add up, and its upkeep.", no_args_is_help=True)
    group.command("tables")(shared(tables))
    group.command("files")(shared(files))
    group.command("verify")(shared(verify))
    group.command("compact")(shared(compact))
    group.command("erase")(shared(erase))
    app.add_typer(group, name="lake")


def tables(session: Session, lake: LakeOption = None, batch: BatchOption = None) -> None:
    """What each table holds.

    JSON: {"batch", "tables": [{"table", "rows", "files", "bytes", "first_day", "last_day", "snapshot"}, ...]}.

    Example: staged-rollout lake tables
    """
    held = existing_lake(session, lake).lake
    asked = _batch(held, batch)
    listed = {table: held.upkeep.files(table, asked) for table in TABLES}
    if session.as_json:
        told = [
            {
                "table": table,
                "rows": sum(file.rows for file in found),
                "files": len(found),
                "bytes": sum(file.bytes for file in found),
                "first_day": str(found[0].day) if found else None,
                "last_day": str(found[-1].day) if found else None,
                "snapshot": asked.snapshots.get(table),
            }
            for table, found in listed.items()
        ]
        print_json({"batch": asked.number, "tables": told})
        return
    cells = [
        (
            table,
            f"{sum(file.rows for file in found):,}",
            f"{len(found):,}",
            f"{sum(file.bytes for file in found) / 1e6:,.1f}",
            str(found[0].day) if found else "-",
            str(found[-1].day) if found else "-",
        )
        for table, found in listed.items()
    ]
    print_table(("table", "rows", "files", "MB", "first day", "last day"), cells)
    say(f"batch {asked.number}; staged-rollout lake files TABLE lists the Parquet files")


def files(session: Session, table: TableArgument, lake: LakeOption = None, batch: BatchOption = None) -> None:
    """The Parquet files of a table, one path a line: any engine reads them.

    JSON: {"table", "batch", "files": [{"path", "day", "rows", "bytes"}, ...]}.

    Example: staged-rollout lake files predictions
    """
    held = existing_lake(session, lake).lake
    asked = _batch(held, batch)
    listed = held.upkeep.files(_table(table), asked)
    if session.as_json:
        told = [{"path": file.path, "day": str(file.day), "rows": file.rows, "bytes": file.bytes} for file in listed]
        print_json({"table": table, "batch": asked.number, "files": told})
        return
    for file in listed:
        say(file.path)


def verify(session: Session, lake: LakeOption = None) -> None:
    """Add up the books again: lines, claims, rows, files, identities.

    Leaves with 7 when anything does not add up.

    JSON: {"ok", "checks": [{"check", "ok", "detail"}, ...]}.

    Example: staged-rollout lake verify
    """
    held = existing_lake(session, lake).lake
    with waiting("adding up the books", as_json=session.as_json):
        findings = held.upkeep.verify()
    wrong = [finding for finding in findings if not finding.ok]
    if session.as_json:
        print_json({"ok": not wrong, "checks": [asdict(finding) for finding in findings]})
    else:
        for finding in findings:
            say(f"{'ok   ' if finding.ok else 'WRONG'}  {finding.check}: {finding.detail}", "" if finding.ok else "red")
    if wrong:
        raise DataError(
            f"{count(len(wrong), 'check')} of {len(findings)} failed: {wrong[0].check}",
            hint="docs/runbook.md says what each can mean",
        )


def compact(session: Session, lake: LakeOption = None) -> None:
    """Write each event day's small files as one; then delete files that no batch needs.

    A look that is being taken keeps its rows: what its batch pins stays until maintenance expires the batch.

    JSON: {"tables": [{"table", "files_before", "files_after", "removed"}, ...], "deleted_files", "deleted_bytes"}.

    Example: staged-rollout lake compact
    """
    platform = existing_lake(session, lake)
    with waiting("compacting", as_json=session.as_json):
        changes = platform.lake.upkeep.compact(platform.clock.now())
        deleted, size = platform.lake.upkeep.sweep()
    if session.as_json:
        print_json({"tables": _told(changes), "deleted_files": deleted, "deleted_bytes": size})
        return
    for change in changes:
        say(f"{change.table}: {change.files_before:,} files are now {change.files_after:,}")
    if not changes:
        say("nothing to compact: no event day has two small files")
    if deleted:
        say(f"deleted {count(deleted, 'file')} that no batch needs, {size / 1e6:,.1f} MB")


def erase(session: Session, unit: UnitOption, *, lake: LakeOption = None, yes: YesOption = False) -> None:
    """Take one unit out of every table, quarantine included, for good.

    Rows of the unit, captures and outcomes of its requests, and lines in quarantine that name it. Earlier batches can
    no longer be read afterwards. The ledger keeps counts only. Source logs are yours: erase the unit there first, or a
    replaced log brings it back.

    JSON: {"tables": [{"table", "files_before", "files_after", "removed"}, ...]}.

    Example: staged-rollout lake erase --unit customer-0000017 --yes
    """
    if not unit.strip():
        raise RefusedError("the unit is empty", hint="--unit ID, as callers give it")
    if not yes:
        raise RefusedError("this cannot be undone", hint="repeat it with --yes")
    platform = existing_lake(session, lake)
    with waiting("erasing", as_json=session.as_json):
        changes = platform.lake.upkeep.erase(unit, platform.clock.now())
    if session.as_json:
        print_json({"tables": _told(changes)})
        return
    for change in changes:
        say(f"{change.table}: {count(change.removed, 'row')} erased")
    if not changes:
        say("no table holds this unit")


def _told(changes: Sequence[TableChange]) -> list[dict[str, Any]]:
    return [asdict(change) for change in changes]


def _batch(lake: Lake, number: int | None) -> Batch:
    return lake.head() if number is None else lake.batch(number)


def _table(name: str) -> TableName:
    for table in TABLES:
        if table == name:
            return table
    raise NotFoundError(f"no table {name[:64]!r}", hint=f"one of {', '.join(TABLES)}")

"""`staged-rollout ledger`: is it as it was written, and copies of it that others can read or that can be put back."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from staged_rollout.cli.output import print_json, say, waiting, where
from staged_rollout.cli.session import Session, rollout_id, shared
from staged_rollout.errors import LedgerCorruptError, NotFoundError, PlatformError, RefusedError
from staged_rollout.report.figures import count

if TYPE_CHECKING:
    from staged_rollout.adapters.ledger_backup import Kept
    from staged_rollout.adapters.ledger_sql import SqlLedger
    from staged_rollout.operations.audit import Audited

AgainstOption = Annotated[
    Path | None,
    typer.Option("--against", metavar="FILE", help="An earlier export or backup: nothing of it may be missing."),
]
ReplayOption = Annotated[bool, typer.Option("--replay/--no-replay", help="Decide every decision again.")]
OutputOption = Annotated[Path | None, typer.Option("--output", metavar="FILE", help="A file instead of stdout.")]
FormatOption = Annotated[Literal["jsonl"], typer.Option("--format", help="One event a line.")]
ForceOption = Annotated[bool, typer.Option("--force", help="Replace a file that is there.")]
FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="The backup.")]
SomeRollout = Annotated[str | None, typer.Argument(metavar="[ROLLOUT]", help="One rollout; all without it.")]


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    group = typer.Typer(help="The ledger itself: verify it, export it, back it up.", rich_markup_mode=None)
    for command in (verify, export, backup, restore):
        group.command(command.__name__)(shared(command))
    app.add_typer(group, name="ledger")


def verify(session: Session, *, replay: ReplayOption = True, against: AgainstOption = None) -> None:
    """Check that every event is as it was written, and that everything beside the events agrees with them.

    Walks the chain of each rollout from its first event, folds every prefix of it, and decides every decision again
    from its five hashes: the same bytes must come out. Claims must agree with states, cursors must not stand beyond
    the last event. A chain that was cut at its end is found with --against FILE only, or by the heads in --json, kept
    elsewhere.

    JSON: {"intact", "events", "rollouts": [{"rollout", "events", "intact", "message", "head", "decisions",
    "decided_otherwise"}], "findings": []}; leaves with 6 when anything is not as it should be.

    Example: staged-rollout ledger verify --against kept.jsonl
    """
    from staged_rollout.operations.audit import audit, audit_against, audit_claims, audit_cursors

    ledger = session.platform.ledger
    claims, cursors = ledger.claims(), ledger.cursors()
    with waiting("reading the ledger", as_json=session.as_json):
        audited = [audit(ledger, name, replay=replay) for name in ledger.rollouts()]
        findings = audit_claims(ledger, claims, audited) + audit_cursors(cursors, audited)
        copied = 0
        if against is not None:
            try:
                with against.open("rb") as lines:
                    copied, missing = audit_against(lines, against.name, ledger)
            except OSError as error:
                raise PlatformError(f"{where(against)} cannot be read: {error.strerror}", file=str(against)) from error
            findings += missing
    events = sum(one.events for one in audited)
    broken = [one for one in audited if _fault(one)]
    if session.as_json:
        rollouts = [_rollout_row(one) for one in audited]
        intact = not broken and not findings
        print_json({"intact": intact, "events": events, "rollouts": rollouts, "findings": findings})
    else:
        _say(audited, findings)
        if against is not None and not findings:
            say(f"nothing of {where(against)} is missing: {count(copied, 'rollout')} compared")
        if not broken and not findings:
            say(f"the ledger is intact: {count(events, 'event')} in {count(len(audited), 'rollout')}")
    for one in broken:
        if one.error is not None:
            raise one.error
        raise LedgerCorruptError(
            f"{one.rollout}: {_fault(one)}",
            hint="the program or the record was changed; docs/ledger.md, replay by five hashes",
            rollout=one.rollout,
        )
    if findings:
        raise LedgerCorruptError(
            findings[0], hint="docs/ledger.md says what each finding can mean", findings=tuple(findings)
        )


def export(
    session: Session,
    rollout: SomeRollout = None,
    *,
    output: OutputOption = None,
    form: FormatOption = "jsonl",  # noqa: ARG001 - the one format that there is; others may come
    force: ForceOption = False,
) -> None:
    """Write every event, one JSON object a line, for auditors and other programs.

    The keys are the ledger's columns. Each hash can be computed again from its line, and each line names the hash of
    the one before. Every event is checked on the way; a broken rollout ends the export with 6.

    JSON: {"file", "rollouts", "events"} with --output; without, the lines themselves.

    Example: staged-rollout ledger export churn-v3 --output churn-v3.jsonl
    """
    from staged_rollout.operations.journal import load
    from staged_rollout.operations.ledger_lines import event_line

    platform = session.platform
    if rollout is not None:
        load(platform, rollout_id(rollout))  # says which rollouts there are
    names = [rollout] if rollout is not None else platform.ledger.rollouts()
    written = 0

    def lines() -> Iterable[str]:
        nonlocal written
        for name in names:
            for event in platform.ledger.events(name):
                written += 1
                yield event_line(event)

    if output is None:
        for line in lines():
            sys.stdout.buffer.write(line.encode() + b"\n")
        return
    write_lines(output, lines(), force=force)
    if session.as_json:
        print_json({"file": output, "rollouts": len(names), "events": written})
    else:
        say(f"{count(written, 'event')} of {count(len(names), 'rollout')} written to {where(output)}")


def backup(session: Session, file: FileArgument, *, force: ForceOption = False) -> None:
    """Write the whole ledger into one file, as of one moment, while others write.

    Events, claims, cursors and watches. The file can be restored into SQLite and into PostgreSQL alike, and holds names
    of people and what they wrote: it is readable by its owner only. Keep it on another machine.

    JSON: {"file", "rollouts": [{"rollout", "events", "head"}], "events"}.

    Example: staged-rollout ledger backup ledger-2026-03-02.jsonl
    """
    from staged_rollout.adapters.ledger_backup import Kept, backup_lines

    kept = Kept()
    with waiting("writing the backup", as_json=session.as_json), _ledger(session) as ledger:
        write_lines(file, backup_lines(ledger, kept), force=force)
    _say_kept(session, file, kept, "written to")


def restore(session: Session, file: FileArgument) -> None:
    """Put a backup into a new, empty ledger, all or nothing.

    Every hash and every link is checked and every rollout folded before anything is kept. What happened after the
    backup is not in it: the next tick of each rollout moves routers and endpoint back to what its ledger says.

    JSON: {"file", "rollouts": [{"rollout", "events", "head"}], "events"}.

    Example: staged-rollout ledger restore ledger-2026-03-02.jsonl
    """
    from staged_rollout.adapters.ledger_backup import restore as restored

    if not file.is_file():
        raise NotFoundError(f"there is no file {where(file)}", hint="staged-rollout ledger backup FILE writes one")
    with waiting("restoring the ledger", as_json=session.as_json), _ledger(session) as ledger:
        kept = restored(ledger, file)
    _say_kept(session, file, kept, "restored from")


def write_lines(file: Path, lines: Iterable[str], *, force: bool) -> None:
    """Write lines beside a file and rename them into place, so that it is whole or not there; for its owner only.

    Raises:
        RefusedError: the file is there, and need not be replaced.
        PlatformError: it cannot be written.
    """
    file = file.absolute()
    if os.path.lexists(file) and not force:
        raise RefusedError(f"{where(file)} is there already", hint="another name, or --force", file=str(file))
    aside = None
    try:
        descriptor, aside = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name[:100]}.")
        with os.fdopen(descriptor, "wb") as stream:
            for line in lines:
                stream.write(line.encode() + b"\n")
            stream.flush()
            os.fsync(stream.fileno())
        Path(aside).replace(file)
        aside = None
    except OSError as error:
        raise PlatformError(f"{where(file)} cannot be written: {error.strerror}", file=str(file)) from error
    finally:
        if aside is not None:
            Path(aside).unlink(missing_ok=True)


def _ledger(session: Session) -> SqlLedger:
    from staged_rollout.adapters.ledger_sql import open_ledger

    return open_ledger(session.home.ledger_url(session.environment.ledger))


def _say_kept(session: Session, file: Path, kept: Kept, verb: str) -> None:
    if session.as_json:
        rollouts = [{"rollout": name, "events": seq, "head": head} for name, (seq, head) in kept.heads.items()]
        print_json({"file": file, "rollouts": rollouts, "events": kept.events})
    else:
        say(f"{count(kept.events, 'event')} of {count(len(kept.heads), 'rollout')} {verb} {where(file)}")


def _fault(one: Audited) -> str:
    """What is wrong with a rollout, "" for nothing."""
    if one.error is not None:
        return one.error.message
    if one.replay is not None and one.replay.wrong:
        seq, why = next(iter(one.replay.wrong.items()))
        return f"decision {seq} does not replay: {why}"
    return ""


def _rollout_row(one: Audited) -> dict[str, Any]:
    replay, fault = one.replay, _fault(one)
    return {
        "rollout": one.rollout,
        "events": one.events,
        "intact": not fault,
        "message": fault,
        "head": one.head,
        "decisions": replay.same + len(replay.other) + len(replay.wrong) if replay else None,
        "decided_otherwise": sorted((*replay.other, *replay.wrong)) if replay else [],
    }


def _say(audited: Sequence[Audited], findings: Sequence[str]) -> None:
    for one in audited:
        fault, replay = _fault(one), one.replay
        told = fault or f"{count(one.events, 'event')}, intact"
        if replay is not None and not fault:
            told += f", {count(replay.same, 'decision')} replayed" if replay.same else ""
            if replay.other:
                told += f"; of another version, which decided otherwise: {', '.join(map(str, replay.other))}"
        say(f"{one.rollout}: {told}", "red" if fault else "")
    for finding in findings:
        say(finding, "red")

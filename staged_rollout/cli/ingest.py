"""`staged-rollout ingest`: logs into the lake, with every line accounted for."""

from __future__ import annotations

import shlex
import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from staged_rollout.cli.ingest_hints import hint_for, main_causes
from staged_rollout.cli.ingest_progress import WatchedLogs
from staged_rollout.cli.lake_option import LakeOption, platform_with
from staged_rollout.cli.output import print_json, print_table, say, where
from staged_rollout.cli.quarantine import Format, format_of, kind_of, reason_rows
from staged_rollout.cli.session import Session, shared
from staged_rollout.errors import DataError, NotFoundError, SpecError
from staged_rollout.operations.quarantine import Selection, first_line, kept_lines
from staged_rollout.ports import FileBooks, Lake, LogSource, Platform
from staged_rollout.report.figures import count

if TYPE_CHECKING:
    from staged_rollout.operations.ingest import IngestReport

SHOWN = 20
"""Files in the table for people; the books of all are in the lake."""
COMMONEST = 3
"""Reasons that are shown."""
Books = dict[tuple[str, str], Counter[str]]
"""File and kind to figures by verdict."""
VERDICTS = ("lines", "accepted", "duplicates", "quarantined", "late", "blank")
SHOWN_VERDICTS = ("lines", "accepted", "quarantined", "duplicates", "late", "blank")
"""In the order in which a narrow terminal shows them."""

SourcesArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="SOURCE", help="Files, folders or globs. [default: the home's logs and the environment's]"),
]
FormatOption = Annotated[
    Format | None, typer.Option("--format", help="Kind of the lines. [default: told by each file's first record]")
]
EndpointOption = Annotated[
    str | None,
    typer.Option("--endpoint", metavar="NAME", help="Their endpoint. [default: of a Data Capture path, or local]"),
]
VariantOption = Annotated[
    str | None, typer.Option("--variant", metavar="NAME", help="The variant that answered, where lines do not say.")
]
FieldOption = Annotated[
    list[str] | None,
    typer.Option(
        "--field", metavar="NAME=THEIRS", help="Our field is their key; NAME= when they have none. Repeatable."
    ),
]
BackfillOption = Annotated[bool, typer.Option("--backfill", help="Replay history in event order: no line is late.")]


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("ingest")(shared(ingest_logs))


def ingest_logs(
    session: Session,
    sources: SourcesArgument = None,
    *,
    lake: LakeOption = None,
    line_format: FormatOption = None,
    endpoint: EndpointOption = None,
    variant: VariantOption = None,
    field: FieldOption = None,
    backfill: BackfillOption = False,
) -> None:
    """Read logs into the lake: each line once, and none lost.

    A line becomes a row, or is a duplicate, blank, late, or kept in quarantine with its reason. Files that were read
    before are read on from where they were left. --field rollout=experiment_id reads other people's names, --field
    latency_ms= says that they have none, and any other name is a numeric field to keep for metrics.

    Lines in quarantine leave with 0: they are kept, and counted. A file that cannot be read leaves with 7, once all
    others are in.

    JSON: {"files", "lines", "accepted", "duplicates", "quarantined", "late", "blank", "bytes", "seconds", "snapshot",
    "batch", "pending_bytes", "findings": []}; snapshot is that of predictions.

    Example: staged-rollout ingest logs/ --format flat --endpoint churn-prod --field rollout=experiment_id
    """
    from staged_rollout.operations.ingest import ingest
    from staged_rollout.operations.new_logs import measured_logs

    begun = time.monotonic()
    platform = platform_with(session, lake)
    entries = _fields(field or [])
    if sources:
        logs = _logs_at(sources, platform, line_format, endpoint, variant, entries)
    elif line_format or endpoint or variant or field:
        raise SpecError(
            "--format, --endpoint, --variant and --field need a SOURCE", hint="staged-rollout ingest --help"
        )
    else:
        logs = measured_logs(platform)
    files = logs.list()
    if not files:
        raise NotFoundError(
            f"no log file lies below {where(platform.home.logs)} or {where(platform.home.capture)}, and the"
            " environment's logs name none",
            hint="staged-rollout ingest SOURCE, or --home FOLDER",
        )
    watched = WatchedLogs(logs, files, counting=sys.stderr.isatty() and not session.as_json)
    before = platform.lake.head().number
    with watched.bar():
        report = ingest(logs=watched, lake=platform.lake, clock=platform.clock, backfill=backfill)
    seconds = time.monotonic() - begun
    if session.as_json:
        print_json(_document(report, platform.lake, seconds))
    else:
        names = {file.name for file in files}
        books = _by_file(one for one in platform.lake.books(since_batch=before) if one.name in names)
        _say(report, books, seconds)
        if not report.lines:
            say(f"nothing new in {count(len(files), 'file')}")
        _say_refused(platform.lake, {name for name, _ in books} or names, entries, lake)
    if watched.unread:
        raise DataError(
            f"{count(len(watched.unread), 'file')} could not be read: {', '.join(sorted(watched.unread)[:3])}",
            hint="everything else is in the lake; running again goes on",
            files=sorted(watched.unread),
        )


def _fields(given: Sequence[str]) -> dict[str, str | None]:
    """`NAME=THEIRS` as a mapping; `NAME=` is None.

    Raises:
        SpecError: no `=`, no name, or a name twice.
    """
    found: dict[str, str | None] = {}
    for entry in given:
        name, sign, theirs = entry.partition("=")
        if not sign or not name:
            raise SpecError(
                f"--field {entry!r} is not NAME=THEIRS", hint="--field rollout=experiment_id, or latency_ms="
            )
        if name in found:
            raise SpecError(f"--field {name} is given twice", hint="name each field once")
        found[name] = theirs or None
    return found


def _logs_at(
    sources: Sequence[str],
    platform: Platform,
    line_format: Format | None,
    endpoint: str | None,
    variant: str | None,
    fields: Mapping[str, str | None],
) -> LogSource:
    from staged_rollout.adapters.log_paths import LogEntry, LogPaths

    for option, name in (("--endpoint", endpoint), ("--variant", variant)):
        if name is not None and (not name.strip() or len(name) > 128 or not name.isprintable()):
            raise SpecError(f"{option} {name[:64]!r} is no name; accepted: up to 128 printable characters")
    entries = [LogEntry(source, kind_of(line_format), endpoint, variant, fields) for source in dict.fromkeys(sources)]
    logs = LogPaths(entries, Path.cwd(), home=platform.home, apart=platform.home.lake)
    missing = logs.unmatched()
    if missing:
        raise NotFoundError(
            f"no file matches {', '.join(repr(one) for one in missing)}",
            hint="a file, a folder that holds files, or a glob in quotes such as 'logs/*.jsonl.gz'",
            sources=list(missing),
        )
    return logs


def _document(report: IngestReport, lake: Lake, seconds: float) -> dict[str, object]:
    return {
        "files": report.files,
        **{verdict: getattr(report, verdict) for verdict in VERDICTS},
        "bytes": report.bytes,
        "seconds": round(seconds, 3),
        "snapshot": lake.batch(report.batch).snapshots.get("predictions"),
        "batch": report.batch,
        "pending_bytes": report.pending_bytes,
        "findings": report.findings,
    }


def _say(report: IngestReport, books: Books, seconds: float) -> None:
    if books:
        header = ("file", *SHOWN_VERDICTS, "format")
        rows = sorted(books.items(), key=lambda item: (-item[1]["quarantined"] - item[1]["late"], item[0]))
        cells = [
            (where(Path(name)), *(f"{figures[one]:,}" for one in SHOWN_VERDICTS), format_of(kind))
            for (name, kind), figures in rows
        ]
        print_table(header, cells[:SHOWN], wide="file")
        if len(cells) > SHOWN:
            say(f"and {count(len(cells) - SHOWN, 'more file')}")
    rate = f", {report.lines / seconds:,.0f} lines a second" if report.lines and seconds > 0 else ""
    say(
        f"{count(report.lines, 'line')} = {report.accepted:,} accepted + {report.duplicates:,} duplicates + "
        f"{report.quarantined:,} quarantined + {report.late:,} late + {report.blank:,} blank; {seconds:.1f} s{rate}"
    )
    if report.pending_bytes:
        say(f"{count(report.pending_bytes, 'byte')} of half-written last lines wait for their end", "yellow")
    for finding in report.findings:
        say(finding, "yellow")


def _say_refused(lake: Lake, names: set[str], entries: Mapping[str, str | None], folder: Path | None) -> None:
    """Why lines of these files are in quarantine, and what to do about it."""
    kept = [one for one in kept_lines(lake, lake.head(), Selection()) if one.source in names]
    if not kept:
        return
    beside = "" if folder is None else f" --lake {shlex.quote(str(folder))}"
    say("")
    say(f"in quarantine from {'these files' if len(names) > 1 else 'this file'}:", "bold")
    print_table(("lines", "files", "verdict", "reason"), reason_rows(kept)[:COMMONEST], wide="reason")
    say(f"see them: staged-rollout quarantine{beside}")
    said = False
    for one in main_causes(kept, _without_rows(lake, names)):
        for example in first_line(lake, lake.head(), one):
            for hint in hint_for(example, one.kind, one.cause, entries):
                say(f"hint: {hint}", "bold")
                said = True
    if said:
        say("a line is read once. To read these again:")
        source = f" --source {shlex.quote(next(iter(names)))}" if len(names) == 1 else ""
        say(f"  staged-rollout quarantine{beside}{source} --export again.jsonl")
        say(f"  staged-rollout ingest again.jsonl{beside} with these options")


def _without_rows(lake: Lake, names: set[str]) -> dict[str, int]:
    """Files of which no line is a row, and how many lines they have."""
    lines: Counter[str] = Counter()
    rows: Counter[str] = Counter()
    for one in lake.books():
        lines[one.name] += one.lines - one.blank
        rows[one.name] += one.accepted + one.duplicates
    return {name: lines[name] for name in names if not rows[name]}


def _by_file(books: Iterable[FileBooks]) -> Books:
    found: Books = {}
    for one in books:
        figures = {verdict: getattr(one, verdict) for verdict in VERDICTS}
        found.setdefault((one.name, one.kind), Counter()).update(figures)
    return found

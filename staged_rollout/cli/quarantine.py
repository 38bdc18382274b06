"""`staged-rollout quarantine`: which lines are no rows, why, and how to get them in after all."""

from __future__ import annotations

import os
import shlex
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from staged_rollout.cli.lake_option import LakeOption, existing_lake
from staged_rollout.cli.output import print_json, print_table, say, waiting, where
from staged_rollout.cli.session import Session, shared
from staged_rollout.errors import PlatformError, RefusedError
from staged_rollout.operations.quarantine import (
    KeptLine,
    KeptLines,
    Selection,
    by_cause,
    every_line,
    examples,
    kept_lines,
)
from staged_rollout.ports import Batch, Lake
from staged_rollout.records.blocks import LineKind
from staged_rollout.records.lines import KEPT_BYTES
from staged_rollout.report.figures import count

Format = Literal["flat", "capture", "shadow", "outcomes", "ground-truth", "feedback"]

ReasonOption = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Only reasons that hold this text.")]
SourceOption = Annotated[str | None, typer.Option("--source", metavar="FILE", help="Only lines of this file.")]
FormatOption = Annotated[Format | None, typer.Option("--format", help="Only lines of this format.")]
EndpointOption = Annotated[str | None, typer.Option("--endpoint", metavar="NAME", help="Only lines of this endpoint.")]
VerdictOption = Annotated[
    Literal["quarantined", "late"] | None, typer.Option("--verdict", help="Only lines with this verdict.")
]
LimitOption = Annotated[int, typer.Option("--limit", metavar="N", min=0, help="How many examples are shown.")]
ExportOption = Annotated[
    Path | None, typer.Option("--export", metavar="FILE", help="Write the lines to this file, as they came.")
]
ForceOption = Annotated[bool, typer.Option("--force", help="Let --export replace a file.")]

SHOWN = 20
"""Rows of a table for people; JSON holds all."""
RAW_SHOWN = 300
"""Characters of a raw line that are shown."""


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("quarantine")(shared(quarantine))


def kind_of(name: Format | None) -> LineKind | None:
    """The kind of line that a format's name stands for."""
    return "predictions" if name == "flat" else name


def format_of(kind: str) -> str:
    """What the command line calls a kind of line."""
    return "flat" if kind == "predictions" else kind


def quarantine(
    session: Session,
    *,
    lake: LakeOption = None,
    reason: ReasonOption = "",
    source: SourceOption = None,
    line_format: FormatOption = None,
    endpoint: EndpointOption = None,
    verdict: VerdictOption = None,
    limit: LimitOption = 5,
    export: ExportOption = None,
    force: ForceOption = False,
) -> None:
    """Lines that are no rows: counts by reason and file, examples, and an export to mend them.

    --export writes the lines as they came, one per line, and says how to ingest them again. They stay in quarantine:
    it is a record of what was refused.

    JSON: {"lines", "quarantined", "late", "reasons": [{"verdict", "reason", "lines", "files"}], "sources": [{"source",
    "format", "endpoint", "verdict", "lines"}], "examples": [{"source", "line", "offset", "verdict", "reason", "raw",
    "at"}], "exported": {"file", "lines", "bytes", "cut", "ingest_with": []} or null}.

    Example: staged-rollout quarantine --reason "missing key" --export missing.jsonl
    """
    opened = existing_lake(session, lake).lake
    batch = opened.head()
    selection = Selection(reason, source, kind_of(line_format), endpoint, verdict)
    if export is not None:
        _refuse_replacing(export, force=force)
    with waiting("reading the quarantine", as_json=session.as_json):
        kept = kept_lines(opened, batch, selection)
        shown = list(examples(opened, batch, kept, limit))
        exported = _export(opened, batch, kept, selection, export, lake) if export is not None else None
    if session.as_json:
        print_json(_document(kept, shown, exported))
        return
    if not kept:
        say("no line is in quarantine" if selection == Selection() else "no line in quarantine fits")
        return
    _say(kept, shown)
    if exported is not None:
        say("")
        say(f"{count(exported['lines'], 'line')} written to {where(Path(exported['file']))}")
        if exported["cut"]:
            say(f"{count(exported['cut'], 'line')} of them kept only to {KEPT_BYTES:,} bytes", "yellow")
        for command in exported["ingest_with"]:
            say(f"once mended: {command}")
        if len(exported["ingest_with"]) > 1:
            say("they are of several formats or endpoints: export each by itself with --format and --endpoint")


def reason_rows(kept: Sequence[KeptLines]) -> list[tuple[str, str, str, str]]:
    """Rows of a table of reasons: lines, files, verdict, reason."""
    return [(f"{lines:,}", f"{files:,}", verdict, cause) for verdict, cause, lines, files in by_cause(kept)]


def _say(kept: Sequence[KeptLines], shown: Sequence[KeptLine]) -> None:
    rows = reason_rows(kept)
    print_table(("lines", "files", "verdict", "reason"), rows[:SHOWN], wide="reason")
    _say_rest(len(rows), "reason")
    say("")
    sources = _by_source(kept)
    cells = [(f"{one['lines']:,}", one["format"], one["endpoint"], one["verdict"], one["source"]) for one in sources]
    print_table(("lines", "format", "endpoint", "verdict", "file"), cells[:SHOWN], wide="file")
    _say_rest(len(cells), "file")
    for line in shown:
        say("")
        say(f"{line.source}:{line.line}: {line.reason}", "yellow")
        raw = _text(line.raw)
        say(raw if len(raw) <= RAW_SHOWN else raw[: RAW_SHOWN - 1] + "…")


def _say_rest(rows: int, what: str) -> None:
    if rows > SHOWN:
        say(f"and {count(rows - SHOWN, f'more {what}')}; --json lists all")


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace")


def _by_source(kept: Sequence[KeptLines]) -> list[dict[str, Any]]:
    found: Counter[tuple[str, str, str, str]] = Counter()
    for one in kept:
        found[one.source, format_of(one.kind), one.endpoint, one.verdict] += one.lines
    keys = ("source", "format", "endpoint", "verdict")
    return [{**dict(zip(keys, key, strict=True)), "lines": lines} for key, lines in sorted(found.items())]


def _document(kept: Sequence[KeptLines], shown: Sequence[KeptLine], exported: Any) -> dict[str, Any]:
    by_verdict = Counter[str]()
    for one in kept:
        by_verdict[one.verdict] += one.lines
    reasons = [
        {"verdict": verdict, "reason": cause, "lines": lines, "files": files}
        for verdict, cause, lines, files in by_cause(kept)
    ]
    return {
        "lines": by_verdict.total(),
        "quarantined": by_verdict["quarantined"],
        "late": by_verdict["late"],
        "reasons": reasons,
        "sources": _by_source(kept),
        "examples": [
            {
                "source": line.source,
                "line": line.line,
                "offset": line.offset,
                "verdict": line.verdict,
                "reason": line.reason,
                "raw": _text(line.raw),
                "at": line.at,
            }
            for line in shown
        ],
        "exported": exported,
    }


def _refuse_replacing(file: Path, *, force: bool) -> None:
    if os.path.lexists(file) and not force:
        raise RefusedError(f"{where(file)} is there already", hint="another name, or --force", file=str(file))


def _export(
    lake: Lake, batch: Batch, kept: Sequence[KeptLines], selection: Selection, file: Path, folder: Path | None
) -> dict[str, Any]:
    """Write the lines aside and rename them into place, so that a file is whole or not there."""
    file = file.absolute()
    aside = file.with_name(f".{file.name}.{os.getpid()}.part")
    written = size = cut = 0
    try:
        with aside.open("xb") as stream:
            for line in every_line(lake, batch, kept, selection):
                # A record that was cut at its kept length cannot be mended from what was kept.
                cut += len(line.raw) >= KEPT_BYTES
                size += stream.write(line.raw + b"\n")
                written += 1
        aside.replace(file)
    except OSError as error:
        raise PlatformError(f"{where(file)} cannot be written: {error.strerror}", file=str(file)) from error
    finally:
        aside.unlink(missing_ok=True)
    readings = sorted({(format_of(one.kind), one.endpoint, one.verdict == "late") for one in kept})
    commands = []
    for name, endpoint, late in readings:
        words = ["staged-rollout", "ingest", where(file), "--format", name, "--endpoint", endpoint]
        words += ["--lake", str(folder)] if folder is not None else []
        commands.append(shlex.join([*words, *(["--backfill"] if late else [])]))
    return {"file": file, "lines": written, "bytes": size, "cut": cut, "ingest_with": commands}

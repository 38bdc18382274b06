"""The command that sends a file of requests through an endpoint or a router."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer

from staged_rollout.cli.output import print_json, progress_console, where
from staged_rollout.cli.replay_summary import check_answered, say_summary, summary_of
from staged_rollout.cli.session import Session, shared
from staged_rollout.errors import DataError, NotFoundError, RefusedError, SpecError
from staged_rollout.operations.replay import OK, Pace, Reply, Tally, replay
from staged_rollout.records.traffic import (
    CSV_TYPE,
    JSON_TYPE,
    BadLine,
    Kind,
    TrafficFormat,
    TrafficLine,
    read_traffic,
)

INTERRUPTED = 130
_RATE = re.compile(r"(?P<number>[0-9]+(\.[0-9]+)?)/(?P<unit>s|min|h)")
_SPAN = re.compile(r"(?P<number>[0-9]+(\.[0-9]+)?)(?P<unit>s|m|h|d)")
_SECONDS = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86_400.0}
_DRAWN_S = 0.1

FileOption = Annotated[Path, typer.Argument(metavar="FILE", help="A CSV or JSONL file, one request on each line.")]
EndpointOption = Annotated[str | None, typer.Option("--endpoint", metavar="NAME", help="The endpoint that is asked.")]
RouterOption = Annotated[
    str | None, typer.Option("--router", metavar="URL", help="Ask a router there, not the endpoint itself.")
]
RateOption = Annotated[str, typer.Option("--rate", metavar="N/s", help="Requests in a time: 50/s, 600/min, 90/h.")]
VariantOption = Annotated[
    str | None, typer.Option("--variant", metavar="NAME", help="Name this variant in every request (TargetVariant).")
]
TypeOption = Annotated[
    str | None,
    typer.Option(
        "--content-type",
        metavar="TYPE",
        help=f"{JSON_TYPE} or {CSV_TYPE}. [default: {CSV_TYPE} for a CSV file without header, else {JSON_TYPE}]",
    ),
]
HeaderOption = Annotated[
    bool, typer.Option("--header/--no-header", help="Whether the first line of a CSV file names its columns.")
]
UnitOption = Annotated[
    str | None,
    typer.Option("--unit-column", metavar="COLUMN", help="The unit's id; without a header, the column's number."),
]
LabelOption = Annotated[
    str | None,
    typer.Option("--label", metavar="COLUMN", help="What was true: never sent, and kept for --outcomes."),
]
PositiveOption = Annotated[
    str | None,
    typer.Option("--positive", metavar="TEXT", help="The label that means 1, all others 0; left out: numbers."),
]
OutcomesOption = Annotated[
    Path | None,
    typer.Option("--outcomes", metavar="FILE", help="A new file: the label of each request, as an outcome."),
]
GroundTruthOption = Annotated[
    Path | None,
    typer.Option("--ground-truth", metavar="FILE", help="The same in Model Monitor's form, which joins Data Capture."),
]
LoopOption = Annotated[int, typer.Option("--loop", metavar="N", min=1, help="Send the file N times.")]
ForOption = Annotated[
    str | None, typer.Option("--for", metavar="SPAN", help="Send the file again and again for this long: 90s, 10m, 1h.")
]
ConcurrencyOption = Annotated[
    int, typer.Option("--concurrency", metavar="N", min=1, max=512, help="Requests that may be under way at once.")
]
TimeoutOption = Annotated[
    float, typer.Option("--timeout", metavar="SECONDS", min=0.001, help="How long to wait for each answer.")
]
RunOption = Annotated[
    str, typer.Option("--run", metavar="TEXT", help="Part of every request's id: another text, other requests.")
]


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("replay-traffic")(shared(replay_traffic))


def replay_traffic(
    session: Session,
    file: FileOption,
    rate: RateOption,
    endpoint: EndpointOption = None,
    router: RouterOption = None,
    variant: VariantOption = None,
    content_type: TypeOption = None,
    unit_column: UnitOption = None,
    label: LabelOption = None,
    positive: PositiveOption = None,
    outcomes: OutcomesOption = None,
    ground_truth: GroundTruthOption = None,
    loop: LoopOption = 1,
    for_: ForOption = None,
    concurrency: ConcurrencyOption = 16,
    timeout: TimeoutOption = 30.0,
    run: RunOption = "",
    *,
    header: HeaderOption = True,
) -> None:
    """Send the lines of a file through an endpoint, at a rate.

    The rate holds whether answers come or not. Each line is one request, sent once and never again; a line that is
    none is told with its number. In JSON, cells that are numbers are sent as numbers and empty ones as null. A
    request's id (InferenceId) depends on --run, the line and its place alone: the same file again is, to ingest, the
    same requests. Ctrl-C ends it with the summary. It stops by itself when the first 20 requests all fail.

    JSON: {"endpoint", "router", "sent", "answered", "bad_lines", "rate": {"wanted", "achieved"}, "seconds",
    "codes", "variants", "latency_ms": {"p50", "p95", "p99"}, "late_ms": {"p50", "p95", "p99"}, "first_bad_lines",
    "first_errors", "interrupted"}.

    Example: staged-rollout replay-traffic customers.csv --endpoint churn-prod --rate 50/s --variant v2
    """
    told = _format(file, content_type, header=header, unit=unit_column, label=label, positive=positive)
    if label is None and (outcomes is not None or ground_truth is not None):
        raise SpecError("--outcomes and --ground-truth need labels", hint="--label COLUMN")
    seconds = None if for_ is None else _number(for_, _SPAN, "--for", "90s, 10m or 1h")
    pace = Pace(1 / _number(rate, _RATE, "--rate", "50/s, 600/min or 90/h"), concurrency, seconds, run)
    passes = None if seconds is not None and loop == 1 else loop
    tally, interrupted = Tally(), False
    with ExitStack() as opened:
        labels = _Labels(opened, outcomes, ground_truth)
        sender = _sender(session, endpoint, router, variant, told, concurrency, timeout)
        opened.callback(sender.close)
        bar = opened.enter_context(_progress(file, tally, pace, passes, as_json=session.as_json))
        try:
            replay(_passes(file, told, passes), sender, pace, on_line=bar, on_reply=labels.write, tally=tally)
        except KeyboardInterrupt:
            interrupted = True
    summary = summary_of(endpoint, router, pace, tally, interrupted=interrupted)
    if session.as_json:
        print_json(summary)
    else:
        say_summary(summary)
    if interrupted:
        raise typer.Exit(INTERRUPTED)
    check_answered(tally, file)


def _format(
    file: Path, content_type: str | None, *, header: bool, unit: str | None, label: str | None, positive: str | None
) -> TrafficFormat:
    if not file.is_file():
        raise NotFoundError(f"no file {where(file)}", hint="a CSV or JSONL file", file=str(file))
    kinds: dict[str, Kind] = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
    kind = kinds.get(file.suffix.lower())
    if kind is None:
        raise SpecError(f"{where(file)} ends in {file.suffix!r}, must be .csv, .jsonl or .ndjson", file=str(file))
    nameless = kind == "csv" and not header
    sent = content_type or (CSV_TYPE if nameless else JSON_TYPE)
    if sent not in {CSV_TYPE, JSON_TYPE}:
        raise SpecError(f"--content-type == {sent!r}, must be {CSV_TYPE} or {JSON_TYPE}")
    if nameless and sent == JSON_TYPE:
        raise SpecError(
            "a CSV file without header has no names that a JSON object needs", hint=f"--content-type {CSV_TYPE}"
        )
    for option, column in (("--unit-column", unit), ("--label", label)):
        if nameless and column is not None and not (column.isdecimal() and column.isascii() and int(column) >= 1):
            raise SpecError(f"{option} == {column!r}, must be a column's number from 1: the file has no header")
    if positive is not None and label is None:
        raise SpecError("--positive needs labels", hint="--label COLUMN")
    if unit is not None and unit == label:
        raise SpecError(f"--unit-column and --label are both {unit!r}")
    return TrafficFormat(kind, header and kind == "csv", sent, unit, label, positive)


def _number(text: str, pattern: re.Pattern[str], option: str, accepted: str) -> float:
    """Seconds of a span, or seconds between two requests of a rate."""
    match = pattern.fullmatch(text)
    number = 0.0 if match is None else float(match["number"])
    if match is None or not 0 < number <= 1e6:
        raise SpecError(f"{option} == {text!r}, must be like {accepted}, above 0", option=option)
    unit = _SECONDS[match["unit"]]
    return unit / number if pattern is _RATE else unit * number


def _passes(file: Path, told: TrafficFormat, passes: int | None) -> Iterator[Iterator[TrafficLine | BadLine]]:
    for _ in count() if passes is None else range(passes):
        try:
            with file.open("rb") as stream:
                yield read_traffic(stream, told)
        except OSError as error:
            raise DataError(f"{where(file)} cannot be read: {error.strerror}", file=str(file)) from error


def _sender(
    session: Session,
    endpoint: str | None,
    router: str | None,
    variant: str | None,
    told: TrafficFormat,
    concurrency: int,
    timeout: float,
) -> Any:
    from staged_rollout.adapters.resource_names import checked_name
    from staged_rollout.adapters.traffic_senders import EndpointSender, RouterSender

    name = None if endpoint is None else checked_name(endpoint, "endpoint")
    if router is not None:
        if variant is not None or told.content_type != JSON_TYPE:
            raise RefusedError("a router takes JSON and chooses the variant itself", hint="leave out --variant")
        if not router.startswith(("http://", "https://")):
            raise SpecError(f"--router == {router[:100]!r}, must be like http://127.0.0.1:8080")
        return RouterSender(router, name, timeout_s=timeout, concurrency=concurrency)
    if name is None:
        raise SpecError("neither --endpoint nor --router is given", hint="--endpoint NAME")
    if variant is not None:
        checked_name(variant, "variant")
    client = _runtime_client(session, concurrency, timeout)
    return EndpointSender(client, name, told.content_type, variant)


def _runtime_client(session: Session, concurrency: int, timeout: float) -> Any:
    """The environment's runtime: AWS, or the local endpoint of this home."""
    from staged_rollout.adapters.runtime_client import runtime_client

    return runtime_client(session.environment, session.home, timeout_s=timeout, pool=concurrency)


class _Labels:
    """Writes what was true of each request, once its answer is there."""

    def __init__(self, opened: ExitStack, outcomes: Path | None, ground_truth: Path | None) -> None:
        self._outcomes = None if outcomes is None else _new_file(opened, outcomes, "--outcomes")
        self._ground_truth = None if ground_truth is None else _new_file(opened, ground_truth, "--ground-truth")

    def write(self, line: TrafficLine, request_id: str, _: Reply) -> None:
        """Write a label."""
        if line.label is None:
            return
        if self._outcomes is not None:
            at = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
            unit = {} if line.unit is None else {"unit_id": line.unit}
            outcome = {"request_id": request_id, **unit, "timestamp": at, "outcome": line.label}
            self._outcomes.write(json.dumps(outcome) + "\n")
        if self._ground_truth is not None:
            truth = {
                "groundTruthData": {"data": f"{line.label:g}", "encoding": "CSV"},
                "eventMetadata": {"eventId": request_id},
                "eventVersion": "0",
            }
            self._ground_truth.write(json.dumps(truth) + "\n")


def _new_file(opened: ExitStack, path: Path, option: str) -> TextIO:
    try:
        return opened.enter_context(path.open("x", encoding="utf-8", buffering=1))
    except FileExistsError as error:
        raise RefusedError(f"{option}: {where(path)} exists, and is not written over", file=str(path)) from error
    except OSError as error:
        raise DataError(f"{option}: {where(path)} cannot be written: {error.strerror}", file=str(path)) from error


@contextmanager
def _progress(
    file: Path, tally: Tally, pace: Pace, passes: int | None, *, as_json: bool
) -> Iterator[Callable[[int, TrafficLine | BadLine], None]]:
    """A bar on a terminal, of bytes or of time; silence elsewhere."""
    console = progress_console()
    if as_json or not console.is_terminal:
        yield lambda *_: None
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("sending"), BarColumn(), TextColumn("{task.fields[told]}"), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        total = pace.seconds if passes is None else float(max(1, file.stat().st_size * passes))
        task = bar.add_task("", total=total, told="")
        begun, drawn, read = time.monotonic(), 0.0, 0

        def show(_: int, line: TrafficLine | BadLine) -> None:
            nonlocal drawn, read
            read += line.size
            now = time.monotonic()
            if now - drawn < _DRAWN_S:
                return
            drawn = now
            failed = tally.answered - tally.codes[OK]
            told = f"{tally.sent:,} sent, {tally.rate:.1f}/s, {failed:,} failed"
            bar.update(task, completed=now - begun if passes is None else read, told=told)

        yield show

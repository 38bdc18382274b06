"""`staged-rollout`: joins the commands, one module per kind of command, and turns errors into exit codes."""

from __future__ import annotations

import io
import os
import sys
import traceback
from collections.abc import Sequence

import typer
from typer.main import get_command

from staged_rollout.cli import (
    acts,
    adopt,
    analyze,
    designs,
    doctor,
    exposed,
    files,
    ingest,
    lake,
    ledger,
    package,
    quarantine,
    reading,
    replay_traffic,
    report,
    sample_plan,
    signing,
    statistics,
    work,
)
from staged_rollout.cli.output import fault, print_error
from staged_rollout.cli.session import (
    ConfigsOption,
    DebugOption,
    EnvironmentOption,
    HomeOption,
    JsonOption,
    Settings,
)
from staged_rollout.errors import StagedRolloutError

INTERRUPTED = 130


def exit_codes() -> str:
    """Every exit code with its meaning, as `--help` shows them; from the tree of errors itself."""
    kinds = sorted(StagedRolloutError.__subclasses__(), key=lambda kind: kind.exit_code)
    meanings = {kind.exit_code: (kind.__doc__ or "").split("\n")[0].split(";")[0].rstrip(".") for kind in kinds}
    meanings[SYNTAX] += ", or the command line is wrong"
    codes = {0: "all is well", 1: "a defect of this program", **meanings, INTERRUPTED: "interrupted"}
    return "\b\n" + "\n".join(("Exit codes:", *(f"{code:>5}  {meaning}" for code, meaning in codes.items())))


SYNTAX = 2
app = typer.Typer(
    name="staged-rollout",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    epilog=exit_codes(),
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def everywhere(
    context: typer.Context,
    *,
    environment: EnvironmentOption = None,
    home: HomeOption = None,
    configs: ConfigsOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Take a new model version to production, or back out, on evidence.

    \b
    What was decided, why  staged-rollout report ROLLOUT --open
    Stop a rollout         staged-rollout rollback ROLLOUT --as YOU --reason WHY
    Read your own logs     staged-rollout ingest LOGS --field NAME=THEIRS
    How a metric is meant  staged-rollout explain FILE

    What the commands read and write is the ledger of an environment; they work when Prefect is down.

    With --json each command prints one JSON document on stdout, with the keys that its own --help names, and an error
    is {"error": {"type", "message", "hint", "exit_code", "facts"}} on stderr.

    Example: staged-rollout status
    """  # noqa: D301 - click's mark of lines that stay as they are
    context.obj = Settings(environment, home, configs, as_json, debug)


for module in (
    reading,
    report,
    doctor,
    exposed,
    acts,
    adopt,
    files,
    work,
    replay_traffic,
    ingest,
    quarantine,
    lake,
    ledger,
    package,
    analyze,
    designs,
    sample_plan,
    signing,
    statistics,
):
    module.add_to(app)


def run(arguments: Sequence[str] | None = None) -> None:
    """Run one command and leave with its exit code.

    Args:
        arguments: Without the program's name; None: those of the process.

    Raises:
        SystemExit: always, with a code of `exit_codes()`.
    """
    given = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    os.environ.setdefault(
        "MLFLOW_LOGGING_LEVEL", "WARNING"
    )  # its tables are made at first use, and it says so at length
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a name in another alphabet must not end a rollback
    sys.exit(_outcome(given))


def _outcome(given: list[str]) -> int:
    options = given[: given.index("--")] if "--" in given else given
    as_json, debug = "--json" in options, "--debug" in options
    try:
        command = get_command(app)
        with command.make_context("staged-rollout", given) as context:
            command.invoke(context)
        sys.stdout.flush()
        return 0
    except typer.Exit as ended:
        return ended.exit_code
    except typer.TyperException as error:
        fault("UsageError", error.format_message(), "staged-rollout --help", SYNTAX, as_json=as_json)
        return SYNTAX
    except StagedRolloutError as error:
        if debug:
            traceback.print_exc()
        print_error(error, as_json=as_json)
        return error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        fault("Interrupted", "interrupted", "", INTERRUPTED, as_json=as_json)
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that closing stdout does not complain
        return 0
    except Exception as error:  # noqa: BLE001 - the last line of defence: a defect is one line, not a traceback
        if debug:
            traceback.print_exc()
        text = f"{type(error).__name__}: {error}"
        fault("Defect", text, "a defect of this program: --debug shows where", 1, as_json=as_json)
        return 1

"""A program that does several things to one rollout at the same moment, each in a process of its own.

Reads one JSON list of acts per line, forks a child for each, lets all of them go at once, and answers one JSON list:
of each act the exit code, and what it raised. Everything heavy is imported once, before; nothing is opened before.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import sys
from typing import Any

PRELOADED = ("alembic", "boto3", "duckdb", "great_expectations", "mlflow.tracking", "pyarrow", "psycopg")
OURS = (
    "pyiceberg.catalog.sql",
    "staged_rollout.operations.advance",
    "staged_rollout.cli.main",
    "flows.advance_rollout",
    "flows.register_candidate",
    "flows.sweep_rollouts",
    "flows.watch_guardrails",
)


def act(environment: str, told: dict[str, Any]) -> None:
    """One act, as whoever does it would do it."""
    match told["act"]:
        case "command":
            from staged_rollout.cli.main import run

            try:
                run([*told["arguments"], "--environment", environment])
            except SystemExit as ended:
                if ended.code:
                    raise RuntimeError(f"exit code {ended.code}") from ended
        case "flow":
            module = importlib.import_module(f"flows.{told['flow']}")
            getattr(module, told["flow"])(**told["parameters"], environment=environment)


def main() -> None:
    for name in (*PRELOADED, *OURS):
        importlib.import_module(name)
    logging.disable(logging.CRITICAL)
    environment = sys.argv[1]
    for line in sys.stdin:
        ready, go = os.pipe()
        children = []
        for told in json.loads(line):
            out, into = os.pipe()
            child = os.fork()
            if child == 0:
                os.close(go)
                wrong = ""
                try:
                    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
                    os.read(ready, 1)  # returns when the parent closes its end: for all at once
                    act(environment, told)
                except BaseException as error:  # noqa: BLE001 - told to the parent, whatever it is
                    wrong = f"{type(error).__name__}: {error}"
                os.write(into, wrong.encode()[:4000])
                os._exit(bool(wrong))
            os.close(into)
            children.append((child, out))
        os.close(go)
        answers = []
        for child, out in children:
            with os.fdopen(out, "rb") as pipe:
                wrong = pipe.read().decode(errors="replace")
            _, status = os.waitpid(child, 0)
            answers.append({"code": os.waitstatus_to_exitcode(status), "wrong": wrong})
        os.close(ready)
        sys.stdout.write(json.dumps(answers) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()

"""The stack: what is started, in which order, with which settings."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import httpx

from demo.prefect_servers import free_port
from demo.rules import write_rules
from demo.stack.processes import Processes, wait_until
from demo.stack.rules import RULES
from demo.stack.site import ENVIRONMENT, READY
from staged_rollout.adapters.atomic_file import replace_file
from staged_rollout.errors import PlatformError, RefusedError

ROOT = Path(__file__).resolve().parents[2]
POOL = "rollouts"
RUNS_AT_A_TIME = 3
EVERY_MINUTE = "* * * * *"
_TOLD = {"PREFECT_API_URL", "PREFECT_HOME"}
SCHEMA = "staged_rollout"
"""Of the ledger's tables: Prefect has a table named events too."""


class Stack:
    """Everything that a team runs, below one home.

    Args:
        home: Where data, settings and logs lie.
        say: Told one line at a time.
    """

    def __init__(self, home: Path, say: Callable[[str], None]) -> None:
        self._home = home
        self._say = say
        self._processes = Processes(home / "stack")
        self._settings = home / "stack" / "settings.json"
        self._shell = home / "stack" / "environment.sh"

    def up(self, port: int | None, database: str | None) -> None:
        """Start what does not run, in order, and say where everything is.

        Args:
            port: Of Prefect's server; None: as before, or its own, or any that is free.
            database: A PostgreSQL URL; None: as before, or SQLite.

        Raises:
            PlatformError: a part did not come up; its log says why. What came up stays.
            RefusedError: the URL is none of PostgreSQL's.
        """
        if not (self._home / "configs").exists():
            write_rules(ROOT / "configs", self._home / "configs", RULES)
        environment = self._environment(port, database)
        api = environment["PREFECT_API_URL"]
        python = sys.executable
        server = [python, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(urlsplit(api).port)]
        self._part("server", server, environment, "Prefect's server", lambda: _healthy(api), 180)
        site = [python, "-m", "demo.stack.site", "--home", str(self._home)]
        if not self._processes.running("site"):
            (self._home / READY).unlink(missing_ok=True)
        self._part("site", site, environment, "endpoint, router and champion", (self._home / READY).exists, 180)
        self._say("work pool, limits, deployments and automations ...")
        self._run([python, "-m", "demo.stack.setup", "pool"], environment)
        self._run([python, "-m", "prefect", "--no-prompt", "deploy", "--all"], environment)
        self._run([python, "-m", "demo.stack.setup", "automations"], environment)
        worker = [python, "-m", "prefect", "worker", "start", "--pool", POOL, "--type", "process"]
        worker += ["--limit", str(RUNS_AT_A_TIME), "--name", "up"]
        self._part("worker", worker, environment, "the worker", lambda: self._processes.running("worker"), 60)
        self._told(api)

    def down(self) -> None:
        """Stop exactly what `up` started, the worker first; the data stays."""
        stopped = [name for name in ("worker", "site", "server") if self._processes.stop(name)]
        self._say(f"stopped: {', '.join(stopped)}" if stopped else "nothing was running")
        if self._home.exists():
            self._say(f"ledger, lake, logs and Prefect's database stay in {os.path.relpath(self._home)}")

    def _part(
        self, name: str, command: list[str], environment: dict[str, str], what: str, ready: Callable[[], bool], s: float
    ) -> None:
        if self._processes.running(name) and ready():
            self._say(f"{what}: running already")
            return
        self._say(f"{what} ...")
        self._processes.start(name, command, environment)

        def there() -> bool:
            self._processes.must_live(name)
            return ready()

        wait_until(what, s, there)

    def _run(self, command: list[str], environment: dict[str, str]) -> None:
        done = subprocess.run(  # noqa: S603 - our own command lines, no shell
            command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False
        )
        log = self._home / "stack" / "setup.log"
        log.write_text(done.stdout + done.stderr, encoding="utf-8")
        if done.returncode:
            said = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
            raise PlatformError(
                f"{' '.join(command[2:5])} failed: {said[-1] if said else 'no word'}", hint=f"read {log}"
            )

    def _environment(self, port: int | None, database: str | None) -> dict[str, str]:
        """The variables of every process; port and database are kept for the next time."""
        try:
            known = json.loads(self._settings.read_bytes())
        except (OSError, ValueError):
            known = {}
        if database is None:
            database = known.get("database")
        if port is None:
            port = known.get("port") if self._processes.running("server") else None
        if self._processes.running("server") and (port, database) != (known.get("port"), known.get("database")):
            raise RefusedError("the stack runs with another port or database", hint="make down first")
        chosen = port if self._processes.running("server") and port else free_port(port)
        replace_file(self._settings, json.dumps({"port": chosen, "database": database}).encode(), durable=False)
        api = f"http://127.0.0.1:{chosen}/api"
        environment = {
            **os.environ,
            "PWD": str(ROOT),  # prefect.yaml names it: runs begin there
            "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))),
            "STAGED_ROLLOUT_HOME": str(self._home),
            "STAGED_ROLLOUT_CONFIGS": str(self._home / "configs"),
            "STAGED_ROLLOUT_ENVIRONMENT": ENVIRONMENT,
            "STAGED_ROLLOUT_SWEEP": EVERY_MINUTE,
            "STAGED_ROLLOUT_WATCH": EVERY_MINUTE,
            "STAGED_ROLLOUT_POLL": EVERY_MINUTE,
            "PREFECT_HOME": str(self._home / "prefect"),
            "PREFECT_API_URL": api,
            "PREFECT_UI_API_URL": api,
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_SERVER_DATABASE_TIMEOUT": "60",  # SQLite under several runs
            "DO_NOT_TRACK": "1",
            "OMP_NUM_THREADS": "1",
        }
        if database:
            prefect, ledger = databases(database)
            environment["PREFECT_API_DATABASE_CONNECTION_URL"] = prefect
            environment["STAGED_ROLLOUT_LEDGER"] = ledger
            make_schema(database)
        names = sorted(name for name in environment if name.startswith("STAGED_ROLLOUT_") or name in _TOLD)
        lines = [f"export {name}={shlex.quote(environment[name])}\n" for name in names]
        # A file of its owner alone: the database's URL may hold a password.
        replace_file(self._shell, "".join(lines).encode(), durable=False)
        return environment

    def _told(self, api: str) -> None:
        ready = json.loads((self._home / READY).read_bytes())
        ui = api.removesuffix("/api")
        shell = os.path.relpath(self._shell)
        for line in (
            "",
            f"Prefect's pages  {ui}",
            f"router           {ready['router']}/predict",
            f"endpoint         {ready['endpoint']}   (boto3: endpoint_url)",
            "",
            "v2 is being tried; its stages last minutes. Where it is:",
            f"  . {shell}; .venv/bin/staged-rollout status",
            "make down stops everything",
        ):
            self._say(line)


def databases(url: str) -> tuple[str, str]:
    """A PostgreSQL URL as Prefect's and as the ledger's, whose tables lie in a schema of their own.

    Raises:
        RefusedError: it is not of the form postgresql://...
    """
    parts = urlsplit(url)
    if parts.scheme not in {"postgresql", "postgres"} or not parts.path.strip("/"):
        raise RefusedError(
            f"DATABASE == {parts.scheme}://..., must be postgresql://USER:PASSWORD@HOST/DATABASE",
            hint="leave it out for SQLite",
        )
    query = "&".join(filter(None, (parts.query, f"options=-csearch_path%3D{SCHEMA}")))
    return (
        urlunsplit(parts._replace(scheme="postgresql+asyncpg")),
        urlunsplit(parts._replace(scheme="postgresql+psycopg", query=query)),
    )


def make_schema(url: str) -> None:
    """The ledger's schema, unless it is there.

    Raises:
        PlatformError: the database does not answer.
    """
    import psycopg

    try:
        with psycopg.connect(url, connect_timeout=10) as connection:
            connection.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
    except psycopg.Error as error:
        raise PlatformError(f"the database does not answer: {error}".splitlines()[0], hint="check DATABASE") from error


def _healthy(api: str) -> bool:
    try:
        return httpx.get(f"{api}/health", timeout=5, trust_env=False).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False

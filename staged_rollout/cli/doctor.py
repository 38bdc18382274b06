"""`staged-rollout doctor`: what is missing on this machine or in this environment, and how to mend it."""

from __future__ import annotations

import os
import shlex
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import typer

from staged_rollout.cli.output import WIDE, print_json, say, say_lines
from staged_rollout.cli.session import Session, Settings, shared
from staged_rollout.errors import PlatformError, StagedRolloutError
from staged_rollout.report.figures import count
from staged_rollout.report.inert import one_line
from staged_rollout.spec.environment import EnvironmentSpec
from staged_rollout.spec.findings import errors_among
from staged_rollout.spec.lint import lint_rollout
from staged_rollout.spec.load import load_rollout

if TYPE_CHECKING:
    from staged_rollout.adapters.diagnosis import Check, Diagnosis, Found
    from staged_rollout.spec.home import Home
    from staged_rollout.spec.model import RolloutSpec

ENV_PREFECT = "PREFECT_API_URL"
PROGRAM = "staged-rollout "


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("doctor")(shared(doctor))


def doctor(session: Session) -> None:
    """What is missing on this machine, and how to mend it.

    One line per check: ok, warning or broken; what was found; and, unless all is well, what is needed and the command
    that mends it. Nothing is made or changed. Leaves with 9 when anything is broken.

    JSON: {"checks": [{"check", "grade", "found", "needed", "mend"}], "warnings", "broken"}; mend is "" where all is
    well.

    Example: staged-rollout doctor
    """
    answers: list[Diagnosis] = []
    for answer in _answers(session):
        answers.append(answer)
        if not session.as_json:
            say_lines([_line(answer)])
    grades = Counter(answer.grade for answer in answers)
    if session.as_json:
        checks = [asdict(answer) for answer in answers]
        print_json({"checks": checks, "warnings": grades["warning"], "broken": grades["broken"]})
    if grades["broken"]:
        names = [answer.check for answer in answers if answer.grade == "broken"]
        raise PlatformError(
            f"{count(len(names), 'check')} of {len(answers)} broken: {', '.join(names)}",
            hint="each line names the command that mends it",
            broken=names,
        )
    if not session.as_json:
        say(f"nothing is broken: {count(len(answers), 'check')}, {count(grades['warning'], 'warning')}")


def _answers(session: Session) -> Iterator[Diagnosis]:
    from staged_rollout.adapters.diagnosis import diagnose

    options = _options(session.settings)
    for answer in diagnose(_checks(session)):
        mend = answer.mend
        yield replace(
            answer, mend=f"{PROGRAM}{options}{mend.removeprefix(PROGRAM)}" if mend.startswith(PROGRAM) else mend
        )


def _checks(session: Session) -> list[Check]:
    from staged_rollout.adapters.diagnosis import Check, Found

    try:
        home = session.home
    except OSError as error:  # no home can be named in a working directory that was deleted
        gone = Found("broken", f"the working directory: {error.strerror}")
        return [Check("home", "a working directory that exists", "cd", lambda: gone)]
    groups: dict[str, Callable[[Session, Home], list[Check]]] = {
        "machine": _machine_checks,
        "configs": _config_checks,
        "ledger": _ledger_checks,
        "files": _file_checks,
        "services": _service_checks,
        "aws": _aws_checks,
    }
    checks = []
    for name, made in groups.items():
        try:
            checks += made(session, home)
        except ImportError as error:  # a package that is missing is one answer, and hides no other
            checks.append(Check(name, "the packages that these checks read with", "", _raising(error)))
    return checks


def _raising(error: ImportError) -> Callable[[], Found]:
    def fail() -> Found:
        raise error

    return fail


def _machine_checks(session: Session, home: Home) -> list[Check]:
    from staged_rollout.adapters.machine import machine_checks

    return machine_checks(home, postgres=_ledger_url(session, home).startswith("postgres"))


def _ledger_checks(session: Session, home: Home) -> list[Check]:
    from staged_rollout.adapters.kept_ledger import ledger_checks

    return ledger_checks(lambda: _ledger_url(session, home), lambda: session.platform.clock)


def _file_checks(_: Session, home: Home) -> list[Check]:
    from staged_rollout.adapters.kept_files import home_checks

    return home_checks(home)


def _service_checks(session: Session, home: Home) -> list[Check]:
    from staged_rollout.adapters.running_services import service_checks

    def local() -> bool:
        environment = _environment(session)
        return environment is None or environment.adapters.serving == "embedded"

    prefect_url = os.environ.get(ENV_PREFECT, "")
    return service_checks(home, local_servers=local, rollout=_a_rollout(session), prefect_url=prefect_url)


def _aws_checks(session: Session, _: Home) -> list[Check]:
    environment = _environment(session)
    if environment is None or not environment.adapters.uses_aws:
        return []
    from staged_rollout.adapters.aws_checks import aws_checks

    return aws_checks(environment, _specs(session, environment))


def _specs(session: Session, environment: EnvironmentSpec) -> Iterator[RolloutSpec]:
    """The rollout files that lint; about the others a check of its own speaks."""
    for file in sorted((session.configs / "rollouts").glob("*.yaml")):
        try:
            yield load_rollout(file, environment=environment)
        except StagedRolloutError:
            continue


def _config_checks(session: Session, _: Home) -> list[Check]:
    from staged_rollout.adapters.diagnosis import Check, Found
    from staged_rollout.adapters.platform import open_platform

    def environment() -> Found:
        spec = session.environment
        open_platform(spec, session.home)  # refuses what this version has no adapter for
        return Found("ok", f"{spec.name}, of {session.configs}")

    def rollouts() -> Found:
        return _rollouts_found(session)

    return [
        Check(
            "environment",
            "a configs folder, and an environment file that lints",
            "ls configs/environments",
            environment,
        ),
        Check("rollout files", "files that lint for this environment", "staged-rollout lint churn", rollouts),
    ]


def _rollouts_found(session: Session) -> Found:
    from staged_rollout.adapters.diagnosis import Found

    environment = session.environment
    files = sorted((session.configs / "rollouts").glob("*.yaml"))
    if not files:
        return Found("warning", f"none in {session.configs / 'rollouts'}", "ls configs/rollouts")
    wrong = {file: len(errors) for file in files if (errors := errors_among(lint_rollout(file, environment)))}
    if wrong:
        told = ", ".join(f"{file.name} ({count(errors, 'error')})" for file, errors in wrong.items())
        return Found(
            "warning",
            f"do not lint for {environment.name}: {told}",
            shlex.join([*PROGRAM.split(), "lint", *map(str, wrong)]),
        )
    return Found("ok", f"{count(len(files), 'file')}, without a finding for {environment.name}")


def _ledger_url(session: Session, home: Home) -> str:
    environment = _environment(session)
    return home.ledger_url(environment.ledger if environment else None)


def _environment(session: Session) -> EnvironmentSpec | None:
    """The environment; None where it cannot be read, which a check of its own says."""
    try:
        return session.environment
    except Exception:  # noqa: BLE001 - that check tells it; the others go on without an environment
        return None


def _a_rollout(session: Session) -> str:
    """The rollout file that a command may name: the only one there is, or a placeholder."""
    try:
        files = [file.stem for file in (session.configs / "rollouts").glob("*.yaml")]
    except Exception:  # noqa: BLE001 - as above
        files = []
    return files[0] if len(files) == 1 else "ROLLOUT"


def _options(settings: Settings) -> str:
    """The shared options as they were given, so that a command that is shown acts on the same installation."""
    given = {"--environment": settings.environment, "--home": settings.home, "--configs": settings.configs}
    return "".join(f"{name} {shlex.quote(str(value))} " for name, value in given.items() if value is not None)


def _line(answer: Diagnosis) -> str:
    told = answer.found if answer.grade == "ok" else f"{answer.found}; needed: {answer.needed}; mend: {answer.mend}"
    return f"{answer.grade:<8} {answer.check:<14} {one_line(told, WIDE)}"

"""The program itself: help, exit codes, and how errors come out; no ledger is needed for any of it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from staged_rollout import errors
from staged_rollout.cli import reading
from staged_rollout.cli.main import app, exit_codes, run
from staged_rollout.cli.session import rollout_id
from staged_rollout.errors import NotFoundError, StagedRolloutError

HEAVY = ("prefect", "mlflow", "sagemaker", "great_expectations", "pandas", "duckdb", "pyiceberg", "scipy", "boto3")
COMMANDS = sorted(set(get_command(app).commands) - {"ledger", "lake", "key"})
IN_GROUPS = [
    *(["ledger", name] for name in ("verify", "export", "backup", "restore")),
    *(["key", name] for name in ("new", "show")),
    *(["lake", name] for name in ("tables", "files", "verify", "compact", "erase")),
]
ACTS = ("approve", "reject", "pause", "resume", "rollback", "cancel", "note", "restore")
HOSTILE = (
    "../../x",
    "'; drop table events; --",
    "<script>alert(1)</script>",
    "churn-v3\x1b[2J",
    "churn v3",
    "x" * 5000,
    "\udcff",
    "",
)


@pytest.fixture(autouse=True)
def _empty_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAGED_ROLLOUT_HOME", str(tmp_path / "home"))
    for name in ("STAGED_ROLLOUT_LEDGER", "STAGED_ROLLOUT_ENVIRONMENT", "STAGED_ROLLOUT_CONFIGS"):
        monkeypatch.delenv(name, raising=False)


def outcome(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of one command."""
    with pytest.raises(SystemExit) as ended:
        run(list(arguments))
    written = capsys.readouterr()
    return int(ended.value.code or 0), written.out, written.err


def test_help_lists_every_exit_code_of_the_error_tree() -> None:
    for kind in vars(errors).values():
        if isinstance(kind, type) and issubclass(kind, StagedRolloutError):
            assert f"\n{kind.exit_code:>5}  " in exit_codes()


def test_without_arguments_it_helps(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = outcome(capsys)

    assert (code, err) == (0, "")
    assert "Exit codes:\n" in out
    assert set(COMMANDS) <= set(out.split())


@pytest.mark.parametrize("command", [*([name] for name in COMMANDS), *IN_GROUPS])
def test_every_command_has_an_example_and_says_what_its_json_holds(
    capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    code, out, _ = outcome(capsys, *command, "--help")

    assert code == 0
    assert f"Example: staged-rollout {' '.join(command)}" in out
    assert "JSON: {" in out
    assert "--json" in out


@pytest.mark.parametrize("arguments", [["nope"], ["status", "--nope"], ["pause", "churn-v3"], ["ledger"]])
def test_a_wrong_command_line_is_2_in_one_line(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    code, out, err = outcome(capsys, *arguments)

    assert (code, out) == (2, "")
    assert [line.split(":")[0] for line in err.splitlines()] == ["error", "hint"]


@pytest.mark.parametrize("name", HOSTILE)
def test_no_hostile_name_can_be_a_rollout(name: str) -> None:
    with pytest.raises(NotFoundError):
        rollout_id(name)


@pytest.mark.parametrize("command", ["status", "history", "advance", *ACTS])
@pytest.mark.parametrize("name", HOSTILE[:3])
def test_a_hostile_rollout_does_not_exist(capsys: pytest.CaptureFixture[str], command: str, name: str) -> None:
    who = ("--as", "ana", "--reason", "why") if command in ACTS else ()
    code, out, err = outcome(capsys, command, name, *who)

    assert (code, out) == (3, "")
    assert err.startswith(f"error: no rollout {name!r}")
    assert "Traceback" not in err


@pytest.mark.parametrize(
    "command", [("lint",), ("explain",), ("register", "--version", "3"), ("serve", "--version", "3")]
)
@pytest.mark.parametrize("name", HOSTILE[:3])
def test_a_hostile_file_name_is_refused(
    capsys: pytest.CaptureFixture[str], command: tuple[str, ...], name: str
) -> None:
    code, _, err = outcome(capsys, *command, name)

    assert code == 2
    assert "Traceback" not in err


def test_a_hostile_version_does_not_exist(capsys: pytest.CaptureFixture[str]) -> None:
    for version in ("../3", "0", "3; drop", "\u0663"):
        assert outcome(capsys, "register", "churn", "--version", version)[0] == 3


def test_an_error_as_json_is_one_document_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = outcome(capsys, "history", "churn-v9", "--json")

    assert (code, out) == (3, "")
    assert json.loads(err)["error"] == {
        "type": "NotFoundError",
        "message": "no rollout 'churn-v9' in the ledger; known: none",
        "hint": "staged-rollout status lists all rollouts",
        "exit_code": 3,
        "facts": {"rollout": "churn-v9"},
    }


def test_a_wrong_command_line_as_json_is_json_too(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = outcome(capsys, "--json", "nope")

    assert code == json.loads(err)["error"]["exit_code"] == 2


def test_an_empty_ledger_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = outcome(capsys, "status")

    assert (code, err) == (0, "")
    assert out.startswith("no rollouts yet in environment local")
    assert json.loads(outcome(capsys, "status", "--json")[1])["rollouts"] == []


def test_a_home_below_this_one_is_named_with_its_environment(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """After `make demo`, who asks the default home is told where the demo's rollouts are; a hostile name stays text."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STAGED_ROLLOUT_HOME", ".staged-rollout")
    for number, name in enumerate(("$(touch owned)\x1b[31m", "demo")):
        ledger = tmp_path / ".staged-rollout" / name / "ledger.db"
        ledger.parent.mkdir(parents=True)
        ledger.touch()
        os.utime(ledger, (number, number))
    demo = "another home is here: --home .staged-rollout/demo --environment demo"

    assert f"hint: staged-rollout status lists all rollouts; {demo}" in outcome(capsys, "report", "churn-v3")[2]
    assert f"no rollouts yet in environment local; {demo}" in outcome(capsys, "status")[1]
    os.utime(tmp_path / ".staged-rollout" / "demo" / "ledger.db", (-1, -1))
    hostile = outcome(capsys, "status")[1]
    assert "--home '.staged-rollout/$(touch owned)" in hostile
    assert "\x1b" not in hostile


def test_options_may_stand_before_or_after_the_command(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    before = outcome(capsys, "--environment", "demo", "--json", "version")
    after = outcome(capsys, "version", "--environment", "demo", "--json")

    assert before == after
    assert outcome(capsys, "--environment", "local", "status", "--environment", "nowhere")[0] == 3
    assert outcome(capsys, "status", "--configs", str(tmp_path / "none"))[0] == 3


def test_the_environment_variable_names_the_environment(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAGED_ROLLOUT_ENVIRONMENT", "demo")

    assert "environment demo" in outcome(capsys, "status")[1]
    assert "environment local" in outcome(capsys, "status", "--environment", "local")[1]


def test_a_defect_is_one_line_unless_its_traceback_is_asked_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("something odd")

    monkeypatch.setattr(reading, "print_json", fail)
    code, _, err = outcome(capsys, "version", "--json")
    document = json.loads(err)["error"]

    assert (code, document["message"]) == (1, "RuntimeError: something odd")
    assert "--debug" in document["hint"]
    assert "Traceback" in outcome(capsys, "version", "--json", "--debug")[2]


def test_an_interruption_is_130(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(reading, "say", interrupt)

    assert outcome(capsys, "version")[0] == 130


@pytest.mark.parametrize("arguments", [["--help"], ["status"], ["status", "--json"], ["history", "churn-v3"]])
def test_reading_starts_without_the_heavy_packages(tmp_path: Path, arguments: list[str]) -> None:
    program = (
        "import sys\n"
        "from staged_rollout.cli.main import run\n"
        "try:\n    run(sys.argv[1:])\n"
        "except SystemExit:\n    pass\n"
        f"sys.stderr.write('loaded:' + ','.join(name for name in {HEAVY!r} if name in sys.modules))\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program, "--home", str(tmp_path), *arguments],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    assert ended.stderr.rpartition("loaded:")[2] == ""


def test_the_help_answers_what_a_newcomer_asks_first(capsys: pytest.CaptureFixture[str]) -> None:
    """What was decided and why, how to stop it, how to read one's own logs, how a metric is meant: a command each."""
    _, out, _ = outcome(capsys, "--help")
    lines = [line.strip() for line in out.splitlines()]
    asked = [line for line in lines if re.match(r"(What was|Stop|Read|How) .*  staged-rollout ", line)]
    assert ["report", "rollback", "ingest", "explain"] == [
        re.split(r"staged-rollout ", line)[1].split()[0] for line in asked
    ]
    assert max(map(len, lines)) <= 80

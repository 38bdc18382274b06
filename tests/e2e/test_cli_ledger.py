"""The command line on a real ledger: reading it, acting on a rollout, and bringing the champion back."""

from __future__ import annotations

import json
import os
import pty
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from staged_rollout.adapters import platform as platforms
from staged_rollout.adapters.assignments_file import FileAssignments
from staged_rollout.adapters.ledger_sql import SqlLedger, open_ledger
from staged_rollout.assignment import AssignmentDocument, VariantRef
from staged_rollout.cli.main import run
from staged_rollout.ports import Applied, EndpointStatus, EndpointTarget, ObservedEndpoint, ObservedVariant
from staged_rollout.state import Actor, EventType, NewEvent, State, desired, fold
from tests.fakes.ports import MemoryRegistry

HOSTILE = "see <b>this</b>\x1b[2J\x1b]0;owned\x07\nand this"
SGR = re.compile(r"\x1b\[[0-9;]*m")
BY = ("--as", "ana", "--reason", "checkout errors doubled")


class Instant:
    """A Serving that is Updating at the first look after a change, and in service at the next."""

    def __init__(self) -> None:
        self.production = (
            ObservedVariant("v2", "models:/churn/2", 1.0, "ml.m5.xlarge", 1),
            ObservedVariant("v3", "models:/churn/3", 0.0, "ml.m5.xlarge", 1),
        )
        self.changing = False
        self.calls = 0

    def describe(self, endpoint: str, *, expected: EndpointTarget | None = None) -> ObservedEndpoint | None:
        status = EndpointStatus.UPDATING if self.changing else EndpointStatus.IN_SERVICE
        self.changing = False
        return ObservedEndpoint(endpoint, status, self.production, None, "churn-prod-1")

    def apply(self, target: EndpointTarget) -> Applied:
        wanted = tuple(
            ObservedVariant(to.name, to.reference, to.weight, to.instance_type, to.instance_count)
            for to in target.production
        )
        if wanted == self.production:
            return Applied.UNCHANGED
        self.calls += 1
        self.production = wanted
        self.changing = True
        return Applied.STARTED


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder, and a local environment that does not wait long."""
    for name in ("STAGED_ROLLOUT_LEDGER", "STAGED_ROLLOUT_CONFIGS"):
        monkeypatch.delenv(name, raising=False)
    fast = tmp_path / "fast.yaml"
    fast.write_text("name: fast\nlocal: true\ndrain_s: 0\npoll_s: 0.05\n")
    monkeypatch.setenv("STAGED_ROLLOUT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("STAGED_ROLLOUT_ENVIRONMENT", str(fast))
    return tmp_path / "home"


@pytest.fixture
def ledger(home: Path) -> Iterator[SqlLedger]:
    with open_ledger(f"sqlite:///{home / 'ledger.db'}") as opened:
        yield opened


def fill(ledger: SqlLedger, builder: Any) -> None:
    """Write a built rollout into a real ledger; entering SHADOW claims the endpoint."""
    for event in builder.events:
        shadow = event.type is EventType.STAGE_ENTERED and event.payload["state"] == State.SHADOW
        ledger.append(
            event.rollout,
            [NewEvent(event.type, event.payload)],
            expected_seq=event.seq - 1,
            at=event.at,
            actor=event.actor,
            claim="churn-prod" if shadow else None,
        )


def route(home: Path, builder: Any) -> FileAssignments:
    """Publish what the rollout's state wants, as routers read it."""
    assignments = FileAssignments(home / "assignments")
    routing = desired(builder.state).routing
    document = AssignmentDocument(
        endpoint="churn-prod",
        epoch=builder.epoch,
        rollout=routing.rollout,
        stage=routing.stage,
        step=routing.step,
        champion=routing.champion,
        candidate=routing.candidate,
        enrolled=routing.enrolled,
        share=routing.share,
        published_at=datetime(2026, 3, 2, tzinfo=UTC),
    )
    assignments.publish(document, expected_epoch=None)
    return assignments


def outcome(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of one command."""
    with pytest.raises(SystemExit) as ended:
        run(list(arguments))
    written = capsys.readouterr()
    return int(ended.value.code or 0), written.out, written.err


def test_status_is_one_line_per_rollout(capsys: pytest.CaptureFixture[str], ledger: SqlLedger, rollouts: Any) -> None:
    fill(ledger, rollouts().at(State.LIVE).plan_look(1).take_look(1).decide("continue").hold("srm"))
    fill(ledger, rollouts(rollout="pricing-v1").register())
    code, out, err = outcome(capsys, "status")

    assert (code, err) == (0, "")
    header, first, second = out.splitlines()
    assert header.split()[:2] == ["rollout", "state"]
    for piece in ("churn-v3", "LIVE held: srm", "continue: z 1.25 < 2.5", "z 1.25 < 2.50", "10%", "of $900.00"):
        assert piece in first
    assert second.startswith("pricing-v1")


def test_status_of_one_rollout_as_json(capsys: pytest.CaptureFixture[str], ledger: SqlLedger, rollouts: Any) -> None:
    fill(ledger, rollouts().at(State.CANARY))
    fill(ledger, rollouts(rollout="pricing-v1").register())
    document = json.loads(outcome(capsys, "status", "churn-v3", "--json")[1])
    (row,) = document["rollouts"]
    help_text = " ".join(outcome(capsys, "status", "--help")[1].split())

    assert document["environment"] == "fast"
    assert (row["rollout"], row["state"], row["step"], row["steps"]) == ("churn-v3", "CANARY", 1, 3)
    assert ", ".join(f'"{key}"' for key in row) in help_text


def test_history_tells_who_when_and_why(capsys: pytest.CaptureFixture[str], ledger: SqlLedger, rollouts: Any) -> None:
    fill(ledger, rollouts().at(State.SHADOW))
    assert outcome(capsys, "note", "churn-v3", "--as", "ana", "--reason", HOSTILE)[0] == 0
    code, out, _ = outcome(capsys, "history", "churn-v3")
    events = json.loads(outcome(capsys, "history", "churn-v3", "--json")[1])["events"]

    assert code == 0
    assert len(out.splitlines()) == 1 + len(events)
    assert "noted: see <b>this</b>[2J]0;owned and this" in out
    assert "\x1b" not in out
    assert (events[-1]["actor"], events[-1]["verified"], events[-1]["payload"]["text"]) == ("ana", False, HOSTILE)


def test_an_unknown_rollout_is_3_and_names_those_that_exist(
    capsys: pytest.CaptureFixture[str], ledger: SqlLedger, rollouts: Any
) -> None:
    fill(ledger, rollouts().register())

    for arguments in (("status", "churn-v9"), ("history", "churn-v9"), ("pause", "churn-v9", *BY)):
        code, _, err = outcome(capsys, *arguments)
        assert code == 3
        assert "known: churn-v3" in err


def test_pause_and_resume_are_written_once(
    capsys: pytest.CaptureFixture[str], ledger: SqlLedger, rollouts: Any
) -> None:
    fill(ledger, rollouts().at(State.LIVE))
    first = json.loads(outcome(capsys, "pause", "churn-v3", *BY, "--json")[1])
    again = json.loads(outcome(capsys, "pause", "churn-v3", *BY, "--json")[1])
    resumed = json.loads(outcome(capsys, "resume", "churn-v3", *BY, "--json")[1])

    assert [first["changed"], again["changed"], resumed["changed"]] == [True, False, True]
    assert (first["act"], first["status"]["holds"], first["endpoint"]) == ("pause", ["operator"], None)
    assert resumed["status"]["holds"] == []
    assert ledger.events("churn-v3")[-1].actor == Actor("ana", verified=False)


@pytest.mark.parametrize(
    ("state", "arguments"),
    [
        (State.PROMOTED, ("rollback", "churn-v3", *BY)),
        (State.REGISTERED, ("rollback", "churn-v3", *BY)),
        (State.LIVE, ("cancel", "churn-v3", *BY)),
        (State.LIVE, ("approve", "churn-v3", *BY)),
        (State.LIVE, ("pause", "churn-v3", "--as", "ana", "--reason", "  ")),
        (State.LIVE, ("note", "churn-v3", "--as", " ", "--reason", "why")),
    ],
)
def test_what_the_state_does_not_allow_is_4_and_writes_nothing(
    capsys: pytest.CaptureFixture[str], ledger: SqlLedger, rollouts: Any, state: State, arguments: tuple[str, ...]
) -> None:
    fill(ledger, rollouts().at(state))
    head = ledger.head("churn-v3")
    code, out, err = outcome(capsys, *arguments)

    assert (code, out) == (4, "")
    assert err.startswith("error: ")
    assert ledger.head("churn-v3") == head


def test_only_the_named_group_approves(
    capsys: pytest.CaptureFixture[str], ledger: SqlLedger, rollouts: Any, churn: dict[str, Any]
) -> None:
    spec = {**churn, "decide": {"win": {"action": "ask", "who": "growth-ml", "within": "3d"}}}
    asked = rollouts(spec).at(State.LIVE).decide("promote", State.AWAITING_APPROVAL).enter(State.AWAITING_APPROVAL)
    fill(ledger, asked.publish())
    refused, _, err = outcome(capsys, "approve", "churn-v3", *BY)
    code, out, _ = outcome(capsys, "approve", "churn-v3", "--as", "growth-ml", "--reason", "the gain holds")

    assert (refused, code) == (4, 0)
    assert "staged-rollout approve churn-v3 --as growth-ml" in err
    assert out.startswith("churn-v3: AWAITING_APPROVAL")
    assert ledger.events("churn-v3")[-1].type is EventType.APPROVED


def test_a_rollback_publishes_the_champion_and_waits_for_the_endpoint(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    home: Path,
    ledger: SqlLedger,
    rollouts: Any,
) -> None:
    builder = rollouts().at(State.LIVE)
    fill(ledger, builder)
    assignments, serving = route(home, builder), Instant()
    monkeypatch.setattr(platforms.EmbeddedPlatform, "serving", serving)
    registry = MemoryRegistry()
    registry.add("churn", "3")
    monkeypatch.setattr(platforms.EmbeddedPlatform, "registry", registry)
    code, out, err = outcome(capsys, "rollback", "churn-v3", *BY, "--json")
    document = json.loads(out)
    routed = assignments.read("churn-prod")

    assert (code, err) == (0, "")
    assert routed is not None
    assert routed.document.champion == VariantRef(name="v2", version="2")
    assert (routed.document.candidate, routed.document.rollout) == (None, None)
    assert document["status"]["state"] == "ROLLED_BACK"
    assert document["status"]["verdict"] == "rolled back by ana: checkout errors doubled"
    assert document["status"]["settled"] is True
    assert document["endpoint"] == {"done": True, "did": "settled as ROLLED_BACK", "left": ""}
    assert registry.version("churn", "3").tags["lifecycle"] == "rolled_back"
    assert (serving.calls, [variant.name for variant in serving.production]) == (1, ["v2"])


@pytest.mark.parametrize("command", ["rollback", "restore"])
def test_a_rollback_works_without_an_endpoint_and_says_what_is_left(
    capsys: pytest.CaptureFixture[str], home: Path, ledger: SqlLedger, rollouts: Any, command: str
) -> None:
    builder = rollouts().at(State.LIVE)
    fill(ledger, builder)
    assignments = route(home, builder)
    code, out, err = outcome(capsys, command, "churn-v3", *BY, "--timeout", "0")
    routed = assignments.read("churn-prod")

    assert (code, err) == (0, "")
    assert routed is not None
    assert routed.document.candidate is None
    assert out.startswith("churn-v3: ROLLING_BACK")
    assert "endpoint: out of reach: " in out
    assert "left to do: the endpoint" in out
    assert fold(ledger.events("churn-v3")).ending is State.ROLLED_BACK


def test_restoring_an_ended_rollout_changes_nothing(
    capsys: pytest.CaptureFixture[str], ledger: SqlLedger, rollouts: Any
) -> None:
    fill(ledger, rollouts().at(State.ROLLED_BACK).add(EventType.SETTLED))
    code, out, _ = outcome(capsys, "restore", "churn-v3", *BY)

    assert code == 0
    assert out.startswith("nothing to change. churn-v3: ROLLED_BACK")


def corrupt(home: Path, rollout: str) -> None:
    database = sqlite3.connect(home / "ledger.db")
    with database:
        database.execute("UPDATE events SET actor = 'mallory' WHERE rollout = ? AND seq = 2", (rollout,))
    database.close()


def test_a_corrupt_rollout_is_6_and_hides_no_other(
    capsys: pytest.CaptureFixture[str], home: Path, ledger: SqlLedger, rollouts: Any
) -> None:
    fill(ledger, rollouts().at(State.LIVE))
    fill(ledger, rollouts(rollout="pricing-v1").register())
    intact = outcome(capsys, "ledger", "verify")
    corrupt(home, "churn-v3")
    status, out, err = outcome(capsys, "status", "--json")
    verified, report, _ = outcome(capsys, "ledger", "verify", "--json")

    assert intact[0] == 0
    assert "the ledger is intact" in intact[1]
    assert (status, verified) == (6, 6)
    assert [row["rollout"] for row in json.loads(out)["rollouts"]] == ["pricing-v1"]
    assert [row["rollout"] for row in json.loads(out)["unreadable"]] == ["churn-v3"]
    assert json.loads(err)["error"]["type"] == "LedgerCorruptError"
    assert [row["intact"] for row in json.loads(report)["rollouts"]] == [False, True]


def program(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "staged_rollout.cli", *arguments]


@pytest.mark.parametrize("columns", ["80", "120", "200"])
def test_a_terminal_gets_one_line_per_rollout_and_no_colour_if_asked(
    home: Path, ledger: SqlLedger, rollouts: Any, columns: str
) -> None:
    fill(ledger, rollouts().at(State.LIVE).plan_look(1).take_look(1).decide("continue"))
    controller, terminal = pty.openpty()
    environment = {**os.environ, "COLUMNS": columns, "TERM": "xterm", "NO_COLOR": "1"}
    ended = subprocess.run(
        program("status"), stdout=terminal, stderr=subprocess.PIPE, env=environment, check=True, timeout=60
    )
    os.close(terminal)
    shown = os.read(controller, 65536).decode()
    os.close(controller)
    lines = [line for line in shown.splitlines() if "churn-v3" in line]

    assert ended.stderr == b""
    assert len(lines) == 1
    assert max(len(SGR.sub("", line).rstrip()) for line in shown.splitlines()) <= int(columns)
    assert "\x1b[3" not in shown


def test_a_closed_pipe_is_not_an_error(home: Path, ledger: SqlLedger, rollouts: Any) -> None:
    fill(ledger, rollouts().at(State.LIVE))
    with subprocess.Popen(program("history", "churn-v3"), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        errors = process.stderr.read()

    assert (process.returncode, errors) == (0, b"")


def test_a_terminal_without_unicode_can_still_act(home: Path, ledger: SqlLedger, rollouts: Any) -> None:
    fill(ledger, rollouts().at(State.LIVE))
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    ended = subprocess.run(
        program("pause", "churn-v3", "--as", "Zoë", "--reason", "zu früh …"),
        capture_output=True,
        env=environment,
        check=False,
        timeout=60,
    )

    assert (ended.returncode, ended.stderr) == (0, b"")
    assert ledger.events("churn-v3")[-1].payload["detail"] == "paused by Zoë: zu früh …"

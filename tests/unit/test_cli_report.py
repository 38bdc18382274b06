"""`staged-rollout report` on a real SQLite ledger, with the events of a whole rollout."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import pytest

from staged_rollout.adapters.ledger_sql import open_ledger
from staged_rollout.cli.main import run
from staged_rollout.spec.home import Home
from staged_rollout.state import Actor, EventType, NewEvent

LEDGER = Path(__file__).parents[1] / "golden" / "data" / "ledger_evidence_1.jsonl"


@pytest.fixture
def home(tmp_path, monkeypatch):
    found = Home(tmp_path / "home")
    found.root.mkdir()
    monkeypatch.setenv("STAGED_ROLLOUT_HOME", str(found.root))
    with open_ledger(found.ledger_url()) as ledger:
        for seq, line in enumerate(LEDGER.read_text(encoding="utf-8").splitlines()):
            raw = json.loads(line)
            at, actor = datetime.fromisoformat(raw["at"]), Actor(raw["actor"], raw["verified"])
            new = [NewEvent(EventType(raw["type"]), raw["payload"])]
            ledger.append(raw["rollout"], new, expected_seq=seq, at=at, actor=actor)
    return found


def leaves_with(code, *arguments):
    with pytest.raises(SystemExit) as left:
        run([*arguments])
    assert code == left.value.code


def test_it_writes_one_file_and_says_where(home, capsys):
    leaves_with(0, "report", "churn-v3")
    file = home.root / "reports" / "churn-v3.html"
    assert file.name in capsys.readouterr().out
    first = file.read_bytes()
    leaves_with(0, "report", "churn-v3", "--json")
    answer = json.loads(capsys.readouterr().out)
    assert (str(file), len(first), False) == (answer["file"], answer["bytes"], answer["opened"])
    assert first == file.read_bytes()


def test_a_machine_without_a_browser_is_no_reason_to_fail(home, capsys, monkeypatch, tmp_path):
    monkeypatch.setattr("webbrowser.open", lambda _: False)
    leaves_with(0, "report", "churn-v3", "--open", "--output", str(tmp_path / "it.html"))
    assert "no browser could be opened here" in capsys.readouterr().out


def test_what_cannot_be_done_is_said(home, capsys, tmp_path):
    leaves_with(3, "report", "churn-v9")
    assert "churn-v9" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    leaves_with(9, "report", "churn-v3", "--output", str(tmp_path / "file" / "it.html"))
    assert "--output names another file" in capsys.readouterr().err

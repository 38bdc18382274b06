"""The contract of `ports.notifier.Notifier`, kept by the log."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from staged_rollout.adapters.notifier_log import LogNotifier
from staged_rollout.ports import Notification, Notifier

ALARM = Notification(
    "churn-v3:17", "churn-v3", "ml-rollouts", "alarm", "rolled back: z -3.1 < -2.9", "| z |\n|---|\n🚨"
)

SEND = """
import sys
from pathlib import Path
from staged_rollout.adapters.notifier_log import LogNotifier
from staged_rollout.ports import Notification

notifier = LogNotifier(Path(sys.argv[1]))
for n in range(50):
    notifier.send(Notification(f"r-v1:{n}", "r-v1", None, "info", sys.argv[2], "x" * 20_000))
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "notifications.jsonl"


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_each_notification_is_one_line_with_all_its_fields(path):
    notifier: Notifier = LogNotifier(path)
    quiet = replace(ALARM, key="churn-v3:18", level="info", channel=None)
    notifier.send(ALARM)
    notifier.send(quiet)
    assert lines(path) == [asdict(ALARM), asdict(quiet)]


def test_a_repeated_delivery_is_told_by_its_key(path):
    for _ in range(2):
        LogNotifier(path).send(ALARM)
    assert [line["key"] for line in lines(path)] == ["churn-v3:17", "churn-v3:17"]


@pytest.mark.parametrize(("level", "logged"), [("info", "INFO"), ("warning", "WARNING"), ("alarm", "ERROR")])
def test_the_log_gets_the_subject_on_one_line_at_its_level(path, caplog, level, logged):
    caplog.set_level(logging.INFO, logger="staged_rollout.notifications")
    LogNotifier(path).send(replace(ALARM, level=level, subject="rolled\nback"))
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        (logged, "churn-v3:17: rolled back")
    ]


def test_half_a_line_of_a_killed_process_does_not_spoil_the_next(path):
    LogNotifier(path).send(ALARM)
    with path.open("a") as file:
        file.write('{"key": "churn-v3:1')
    LogNotifier(path).send(ALARM)

    first, torn, last = path.read_text().splitlines()
    assert first == last
    assert torn == '{"key": "churn-v3:1'


def test_the_log_comes_first_when_the_file_cannot_be_written(tmp_path, caplog):
    (tmp_path / "home").write_text("a file where the folder should be")
    with pytest.raises(OSError, match="home"):
        LogNotifier(tmp_path / "home" / "notifications.jsonl").send(ALARM)
    assert "rolled back" in caplog.text


def test_processes_that_send_at_once_keep_their_lines_whole(path, python):
    senders = [python(SEND, str(path), name) for name in ("a", "b")]
    for sender in senders:
        sender.communicate(timeout=60)
    found = [(line["subject"], line["key"]) for line in lines(path)]
    assert sorted(found) == sorted((name, f"r-v1:{n}") for name in ("a", "b") for n in range(50))

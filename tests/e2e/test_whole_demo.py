"""`python -m demo`, killed, interrupted and resumed to its end: one run of a few minutes tells everything."""

from __future__ import annotations

import json
import re
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.e2e.demo_process import hashes, run_disturbed

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    return run_disturbed(tmp_path_factory.mktemp("demo") / "home")


def table(lines: list[str]) -> list[str]:
    """The final table."""
    start = next(number for number, line in enumerate(lines) if line.startswith("What was decided"))
    end = next(number for number, line in enumerate(lines) if line.startswith("└"))
    return lines[start : end + 1]


ENDINGS = ["PROMOTED", "ROLLED_BACK", "KEPT_CHAMPION", "PROMOTED", "PROMOTED"]


def test_it_ends_well_with_every_ending(told):
    assert 0 == told.codes["ended"], "\n".join(told.output[-30:])
    rows = [line for line in table(told.output) if line.startswith("│ churn-v")]
    assert [f"churn-v{version}" for version in range(2, 7)] == [row.split("│")[1].strip() for row in rows]
    assert ENDINGS == [row.split("│")[2].strip() for row in rows]
    kept = json.loads((told.home / "endings.json").read_text())
    assert dict(zip("23456", ENDINGS, strict=True)) == kept


def test_v6_was_approved_by_another_process_and_only_once(told):
    """The ledger names who was asked and what was typed on the command line; nobody approved anything else."""
    with closing(sqlite3.connect(f"file:{told.home / 'ledger.db'}?mode=ro", uri=True)) as connection:
        found = connection.execute("SELECT rollout, actor, payload FROM events WHERE type = 'approved'").fetchall()
    assert 1 == len(found)
    assert "churn-v6" == found[0][0]
    assert "growth-ml" in found[0][1]
    assert any(line.strip().startswith("$ staged-rollout approve churn-v6 --as growth-ml") for line in told.output)


def test_each_ending_has_its_report_and_the_path_was_told(told):
    for version, ending in enumerate(ENDINGS, start=2):
        file = told.home / "reports" / f"churn-v{version}.html"
        assert ending in file.read_text(encoding="utf-8")
        assert any(line.strip().startswith("report: ") and line.endswith(file.name) for line in told.output)


def test_the_seconds_are_told_by_component_and_add_up(told):
    line = next(line for line in told.output if line.startswith("time: "))
    seconds = {name: int(value) for name, value in re.findall(r"(\w+) (\d+) s", line)}
    assert {"traffic", "Prefect", "ingest", "quality", "statistics", "reconcile", "other"} == set(seconds)
    assert min(seconds[name] for name in ("traffic", "Prefect", "ingest", "quality", "statistics")) > 0
    took = next(int(found[1]) for line in told.output if (found := re.match(r"took (\d+) s", line)))
    assert sum(seconds.values()) <= took + len(seconds) / 2


def test_a_kill_takes_every_process_with_it(told):
    assert -signal.SIGKILL == told.codes["killed"]
    assert told.alive_before_kill >= 3
    assert told.gone["killed"]


def test_an_interrupt_leaves_no_process_behind(told):
    assert 130 == told.codes["interrupted"]
    assert any("make demo RESUME=1 goes on" in line for line in told.output)
    assert not any("Traceback" in line for line in told.output)
    assert told.gone["interrupted"]


def test_the_end_leaves_no_process_behind(told):
    assert told.gone["ended"]


def test_the_ledger_still_begins_as_it_did_when_it_was_killed(told):
    assert told.prefix
    chains = hashes(told.home)
    for rollout, links in told.prefix.items():
        assert links == chains[rollout][: len(links)]
        assert len(links) < len(chains[rollout])


def test_every_day_is_told_once_but_for_the_days_that_were_cut_short(told):
    days = [int(found[1]) for line in told.output if (found := re.match(r"day +(\d+) ", line))]
    assert list(range(1, max(days) + 1)) == days
    assert 2 == sum(line.startswith("resuming on day") for line in told.output)


def test_the_table_is_that_of_an_undisturbed_run(told):
    """The README shows the table of a run that nobody disturbed; no latency stands in it."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert [line.rstrip() for line in table(readme)] == [line.rstrip() for line in table(told.output)]


def test_the_books_are_balanced_and_no_call_was_made_twice(told):
    books = next(line for line in told.output if line.startswith("logs: "))
    assert "(balanced)" in books
    seen: set[str] = set()
    for file in (told.home / "logs" / "predictions").rglob("*.jsonl"):
        for line in file.read_bytes().splitlines():
            try:
                request = json.loads(line)["request_id"]
            except ValueError:  # cut short by the kill
                continue
            assert request not in seen
            seen.add(request)
    assert len(seen) > 15_000

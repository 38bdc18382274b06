"""`python -m demo`, killed, interrupted and resumed to its end: one run of a few minutes tells everything."""

from __future__ import annotations

import json
import re
import signal
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


def test_it_ends_well_with_both_endings(told):
    assert 0 == told.codes["ended"], "\n".join(told.output[-30:])
    rows = [line for line in table(told.output) if line.startswith("│ churn-v")]
    assert ["churn-v2", "churn-v3"] == [row.split("│")[1].strip() for row in rows]
    assert ["PROMOTED", "ROLLED_BACK"] == [row.split("│")[2].strip() for row in rows]


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
    assert len(seen) > 5000

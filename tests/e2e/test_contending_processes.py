"""Many processes at one rollout at the same moment: one wins, nothing is done twice."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from demo import models
from staged_rollout.errors import ConflictError
from staged_rollout.state import EventType, State
from tests.e2e.small_world import ENVIRONMENT, FIRST_DAY, SmallWorld, Story

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
CONFLICTS = ("LeaseHeldError", "StaleSequenceError", "StaleEpochError", "ConflictError")
"""What whoever comes second may be told; the next tick goes on."""


class Crowd:
    """Acts that are done at the same moment, each by a process of its own."""

    def __init__(self, world: SmallWorld, process: subprocess.Popen[str]) -> None:
        self._world, self._process = world, process

    def at_once(self, *acts: dict[str, Any]) -> list[str]:
        """What each act raised, or ""; only that another was first is accepted."""
        self._process.stdin.write(json.dumps(acts) + "\n")
        self._process.stdin.flush()
        answers = [answer["wrong"] for answer in json.loads(self._process.stdout.readline())]
        allowed = (*CONFLICTS, f"RuntimeError: exit code {ConflictError.exit_code}", "could not be advanced")
        assert [] == [wrong for wrong in answers if wrong and not any(name in wrong for name in allowed)]
        return answers


@contextmanager
def crowd(world: SmallWorld, ledger: str) -> Iterator[Crowd]:
    from prefect.settings import PREFECT_API_URL

    with world.variables() as named:
        process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("crowd.py")), ENVIRONMENT],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={
                **os.environ,
                **named,
                "PYTHONPATH": str(ROOT),
                "STAGED_ROLLOUT_LEDGER": ledger,
                "PREFECT_API_URL": PREFECT_API_URL.value(),
                "PREFECT_LOGGING_TO_API_ENABLED": "false",
                "PREFECT_LOGGING_LEVEL": "CRITICAL",
            },
        )
    try:
        yield Crowd(world, process)
    finally:
        process.stdin.close()
        process.stdout.close()
        process.wait(60)


def flow(name: str, **parameters: Any) -> dict[str, Any]:
    return {"act": "flow", "flow": name, "parameters": parameters}


def command(*arguments: str) -> dict[str, Any]:
    return {"act": "command", "arguments": list(arguments)}


def test_whoever_comes_second_changes_nothing(tmp_path, prefect_server, monkeypatch, ledger_url):
    """Five registrations, two sweeps and two guards, and a rollback among advances by flow and by command line."""
    monkeypatch.setenv("STAGED_ROLLOUT_LEDGER", ledger_url)
    world = SmallWorld(tmp_path / "world")
    world.clock.set(FIRST_DAY)
    with world.servers, crowd(world, ledger_url) as together:
        story = world.begin(Story("crowded", callers=150), models.candidate_v3(world.customers, 7))
        world.submit(story, models.candidate_v2(world.customers))
        rollout, ledger = story.rollout(2), world.platform.ledger
        advance, sweep = command("advance", rollout), flow("sweep_rollouts", start="inline")
        guard = flow("watch_guardrails")

        # An event that is delivered five times at once registers one rollout, and nobody is told of an error.
        answers = together.at_once(*[flow("register_candidate", rollout_file="crowded", version="2")] * 5)
        assert [""] * 5 == answers
        assert [EventType.REGISTERED] == [event.type for event in world.events(rollout)]

        def tick() -> None:
            together.at_once(sweep, sweep, guard, guard, advance)
            assert "" in together.at_once(advance)  # the next tick goes on

        tick()
        assert State.SHADOW is world.state(rollout).state
        world.day(tick, story)
        assert ["SHADOW", "CANARY 1"] == world.entered(rollout)
        shares = [document_shares(event) for event in world.events(rollout) if is_result(event, "assignment")]
        assert [("canary", 1)] == [share for share, times in Counter(shares).items() if share[0] == "canary"]
        assert 1 == max(Counter(shares).values())

        # A rollback is never refused for what others do at the same moment, and nobody takes it back.
        rollback = command("rollback", rollout, "--as", "ana", "--reason", "errors doubled", "--timeout", "0")
        answers = together.at_once(
            advance,
            flow("advance_rollout", rollout=rollout),
            rollback,
            guard,
            sweep,
            flow("restore_champion", rollout=rollout),
        )
        assert "" == answers[2]
        document = world.platform.assignments.read(story.endpoint).document
        assert (None, 0.0) == (document.rollout, document.exposure)
        together.at_once(advance)
        ended = world.state(rollout)
        assert (State.ROLLED_BACK, True) == (ended.state, ended.settled)
        assert ["SHADOW", "CANARY 1", "ROLLING_BACK", "ROLLED_BACK"] == world.entered(rollout)
        assert ["v1"] == [variant.name for variant in world.served(story).production]
        assert None is ledger.claim_of(story.endpoint)
        ledger.verify()
        ledger.close()


def is_result(event: Any, effect: str) -> bool:
    return event.type is EventType.OBSERVED and event.payload["effect"] == effect


def document_shares(event: Any) -> tuple[str, int]:
    result = event.payload["result"]
    return result["stage"], result["step"]

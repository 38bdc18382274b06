"""Whole rollouts around which everything is killed end as the undisturbed ones do. `make chaos` plays many rounds."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.chaos.rounds import play, summary, write

pytestmark = pytest.mark.slow
ROUNDS, SEED = int(os.environ.get("ROUNDS", "10")), int(os.environ.get("SEED", "7"))


def test_what_is_killed_at_random_ends_where_the_undisturbed_rollout_ended(tmp_path: Path, capfd):
    """Same states, looks and decisions, each once; valid weights, a served champion and answers all the time."""

    def say(text: str) -> None:
        with capfd.disabled():
            print(text, flush=True)  # noqa: T201 - `make chaos` takes an hour, and people wait

    many = "ROUNDS" in os.environ
    played = play(tmp_path, ROUNDS, SEED, prefect=many, say=say if many else lambda _: None)
    assert ROUNDS == len(played.rounds)
    assert [] == played.wrong
    assert sum(told.died for told in played.rounds) > ROUNDS / 2
    if many:
        say(summary(played))
    if "CHAOS_PAGE" in os.environ:
        write(summary(played))

"""Lineage is told to Prefect, and is never in a decision's way."""

from __future__ import annotations

import logging
from types import SimpleNamespace

from prefect.settings import PREFECT_API_URL, temporary_settings

from staged_rollout.operations.decide import decide_on
from staged_rollout.operations.journal import load
from staged_rollout.state import State
from tasks.lineage import tell_lineage
from tests.fakes.figures import good
from tests.fakes.platform import ROLLOUT, reached


def test_what_prefect_refuses_is_logged_and_not_raised(tmp_path, churn, caplog):
    """An asset's key that Prefect takes for none, however it came about."""
    platform = reached(tmp_path, churn, State.SHADOW)
    state = load(platform, ROLLOUT)
    evidence = good(state, platform.clock.now())
    refused = SimpleNamespace(rollout="two words", spec=state.spec)
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}), caplog.at_level(logging.WARNING):
        tell_lineage(refused, evidence, decide_on(state, evidence))
    assert ["lineage of two words was not told"] == [record.getMessage().split(":")[0] for record in caplog.records]

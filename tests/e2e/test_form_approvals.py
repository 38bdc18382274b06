"""The form of `operate-rollout`, where approvals must be signed: a name is only a claim."""

from __future__ import annotations

import pytest
import yaml

from staged_rollout.adapters.ssh_keys import KeyFile, new_key
from staged_rollout.errors import NotApproverError
from staged_rollout.operations.journal import load
from staged_rollout.state import State
from tests.fakes.platform import ROLLOUT, reached

ASK = {"win": {"action": "ask", "who": "growth-ml", "within": "3d"}}


@pytest.mark.parametrize("act", ["approve", "reject"])
def test_a_form_cannot_answer_where_there_are_keys_whatever_name_is_typed(
    prefect_server, tmp_path, churn, monkeypatch, act
):
    from flows.operate_rollout import operate_rollout

    key = new_key(tmp_path / "ana", "", "ana")
    assert key == KeyFile(tmp_path / "ana", lambda _: None).public()
    platform = reached(tmp_path / "home", churn, State.AWAITING_APPROVAL, decide=ASK)
    file = tmp_path / "configs" / "environments" / "tests.yaml"
    file.parent.mkdir(parents=True)
    written = platform.environment.model_dump(mode="json", exclude_none=True)
    file.write_text(yaml.safe_dump(written | {"approvers": {"growth-ml": {"ana": key}}}))
    monkeypatch.setenv("STAGED_ROLLOUT_CONFIGS", str(tmp_path / "configs"))
    monkeypatch.setenv("STAGED_ROLLOUT_HOME", str(platform.home.root))
    for name in ("ana", "growth-ml", "eve"):
        with pytest.raises(NotApproverError):
            operate_rollout(ROLLOUT, act, name, "because I say so", "tests")
    state = load(platform, ROLLOUT)
    assert (State.AWAITING_APPROVAL, None) == (state.state, state.approval)
    refused = [event for event in platform.ledger.events(ROLLOUT) if "refused" in event.payload]
    assert ["ana", "growth-ml", "eve"] == [event.actor.name for event in refused]
    assert not any(event.actor.verified for event in refused)

"""A better candidate travels the whole way, through the real flows, the HTTP router and the endpoint."""

from __future__ import annotations

import asyncio

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey, FlowRunFilter, FlowRunFilterName

from staged_rollout.state import EventType, State

pytestmark = pytest.mark.slow


@pytest.fixture
def state(small, promoted):
    return small.state(promoted.rollout(2))


def test_it_is_promoted_and_settled(small, promoted, state):
    assert State.PROMOTED is state.state
    assert state.settled
    assert () == state.intents
    stages = ["SHADOW", "CANARY 1", "LIVE", "PROMOTING 1", "BAKING", "PROMOTED"]
    assert stages == small.entered(promoted.rollout(2))
    assert small.platform.ledger.claim_of(promoted.endpoint) is None

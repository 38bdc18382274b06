"""Assets of a Prefect server, from logs to decision: which batch of which logs a decision stands on."""

from __future__ import annotations

import logging
from typing import Any

from prefect.assets import Asset, AssetProperties
from prefect.context import AssetContext
from prefect.settings import get_current_settings
from prefect.states import Completed

from staged_rollout.evidence import Evidence
from staged_rollout.policy import Decision
from staged_rollout.state import RolloutState

_LOG = logging.getLogger(__name__)
SCHEME = "rollout"
"""Of an asset's key, as in `rollout://evidence/churn-v3`; endpoints and rollouts have plain names."""


def tell_lineage(state: RolloutState, evidence: Evidence, decision: Decision) -> None:
    """Say what a decision was made from: logs, the lake's batch, the evidence. Without a server nobody listens.

    For people only: nothing reads it, what is lost of it is in the ledger, and nothing that goes wrong here is raised.

    Args:
        state: The rollout as it was read.
        evidence: What was known.
        decision: What was decided on it.
    """
    if get_current_settings().api.url is None:
        return
    try:
        _tell(state, evidence, decision)
    except Exception as error:  # noqa: BLE001 - whatever Prefect thinks of it, the decision stands
        _LOG.warning("lineage of %s was not told: %s", state.rollout, error)


def _tell(state: RolloutState, evidence: Evidence, decision: Decision) -> None:
    endpoint, look = state.spec.endpoint, evidence.look
    logs = _asset("logs", endpoint, "prediction and outcome logs")
    lake = _asset("lake", endpoint, "the lake, as of its newest batch")
    known = _asset("evidence", state.rollout, "what was known at a look")
    decided = _asset("decision", state.rollout, "what was decided on it")
    facts: dict[str, Any] = {"batch": evidence.batch, "as_of": evidence.as_of.isoformat()}
    if look is not None:
        facts |= {"look": look.slot, "z": look.success.z}
    verdict = {"action": str(decision.action), "to": str(decision.to) if decision.to else "", **facts}
    _made(lake, logs, {"batch": evidence.batch})
    _made(known, lake, facts)
    _made(decided, known, verdict | {"headline": decision.headline})


def _asset(kind: str, name: str, description: str) -> Asset:
    properties = AssetProperties(name=f"{name}: {kind}", description=description)
    return Asset(key=f"{SCHEME}://{kind}/{name}", properties=properties)


def _made(asset: Asset, of: Asset, facts: dict[str, Any]) -> None:
    context = AssetContext(direct_asset_dependencies={of}, downstream_assets={asset}, materialized_by="staged-rollout")
    context.add_asset_metadata(asset.key, facts)
    context.emit_events(Completed())

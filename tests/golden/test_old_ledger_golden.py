"""A ledger from before futility, margins and re-estimation still folds, replays and reads: byte for byte."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from staged_rollout.evidence import Evidence
from staged_rollout.operations.decide import decide_on, decision_payload
from staged_rollout.report.history import sentence
from staged_rollout.report.look import event_markdown
from staged_rollout.state import Actor, Event, EventType, State, canonical, digest, event_hash, fold

LEDGER = Path(__file__).parent / "data" / "ledger_evidence_1.jsonl"
"""Written by the program before these features: see the folder's README."""


def written(line: str) -> Event:
    raw: dict[str, Any] = json.loads(line)
    return Event(
        rollout=raw["rollout"],
        seq=raw["seq"],
        type=EventType(raw["type"]),
        version=raw["version"],
        at=datetime.fromisoformat(raw["at"]),
        actor=Actor(raw["actor"], raw["verified"]),
        payload=raw["payload"],
        prev_hash=raw["prev_hash"],
        hash=raw["hash"],
    )


@pytest.fixture(name="events", scope="module")
def _events() -> list[Event]:
    return [written(line) for line in LEDGER.read_text(encoding="utf-8").splitlines()]


def test_its_chain_is_intact(events: list[Event]) -> None:
    for event in events:
        link = event_hash(
            rollout=event.rollout,
            seq=event.seq,
            type_=event.type,
            version=event.version,
            at=event.at,
            actor=event.actor,
            payload=event.payload,
            prev_hash=event.prev_hash,
        )
        assert event.hash == link


def test_it_folds_to_the_state_that_it_had(events: list[Event]) -> None:
    state = fold(events)
    assert state.state is State.PROMOTED
    assert (state.plan.margin, state.plan.drift, state.plan.beta, state.reestimation) == (None, None, None, None)
    assert state.n_eff_max == state.plan.n_eff_max
    assert state.futility_bounds() == (None,) * len(state.efficacy_bounds())
    assert state.looks[-1].crossed


def test_its_evidence_keeps_its_bytes_and_its_hash(events: list[Event]) -> None:
    """Invariant 7: keys that a later schema brought are not written into evidence that never had them."""
    looks = [event.payload for event in events if event.type is EventType.LOOK_TAKEN]
    assert len(looks) == 3
    for payload in looks:
        again = Evidence.model_validate(payload["evidence"]).model_dump(mode="json")
        assert canonical(payload["evidence"]) == canonical(again)
        assert payload["evidence_hash"] == digest(again)


def test_its_decisions_replay_byte_for_byte(events: list[Event]) -> None:
    """Invariant 7: the same specification, prefix, evidence and time give the same record."""
    looks = {e.payload["evidence_hash"]: e.payload["evidence"] for e in events if e.type is EventType.LOOK_TAKEN}
    decided = [event for event in events if event.type is EventType.DECIDED]
    assert len(decided) == 6
    for event in decided:
        stored = dict(event.payload)
        evidence = Evidence.model_validate(stored.pop("evidence", None) or looks[stored["hashes"]["evidence"]])
        read = next(e.seq for e in events if e.hash == stored["hashes"]["prefix"])
        state = fold(events[:read])
        again = decision_payload(state, evidence, decide_on(state, evidence))
        assert canonical(stored | {"code_version": again["code_version"]}) == canonical(again)


def test_its_pages_and_sentences_are_still_made(events: list[Event]) -> None:
    state = fold(events)
    for event in events:
        assert sentence(event)
        assert event_markdown(event, state, events)[0].startswith("churn-v3")

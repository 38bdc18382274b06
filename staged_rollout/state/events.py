"""The ledger's vocabulary: one enumeration of event types, and the shape of an event."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

GENESIS = "0" * 64
"""`prev_hash` of a rollout's first event."""


class EventType(StrEnum):
    """What can happen to a rollout. Values are stored: they are added to, never renamed."""

    REGISTERED = "registered"
    STAGE_ENTERED = "stage_entered"
    PLAN_FROZEN = "plan_frozen"
    PLAN_REESTIMATED = "plan_reestimated"
    LOOK_PLANNED = "look_planned"
    LOOK_TAKEN = "look_taken"
    QUALITY_CHECKED = "quality_checked"
    DECIDED = "decided"
    HELD = "held"
    RELEASED = "released"
    APPROVED = "approved"
    REJECTED = "rejected"
    NOTED = "noted"
    AMENDED = "amended"
    INTENDED = "intended"
    OBSERVED = "observed"
    SETTLED = "settled"


@dataclass(frozen=True)
class Actor:
    """Who acts.

    Attributes:
        name: A person, or a flow's name.
        verified: Whether the identity was proven (a signature, an AWS identity), not merely typed.
    """

    name: str
    verified: bool = False


@dataclass(frozen=True)
class NewEvent:
    """An event that is not written yet. The payload is JSON: finite numbers, text, booleans, lists and objects."""

    type: EventType
    payload: Mapping[str, Any]
    version: int = 1


@dataclass(frozen=True)
class Event:
    """A written event.

    Attributes:
        rollout: The rollout's id.
        seq: 1, 2, 3 ... without gaps.
        type: What happened.
        version: The version of the payload's shape for this type.
        at: The clock's time, UTC.
        actor: Who acted.
        payload: The facts.
        prev_hash: The hash of the event before, `GENESIS` for the first.
        hash: `event_hash` of all of the above: the ledger prefix up to here, in 64 hexadecimal digits.
    """

    rollout: str
    seq: int
    type: EventType
    version: int
    at: datetime
    actor: Actor
    payload: Mapping[str, Any]
    prev_hash: str
    hash: str


def canonical(value: Any) -> str:
    """JSON with sorted keys, no spaces and no NaN: the same value gives the same bytes.

    Raises:
        ValueError: a number is not finite.
        TypeError: a value is not JSON.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(value: Any) -> str:
    """SHA-256 of the canonical form, 64 hexadecimal digits."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def event_hash(
    *,
    rollout: str,
    seq: int,
    type_: EventType,
    version: int,
    at: datetime,
    actor: Actor,
    payload: Mapping[str, Any],
    prev_hash: str,
) -> str:
    """The link of the chain: covers every column and the link before."""
    return digest(
        {
            "rollout": rollout,
            "seq": seq,
            "type": str(type_),
            "version": version,
            "at": at.isoformat(timespec="microseconds"),
            "actor": actor.name,
            "actor_verified": actor.verified,
            "payload": dict(payload),
            "prev_hash": prev_hash,
        }
    )

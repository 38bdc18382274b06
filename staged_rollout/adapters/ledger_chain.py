"""Events as rows of the ledger and back: each row's hash covers the row before, and reading checks every link."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping

from staged_rollout.errors import DataError, LedgerCorruptError
from staged_rollout.state import GENESIS, Actor, Event, EventType, NewEvent, canonical, event_hash


def stored_payload(rollout: str, new: NewEvent) -> dict[str, Any]:
    """The payload as it will be read back: text keys, lists for tuples, plain numbers.

    The hash is taken of this form, so that it is the same before and after a round trip.

    Raises:
        DataError: a number is not finite, or a value is not JSON.
    """
    try:
        payload: dict[str, Any] = json.loads(canonical(dict(new.payload)))
        canonical(payload).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise DataError(
            f"the payload of {new.type} for {rollout} cannot be stored: {error}",
            hint="payloads hold finite numbers, text, booleans, lists and objects",
            rollout=rollout,
            type=str(new.type),
        ) from error
    return payload


def chain(
    rollout: str, events: Sequence[NewEvent], *, after: int, prev_hash: str, at: datetime, actor: Actor
) -> list[Event]:
    """New events, numbered and linked to the one before.

    Args:
        rollout: The rollout's id.
        events: What happened, in order.
        after: The last number in the ledger, 0 for none.
        prev_hash: The last hash in the ledger, `GENESIS` for none.
        at: In UTC.
        actor: Who acts.

    Raises:
        DataError: a payload, an id or a name cannot be stored.
    """
    for name in (rollout, actor.name):
        _storable(name)
    linked: list[Event] = []
    for seq, new in enumerate(events, start=after + 1):
        payload = stored_payload(rollout, new)
        hashed = event_hash(
            rollout=rollout,
            seq=seq,
            type_=new.type,
            version=new.version,
            at=at,
            actor=actor,
            payload=payload,
            prev_hash=prev_hash,
        )
        linked.append(Event(rollout, seq, new.type, new.version, at, actor, payload, prev_hash, hashed))
        prev_hash = hashed
    return linked


def row_of(event: Event) -> dict[str, Any]:
    """An event as the columns of `events`."""
    return {
        "rollout": event.rollout,
        "seq": event.seq,
        "type": str(event.type),
        "version": event.version,
        "at": event.at,
        "actor": event.actor.name,
        "actor_verified": event.actor.verified,
        "payload": canonical(event.payload),
        "prev_hash": event.prev_hash,
        "hash": event.hash,
    }


def verified(rollout: str, rows: Iterable[RowMapping], *, after: int) -> list[Event]:
    """Rows as events, after a check of every number and every link.

    Args:
        rollout: The rollout's id.
        rows: In order of seq, from number `max(after, 1)`: the row before the first new one anchors the chain.
        after: Events up to this number are checked, and left out of the answer.

    Raises:
        LedgerCorruptError: a row is missing, moved or changed.
    """
    expected, prev_hash = max(after, 1), GENESIS if after <= 1 else None
    events: list[Event] = []
    for row in rows:
        if row["seq"] != expected:
            raise _corrupt(rollout, expected, f"the next row is number {row['seq']}")
        try:
            event = _event(row)
        except (AttributeError, TypeError, ValueError, RecursionError) as error:
            raise _corrupt(rollout, expected, str(error)) from error
        if prev_hash is not None and event.prev_hash != prev_hash:
            raise _corrupt(rollout, expected, "it does not follow the event before it")
        expected, prev_hash = expected + 1, event.hash
        if event.seq > after:
            events.append(event)
    return events


def _event(row: RowMapping) -> Event:
    payload = json.loads(row["payload"])
    if canonical(payload) != row["payload"]:
        raise ValueError("its payload is not in the canonical form")
    kind, actor = EventType(row["type"]), Actor(row["actor"], bool(row["actor_verified"]))
    hashed = event_hash(
        rollout=row["rollout"],
        seq=row["seq"],
        type_=kind,
        version=row["version"],
        at=row["at"],
        actor=actor,
        payload=payload,
        prev_hash=row["prev_hash"],
    )
    if hashed != row["hash"]:
        raise ValueError(f"its hash is {hashed}, stored is {row['hash']}")
    return Event(row["rollout"], row["seq"], kind, row["version"], row["at"], actor, payload, row["prev_hash"], hashed)


def _storable(name: str) -> None:
    if not name or "\x00" in name or not _is_utf8(name):
        raise DataError(
            f"{name!r} cannot be stored as a name", hint="names are text without null characters", value=name
        )


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _corrupt(rollout: str, seq: int, found: str) -> LedgerCorruptError:
    return LedgerCorruptError(
        f"event {seq} of {rollout} is not what was written: {found}",
        hint="restore the ledger from a backup; nothing may be promoted on this history",
        rollout=rollout,
        seq=seq,
    )

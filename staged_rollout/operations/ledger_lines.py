"""Events as lines of JSON: what `ledger export` and `ledger backup` write, read back and checked link by link."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from staged_rollout.errors import DataError
from staged_rollout.state import GENESIS, Actor, Event, EventType, canonical, event_hash

COLUMNS: dict[str, type] = {
    "rollout": str,
    "seq": int,
    "type": str,
    "version": int,
    "at": str,
    "actor": str,
    "actor_verified": bool,
    "payload": dict,
    "prev_hash": str,
    "hash": str,
}
"""Keys of an event's line, which are the ledger's columns, and what each holds."""


def event_line(event: Event) -> str:
    """An event as one line: canonical JSON, without the line's end."""
    return canonical(
        {
            "rollout": event.rollout,
            "seq": event.seq,
            "type": str(event.type),
            "version": event.version,
            "at": event.at.isoformat(timespec="microseconds"),
            "actor": event.actor.name,
            "actor_verified": event.actor.verified,
            "payload": event.payload,
            "prev_hash": event.prev_hash,
            "hash": event.hash,
        }
    )


def objects(lines: Iterable[bytes], name: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Lines as JSON objects, numbered from 1; blank ones are passed over.

    Args:
        lines: As they lie in the file.
        name: The file's, for errors.

    Raises:
        DataError: a line is no JSON object in UTF-8.
    """
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line.decode())
        except (ValueError, RecursionError) as error:
            raise DataError(
                f"{name}:{number} is not JSON: {error}", hint="lines of staged-rollout ledger export", line=number
            ) from error
        if not isinstance(value, dict):
            raise DataError(f"{name}:{number} is a {type(value).__name__}, must be an object", line=number)
        yield number, value


def event_of(value: Mapping[str, Any], where: str) -> Event:
    """A line's object as the event that it was, its own hash checked.

    Args:
        value: The object.
        where: File and line, for errors.

    Raises:
        DataError: a key is missing, unknown or of another kind, or the line is not what was exported.
    """
    if value.keys() != COLUMNS.keys():
        odd = ", ".join(sorted(value.keys() ^ COLUMNS.keys()))
        raise DataError(f"{where}: keys that are missing or too many: {odd}", hint=f"an event has {', '.join(COLUMNS)}")
    for key, kind in COLUMNS.items():
        if type(value[key]) is not kind:
            raise DataError(f"{where}: {key} is {str(value[key])[:64]!r}, must be {kind.__name__}", key=key)
    actor = Actor(value["actor"], value["actor_verified"])
    try:
        at, kind_of = datetime.fromisoformat(value["at"]), EventType(value["type"])
        hashed = event_hash(
            rollout=value["rollout"],
            seq=value["seq"],
            type_=kind_of,
            version=value["version"],
            at=at,
            actor=actor,
            payload=value["payload"],
            prev_hash=value["prev_hash"],
        )
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: {error}") from error
    if hashed != value["hash"]:
        raise DataError(
            f"{where}: event {value['seq']} of {value['rollout'][:128]} hashes to {hashed}, the line says "
            f"{value['hash'][:64]}",
            hint="the line was changed after it was written; take another copy",
        )
    rollout, seq = value["rollout"], value["seq"]
    return Event(
        rollout, seq, kind_of, value["version"], at, actor, value["payload"], value["prev_hash"], value["hash"]
    )


class Links:
    """Checks that events follow one another, rollout by rollout.

    Attributes:
        heads: The last event's number and hash of each rollout so far.
    """

    def __init__(self) -> None:
        self.heads: dict[str, tuple[int, str]] = {}

    def follow(self, event: Event, where: str) -> None:
        """Take the next event.

        Raises:
            DataError: it does not follow the last one of its rollout.
        """
        seq, last = self.heads.get(event.rollout, (0, GENESIS))
        if event.seq != seq + 1 or event.prev_hash != last:
            raise DataError(
                f"{where}: event {event.seq} of {event.rollout} does not follow event {seq}",
                hint="lines are missing, or from two ledgers; take another copy",
            )
        self.heads[event.rollout] = event.seq, event.hash

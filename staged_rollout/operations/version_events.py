"""Events of the registry: each is a hint that a version deserves a look now; the registry itself is the truth."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from staged_rollout.errors import ConflictError, NotFoundError, PlatformError
from staged_rollout.operations.register import Registered, register_if_new
from staged_rollout.ports import EventMessage, ModelVersion, Platform, VersionEvent, VersionEvents
from staged_rollout.spec.model import RolloutSpec
from staged_rollout.spec.prices import PriceTable
from staged_rollout.state import Actor

LIMIT = 500
"""Messages of one drain: a queue that somebody floods must not hold up polling."""


@dataclass
class Drained:
    """What became of a queue's messages.

    Attributes:
        found: Versions that were registered, or why not.
        parked: Findings: messages that were put aside, or could not be.
        left: Findings: messages that come back, because an outside service failed.
        removed: Messages whose effect is there, or that ask for none.
    """

    found: list[tuple[ModelVersion, Registered | str]] = field(default_factory=list)
    parked: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    removed: int = 0


class _UnfitError(Exception):
    """An event that the registry does not bear out."""


def drain(
    platform: Platform,
    events: VersionEvents,
    specs: Mapping[Path, RolloutSpec],
    actor: Actor,
    prices: PriceTable,
    *,
    limit: int = LIMIT,
) -> Drained:
    """Act on every message that waits, and remove each only after its effect.

    Several events for one change, and one event that is delivered twice, register once: within a drain they are told
    apart by ARN and status, and across drains the ledger knows the rollout. A message that cannot be read, or that
    names a version which the registry does not have, is parked with a finding and blocks nothing.

    Args:
        platform: The environment's parts.
        events: The queue.
        specs: Rollout files.
        actor: Who registers.
        prices: For the forecast.
        limit: Messages after which the rest waits for the next time.

    Raises:
        PlatformError: the queue cannot be read.
    """
    done = Drained()
    acted: set[tuple[str, bool]] = set()
    seen = 0
    while seen < limit and (messages := events.receive()):
        seen += len(messages)
        for message in messages:
            _handle(message, events, done, acted, platform, specs.values(), actor, prices)
    return done


def _handle(
    message: EventMessage,
    events: VersionEvents,
    done: Drained,
    acted: set[tuple[str, bool]],
    platform: Platform,
    specs: Iterable[RolloutSpec],
    actor: Actor,
    prices: PriceTable,
) -> None:
    event = message.event
    if event is None:
        _park(events, message, message.problem, done)
        return
    key = (event.reference.lower(), event.approved)
    try:
        if event.approved and key not in acted:
            done.found += _registered(platform, event, specs, actor, prices)
            acted.add(key)
    except _UnfitError as error:
        _park(events, message, str(error), done)
        return
    except (ConflictError, PlatformError) as error:
        done.left.append(f"{event.model} version {event.version}: {error}")
        return
    events.remove(message)
    done.removed += 1


def _registered(
    platform: Platform, event: VersionEvent, specs: Iterable[RolloutSpec], actor: Actor, prices: PriceTable
) -> list[tuple[ModelVersion, Registered | str]]:
    meant = [spec for spec in specs if spec.registry == event.model]
    if not meant:
        return []
    try:
        version = platform.registry.version(event.model, event.version)
    except NotFoundError as error:
        raise _UnfitError(error.message) from error
    if version.reference.lower() != event.reference.lower():
        raise _UnfitError(f"{event.reference} is not {version.reference}, which the registry has")
    champion = platform.registry.champion(event.model)
    outcomes = [register_if_new(platform, spec, version, champion, actor, prices) for spec in meant]
    return [(version, outcome) for outcome in outcomes if outcome is not None]


def _park(events: VersionEvents, message: EventMessage, reason: str, done: Drained) -> None:
    try:
        parked = events.park(message, reason)
    except PlatformError as error:
        done.left.append(f"a message ({reason}) could not be parked: {error}")
        return
    done.parked.append(reason if parked else f"{reason}; it comes back, because the queue has no dead-letter queue")

"""Whether a rollout that was disturbed ended as the undisturbed one did, and what else must hold of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from staged_rollout.state import Event, EventType
from tests.chaos.whole_rollout import WholeRollout

FACTS = ("state", "step", "reason", "slot", "kind", "cut_off", "z", "information", "day", "passed", "action", "to")
EFFECTS = {EventType.INTENDED, EventType.OBSERVED}
BOOKS = ("lines", "accepted", "duplicates", "quarantined", "late", "blank")


def told(events: list[Event], *, figures: bool) -> list[tuple[Any, ...]]:
    """What a rollout's events say, but for outside effects: a kill between intent and result announces again.

    Args:
        events: All of a rollout.
        figures: Whether numbers count too. They do as long as no call failed; a failed call is a row of its own, which
            the error rate must count.
    """
    facts = FACTS if figures else tuple(fact for fact in FACTS if fact not in {"reason", "z", "information"})
    return [
        (event.at, event.type, *(event.payload.get(name) for name in facts))
        for event in events
        if event.type not in EFFECTS
    ]


def differences(expected: WholeRollout, found: WholeRollout) -> Iterator[str]:
    """Every way in which a disturbed rollout is not as it must be, in words; none when all is well."""
    yield from found.violations
    world, other = found.world, expected.world
    events, reference = world.events(found.rollout), other.events(expected.rollout)
    yield from _unequal("final state", other.state(expected.rollout).state, world.state(found.rollout).state)
    if not world.state(found.rollout).settled:
        yield "the rollout did not come to its end"
    # A killed endpoint loses what it held in memory: copies for the shadow, lines of Data Capture.
    exact = found.refused == 0 and not {"endpoint", "router"} & {told.kind for told in found.rounds}
    for number, (one, two) in enumerate(
        zip(told(reference, figures=exact), told(events, figures=exact), strict=False), 1
    ):
        if one != two:
            yield f"event {number} but for effects: expected {one}, found {two}"
            break
    yield from _unequal("events but for effects", len(told(reference, figures=False)), len(told(events, figures=False)))
    for kind in EFFECTS:
        keys = [{event.payload["key"] for event in rows if event.type is kind} for rows in (reference, events)]
        yield from _unequal(f"keys of {kind}", *keys)
    slots = Counter(event.payload["evidence"]["look"]["slot"] for event in events if event.type is EventType.LOOK_TAKEN)
    yield from (f"look {slot} was taken {times} times" for slot, times in slots.items() if times > 1)
    try:
        world.platform.ledger.verify()
    except Exception as error:  # noqa: BLE001 - whatever is wrong with the chain
        yield f"the ledger does not verify: {error}"
    yield from _unequal("the endpoint's production", expected.production, found.production)
    documents = [w.platform.assignments.read(s.endpoint).document for w, s in _pairs(expected, found)]
    if not documents[0].same_content(documents[1]):
        yield f"the document in force: expected {documents[0]}, found {documents[1]}"
    champions = [w.platform.registry.champion(s.name).version for w, s in _pairs(expected, found)]
    yield from _unequal("the registry's champion", *champions)
    if world.platform.ledger.claim_of(found.story.endpoint) is not None:
        yield "the endpoint is still claimed"
    lines, *parts = (sum(getattr(book, name) for book in world.platform.lake.books()) for name in BOOKS)
    # Callers without a unit go on after the last ingest: the books hold what was read, and nothing twice.
    yield from _unequal("lines of the books", sum(parts), lines)
    if lines > world.lines_on_disk():
        yield f"{lines} lines were read, {world.lines_on_disk()} are on disk"
    yield from _unanswered(found)


def _pairs(*wholes: WholeRollout) -> Iterator[tuple[Any, Any]]:
    return ((whole.world, whole.story) for whole in wholes)


def _unequal(what: str, expected: Any, found: Any) -> Iterator[str]:
    if expected != found:
        yield f"{what}: expected {expected}, found {found}"


def _unanswered(found: WholeRollout) -> Iterator[str]:
    """Each call of a customer is in the log with an answer, once."""
    rows = found.world.logged(found.story)
    answered = Counter(row["request_id"] for row in rows if row["status"] == 200 and row["unit_id"] is not None)
    units = {row["unit_id"] for row in rows if row["status"] == 200}
    missing = {call.unit_id for call in found.story.sent} - units
    if missing:
        yield f"{len(missing)} customers were never answered"
    if len(answered) < len(found.story.sent):
        yield f"{len(answered)} requests were answered, {len(found.story.sent)} were made"

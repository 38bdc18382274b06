"""Which kind of log line an object is: told by its keys, never guessed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from staged_rollout.records.blocks import LineKind
from staged_rollout.records.field_rules import FIELDS, MISSING, rule_of
from staged_rollout.records.parse_predictions import sides_of


def kinds_of(record: Mapping[str, Any], entries: Mapping[str, str | None]) -> list[LineKind]:
    """The kinds that a line may be; one when it is unmistakable, none when nothing fits.

    Args:
        record: A parsed line.
        entries: The field map's names, ours to theirs.
    """
    if "captureData" in record and "eventMetadata" in record:
        return ["capture"]
    if "groundTruthData" in record and "eventMetadata" in record:
        return ["ground-truth"]

    def has(*names: str) -> bool:
        return any(_found(record, name, entries) for name in names)

    champion, shadow = sides_of(record)
    found: list[LineKind] = []
    if (champion or has("prediction")) and (shadow or has("shadow_prediction")):
        return ["shadow"]
    if has("variant", "assigned_variant", "prediction"):
        found.append("predictions")
    if has("request_id", "unit_id"):
        if has("outcome"):
            found.append("outcomes")
        if has("rating"):
            found.append("feedback")
    # A field map that names what only one kind has decides between kinds that the keys alone leave open.
    named = [kind for kind in found if {name for name in entries if name in _known()} <= set(FIELDS[kind])]
    return named or found


def _known() -> set[str]:
    return {name for names in FIELDS.values() for name in names}


def _found(record: Mapping[str, Any], name: str, entries: Mapping[str, str | None]) -> bool:
    theirs = entries.get(name, name)
    if not theirs:
        return False
    rule = rule_of(theirs)
    if rule.constant is not None:
        return True
    value: Any = record.get(rule.key, MISSING)
    if value is MISSING and "." in rule.key:
        value = record
        for step in rule.key.split("."):
            value = value.get(step, MISSING) if isinstance(value, dict) else MISSING
    return value is not MISSING

"""The identities of a row, told from its columns alone: what a lost cache of identities is made again from."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from staged_rollout.records.tables import TableName

IDENTITY_COLUMNS: Mapping[TableName, tuple[str, ...]] = {
    "predictions": ("endpoint", "request_id"),
    "captures": ("endpoint", "variant", "event_id", "inference_id"),
    "outcomes": ("endpoint", "unit_id", "timestamp", "outcome", "request_id", "name"),
    "units": ("rollout", "unit_id"),
    "moments": ("rollout", "slot", "assigned_variant"),
}
"""The columns that a row's identities are made of; rows of other tables have none."""


def identity(*parts: str) -> bytes:
    """The 16 bytes of an identity.

    md5 because every engine has it. Only the last part is free text (the others come from a path or are made here), so
    that no two lists of parts join into the same string.
    """
    return hashlib.md5("\x1f".join(parts).encode(), usedforsecurity=False).digest()


def row_identities(table: TableName, values: Mapping[str, Any]) -> tuple[bytes, ...]:
    """The identities of a stored row, as its line had them.

    Args:
        table: Where it lies.
        values: Its columns of `IDENTITY_COLUMNS`.
    """
    if table == "units":
        return (identity("unit", values["rollout"], values["unit_id"]),)
    if table == "moments":
        return (identity("moment", values["rollout"], str(values["slot"]), values["assigned_variant"]),)
    endpoint = values["endpoint"]
    if table == "predictions":
        return (identity("request", endpoint, values["request_id"]),)
    if table == "captures":
        event = identity("event", endpoint, values["variant"], values["event_id"])
        if values["inference_id"] is None:
            return (event,)
        return (event, identity("inference", endpoint, values["variant"], values["inference_id"]))
    if table == "outcomes":
        # Adding 0.0 makes -0.0 and 0.0, which are equal, one identity.
        number, unit, request = (values["outcome"] + 0.0).hex(), values["unit_id"] or "", values["request_id"] or ""
        told = identity(values["name"] or "outcome", endpoint, unit, values["timestamp"].isoformat(), number, request)
        if unit or values["name"]:
            return (told,)
        # The row does not tell whether its line was an outcome or ground truth: it is known as both.
        return (told, identity("ground-truth", endpoint, number, request))
    return ()

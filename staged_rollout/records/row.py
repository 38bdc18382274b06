"""A line that is a record, and the identity by which it is known when it comes again."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from staged_rollout.records.tables import TableName


@dataclass(frozen=True)
class Row:
    """A line that is a record.

    Attributes:
        table: The table that it belongs to.
        timestamp: Event time, UTC.
        values: Column to value, without `source` and `line`.
        identities: 16-byte hashes; a row with any identity that the lake holds for its event date is a duplicate.
    """

    table: TableName
    timestamp: datetime
    values: Mapping[str, Any]
    identities: tuple[bytes, ...]

    @property
    def event_date(self) -> date:
        """UTC day of the event."""
        return self.timestamp.date()


def identity(*parts: str) -> bytes:
    """The 16 bytes of an identity.

    md5 because every engine has it. Only the last part is free text (the others come from a path or are made here), so
    that no two lists of parts join into the same string.
    """
    return hashlib.md5("\x1f".join(parts).encode(), usedforsecurity=False).digest()

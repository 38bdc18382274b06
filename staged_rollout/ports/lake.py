"""The lake: tables that grow by atomic batches, and questions asked of one batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

Rows = list[dict[str, Any]]
"""A handful of result rows: figures, never data."""


@dataclass(frozen=True)
class FileBooks:
    """What became of the lines of one read of one file: lines = accepted + duplicates + quarantined + late + blank."""

    name: str
    kind: str
    lines: int
    accepted: int
    duplicates: int
    quarantined: int
    late: int
    blank: int
    bytes: int

    @property
    def balanced(self) -> bool:
        """Whether every line is accounted for."""
        return self.lines == self.accepted + self.duplicates + self.quarantined + self.late + self.blank


@dataclass(frozen=True)
class Batch:
    """A sealed state of all tables.

    Attributes:
        number: Grows by one with each batch; 0 is the empty lake.
        snapshots: Table name to Iceberg snapshot id (None while a table is empty): readers use these, never "latest".
        at: When it was sealed, in the clock's time.
    """

    number: int
    snapshots: Mapping[str, int | None]
    at: datetime


class Lake(Protocol):
    """Iceberg tables; SQL files under sql/ run by DuckDB over one batch's files."""

    def head(self) -> Batch:
        """The newest sealed batch."""
        ...

    def query(self, name: str, parameters: Mapping[str, Any], *, batch: Batch) -> Rows:
        """Run `sql/NAME.sql` over a batch's snapshots with bound parameters.

        Raises:
            NotFoundError: no such statement.
            DataError: the statement does not fit its parameters or tables.
        """
        ...

    def books(self, *, since_batch: int = 0) -> Sequence[FileBooks]:
        """What became of every line of every read after a batch, in order."""
        ...

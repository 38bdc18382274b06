"""Tables seen through a lens: views between the lake's files and the statements, which need not know of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from staged_rollout.adapters import lake_sql
from staged_rollout.ports.lake import Batch, Rows
from staged_rollout.ports.lens import BEFORE_EPOCH, LIVE_EPOCH, Lens
from staged_rollout.records.tables import TableName

if TYPE_CHECKING:
    import duckdb

    from staged_rollout.adapters.lake_iceberg import IcebergLake

_LENS = """
CREATE TEMP TABLE lens AS SELECT
  CAST($endpoint AS VARCHAR) AS endpoint,
  CAST($logged_endpoint AS VARCHAR) AS logged_endpoint,
  CAST($rollout AS VARCHAR) AS rollout,
  CAST($logged_rollout AS VARCHAR) AS logged_rollout,
  CAST($variants AS VARCHAR[]) AS variants,
  CAST($live_epochs AS BIGINT[]) AS live_epochs,
  CAST($since AS TIMESTAMPTZ) AS since
"""
_PREDICTIONS = f"""
CREATE TEMP VIEW predictions AS SELECT p.* REPLACE (
  l.endpoint AS endpoint,
  CASE WHEN p.rollout IS NOT DISTINCT FROM l.logged_rollout THEN l.rollout END AS rollout,
  CASE
    WHEN p.rollout IS DISTINCT FROM l.logged_rollout THEN 0
    WHEN p."timestamp" < l.since THEN {BEFORE_EPOCH}
    ELSE {LIVE_EPOCH}
  END AS epoch
)
FROM logged_predictions AS p
JOIN lens AS l ON p.endpoint = l.logged_endpoint
WHERE p.rollout IS DISTINCT FROM l.logged_rollout
   OR ((p.assigned_variant IS NULL OR list_contains(l.variants, p.assigned_variant))
       AND (p."timestamp" < l.since OR list_contains(l.live_epochs, p.epoch)))
"""  # noqa: S608 - the numbers are ours
_RENAMED = """
CREATE TEMP VIEW {table} AS SELECT p.* REPLACE (l.endpoint AS endpoint)
FROM logged_{table} AS p
JOIN lens AS l ON p.endpoint = l.logged_endpoint
"""
SHOWN: frozenset[TableName] = frozenset({"predictions", "captures", "outcomes"})
"""Tables that a lens changes."""


def look_through(connection: duckdb.DuckDBPyConnection, lens: Lens, tables: Collection[TableName]) -> None:
    """Make the views of some tables over those named `logged_TABLE`; the lens' values are bound, never pasted."""
    values = {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(lens).items()}
    connection.execute(_LENS, values)
    for table in sorted(SHOWN & set(tables)):
        connection.execute(_PREDICTIONS if table == "predictions" else _RENAMED.format(table=table))


class SeenLake:
    """A lake seen through a lens. It answers questions only.

    Args:
        lake: The lake itself.
        lens: How its rows are shown.
    """

    def __init__(self, lake: IcebergLake, lens: Lens) -> None:
        self._lake = lake
        self._lens = lens

    def head(self) -> Batch:
        """The newest sealed batch."""
        return self._lake.head()

    def batch(self, number: int) -> Batch:
        """A sealed batch by its number.

        Raises:
            NotFoundError: never sealed.
        """
        return self._lake.batch(number)

    def query(self, name: str, parameters: Mapping[str, Any], *, batch: Batch) -> Rows:
        """Run `sql/NAME.sql` over what the lens shows of a batch, with bound parameters.

        Raises:
            NotFoundError: no such statement.
            DataError: the statement does not fit its parameters or tables.
        """
        return lake_sql.rows_of(self.table(name, parameters, batch=batch))

    def table(self, name: str, parameters: Mapping[str, Any], *, batch: Batch) -> Any:
        """As `query`, answering a pyarrow Table.

        Raises:
            NotFoundError: no such statement.
            DataError: the statement does not fit its parameters or tables.
        """
        return lake_sql.run(name, parameters, lambda table: self._lake.files(table, batch), lens=self._lens)

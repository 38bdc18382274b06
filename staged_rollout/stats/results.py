"""What every named result of this package shares: it prints as a table, and becomes a data frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


class Result:
    """Mixin of frozen dataclasses: `print(result)` shows names and values, `result.to_frame()` is a pandas DataFrame.

    A result that holds one row per look, variant or unit of something overrides `rows`.
    """

    def rows(self) -> Sequence[Mapping[str, Any]]:
        """The result as a table: one mapping from column to value per row."""
        return [{field.name: getattr(self, field.name) for field in fields(self)}]  # type: ignore[arg-type]

    def to_frame(self) -> pd.DataFrame:
        """The rows as a pandas DataFrame; pandas is imported here and nowhere else."""
        import pandas as pd

        return pd.DataFrame(list(self.rows()))

    def __str__(self) -> str:
        table = [{name: _shown(value) for name, value in row.items()} for row in self.rows()]
        if len(table) == 1:
            width = max(map(len, table[0]))
            return "\n".join(f"{name:<{width}}  {value}" for name, value in table[0].items())
        names = list(table[0]) if table else []
        widths = [max(len(name), *(len(row[name]) for row in table)) for name in names]
        lines = [names, *([row[name] for name in names] for row in table)]
        return "\n".join(
            "  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
        )


def _shown(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return "-" if value is None else str(value)
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, (tuple, list)):
        return "(" + ", ".join(_shown(item) for item in value) + ")"
    return str(value)

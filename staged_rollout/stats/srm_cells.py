"""Where a sample-ratio mismatch sits: the same test within each cell, corrected for their number, ranked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from staged_rollout.stats.goodness_of_fit import goodness_of_fit
from staged_rollout.stats.results import Result
from staged_rollout.stats.shares import holm


@dataclass(frozen=True)
class SrmCell(Result):
    """One cell's counts against the designed split.

    Args:
        dimension: What the units are divided by: a segment's name, day, hour or epoch.
        value: This cell's value of it.
        counts: Units per variant.
        residual: (n - N w) / sqrt(N w (1 - w)) of the last variant: positive when it has too many units.
        p_value: Fixed test of this cell, exact when a variant has fewer than 5 expected units.
        p_holm: The same, corrected by Holm's method over all cells of all dimensions.
    """

    dimension: str
    value: str
    counts: tuple[int, ...]
    residual: float
    p_value: float
    p_holm: float


def locate_srm(cells: Sequence[tuple[str, str, Sequence[int]]], weights: Sequence[float]) -> tuple[SrmCell, ...]:
    """Rank cells by how much their counts contradict the designed split.

    Made for a mismatch that a sequential test has found: its p-values say where to look, not whether. A mismatch that
    sits in one cell stands out in its dimension; one that is everywhere makes all cells of a dimension lean one way.

    Source: Holm (1979), Scandinavian Journal of Statistics 6, 65-70; searching segments for the cause of a mismatch:
    Fabijan et al. (2019), "Diagnosing Sample Ratio Mismatch in Online Controlled Experiments", KDD, section 5.

    Args:
        cells: Dimension, value, and units per variant; cells without units are left out.
        weights: Planned weights per variant.

    Returns:
        The cells, the smallest p-value first; ties in the order of names.

    Raises:
        StatisticsError: Counts or weights out of bounds.

    >>> found = locate_srm([("plan", "pro", (500, 500)), ("plan", "free", (420, 580))], (1, 1))
    >>> [(cell.value, round(cell.residual, 1)) for cell in found]
    [('free', 5.1), ('pro', 0.0)]
    """
    tested = [(name, value, goodness_of_fit(counts, weights)) for name, value, counts in cells if sum(counts)]
    adjusted = holm([fit.p_value for *_, fit in tested]) if tested else ()
    found = [
        SrmCell(name, value, fit.counts, fit.residuals[-1], fit.p_value, p)
        for (name, value, fit), p in zip(tested, adjusted, strict=True)
    ]
    return tuple(sorted(found, key=lambda cell: (cell.p_value, -abs(cell.residual), cell.dimension, cell.value)))

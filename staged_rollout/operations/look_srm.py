"""Where a sample-ratio mismatch sits: asked only when a test alarms, so that other looks cost nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from staged_rollout.evidence import SrmCellFigures, SrmFigures
from staged_rollout.operations.window import Window
from staged_rollout.stats import locate_srm

CELLS_KEPT = 10
"""Cells of each test that evidence keeps, the most conspicuous first."""

_Row = tuple[str, str, str, int]
"""Dimension, value, assigned variant, units."""


def cells(window: Window, tests: Sequence[SrmFigures]) -> tuple[SrmCellFigures, ...] | None:
    """The most conspicuous cells of each test that alarms; None when none does.

    Cells are each value of each of the rollout's segments, each day and hour of first exposure, and each epoch; for
    closed units with an outcome, segments and days.
    """
    alarming = [test for test in tests if test.alarm]
    if not alarming:
        return None
    return tuple(cell for test in alarming for cell in _located(window, test))


def _located(window: Window, test: SrmFigures) -> Iterable[SrmCellFigures]:
    rows = _at_exposure(window) if test.name == "first exposure" else _with_outcome(window)
    places = {window.state.champion.variant: 0, window.state.candidate.variant: 1}
    counts: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
    for dimension, value, variant, units in rows:
        if variant in places:
            counts[dimension, value][places[variant]] += units
    found = locate_srm([(*name, pair) for name, pair in sorted(counts.items())], test.weights)
    for cell in found[:CELLS_KEPT]:
        yield SrmCellFigures(
            test=test.name,
            dimension=cell.dimension,
            value=cell.value,
            counts=(cell.counts[0], cell.counts[1]),
            residual=cell.residual,
            p_holm=cell.p_holm,
            cells=len(found),
        )


def _at_exposure(window: Window) -> Iterable[_Row]:
    for row in window.ask("srm_cells", window.present):
        yield row["dimension"], row["value"], row["assigned_variant"], row["units"]
    for segment in window.state.spec.segments:
        for row in window.ask("srm_segments", window.present, segment=segment):
            yield segment, row["segment"], row["assigned_variant"], row["units"]


def _with_outcome(window: Window) -> Iterable[_Row]:
    asked: dict[str, Any] = {"matures_after": window.state.spec.success.matures_after}
    for row in window.ask("success_days", window.present, **asked):
        yield "day", str(row["exposed_day"]), row["assigned_variant"], row["with_outcome"]
    for segment in window.state.spec.segments:
        for row in window.ask("segments", window.present, segment=segment, **asked):
            yield segment, row["segment"], row["assigned_variant"], row["with_outcome"]

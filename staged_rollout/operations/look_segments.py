"""The success metric by segment: described, corrected for how many there are, and never decided on."""

from __future__ import annotations

from typing import Any

from staged_rollout.evidence import SegmentFigures
from staged_rollout.operations.look_moments import MetricSums, metric_difference, query_parameters, value_of
from staged_rollout.operations.window import Window
from staged_rollout.state import RolloutState, State
from staged_rollout.stats import holm, score_z, two_sided_p


def segments(window: Window) -> tuple[SegmentFigures, ...]:
    """Differences by segment, Holm-corrected over all of them; reported, never decided on."""
    state = window.state
    metric = state.spec.declared
    raw: list[tuple[str, str, int, int, float | None, float | None]] = []
    for segment in state.spec.segments:
        rows = window.ask(
            "segments" if metric is None else "segment_moments",
            state.epochs_of(State.LIVE),
            matures_after=state.spec.success.matures_after,
            segment=segment,
            **({} if metric is None else query_parameters(metric)),
        )
        values = sorted({row["segment"] for row in rows})
        found = {(row["segment"], row["assigned_variant"]): row for row in rows}
        for value in values:
            champion = found.get((value, state.champion.variant))
            candidate = found.get((value, state.candidate.variant))
            n_t, n_c, estimate, z = _compared(state, candidate, champion)
            raw.append((segment, value, n_c, n_t, estimate, None if z is None else two_sided_p(z)))
    adjusted = iter(holm([p for *_, p in raw if p is not None]))
    return tuple(
        SegmentFigures(
            segment=segment,
            value=value,
            n_champion=n_c,
            n_candidate=n_t,
            estimate=estimate,
            p_holm=None if p is None else next(adjusted),
        )
        for segment, value, n_c, n_t, estimate, p in raw
    )


def _compared(
    state: RolloutState, candidate: dict[str, Any] | None, champion: dict[str, Any] | None
) -> tuple[int, int, float | None, float | None]:
    """Units of candidate and champion that count, the difference, and its z for no difference."""
    metric, name = state.spec.declared, state.spec.success.metric
    if metric is None:
        n_t, x_t = (candidate["with_outcome"], candidate["correct"]) if candidate else (0, 0)
        n_c, x_c = (champion["with_outcome"], champion["correct"]) if champion else (0, 0)
        return _rates(x_t, n_t, x_c, n_c)
    treatment = MetricSums.from_rows(metric, name, [candidate] if candidate else [])
    control = MetricSums.from_rows(metric, name, [champion] if champion else [])
    if metric.kind == "rate":
        return _rates(treatment.holds, treatment.n, control.holds, control.n)
    found = metric_difference(metric, treatment, control)
    values = value_of(metric, treatment), value_of(metric, control)
    apart = None if values[0] is None or values[1] is None else values[0] - values[1]
    return treatment.n, control.n, found.estimate if found else apart, found.z() if found else None


def _rates(x_t: int, n_t: int, x_c: int, n_c: int) -> tuple[int, int, float | None, float | None]:
    return n_t, n_c, x_t / n_t - x_c / n_c if n_t and n_c else None, score_z(x_t, n_t, x_c, n_c, delta0=0.0)

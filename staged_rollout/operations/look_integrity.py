"""Whether the figures may be trusted: sample ratio, and drift of the candidate's predictions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from staged_rollout.evidence import DriftFigures, SrmFigures
from staged_rollout.operations.look_success import counts
from staged_rollout.operations.window import Window
from staged_rollout.state import RolloutState, State, candidate_share
from staged_rollout.stats import population_stability, sequential_srm

DRIFT_LIMIT = 0.25
"""PSI above which a distribution is commonly taken to have shifted (Siddiqi 2006, section 10)."""
DRIFT_ROWS = 100
"""Predictions per side below which no drift is computed."""


def srm(window: Window) -> tuple[SrmFigures, ...]:
    """Two sequential tests, each with half of alpha: units at first exposure, and closed ones with an outcome (LIVE).

    They alarm at e >= S / (alpha / 2) with S the number of planned exposed stays: alpha holds for the whole rollout.
    """
    state = window.state
    exposed = {row["assigned_variant"]: int(row["units"]) for row in window.ask("srm_counts", window.present)}
    tests = [_test(state, "first exposure", exposed)]
    if state.state in {State.LIVE, State.AWAITING_APPROVAL}:
        rows = counts(window, window.present)
        tests.append(
            _test(state, "closed with outcome", {row["assigned_variant"]: int(row["with_outcome"]) for row in rows})
        )
    return tuple(tests)


def exposed_stays(state: RolloutState) -> int:
    """Planned stays in which units are exposed: canary steps, LIVE, promote steps and the bake."""
    stages = state.spec.stages
    return len(stages.canary) + 1 + len(stages.promote) + 1


def _test(
    state: RolloutState, name: Literal["first exposure", "closed with outcome"], counts: dict[str, int]
) -> SrmFigures:
    promoting = state.state in {State.PROMOTING, State.BAKING}
    share = candidate_share(state) if promoting else state.spec.stages.live.split[1]
    pair = (counts.get(state.champion.variant, 0), counts.get(state.candidate.variant, 0))
    alpha = state.spec.srm.alpha / 2.0 / exposed_stays(state)
    result = sequential_srm(pair, (1.0 - share, share), alpha=alpha)
    return SrmFigures(
        name=name,
        counts=pair,
        weights=(1.0 - share, share),
        log_e=result.log_e,
        threshold_log=result.threshold_log,
        alarm=result.alarm,
        chi_squared=result.chi_squared,
        p_value=result.p_value,
        prior=result.prior,
    )


def drift(window: Window) -> tuple[DriftFigures, ...]:
    """Each signal of the rollout file: `score_drift` compares the candidate's answers now with its shadow answers."""
    if "score_drift" not in window.state.spec.signals:
        return ()
    state = window.state
    reference = _histogram(window.ask("shadow_histogram", state.epochs_of(State.SHADOW)))
    present = _histogram(window.ask("prediction_histogram", window.present, variant=state.candidate.variant))
    bins = sorted(reference.keys() | present.keys())
    psi = None
    if min(sum(reference.values()), sum(present.values())) >= DRIFT_ROWS:
        psi = population_stability(_counts(reference, bins), _counts(present, bins))
    return (
        DriftFigures(name="score_drift", psi=psi, limit=DRIFT_LIMIT, breached=psi is not None and psi > DRIFT_LIMIT),
    )


def _histogram(rows: Sequence[dict[str, Any]]) -> dict[float, int]:
    return {float(row["bin"]): int(row["rows"]) for row in rows if row["bin"] is not None}


def _counts(histogram: dict[float, int], bins: Sequence[float]) -> list[int]:
    return [histogram.get(edge, 0) for edge in bins]

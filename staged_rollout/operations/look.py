"""Gather everything that a decision needs, on one sealed batch and up to one cut-off. Figures, never rows."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime, timedelta

from staged_rollout.errors import ConflictError
from staged_rollout.evidence import (
    BaselineFigures,
    Evidence,
    HealthFigures,
    PlatformFigures,
    QualityFigures,
    ShadowFigures,
    TrafficFigures,
    VariantHealthFigures,
    VariantTraffic,
    sealed,
)
from staged_rollout.operations import look_guardrails, look_integrity, look_segments, look_srm, look_success
from staged_rollout.operations.journal import load, write
from staged_rollout.operations.look_moments import MetricSums, query_parameters, unit_sd, value_of
from staged_rollout.operations.reconcile import assignment_target, endpoint_target
from staged_rollout.operations.reestimate import due_reestimation, reestimation
from staged_rollout.operations.window import Window
from staged_rollout.policy import due_look
from staged_rollout.ports import Platform
from staged_rollout.spec.metric import Metric
from staged_rollout.spec.model import RolloutSpec
from staged_rollout.state import Actor, EventType, NewEvent, PlannedLook, RolloutState, State, to_payload
from staged_rollout.stats import share_upper_limit

SHADOW_ALPHA = 0.025
"""Per side: the limit of the disagreeing share is a one-sided 97.5% limit."""


def gather(platform: Platform, rollout: str, actor: Actor, *, looks: bool = True) -> tuple[RolloutState, Evidence]:
    """The evidence of this moment, sealed; plans a look first if one is due, and its size anew where that is asked for.

    Args:
        platform: Where the rollout lives.
        rollout: Its id.
        actor: The flow that gathers.
        looks: Whether a look may be planned and taken; a guard takes none.

    Returns:
        The state that the evidence belongs to, and the evidence.
    """
    state = load(platform, rollout)
    now = platform.clock.now()
    head = platform.lake.head()
    planned = due_look(state, now, head.number) if looks else None
    if planned is not None and state.planned is None:
        state = write(platform, state, [NewEvent(EventType.LOOK_PLANNED, to_payload(planned))], actor)
    batch = platform.lake.batch(planned.batch) if planned is not None else head
    if planned is not None and due_reestimation(state, planned):
        found = reestimation(Window(platform, state, batch, planned.cut_off), planned)
        state = write(platform, state, found, actor)
    window = Window(platform, state, batch, planned.cut_off if planned is not None else now)
    return state, sealed(_evidence(window, planned, now))


def _evidence(window: Window, planned: PlannedLook | None, now: datetime) -> Evidence:
    state, spec = window.state, window.state.spec
    served = bool(window.present) and not state.terminal
    exposed = served and state.exposed
    before_live = state.state in {State.SHADOW, State.CANARY}
    ratios = look_integrity.srm(window) if exposed else ()
    return Evidence(
        rollout=state.rollout,
        state=str(state.state),
        step=state.step,
        as_of=now,
        batch=window.batch.number,
        traffic=_traffic(window) if served else TrafficFigures(),
        shadow=_shadow(window) if served and state.state is State.SHADOW else None,
        baseline=_baseline(window) if served and before_live else None,
        champion_p95_ms=look_guardrails.champion_p95(window) if served and before_live else None,
        look=look_success.take(window, planned) if planned is not None else None,
        guardrails=look_guardrails.figures(window) if exposed else (),
        srm=ratios,
        quality=_quality(state),
        drift=look_integrity.drift(window) if exposed else (),
        health=_health(window, now),
        platform=_platform(window),
        bake=look_success.bake(window) if exposed and state.state is State.BAKING else None,
        segments=look_segments.segments(window) if planned is not None else (),
        freeze=_freeze(spec, now),
        spent_usd=_spent(state, now),
        srm_cells=look_srm.cells(window, ratios),
    )


def _traffic(window: Window) -> TrafficFigures:
    rows = {row["assigned_variant"]: row for row in window.ask("traffic", window.present)}

    def of(variant: str) -> VariantTraffic:
        row = rows.get(variant)
        if row is None:
            return VariantTraffic()
        return VariantTraffic(
            requests=row["requests"], units=row["units"], errors=row["errors"], fallbacks=row["fallbacks"]
        )

    contradictions = window.ask("contradictions", window.present)
    return TrafficFigures(
        champion=of(window.state.champion.variant),
        candidate=of(window.state.candidate.variant),
        contradictory_units=contradictions[0]["units"] if contradictions else 0,
    )


def _shadow(window: Window) -> ShadowFigures:
    row = window.ask("shadow_agreement", window.present)[0]
    units, disagreeing = row["units"], row["units_disagreeing"]
    return ShadowFigures(
        requests=row["requests"],
        captured=row["captured"],
        agreed=row["agreed"],
        units=units,
        units_disagreeing=disagreeing,
        disagreement_upper=share_upper_limit(disagreeing, units, SHADOW_ALPHA) if units else None,
    )


def _baseline(window: Window) -> BaselineFigures:
    """The champion's metric on units served before LIVE whose window has closed."""
    spec = window.state.spec
    metric = spec.declared
    if metric is not None and metric.kind != "rate":
        return _mean_baseline(window, metric)
    if spec.success.baseline is not None:
        return BaselineFigures(given=spec.success.baseline, units=0, successes=0)
    if metric is not None:
        sums = _baseline_sums(window, metric)
        return BaselineFigures(given=None, units=sums.n, successes=sums.holds)
    epochs = (*window.state.epochs_of(State.SHADOW), *window.state.epochs_of(State.CANARY))
    row = window.ask("baseline", epochs, matures_after=spec.success.matures_after)[0]
    return BaselineFigures(given=None, units=row["units"], successes=row["correct"])


def _mean_baseline(window: Window, metric: Metric) -> BaselineFigures:
    """A mean or a ratio needs its variance too: what the file does not give is measured."""
    success = window.state.spec.success
    if success.baseline is not None and success.sd is not None:
        return BaselineFigures(given=success.baseline, units=0, successes=0, sd=success.sd)
    sums = _baseline_sums(window, metric)
    return BaselineFigures(
        given=success.baseline,
        units=sums.n,
        successes=0,
        mean=value_of(metric, sums),
        sd=success.sd if success.sd is not None else unit_sd(metric, sums),
    )


def _baseline_sums(window: Window, metric: Metric) -> MetricSums:
    state = window.state
    epochs = (*state.epochs_of(State.SHADOW), *state.epochs_of(State.CANARY))
    success = state.spec.success
    rows = window.ask("baseline_moments", epochs, matures_after=success.matures_after, **query_parameters(metric))
    return MetricSums.from_rows(metric, success.metric, rows)


def _quality(state: RolloutState) -> QualityFigures:
    if not state.quality:
        return QualityFigures(day=None, passed=False, failures=(), failed_in_a_row=0)
    day = max(state.quality)
    passed = state.quality[day]
    return QualityFigures(
        day=day,
        passed=passed,
        failures=() if passed else state.quality_failures,
        failed_in_a_row=state.quality_failures_in_a_row(),
    )


def _health(window: Window, now: datetime) -> HealthFigures:
    spec = window.state.spec
    reading = window.platform.health.read(spec.endpoint)
    newest = window.ask("freshness", ())[0]["newest"]
    last = reading.last_call_at
    began = window.state.stage.effective_at or now
    idle_since = max(last, began) if last else began
    unlogged = last is not None and (newest is None or last - newest > spec.capture_delay)
    # A log that was never written is only missing once calls are older than the delay that logs may have.
    no_data = unlogged and (newest is not None or now - began > spec.capture_delay)
    return HealthFigures(
        calls=reading.calls,
        last_call_at=last,
        newest_row_at=newest,
        no_traffic=now - idle_since > spec.capture_delay,
        no_data=no_data,
        variants=tuple(VariantHealthFigures(**asdict(one)) for one in reading.variants) or None,
    )


def _platform(window: Window) -> PlatformFigures:
    platform, state = window.platform, window.state
    target = endpoint_target(state)
    endpoint = platform.serving.describe(state.spec.endpoint, expected=target)
    current = platform.assignments.read(state.spec.endpoint)
    claim = platform.ledger.claim_of(state.spec.endpoint)
    claimable = claim is None or claim.rollout == state.rollout
    if claimable and state.state is State.REGISTERED:
        claimable = _first_in_line(platform, state)
    return PlatformFigures(
        routing_as_desired=current is not None
        and current.document.same_content(assignment_target(platform, state, current)),
        endpoint_as_desired=endpoint is not None and endpoint.satisfies(target),
        status=str(endpoint.status) if endpoint else "absent",
        claimable=claimable,
    )


def _first_in_line(platform: Platform, state: RolloutState) -> bool:
    """Whether no older registered rollout waits for the same endpoint: a queue keeps its order."""
    for rollout in platform.ledger.rollouts():
        if rollout == state.rollout:
            return True
        other = load(platform, rollout)
        if other.state is State.REGISTERED and other.spec.endpoint == state.spec.endpoint:
            return False
    raise ConflictError(f"{state.rollout} is not in the ledger", rollout=state.rollout)


def _freeze(spec: RolloutSpec, now: datetime) -> str | None:
    window = next((window for window in spec.freeze if window.covers(now)), None)
    return str(window) if window else None


def _spent(state: RolloutState, now: datetime) -> float:
    """Planned cost of each hour, times the hours since two variants run."""
    began = state.effective_at(State.SHADOW)
    if began is None:
        return 0.0
    return state.usd_per_hour * max(now - began, timedelta()).total_seconds() / 3600

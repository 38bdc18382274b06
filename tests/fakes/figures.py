"""Evidence by the handful: all gates open, but for what a test names."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from staged_rollout.evidence import (
    BaselineFigures,
    BoundFigures,
    Evidence,
    GuardrailFigures,
    HarmGuardFigures,
    HealthFigures,
    LookFigures,
    PlatformFigures,
    QualityFigures,
    ShadowFigures,
    SrmFigures,
    StageWiseFigures,
    StopFigures,
    SuccessFigures,
    TrafficFigures,
    VariantTraffic,
)
from staged_rollout.state import Plan, RolloutState, State, to_payload

DAY = timedelta(days=1)
PLAN = to_payload(
    Plan(
        baseline=0.8,
        baseline_units=2000,
        mde=0.05,
        n_eff_max=700.0,
        inflation=1.02,
        latency_grid_ms=(),
        slots=tuple(day * DAY for day in range(2, 16)),
        efficacy=tuple(day * DAY for day in range(8, 16)),
        last=15 * DAY,
    )
)
"""Harm daily from day 2, efficacy daily from day 8, the last on day 15."""
QUALITY_FAILED = ("unit_id is present: 93.1% (accepted: >= 99.5%)",)


def good(state: RolloutState, now: datetime, **changes: Any) -> Evidence:
    """Evidence on which every gate of a state is open, in so far as its time is served."""
    before_live = state.state in {State.SHADOW, State.CANARY}
    figures: dict[str, Any] = {
        "rollout": state.rollout,
        "state": str(state.state),
        "step": state.step,
        "as_of": now,
        "batch": 1,
        "traffic": TrafficFigures(
            champion=VariantTraffic(requests=9000, units=900), candidate=VariantTraffic(requests=9000, units=900)
        ),
        "shadow": shadow() if state.state is State.SHADOW else None,
        "baseline": BaselineFigures(given=None, units=2000, successes=1600) if before_live else None,
        "champion_p95_ms": 100.0 if before_live else None,
        "guardrails": tuple(guardrail(name) for name in state.spec.guardrails) if state.exposed else (),
        "srm": (srm(),) if state.exposed else (),
        "quality": quality(),
        "health": HealthFigures(calls=9, last_call_at=now, newest_row_at=now, no_traffic=False, no_data=False),
        "platform": PlatformFigures(
            routing_as_desired=True, endpoint_as_desired=True, status="InService", claimable=True
        ),
        "bake": bake() if state.state is State.BAKING else None,
    }
    return Evidence(**(figures | changes))


def shadow(requests: int = 2000, captured: int = 2000, agreed: int = 1700, upper: float | None = 0.2) -> ShadowFigures:
    return ShadowFigures(
        requests=requests,
        captured=captured,
        agreed=agreed,
        units=500,
        units_disagreeing=80,
        disagreement_upper=upper,
    )


def guardrail(name: str = "error_rate", *, acting: bool = True, alarm: bool = False, z: float | None = 9.0) -> Any:
    return GuardrailFigures(
        name=name,
        acting=acting,
        unit="share",
        margin=0.01,
        champion=0.01,
        candidate=0.05 if alarm else 0.01,
        worsening=0.04 if alarm else 0.0,
        z_non_inferiority=z,
        log_e=9.0 if alarm else 0.0,
        threshold_log=6.0,
        alarm=alarm,
        method="normal-mixture",
    )


def srm(counts: tuple[int, int] = (900, 900), *, alarm: bool = False, weights: tuple[float, float] = (0.5, 0.5)) -> Any:
    return SrmFigures(
        name="first exposure",
        counts=counts,
        weights=weights,
        log_e=20.0 if alarm else 0.0,
        threshold_log=9.0,
        alarm=alarm,
        chi_squared=0.0,
        p_value=1.0,
        prior=100.0,
    )


def quality(failed_in_a_row: int = 0, *, checked: bool = True) -> QualityFigures:
    return QualityFigures(
        day=datetime(2026, 3, 4).date() if checked else None,  # noqa: DTZ001 - an event day has no time zone
        passed=checked and not failed_in_a_row,
        failures=QUALITY_FAILED if failed_in_a_row else (),
        failed_in_a_row=failed_in_a_row,
    )


def health(now: datetime, *, no_data: bool = False, no_traffic: bool = False) -> HealthFigures:
    late = now - timedelta(hours=5)
    return HealthFigures(
        calls=9,
        last_call_at=late if no_traffic else now,
        newest_row_at=late if no_data or no_traffic else now,
        no_traffic=no_traffic,
        no_data=no_data,
    )


def bake(n_champion: int = 40, n_candidate: int = 700, *, alarm: bool = False) -> HarmGuardFigures:
    return HarmGuardFigures(
        n_champion=n_champion,
        n_candidate=n_candidate,
        x_champion=n_champion // 2,
        x_candidate=n_candidate // 2,
        log_e=9.0 if alarm else 0.0,
        threshold_log=5.3,
        alarm=alarm,
    )


def bound(z: float, number: int = 1, information: float = 0.6) -> BoundFigures:
    return BoundFigures(look=number, information=information, z=z, alpha_spent=0.004)


def look(
    kind: str = "efficacy",
    z: float | None = 3.0,
    efficacy: float | None = 2.5,
    harm: float | None = 2.5,
    futility: float | None = None,
    *,
    stage_wise: StageWiseFigures | None = None,
    slot: int = 1,
    cut_off: datetime = datetime(2026, 3, 20),  # noqa: DTZ001 - decisions compare no cut-off
    insufficient: str = "",
) -> LookFigures:
    """A look that wins; at another `z` it does not, up to `futility` it is given up, from -`harm` on it does harm."""
    tested = kind != "harm" and not insufficient
    return LookFigures(
        slot=slot,
        kind=kind,
        cut_off=cut_off,
        information=0.6,
        success=SuccessFigures(
            closed_champion=900,
            closed_candidate=900,
            n_champion=900,
            n_candidate=900,
            x_champion=700,
            x_candidate=740,
            estimate=None if z is None else z / 60,
            z=z,
        ),
        efficacy=bound(efficacy) if tested and efficacy is not None else None,
        harm=bound(harm) if harm is not None and not insufficient else None,
        interval=None,
        insufficient=insufficient,
        futility=StopFigures(look=1, information=0.6, z=futility, beta_spent=0.05)
        if tested and efficacy is not None and futility is not None
        else None,
        stage_wise=stage_wise,
    )

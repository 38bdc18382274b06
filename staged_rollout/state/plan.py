"""What LIVE plans and takes: the frozen plan, its one re-estimation, the looks, and the bounds that they used."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class LookKind(StrEnum):
    """What a look may conclude."""

    HARM = "harm"
    """Only harm is tested: closed cohorts do not cover `live.min` yet; no alpha is spent on efficacy."""
    EFFICACY = "efficacy"
    """Harm, efficacy and, where it is asked for, futility."""
    FINAL = "final"
    """Efficacy with all alpha that is left: t >= 1, or enrolment has ended."""


@dataclass(frozen=True)
class Plan:
    """What is frozen when LIVE begins.

    Attributes:
        baseline: The champion's success metric, as measured or as given.
        baseline_units: Closed champion units that it was measured on; 0 when the file gave it.
        mde: Absolute, in the metric's units: what the test tells apart. The smallest effect worth finding; with a
            margin, the margin.
        n_eff_max: Planned 1 / (1/n_T + 1/n_C) at t = 1, in units.
        inflation: The design's inflation factor R.
        latency_grid_ms: Ascending thresholds around the champion's p95; empty when no latency was logged.
        slots: Planned looks, as time after LIVE began; every one tests harm.
        efficacy: The slots that also test efficacy.
        last: The slot at which the look is final whatever its information.
        margin: Largest tolerated worsening, absolute; None: superiority.
        planned_rate: Rate planned for of both variants together, each with its share of the split; None in ledgers
            from before it was kept.
        beta: What futility may spend; None: there is none.
        drift: E[Z] at t = 1 that the plan is made for, by which futility spends; None: there is none.
    """

    baseline: float
    baseline_units: int
    mde: float
    n_eff_max: float
    inflation: float
    latency_grid_ms: tuple[float, ...]
    slots: tuple[timedelta, ...]
    efficacy: tuple[timedelta, ...]
    last: timedelta
    margin: float | None = None
    planned_rate: float | None = None
    beta: float | None = None
    drift: float | None = None


@dataclass(frozen=True)
class Reestimation:
    """The size planned anew, from the rate of both variants together.

    Attributes:
        slot: The look that waited for it.
        before: n_eff_max of the plan, in effective units.
        n_eff_max: What efficacy and futility looks use from now on; never below `before`.
        cap: The most that expected traffic brings until `live.max`, in effective units.
        events: Closed units of both variants with the event.
        units: Closed units of both variants with an outcome.
    """

    slot: int
    before: float
    n_eff_max: float
    cap: float
    events: int
    units: int

    @property
    def pooled_rate(self) -> float:
        """Share of units with the event."""
        return self.events / self.units


@dataclass(frozen=True)
class BoundRecord:
    """A bound that was used, frozen: information fraction, critical z, cumulative alpha spent."""

    look: int
    information: float
    z: float
    alpha_spent: float


@dataclass(frozen=True)
class StopRecord:
    """A futility bound that was used, frozen: information fraction, z, cumulative beta spent."""

    look: int
    information: float
    z: float
    beta_spent: float


@dataclass(frozen=True)
class PlannedLook:
    """A slot whose data cut-off is written before any figure is computed."""

    slot: int
    kind: LookKind
    cut_off: datetime
    batch: int


@dataclass(frozen=True)
class TakenLook:
    """A look that was taken.

    `efficacy` is None at a harm-only look; all bounds are None when the data was `insufficient` (why, or "").
    """

    slot: int
    kind: LookKind
    cut_off: datetime
    z: float | None
    information: float
    efficacy: BoundRecord | None
    harm: BoundRecord | None
    evidence_hash: str
    insufficient: str = ""
    futility: StopRecord | None = None

    @property
    def crossed(self) -> bool:
        """Whether z reached the efficacy bound."""
        return self.efficacy is not None and self.z is not None and self.z >= self.efficacy.z

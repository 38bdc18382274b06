"""Everything that one decision knows, in numbers: the evidence schema, stored in the ledger in canonical form."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, ClassVar, Literal

from staged_rollout.evidence.figures import Figures
from staged_rollout.evidence.look import LookFigures

EVIDENCE_VERSION = 2
DECIMALS = 9
"""Hashes cover integers, verdicts, and numbers rounded to 1e-9."""


class VariantTraffic(Figures):
    """Rows of one assigned variant in the present stay. `units` are distinct."""

    requests: int = 0
    units: int = 0
    errors: int = 0
    fallbacks: int = 0


class TrafficFigures(Figures):
    """What was served in the present stay, by assigned variant."""

    champion: VariantTraffic = VariantTraffic()
    candidate: VariantTraffic = VariantTraffic()
    contradictory_units: int = 0


class ShadowFigures(Figures):
    """The candidate's answers to copied requests.

    Attributes:
        requests: Requests that the champion answered.
        captured: Of these, the candidate's answers that were captured.
        agreed: Captured answers equal to the champion's.
        units: Units with at least one pair.
        units_disagreeing: Units with at least one unequal pair.
        disagreement_upper: One-sided 97.5% upper limit (Clopper-Pearson) of the disagreeing share; None without units.
    """

    requests: int
    captured: int
    agreed: int
    units: int
    units_disagreeing: int
    disagreement_upper: float | None

    @property
    def agreement(self) -> float | None:
        """Share of captured answers that agree."""
        return self.agreed / self.captured if self.captured else None

    @property
    def completeness(self) -> float:
        """Share of requests whose shadow answer was captured."""
        return self.captured / self.requests if self.requests else 0.0


class BaselineFigures(Figures):
    """The champion's success metric before LIVE: as measured on closed units, or as the file gives it.

    Attributes:
        given: As the file gives it; None: measured.
        units: Closed units that count; 0 where nothing was measured.
        successes: Successes among them; 0 of a mean or a ratio.
        mean: The mean or ratio of these units; None of a rate, or when nothing was measured.
        sd: Standard deviation of one unit's value, given or measured; None of a rate, or when it is not known.
    """

    silent: ClassVar[frozenset[str]] = frozenset({"mean", "sd"})

    given: float | None
    units: int
    successes: int
    mean: float | None = None
    sd: float | None = None

    @property
    def value(self) -> float | None:
        """The baseline that a plan would use."""
        if self.given is not None:
            return self.given
        if self.mean is not None:
            return self.mean
        return self.successes / self.units if self.units else None


class GuardrailFigures(Figures):
    """One guardrail in the present stay.

    Attributes:
        name: As in the rollout file.
        acting: Whether it may roll back and block promotion; else it is only watched.
        unit: What the figures are in: `share` or `ms`.
        margin: Largest tolerated worsening.
        champion: The champion's figure.
        candidate: The candidate's.
        worsening: How much worse the candidate is; negative when it is better.
        z_non_inferiority: (margin - worsening) / se; None when insufficient.
        log_e: Log e-value of the always-valid guard.
        threshold_log: It alarms from here on.
        alarm: Whether it does.
        method: Which guard was used.
    """

    name: str
    acting: bool
    unit: Literal["share", "ms"]
    margin: float
    champion: float | None
    candidate: float | None
    worsening: float | None
    z_non_inferiority: float | None
    log_e: float
    threshold_log: float
    alarm: bool
    method: str


class SrmFigures(Figures):
    """A sample-ratio test that survives peeking, and the fixed one beside it."""

    name: Literal["first exposure", "closed with outcome"]
    counts: tuple[int, int]
    weights: tuple[float, float]
    log_e: float
    threshold_log: float
    alarm: bool
    chi_squared: float
    p_value: float
    prior: float


class SrmCellFigures(Figures):
    """One cell of a sample-ratio mismatch: where it sits. Reported, never decided on.

    Attributes:
        test: The test that alarmed.
        dimension: A segment's name, or day, hour (UTC) or epoch.
        value: The cell's value of it.
        counts: Units of champion and candidate.
        residual: Of the candidate, in standard errors; positive: too many units.
        p_holm: Fixed chi-squared of the cell, Holm-corrected over all cells of the test.
        cells: How many cells were tested; the most conspicuous are kept.
    """

    test: str
    dimension: str
    value: str
    counts: tuple[int, int]
    residual: float
    p_holm: float
    cells: int


class QualityFigures(Figures):
    """Verdicts of the quality suite; `day` is the newest event day that was checked."""

    day: date | None
    passed: bool
    failures: tuple[str, ...]
    failed_in_a_row: int


class DriftFigures(Figures):
    """A drift signal: population stability index of the candidate's predictions against its shadow answers."""

    name: str
    psi: float | None
    limit: float
    breached: bool


class VariantHealthFigures(Figures):
    """One variant over the last day, as the endpoint's platform measured it; None: not measured.

    Attributes:
        name: The variant.
        invocations: Calls, whoever made them.
        errors_4xx: Answers of the 4xx kind.
        errors_5xx: Answers of the 5xx kind.
        latency_ms: Mean time of the model.
        latency_max_ms: Longest time of the model.
        cpu: Greatest CPU utilisation, in percent.
        memory: Greatest memory utilisation, in percent.
        disk: Greatest disk utilisation, in percent.
    """

    name: str
    invocations: int
    errors_4xx: int
    errors_5xx: int
    latency_ms: float | None
    latency_max_ms: float | None
    cpu: float | None
    memory: float | None
    disk: float | None


class HealthFigures(Figures):
    """Whether there is traffic, and whether its logs arrive.

    Attributes:
        calls: As the routers count.
        last_call_at: Of the last call.
        newest_row_at: The newest logged row of the endpoint.
        no_traffic: No call for `capture_delay`.
        no_data: Calls, and a log that is older than them by `capture_delay`.
        variants: What the platform measured of each variant; None where it measures nothing.
    """

    silent: ClassVar[frozenset[str]] = frozenset({"variants"})

    calls: int
    last_call_at: datetime | None
    newest_row_at: datetime | None
    no_traffic: bool
    no_data: bool
    variants: tuple[VariantHealthFigures, ...] | None = None


class PlatformFigures(Figures):
    """Whether routers and endpoint are as the state wants them."""

    routing_as_desired: bool
    endpoint_as_desired: bool
    status: str
    claimable: bool


class HarmGuardFigures(Figures):
    """The always-valid guard of the success metric while baking, against the holdback."""

    n_champion: int
    n_candidate: int
    x_champion: int
    x_candidate: int
    log_e: float
    threshold_log: float
    alarm: bool


class SegmentFigures(Figures):
    """One segment's difference: reported with a Holm-adjusted p-value, never decided on."""

    segment: str
    value: str
    n_champion: int
    n_candidate: int
    estimate: float | None
    p_holm: float | None


class Evidence(Figures):
    """What a decision stands on. `as_of` is the clock's time; `batch` names the lake's snapshots.

    `srm_cells` is None unless a sample-ratio test alarms.
    """

    silent: ClassVar[frozenset[str]] = frozenset({"srm_cells"})

    version: int = EVIDENCE_VERSION
    rollout: str
    state: str
    step: int
    as_of: datetime
    batch: int
    traffic: TrafficFigures = TrafficFigures()
    shadow: ShadowFigures | None = None
    baseline: BaselineFigures | None = None
    champion_p95_ms: float | None = None
    look: LookFigures | None = None
    guardrails: tuple[GuardrailFigures, ...] = ()
    srm: tuple[SrmFigures, ...] = ()
    quality: QualityFigures = QualityFigures(day=None, passed=False, failures=(), failed_in_a_row=0)
    drift: tuple[DriftFigures, ...] = ()
    health: HealthFigures
    platform: PlatformFigures
    bake: HarmGuardFigures | None = None
    segments: tuple[SegmentFigures, ...] = ()
    freeze: str | None = None
    spent_usd: float = 0.0
    srm_cells: tuple[SrmCellFigures, ...] | None = None


def rounded(value: Any) -> Any:
    """A JSON value with every float rounded to `DECIMALS`, and -0.0 as 0.0."""
    if isinstance(value, float):
        return round(value, DECIMALS) + 0.0
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [rounded(item) for item in value]
    return value


def sealed(evidence: Evidence) -> Evidence:
    """The evidence as it is stored: what is decided on and what is replayed are the same numbers."""
    return Evidence.model_validate(rounded(evidence.model_dump(mode="json")))

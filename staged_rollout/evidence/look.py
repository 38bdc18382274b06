"""What one look finds: the success metric, its bounds, and what may be said once the test has stopped."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, Literal

from staged_rollout.evidence.figures import Figures


class BoundFigures(Figures):
    """A critical value and the alpha (per side) spent up to it."""

    look: int
    information: float
    z: float
    alpha_spent: float


class StopFigures(Figures):
    """A futility bound and the beta spent up to it: z at or below it gives up."""

    look: int
    information: float
    z: float
    beta_spent: float


class StageWiseFigures(Figures):
    """Inference at the first stop of the test, by the stage-wise ordering of outcomes; never computed again.

    Attributes:
        p_value: One-sided, of the hypothesis that the look's z tests.
        estimate: Median-unbiased difference, candidate minus champion.
        interval: Its limits, each with the alpha of one side.
    """

    p_value: float
    estimate: float
    interval: tuple[float, float]


class MomentFigures(Figures):
    """Exact sums over one variant's units that count, in whole steps of the metric's resolution.

    Attributes:
        n: Units.
        sy: Sum of unit totals, of a ratio's numerator.
        syy: Sum of their squares.
        sd: Sum of unit totals of a ratio's denominator; 0 of a mean, as the two below.
        sdd: Sum of their squares.
        syd: Sum of the products of both.
        capped: Units whose total was lowered to the cap.
    """

    n: int
    sy: int
    syy: int
    sd: int
    sdd: int
    syd: int
    capped: int


class MeanFigures(Figures):
    """What a mean or a ratio has in place of successes; values and differences are in the metric's unit.

    Attributes:
        kind: `mean` or `ratio`.
        resolution: The step that the sums count in.
        champion: The champion's sums.
        candidate: The candidate's.
        value_champion: The champion's mean or ratio; None without units or without a denominator.
        value_candidate: The same of the candidate.
    """

    kind: Literal["mean", "ratio"]
    resolution: float
    champion: MomentFigures
    candidate: MomentFigures
    value_champion: float | None
    value_candidate: float | None


class SuccessFigures(Figures):
    """The success metric on closed LIVE units, by assigned variant; candidate minus champion.

    Attributes:
        closed_champion: Units whose window has closed.
        closed_candidate: The same of the candidate.
        n_champion: Closed units with an outcome, or with what else the metric needs.
        n_candidate: The same of the candidate.
        x_champion: Successes among them; 0 of a mean or a ratio.
        x_candidate: The same of the candidate.
        estimate: Difference of the rates, means or ratios; None without units.
        z: For better than 0, or than -margin, in the metric's good direction; None when insufficient. Score z of a
            rate; of a mean or a ratio the difference over its unit-level standard error.
        se: Standard error of the difference, the one in z: of a rate under that null hypothesis.
        margin: Largest tolerated worsening, which z is measured from; None: superiority.
        mean: The sums of a mean or a ratio; None: a rate.
    """

    silent: ClassVar[frozenset[str]] = frozenset({"se", "margin", "mean"})

    closed_champion: int
    closed_candidate: int
    n_champion: int
    n_candidate: int
    x_champion: int
    x_candidate: int
    estimate: float | None
    z: float | None
    se: float | None = None
    margin: float | None = None
    mean: MeanFigures | None = None

    @property
    def unit(self) -> Literal["share", "value"]:
        """What values are in: shares of units, with differences in percentage points, or the metric's own unit."""
        return "share" if self.mean is None else "value"


class LookFigures(Figures):
    """One look at its planned cut-off.

    Attributes:
        slot: The planned slot, from 1.
        kind: `harm`, `efficacy` or `final`.
        cut_off: No later row or outcome counts.
        information: t = n_eff / n_eff_max.
        success: The success metric.
        efficacy: The bound that z must reach; None at a harm look or when insufficient.
        harm: The bound that -z must reach; None when insufficient or all harm alpha is spent.
        interval: Repeated confidence interval of the difference at the efficacy bound, else at the harm bound.
        insufficient: Why no test was made, or "".
        futility: The bound at or below which the candidate is given up; None where futility is not asked for, at a
            harm look, or when no beta was left.
        repeated_p_value: One-sided, of an efficacy look: valid at whatever look the rollout stops; 0.5 stands for 0.5
            or more.
        stage_wise: At the first stop for efficacy, for futility, or at the final look.
    """

    silent: ClassVar[frozenset[str]] = frozenset({"futility", "repeated_p_value", "stage_wise"})

    slot: int
    kind: Literal["harm", "efficacy", "final"]
    cut_off: datetime
    information: float
    success: SuccessFigures
    efficacy: BoundFigures | None
    harm: BoundFigures | None
    interval: tuple[float, float] | None
    insufficient: str = ""
    futility: StopFigures | None = None
    repeated_p_value: float | None = None
    stage_wise: StageWiseFigures | None = None

    @property
    def crossed(self) -> bool:
        """Whether the efficacy bound was reached."""
        return self.efficacy is not None and self.success.z is not None and self.success.z >= self.efficacy.z

    @property
    def futile(self) -> bool:
        """Whether z lies at the futility bound or below, has not won, and more looks would follow."""
        z = self.success.z
        stops = self.futility is not None and z is not None and z <= self.futility.z
        return stops and self.kind != "final" and not self.crossed

    @property
    def harmful(self) -> bool:
        """Whether the harm bound was reached."""
        return self.harm is not None and self.success.z is not None and -self.success.z >= self.harm.z

"""CUPED: a difference of means, less what the units' past before the exposure explains of it.

Source: Deng, Xu, Kohavi and Walker (2013), "Improving the sensitivity of online controlled experiments by utilizing
pre-experiment data", WSDM, section 3; with theta pooled within variants, the estimate is that of the analysis of
covariance (Fisher 1932, Statistical Methods for Research Workers, section 49.1).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

from staged_rollout.stats.means import Difference, difference
from staged_rollout.stats.moments import AdditiveSums, Moments, check_pair, pair_sums, quantise, step

#: Below this many closed units in a variant theta is too uncertain, and the difference stays as it is.
LEAST_CUPED_UNITS = 200


@dataclass(frozen=True)
class CovariateMoments(AdditiveSums):
    """Sums over the units of one variant: the metric (y), and a covariate from before the exposure (x).

    x must be known strictly before the unit's first exposure: what the treatment can move takes part of the effect
    away. Units without a past get one frozen value, such as 0.

    Args:
        n: Units.
        sy: Sum of y, in steps of the metric's resolution.
        syy: Sum of y^2.
        sx: Sum of x, in steps of the covariate's resolution.
        sxx: Sum of x^2.
        sxy: Sum of x y.
    """

    n: int = 0
    sy: int = 0
    syy: int = 0
    sx: int = 0
    sxx: int = 0
    sxy: int = 0

    def __post_init__(self) -> None:
        self.make_whole()
        check_pair(self.n, self.sy, self.syy, self.sx, self.sxx, self.sxy, ("syy", "sxx", "sxy"))

    @classmethod
    def from_values(
        cls,
        values: Iterable[float],
        covariates: Iterable[float],
        resolution: float = 1.0,
        covariate_resolution: float = 1.0,
    ) -> CovariateMoments:
        """Sums of each unit's value and covariate, each quantised at its resolution.

        Raises:
            StatisticsError: Not one covariate per value.
        """
        ys = [quantise(y, resolution) for y in values]
        xs = [quantise(x, covariate_resolution) for x in covariates]
        return cls(*pair_sums(ys, xs, ("values", "covariates")))

    def metric(self) -> Moments:
        """The sums of the metric alone."""
        return Moments(self.n, self.sy, self.syy)


@dataclass(frozen=True)
class CupedDifference(Difference):
    """A difference of means, adjusted by a covariate where the data allow it.

    Args:
        adjusted: Whether it is.
        theta: Change of the metric per change of the covariate, both in their units; None where not adjusted.
        variance_reduction: 1 - se^2 / unadjusted_se^2: 0.3 saves 30% of the units; 0 where not adjusted, and below 0
            where theta, which pools both variants, fits neither.
        unadjusted_estimate: The plain difference of means.
        unadjusted_se: Its standard error.
        reason: Why it is not adjusted; None where it is.
    """

    adjusted: bool
    theta: float | None
    variance_reduction: float
    unadjusted_estimate: float
    unadjusted_se: float
    reason: str | None


def cuped_difference(
    treatment: CovariateMoments,
    control: CovariateMoments,
    resolution: float = 1.0,
    covariate_resolution: float = 1.0,
) -> CupedDifference | None:
    """Difference of two means, less theta times the difference of the covariate's means.

    theta = (S_xy,T + S_xy,C) / (S_xx,T + S_xx,C) from sums of products centred within each variant. The variance is
    that of the units' y - theta x in each variant (n - 1), so that variances need not be equal. All of it is exact;
    theta depends on these sums only, so it is estimated again at each look.

    `treatment` and `control` of the answer are the means that either variant would have at the covariate's mean over
    both; they share theta and that mean, so they are correlated (`covariance`).

    Args:
        treatment: Sums of the treatment's closed units.
        control: Sums of the control's closed units.
        resolution: Step of the metric, in its unit.
        covariate_resolution: Step of the covariate, in its unit.

    Returns:
        The difference; unadjusted, with the reason, below 200 units in a variant or when the covariate does not vary
        within variants; None ("insufficient") with fewer than two units in a variant or no variance left.

    Raises:
        StatisticsError: A resolution is out of bounds.

    >>> past = list(range(200))
    >>> treatment = CovariateMoments.from_values([2 * x + x % 3 + 1 for x in past], past)
    >>> control = CovariateMoments.from_values([2 * x + x % 5 for x in past], past)
    >>> found = cuped_difference(treatment, control)
    >>> found.adjusted, round(found.theta, 3), round(found.estimate, 3), round(found.variance_reduction, 4)
    (True, 2.0, -0.005, 0.9999)
    """
    width, x_width = step(resolution), step(covariate_resolution)
    plain = difference(treatment.metric(), control.metric(), resolution)
    if plain is None:
        return None
    if min(treatment.n, control.n) < LEAST_CUPED_UNITS:
        return _unadjusted(plain, f"fewer than {LEAST_CUPED_UNITS} units in a variant")
    t, c = _Within(treatment), _Within(control)
    if t.xx + c.xx == 0:
        return _unadjusted(plain, "the covariate does not vary within variants")
    theta = (t.xy + c.xy) / (t.xx + c.xx)
    variance = t.variance(theta) + c.variance(theta)
    # Both are moved to the covariate's mean over both variants: each by the other's share of the gap between them.
    share, gap = Fraction(t.n, t.n + c.n), t.x - c.x
    to_t, to_c = theta * (1 - share), theta * share
    variance_t = t.variance(to_t) + to_t**2 * c.x_variance
    variance_c = c.variance(to_c) + to_c**2 * t.x_variance
    return CupedDifference.from_exact(
        (t.y - to_t * gap, variance_t),
        (c.y + to_c * gap, variance_c),
        (t.n, c.n),
        resolution,
        covariance=(variance_t + variance_c - variance) / 2,
        adjusted=True,
        theta=float(theta * width / x_width),
        variance_reduction=float(1 - variance / (t.variance() + c.variance())),
        unadjusted_estimate=plain.estimate,
        unadjusted_se=plain.se,
        reason=None,
    )


class _Within:
    """Means of one variant, and its sums of products around them; exact."""

    def __init__(self, m: CovariateMoments) -> None:
        self.n = m.n
        self.y, self.x = Fraction(m.sy, m.n), Fraction(m.sx, m.n)
        self.yy = m.syy - m.sy * self.y
        self.xx = m.sxx - m.sx * self.x
        self.xy = m.sxy - m.sx * self.y

    def variance(self, slope: Fraction = Fraction(0)) -> Fraction:
        """Of the mean of y - slope x."""
        return (self.yy - 2 * slope * self.xy + slope**2 * self.xx) / (self.n * (self.n - 1))

    @property
    def x_variance(self) -> Fraction:
        """Of the mean of x."""
        return self.xx / (self.n * (self.n - 1))


def _unadjusted(plain: Difference, reason: str) -> CupedDifference:
    return CupedDifference(
        **vars(plain),
        adjusted=False,
        theta=None,
        variance_reduction=0.0,
        unadjusted_estimate=plain.estimate,
        unadjusted_se=plain.se,
        reason=reason,
    )

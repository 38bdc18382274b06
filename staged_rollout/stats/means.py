"""Difference of two means, ratios of sums or rates, with unit-level variances that need not be equal."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Self

from staged_rollout.stats.inputs import events_and_units, finite, positive
from staged_rollout.stats.moments import Moments, RatioMoments, exact_ratio, step
from staged_rollout.stats.results import Result


@dataclass(frozen=True)
class Difference(Result):
    """Treatment minus control.

    Args:
        estimate: Difference, in the metric's unit.
        se: Its standard error, > 0.
        treatment: The treatment's mean, ratio or rate.
        control: The control's mean, ratio or rate.
        n_treatment: Units.
        n_control: Units.
        se_treatment: Standard error of `treatment`.
        se_control: Standard error of `control`.
        covariance: Of `treatment` and `control`, in the metric's unit squared; 0 unless both were adjusted by one
            covariate. se^2 = se_treatment^2 + se_control^2 - 2 covariance.
    """

    estimate: float
    se: float
    treatment: float
    control: float
    n_treatment: int
    n_control: int
    se_treatment: float
    se_control: float
    covariance: float

    @classmethod
    def from_exact(
        cls,
        treatment: tuple[Fraction, Fraction],
        control: tuple[Fraction, Fraction],
        units: tuple[int, int],
        resolution: float = 1.0,
        covariance: Fraction = Fraction(0),
        **more: Any,
    ) -> Self | None:
        """The difference of two exact estimates; each number is divided and rounded once.

        Args:
            treatment: (estimate, its variance), in steps.
            control: The same of the control.
            units: Of the treatment and of the control.
            resolution: The step, in the metric's unit.
            covariance: Of the two estimates, in steps squared.
            **more: Further fields of a subclass.

        Returns:
            The difference, or None ("insufficient") without any variance.

        Raises:
            StatisticsError: The resolution is out of bounds.
        """
        width = step(resolution)
        variance = treatment[1] + control[1] - 2 * covariance
        if variance <= 0:
            return None
        return cls(
            estimate=float((treatment[0] - control[0]) * width),
            se=_root(variance) * float(width),
            treatment=float(treatment[0] * width),
            control=float(control[0] * width),
            n_treatment=units[0],
            n_control=units[1],
            se_treatment=_root(treatment[1]) * float(width),
            se_control=_root(control[1]) * float(width),
            covariance=float(covariance * width**2),
            **more,
        )

    def z(self, delta0: float = 0.0) -> float:
        """Standardised difference from `delta0`; positive when the difference is larger."""
        return (self.estimate - finite("delta0", delta0, "the difference under the null hypothesis")) / self.se

    def interval(self, z_crit: float) -> tuple[float, float]:
        """Estimate +- z_crit se: with a look's bound, the repeated interval (Jennison and Turnbull 1989).

        Raises:
            StatisticsError: z_crit is not a positive number.
        """
        half = positive("z_crit", z_crit, "the bound of the look, or 1.96") * self.se
        return self.estimate - half, self.estimate + half


def difference(treatment: Moments, control: Moments, resolution: float = 1.0) -> Difference | None:
    """Difference of two means: the statistic of Welch, compared with a normal distribution.

    Source: Welch (1947), Biometrika 34, 28-35, for the standard error.

    Args:
        treatment: Sums of the treatment.
        control: Sums of the control.
        resolution: Step that the sums count in, in the metric's unit.

    Returns:
        The difference, or None ("insufficient") with fewer than two units in a variant or no variance at all.

    Raises:
        StatisticsError: The resolution is out of bounds.

    >>> print(difference(Moments.from_values([3, 5, 7, 9]), Moments.from_values([1, 2, 3])))
    estimate      4
    se            1.41421
    treatment     6
    control       2
    n_treatment   4
    n_control     3
    se_treatment  1.29099
    se_control    0.57735
    covariance    0
    """
    step(resolution)
    t, c = exact_mean(treatment), exact_mean(control)
    if t is None or c is None:
        return None
    return Difference.from_exact(t, c, (treatment.n, control.n), resolution)


def ratio_difference(treatment: RatioMoments, control: RatioMoments, resolution: float = 1.0) -> Difference | None:
    """Difference of two ratios of sums, by the unit-level delta method.

    Source: Deng, Knoblich and Lu (2018), "Applying the delta method in metric analytics", KDD.

    Args:
        treatment: Sums of the treatment.
        control: Sums of the control.
        resolution: Step of the numerator per step of the denominator.

    Returns:
        The difference, or None ("insufficient") with fewer than two units or no denominator in a variant, or no
        variance at all.

    Raises:
        StatisticsError: The resolution is out of bounds.
    """
    step(resolution)
    t, c = exact_ratio(treatment), exact_ratio(control)
    if t is None or c is None:
        return None
    return Difference.from_exact(t, c, (treatment.n, control.n), resolution)


def rate_difference(x_treatment: int, n_treatment: int, x_control: int, n_control: int) -> Difference | None:
    """Difference of two rates with the variance p (1 - p) / n of each (Wald).

    It describes. What is decided, and its interval, is `score_test` and `score_interval`, which hold their level where
    events are few.

    Args:
        x_treatment: Treatment units with the event.
        n_treatment: Treatment units.
        x_control: Control units with the event.
        n_control: Control units.

    Returns:
        The difference, or None ("insufficient") without units in both variants or no variance at all.

    Raises:
        StatisticsError: Counts out of bounds.

    >>> found = rate_difference(60, 500, 50, 500)
    >>> round(found.estimate, 6), round(found.se, 6)
    (0.02, 0.019779)
    """
    t, c = _exact_rate(x_treatment, n_treatment, "treatment"), _exact_rate(x_control, n_control, "control")
    if t is None or c is None:
        return None
    return Difference.from_exact(t, c, (int(n_treatment), int(n_control)))


def exact_mean(moments: Moments) -> tuple[Fraction, Fraction] | None:
    """(mean, variance of the mean) in steps, exact; None with fewer than two units."""
    if moments.n < 2:
        return None
    return Fraction(moments.s, moments.n), moments.exact_variance() / moments.n


def _exact_rate(x: int, n: int, variant: str) -> tuple[Fraction, Fraction] | None:
    x, n = events_and_units(x, n, variant)
    if not n:
        return None
    rate = Fraction(x, n)
    return rate, rate * (1 - rate) / n


def _root(variance: Fraction) -> float:
    return math.sqrt(float(variance))

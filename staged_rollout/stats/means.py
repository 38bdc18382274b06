"""Difference of two means, or of two ratios of sums, with unit-level variances that need not be equal."""

from __future__ import annotations

import math
from dataclasses import dataclass

from staged_rollout.stats.inputs import finite
from staged_rollout.stats.moments import Moments, RatioMoments, ratio_estimate


@dataclass(frozen=True)
class Difference:
    """Treatment minus control.

    Args:
        estimate: Difference, in the metric's unit.
        se: Its standard error, > 0.
        treatment: The treatment's mean or ratio.
        control: The control's mean or ratio.
        n_treatment: Units.
        n_control: Units.
    """

    estimate: float
    se: float
    treatment: float
    control: float
    n_treatment: int
    n_control: int

    def z(self, delta0: float = 0.0) -> float:
        """Standardised difference from `delta0`; positive when the difference is larger."""
        return (self.estimate - finite("delta0", delta0, "the difference under the null hypothesis")) / self.se

    def interval(self, z_crit: float) -> tuple[float, float]:
        """Estimate +- z_crit se: with a look's bound, the repeated interval (Jennison and Turnbull 1989)."""
        return self.estimate - z_crit * self.se, self.estimate + z_crit * self.se


def difference(treatment: Moments, control: Moments, resolution: float = 1.0) -> Difference | None:
    """Difference of two means.

    Args:
        treatment: Sums of the treatment.
        control: Sums of the control.
        resolution: Step that the sums count in, in the metric's unit.

    Returns:
        The difference, or None ("insufficient") with fewer than two units in a variant or no variance at all.
    """
    if min(treatment.n, control.n) < 2:
        return None
    variance = treatment.variance(resolution) / treatment.n + control.variance(resolution) / control.n
    means = treatment.mean(resolution), control.mean(resolution)
    return _difference(means, variance, treatment.n, control.n)


def ratio_difference(treatment: RatioMoments, control: RatioMoments, resolution: float = 1.0) -> Difference | None:
    """Difference of two ratios of sums, by the unit-level delta method.

    Args:
        treatment: Sums of the treatment.
        control: Sums of the control.
        resolution: Step of the numerator per step of the denominator.

    Returns:
        The difference, or None ("insufficient") with fewer than two units or no denominator in a variant, or no
        variance at all.
    """
    t, c = ratio_estimate(treatment, resolution), ratio_estimate(control, resolution)
    if t is None or c is None:
        return None
    return _difference((t[0], c[0]), t[1] + c[1], treatment.n, control.n)


def _difference(values: tuple[float, float], variance: float, n_t: int, n_c: int) -> Difference | None:
    if variance <= 0:
        return None
    treatment, control = values
    return Difference(treatment - control, math.sqrt(variance), treatment, control, n_t, n_c)

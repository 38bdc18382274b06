"""How much of alpha may be spent by an information fraction: the Lan-DeMets spending functions, also in log space."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from scipy.special import log_ndtr, ndtri

from staged_rollout.errors import StatisticsError
from staged_rollout.stats.inputs import not_negative, per_side_alpha

_KINDS = ("obrien-fleming", "pocock")


@dataclass(frozen=True)
class Spending:
    """A spending function of one side.

    - `obrien-fleming`: a(t) = 2 (1 - Phi(z_{alpha/2} / sqrt(t))), little alpha early.
    - `pocock`: a(t) = alpha log(1 + (e - 1) t), alpha spent about evenly.

    Both reach `alpha` at t = 1 and stay there. Two-sided 0.05 is two of these with alpha 0.025, one per side.

    Source: Lan and DeMets (1983), Biometrika 70, 659-663; in log space so that a tiny t never underflows.

    Args:
        kind: The shape.
        alpha: Type I error probability of one side, 0 < alpha < 0.5.

    Raises:
        StatisticsError: An unknown kind, or alpha outside its bounds.

    >>> round(Spending("obrien-fleming", 0.025).cumulative(0.5), 9)
    0.001525323
    """

    kind: Literal["obrien-fleming", "pocock"]
    alpha: float

    def __post_init__(self) -> None:
        if self.kind not in _KINDS:
            message = f"kind == {self.kind!r}, must be one of {', '.join(_KINDS)}"
            raise StatisticsError(message, hint="choose the shape of the spending function", kind=self.kind)
        per_side_alpha(self.alpha)

    def cumulative(self, t: float) -> float:
        """Alpha spent by information fraction `t` (>= 0); 0.0 where it is below the smallest float."""
        return self.alpha if t >= 1 else math.exp(self.log_cumulative(t))

    def log_cumulative(self, t: float) -> float:
        """Natural logarithm of `cumulative(t)`; -inf only at t = 0.

        Raises:
            StatisticsError: t is negative or not finite.
        """
        t = min(not_negative("t", t, "information fractions start at 0"), 1.0)
        if t == 0:
            return -math.inf
        if t == 1:
            return math.log(self.alpha)
        if self.kind == "pocock":
            return math.log(self.alpha) + math.log(math.log1p((math.e - 1) * t))
        return math.log(2) + float(log_ndtr(ndtri(self.alpha / 2) / math.sqrt(t)))

    def log_increment(self, earlier: float, later: float) -> float:
        """Natural logarithm of the alpha that becomes free between two information fractions.

        Raises:
            StatisticsError: Nothing becomes free between them, as when earlier >= later or earlier >= 1.
        """
        return log_difference(self.log_cumulative(later), self.log_cumulative(earlier))


def log_difference(log_larger: float, log_smaller: float) -> float:
    """log(exp(log_larger) - exp(log_smaller)), without leaving log space.

    Raises:
        StatisticsError: The difference is not positive.
    """
    if log_larger <= log_smaller:
        raise StatisticsError(
            f"alpha spent before == {math.exp(log_smaller):.6g}, must be < {math.exp(log_larger):.6g}, allowed by now",
            hint="nothing is left to spend: after a final look no further look is taken",
            spent=math.exp(log_smaller),
            allowed=math.exp(log_larger),
        )
    return log_larger + math.log(-math.expm1(log_smaller - log_larger))

"""How much of an error probability may be spent by an information fraction: spending functions, also in log space."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from scipy.special import log_ndtr, ndtri

from staged_rollout.errors import StatisticsError
from staged_rollout.stats.inputs import finite, not_negative, per_side_alpha, positive

#: Cumulative share spent by information fraction t: f(0) = 0, f(1) = 1, never falling.
SpendingFunction = Callable[[float], float]
Kind = Literal["obrien-fleming", "pocock", "power", "hsd"]

_KINDS = ("obrien-fleming", "pocock", "power", "hsd")
_PARAMETERS = {"power": "rho > 0, such as 3", "hsd": "gamma, such as -4"}
#: Below this |gamma| the curve of `hsd` is a straight line to the last place.
_STRAIGHT = 1e-16
_ACCEPTED = "obrien-fleming, pocock, power:RHO, hsd:GAMMA"


@dataclass(frozen=True)
class Spending:
    """A spending function of one side.

    - `obrien-fleming`: a(t) = 2 (1 - Phi(z_{alpha/2} / sqrt(t))), little early.
    - `pocock`: a(t) = alpha log(1 + (e - 1) t), about evenly.
    - `power`: a(t) = alpha t^rho; 3 is near O'Brien-Fleming, 1 is even.
    - `hsd`: a(t) = alpha (1 - exp(-gamma t)) / (1 - exp(-gamma)), alpha t at gamma 0; -4 is near O'Brien-Fleming,
      1 near Pocock.
    - a function of t: a(t) = alpha f(t), for f(0) = 0, f(1) = 1, never falling.

    All reach `alpha` at t = 1 and stay there. Two-sided 0.05 is two of these with alpha 0.025, one per side. For
    futility the same shapes spend beta, which then stands in the place of alpha.

    Source: Lan and DeMets (1983), Biometrika 70, 659-663; Kim and DeMets (1987), Biometrika 74, 149-154, for the power
    family; Hwang, Shih and DeCani (1990), Statistics in Medicine 9, 1439-1445. In log space, so that a tiny t never
    underflows.

    Args:
        kind: The shape: a name, or a function of t.
        alpha: Error probability of one side, 0 < alpha < 0.5.
        parameter: rho of `power`, gamma of `hsd`; None for the others.

    Raises:
        StatisticsError: An unknown kind, a parameter that is missing or not asked for, or alpha outside its bounds.

    >>> round(Spending("obrien-fleming", 0.025).cumulative(0.5), 9)
    0.001525323
    >>> round(Spending("power", 0.025, 2).cumulative(0.5), 9)
    0.00625
    """

    kind: Kind | SpendingFunction
    alpha: float
    parameter: float | None = None

    def __post_init__(self) -> None:
        if not callable(self.kind) and self.kind not in _KINDS:
            message = f"kind == {self.kind!r}, must be one of {', '.join(_KINDS)}, or a function"
            raise StatisticsError(message, hint="choose the shape of the spending function", kind=self.kind)
        asked = None if callable(self.kind) else _PARAMETERS.get(self.kind)
        if (asked is None) is not (self.parameter is None):
            accepted = f"must be {asked}" if asked else "takes none"
            message = f"parameter == {self.parameter} of {self.name}, {accepted}"
            raise StatisticsError(message, hint=f"accepted: {_ACCEPTED}", parameter=self.parameter)
        if self.parameter is not None:
            (positive if self.kind == "power" else finite)("parameter", self.parameter, f"of {self.kind}")
        per_side_alpha(self.alpha)

    @classmethod
    def parse(cls, text: str, alpha: float) -> Spending:
        """Read `obrien-fleming`, `pocock`, `power:RHO` or `hsd:GAMMA`.

        Raises:
            StatisticsError: Another text, or alpha outside its bounds.

        >>> Spending.parse("hsd:-4", 0.025).name
        'hsd:-4'
        """
        kind, colon, number = text.partition(":")
        try:
            parameter = float(number) if colon else None
        except ValueError:
            kind, parameter = "", None
        if kind not in _KINDS:
            message = f"spending == {text!r}, must be {_ACCEPTED}"
            raise StatisticsError(message, hint="such as power:3 or hsd:-4", spending=text)
        return cls(kind, alpha, parameter)  # type: ignore[arg-type]

    @property
    def name(self) -> str:
        """As `parse` reads it; a function's own name where it is one."""
        if callable(self.kind):
            return str(getattr(self.kind, "__name__", "function"))
        return self.kind if self.parameter is None else f"{self.kind}:{self.parameter:g}"

    def with_alpha(self, alpha: float) -> Spending:
        """The same shape for another error probability."""
        return replace(self, alpha=alpha)

    def cumulative(self, t: float) -> float:
        """Error probability spent by information fraction `t` (>= 0); 0.0 where it is below the smallest float."""
        return self.alpha if t >= 1 else math.exp(self.log_cumulative(t))

    def log_cumulative(self, t: float) -> float:
        """Natural logarithm of `cumulative(t)`; -inf at t = 0, and where a function of t has spent nothing yet.

        Raises:
            StatisticsError: t is negative or not finite, or a function's share lies outside [0, 1].
        """
        t = min(not_negative("t", t, "information fractions start at 0"), 1.0)
        if t == 0:
            return -math.inf
        if t == 1:
            return math.log(self.alpha)
        if self.kind == "obrien-fleming":
            return math.log(2) + float(log_ndtr(ndtri(self.alpha / 2) / math.sqrt(t)))
        return math.log(self.alpha) + self._log_share(t)

    def _log_share(self, t: float) -> float:
        if callable(self.kind):
            share = float(self.kind(t))
            if not 0 <= share <= 1:
                message = f"{self.name}({t}) == {share}, must be >= 0 and <= 1"
                raise StatisticsError(message, hint="a spending function gives the share spent by t", t=t, share=share)
            return math.log(share) if share else -math.inf
        if self.kind == "pocock":
            return math.log(math.log1p((math.e - 1) * t))
        parameter = float(self.parameter or 0.0)
        if self.kind == "power":
            return parameter * math.log(t)
        steep = abs(parameter)
        if steep < _STRAIGHT:
            return math.log(t)
        share = math.log(-math.expm1(-steep * t)) - math.log(-math.expm1(-steep))
        # For gamma < 0 both differences change sign, and e^(|gamma| t) comes out of the first.
        return share if parameter > 0 else share + steep * (t - 1)

    def log_increment(self, earlier: float, later: float) -> float:
        """Natural logarithm of what becomes free to spend between two information fractions.

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

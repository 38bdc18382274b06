"""What a design's bounds follow from: its sides, and how each of them spends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from scipy.special import ndtri

from staged_rollout.errors import StatisticsError
from staged_rollout.stats.inputs import inside
from staged_rollout.stats.spending import Spending

#: Bounds by one constant for all planned looks.
Classic = Literal["obrien-fleming", "pocock"]
_CLASSIC = ("obrien-fleming", "pocock")


@dataclass(frozen=True)
class Rule:
    """The rule of a design.

    Args:
        efficacy: Spends alpha, per side.
        sides: 1 or 2.
        classic: One constant for all looks instead of a spending function, of which only alpha then counts.
        futility: Spends beta below, its `alpha` standing for beta; one side only.
        binding: Whether the efficacy bounds count on futility stops.
        harm: Spends an alpha of its own below; one side only.

    Raises:
        StatisticsError: Options that do not go together.
    """

    efficacy: Spending
    sides: Literal[1, 2] = 1
    classic: Classic | None = None
    futility: Spending | None = None
    binding: bool = False
    harm: Spending | None = None

    def __post_init__(self) -> None:
        if self.sides not in (1, 2):
            raise StatisticsError(
                f"sides == {self.sides}, must be 1 or 2", hint="alpha is per side either way", sides=self.sides
            )
        if self.classic is not None and self.classic not in _CLASSIC:
            message = f"classic == {self.classic!r}, must be one of {', '.join(_CLASSIC)}"
            raise StatisticsError(message, hint="other shapes come from spending functions", classic=self.classic)
        if self.sides == 2 and (self.futility is not None or self.harm is not None):
            raise StatisticsError(
                "futility or harm with sides == 2, must be with sides == 1",
                hint="with two sides the lower bounds are efficacy bounds of the other direction",
                sides=self.sides,
            )
        if self.binding and self.futility is None:
            message = "binding without futility, must be with it"
            raise StatisticsError(message, hint="give a spending function for futility")
        if self.futility is not None:
            inside("beta", self.futility.alpha, 0.0, 1.0 - self.efficacy.alpha, "beta is 1 - power, such as 0.2")

    @property
    def fixed_z(self) -> float:
        """Critical value of a fixed test of the same alpha."""
        return float(-ndtri(self.efficacy.alpha))

    @staticmethod
    def z_of(power: float) -> float:
        """The normal quantile of a power."""
        return float(ndtri(power))

"""What a plan says: units, days, power at any effect, and the effect that any number of units finds.

Source: Jennison and Turnbull (2000), chs. 2, 3 and 7: the fixed test's units times the design's inflation factor.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq

from staged_rollout.errors import StatisticsError
from staged_rollout.stats.designs import Design
from staged_rollout.stats.fixed_sample import score_deviations, two_means_units, two_proportions_units
from staged_rollout.stats.inputs import finite, inside, positive
from staged_rollout.stats.results import Result


@dataclass(frozen=True)
class RateOutcome:
    """What a plan assumes of a rate with one 0/1 per unit.

    Args:
        baseline: The champion's rate, in (0, 1).
        better: Which direction is better.
        margin: Largest tolerated worsening, as a difference of rates; 0 for superiority.
    """

    baseline: float
    better: Literal["higher", "lower"] = "higher"
    margin: float = 0.0

    @property
    def largest_effect(self) -> float:
        """The improvement that would leave nothing to improve."""
        return 1 - self.baseline if self.better == "higher" else self.baseline

    @property
    def _sign(self) -> float:
        return 1.0 if self.better == "higher" else -1.0

    def _candidate(self, effect: float) -> float:
        """The candidate's rate."""
        rate = self.baseline + self._sign * finite("effect", effect, "an improvement, 1pp is 0.01")
        sum_or_difference = f"{self.baseline:g} {'+' if self._sign > 0 else '-'} {effect:g}"
        return inside(f"candidate's rate {sum_or_difference}", rate, 0.0, 1.0, "a smaller mde: a rate stays in (0, 1)")

    def fixed_units(self, effect: float, alpha: float, power: float, ratio: float) -> float:
        """Units of champion and candidate in a fixed test that finds the improvement `effect`, not rounded."""
        delta0 = -self._sign * self.margin
        return two_proportions_units(self.baseline, self._candidate(effect), alpha, power, ratio, delta0=delta0)

    def deviations(self, effect: float, ratio: float) -> tuple[float, float]:
        """As `score_deviations`: the standard deviation that the test divides by, and the one of its numerator."""
        return score_deviations(self.baseline, self._candidate(effect), ratio, -self._sign * self.margin)


@dataclass(frozen=True)
class MeanOutcome:
    """What a plan assumes of a mean, or of a ratio metric with the standard deviation from `ratio_unit_sd`.

    Args:
        baseline: The champion's mean, in the metric's unit.
        sd: Standard deviation of one unit's value, in the same unit.
        margin: Largest tolerated worsening, in the same unit; 0 for superiority.
    """

    baseline: float
    sd: float
    margin: float = 0.0

    @property
    def largest_effect(self) -> float:
        """A mean can improve without end."""
        return math.inf

    def fixed_units(self, effect: float, alpha: float, power: float, ratio: float) -> float:
        """Units of champion and candidate in a fixed test that finds the improvement `effect`, not rounded."""
        return two_means_units(self.sd, effect, alpha, power, ratio, delta0=-self.margin)

    def deviations(self, effect: float, ratio: float) -> tuple[float, float]:
        """Standard deviation of the difference, times the square root of all units, twice: no effect changes it."""
        finite("effect", effect, "an improvement, in the metric's unit")
        sd = self.sd * (1 + ratio) / math.sqrt(ratio)
        return sd, sd


@dataclass(frozen=True)
class SamplePlan(Result):
    """A plan: how many units, until when, to find what. Effects are improvements: positive is better for the candidate.

    Units analysed are those whose outcomes are in. While outcomes mature more units are enrolled, up to `total`. With
    several candidates, the expectations are those of the look at which one of them, against the champion, is decided;
    units of all variants are counted.

    Args:
        units_per_variant: Units at the last look, champion first, each rounded up.
        total: Their sum.
        fixed_sample_total: Units of all variants in a test with one look, not rounded.
        inflation: R >= 1: the looks' cost at the planned end, as a factor on `fixed_sample_total`.
        looks: Number of looks.
        days: Whole days from the first unit to the last look; None without daily traffic.
        expected_units_h0: Units analysed when the test stops, on average, if the candidate is at the null hypothesis.
        expected_units_h1: The same if the candidate improves by `mde`.
        expected_days_h0: Days until the test stops, on average, if the candidate is at the null hypothesis.
        expected_days_h1: The same if the candidate improves by `mde`.
        alpha: Type I error probability of one side, of all candidates together.
        power: Probability to find `mde`, for each candidate that has it.
        mde: Improvement planned for, absolute, in the metric's unit.
        margin: Largest tolerated worsening, absolute; None for superiority.
        split: Shares of units, champion first.
        outcome: What the plan assumes of the metric.
        design: Bounds and spending of one candidate against the champion, at alpha / m for m candidates.
    """

    units_per_variant: tuple[int, ...]
    total: int
    fixed_sample_total: float
    inflation: float
    looks: int
    days: int | None
    expected_units_h0: float
    expected_units_h1: float
    expected_days_h0: float | None
    expected_days_h1: float | None
    alpha: float
    power: float
    mde: float
    margin: float | None
    split: tuple[float, ...]
    outcome: RateOutcome | MeanOutcome
    design: Design

    def rows(self) -> Sequence[Mapping[str, Any]]:
        """One row; the outcome and the design print by themselves."""
        left_out = ("outcome", "design")
        return [{field.name: getattr(self, field.name) for field in fields(self) if field.name not in left_out}]

    @property
    def maximum_units(self) -> float:
        """Units of all variants at the last look before rounding, R times the fixed sample."""
        return self.fixed_sample_total * self.inflation

    def power_curve(self, effects: Sequence[float], total_units: float | None = None) -> npt.NDArray[np.float64]:
        """Probability to promote the candidate that the split makes hardest to judge, for improvements it may have.

        The law of the test itself: of rates, the score's numerator has another variance than its denominator says when
        there is an effect. R times the fixed sample, as everywhere in the literature, leaves this out, so that the
        power at `mde` is `power` to about 1e-3 for equal splits and 7e-3 for rare events split 80/20.

        Source: Farrington and Manning (1990) for one look; each look's bound takes the place of z_alpha.

        Args:
            effects: Improvements in the metric's unit, negative is worse, shape (n,).
            total_units: Units of all variants at the last look; the plan's own `maximum_units` if None.

        Returns:
            Probabilities, shape (n,).

        Raises:
            StatisticsError: A rate would leave (0, 1), or a number is out of bounds.

        >>> from staged_rollout.stats import plan_rates
        >>> plan_rates(0.10, 0.02, looks=5).power_curve([0, 0.01, 0.02]).round(4).tolist()
        [0.025, 0.2962, 0.8]
        """
        total = self.maximum_units if total_units is None else total_units
        laws = (self._law(effect, total) for effect in effects)
        return np.array([law.power(drift) for law, drift in laws], dtype=np.float64)

    def expected_units(self, effect: float) -> float:
        """Units of all variants analysed when the test stops, on average, if the candidate improves by `effect`.

        The law is that of `power_curve`, of which `expected_units_h1` is the usual approximation at `mde`.

        Raises:
            StatisticsError: As `power_curve`.
        """
        law, drift = self._law(effect, self.maximum_units)
        return self.maximum_units * law.expected_information(drift)

    def _law(self, effect: float, total_units: float) -> tuple[Design, float]:
        """The design with bounds in the standard deviation that the estimate has, and E[Z] at the last look in it."""
        champion, *candidates = self.split
        hardest = max(
            candidates, key=lambda share: _total(self.outcome, self.mde, self.design.alpha, self.power, champion, share)
        )
        divided_by, actual = self.outcome.deviations(effect, hardest / champion)
        pair = positive("total_units", total_units, "units of all variants") * (champion + hardest)
        drift = math.sqrt(pair) * (effect + self.outcome.margin) / actual

        def scaled(bounds: tuple[float, ...]) -> tuple[float, ...]:
            return tuple(z * divided_by / actual for z in bounds)

        futility = None if self.design.futility is None else scaled(self.design.futility)
        return replace(self.design, efficacy=scaled(self.design.efficacy), futility=futility), drift

    def minimum_detectable_effect(self, total_units: float) -> float:
        """The improvement for which this plan, with the same looks, alpha and power, would ask for `total_units`.

        Args:
            total_units: Units of all variants at the last look.

        Returns:
            The improvement, absolute, in the metric's unit.

        Raises:
            StatisticsError: So few units find no effect at all.

        >>> from staged_rollout.stats import plan_rates
        >>> round(plan_rates(0.10, 0.02, looks=5).minimum_detectable_effect(20_000), 5)
        0.01235
        """
        positive("total_units", total_units, "units of all variants at the last look")
        margin, alpha = self.outcome.margin, self.design.alpha

        def excess(distance: float) -> float:
            needed = fixed_total(self.outcome, distance - margin, alpha, self.power, self.split) * self.inflation
            return math.log(total_units / needed)

        # Just short of the rate at which the candidate has no variance left.
        largest = (self.outcome.largest_effect + margin) * (1 - 1e-9)
        high = low = self.mde + margin
        while excess(low) > 0:
            low /= 2
        while excess(high) < 0:
            if high == largest:
                raise StatisticsError(
                    f"total_units == {total_units}, too few to find any effect up to {largest - margin:.6g}",
                    hint="more units, or less power",
                    total_units=total_units,
                )
            high = min(2 * high, largest)
        return float(brentq(excess, low, high, xtol=1e-300, rtol=1e-14)) - margin


def shares_of(split: Sequence[float]) -> tuple[float, ...]:
    """Shares that sum to 1, from the weights of the champion and of each candidate.

    Raises:
        StatisticsError: Fewer than two weights, or one that is not positive.
    """
    if len(split) < 2:
        message = f"split == {tuple(split)}, must have a share for the champion and for each candidate"
        raise StatisticsError(message, hint="champion first, such as (0.5, 0.5)", split=tuple(split))
    hint = "leave out a variant that gets no units"
    weights = [positive(f"split[{i}]", weight, hint) for i, weight in enumerate(split)]
    total = math.fsum(weights)
    return tuple(weight / total for weight in weights)


def fixed_total(
    outcome: RateOutcome | MeanOutcome, effect: float, alpha: float, power: float, split: tuple[float, ...]
) -> float:
    """Units of all variants with which a fixed test of every candidate, each against the champion, has its power.

    Args:
        outcome: What is assumed of the metric.
        effect: Improvement, in the metric's unit.
        alpha: Type I error probability of one side, of one candidate.
        power: Probability to find the effect, for each candidate that has it.
        split: Shares of units that sum to 1, champion first.

    Returns:
        Units, not rounded.

    Raises:
        StatisticsError: A number is out of bounds.
    """
    champion, *candidates = split
    return max(_total(outcome, effect, alpha, power, champion, share) for share in candidates)


def _total(
    outcome: RateOutcome | MeanOutcome, effect: float, alpha: float, power: float, champion: float, share: float
) -> float:
    """Units of all variants that give one candidate's comparison what it needs."""
    return outcome.fixed_units(effect, alpha, power, share / champion) / (champion + share)

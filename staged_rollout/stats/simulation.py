"""What repeated looks do to a test: type I error and power of this design and of common mistakes, by simulation."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri, ndtri_exp

from staged_rollout.errors import StatisticsError
from staged_rollout.stats.boundary import bounds
from staged_rollout.stats.inputs import count, inside
from staged_rollout.stats.results import Result
from staged_rollout.stats.spending import Spending

Floats = npt.NDArray[np.float64]
Rule = Literal["design", "peeking", "spent-alpha-as-p", "bonferroni", "fixed"]

#: Z values held in memory at once: 8 MB an array.
_CELLS = 1 << 20
_FEWEST_RUNS = 100


@dataclass(frozen=True)
class RulePerformance:
    """One stopping rule as it was simulated. Each `_se` is the Monte-Carlo standard error of the figure before it.

    Args:
        rule: `design`: the group-sequential bounds; `peeking`: the fixed test's level at every look;
            `spent-alpha-as-p`: the alpha spent by the look taken as the level of its p-value; `bonferroni`: alpha over
            the number of looks; `fixed`: one test, at the last look.
        type_one_error: Share of runs without an effect that reject at some look; on both sides together when there
            are two.
        type_one_error_se: In the same unit.
        power: Share of runs with the effect whose first rejection is in the effect's direction.
        power_se: In the same unit.
        expected_information: Mean information fraction at which a run with the effect ends.
        expected_information_se: In the same unit.
    """

    rule: Rule
    type_one_error: float
    type_one_error_se: float
    power: float
    power_se: float
    expected_information: float
    expected_information_se: float


@dataclass(frozen=True)
class RuleComparison(Result):
    """Stopping rules on the same simulated runs.

    Args:
        rules: One per rule, this design first.
        information: Information fractions of the looks.
        alpha: Type I error probability of one side that each rule was meant to have.
        sides: 1 or 2.
        drift: E[Z] at information fraction 1 under the effect.
        runs: Simulated runs, each once without and once with the effect.
        seed: Of the random numbers.
    """

    rules: tuple[RulePerformance, ...]
    information: tuple[float, ...]
    alpha: float
    sides: int
    drift: float
    runs: int
    seed: int

    def rows(self) -> Sequence[Mapping[str, Any]]:
        """One row per rule."""
        return [vars(rule) for rule in self.rules]


def simulate_test(
    information: Sequence[float],
    spending: Spending,
    *,
    sides: int = 1,
    power: float = 0.8,
    runs: int = 100_000,
    seed: int = 1,
    progress: Callable[[int], None] | None = None,
) -> RuleComparison:
    """Simulate type I error and power of a design beside peeking, spent alpha taken as a level, and Bonferroni.

    Z at the looks is Brownian motion over the square root of its time, the joint distribution that every
    group-sequential design is made for. All rules see the same runs.

    On two sides, `spent-alpha-as-p` compares the two-sided p-value with the spending function of 2 alpha, as those do
    who make that mistake.

    Source: Armitage, McPherson and Rowe (1969), J. R. Stat. Soc. A 132, 235-244, for what peeking does; Jennison and
    Turnbull (2000), section 3.1, for the joint distribution.

    Args:
        information: Information fractions of the looks, shape (K,), rising by at least 1e-4; the last look is final.
        spending: The design's spending function, alpha per side.
        sides: 1, or 2 with the same alpha on each.
        power: Of the fixed test at the last look, on the side of the effect; that sets the effect.
        runs: Simulated runs, at least 100.
        seed: Of the random numbers: the same seed gives the same figures.
        progress: Called with the number of runs done, after each chunk of them.

    Returns:
        Each rule's figures with their Monte-Carlo errors.

    Raises:
        StatisticsError: A number is out of bounds, or the looks cannot be taken.

    >>> looks = [k / 5 for k in range(1, 6)]
    >>> design, peeking, *_ = simulate_test(looks, Spending("obrien-fleming", 0.025), sides=2, runs=20_000).rules
    >>> round(design.type_one_error, 2), round(peeking.type_one_error, 2)
    (0.05, 0.14)
    """
    if sides not in {1, 2}:
        raise StatisticsError(f"sides == {sides}, must be 1 or 2", hint="alpha is per side", sides=sides)
    alpha = inside("alpha", spending.alpha, 0.0, 0.5 / sides, "alpha is per side: a two-sided 5% test has alpha 0.025")
    inside("power", power, alpha, 1.0, "power of the fixed test, such as 0.8, which sets the effect")
    if count("runs", runs) < _FEWEST_RUNS:
        message = f"runs == {runs}, must be >= {_FEWEST_RUNS}"
        raise StatisticsError(message, hint="100,000 runs leave a standard error of 0.0007 at 0.05", runs=runs)
    critical = critical_values(information, spending, sides=sides)
    t = np.array(information, dtype=np.float64)
    drift = float((ndtri(power) - ndtri(alpha)) / math.sqrt(t[-1]))
    tallies = {rule: _Tally(t, np.array(values), sides) for rule, values in critical.items()}
    done = 0
    for z in _paths(t, runs, count("seed", seed)):
        for tally in tallies.values():
            tally.add(z, z + drift * np.sqrt(t))
        done += len(z)
        if progress is not None:
            progress(done)
    rules = tuple(tally.performance(rule, runs) for rule, tally in tallies.items())
    return RuleComparison(rules, tuple(t.tolist()), alpha, sides, drift, runs, seed)


def critical_values(
    information: Sequence[float], spending: Spending, *, sides: int = 1
) -> dict[Rule, tuple[float, ...]]:
    """What Z (on two sides |Z|) must reach at each look, by rule; infinite where the rule does not look.

    Args:
        information: Information fractions of the looks, shape (K,); the last look is final.
        spending: The design's spending function, alpha per side.
        sides: 1 or 2.

    Returns:
        K critical values per rule, this design first.

    Raises:
        StatisticsError: The looks cannot be taken, or there are none.

    >>> {rule: round(values[0], 2) for rule, values in critical_values((0.5, 1), Spending("pocock", 0.025)).items()}
    {'design': 2.16, 'peeking': 1.96, 'spent-alpha-as-p': 2.16, 'bonferroni': 2.24, 'fixed': inf}
    """
    looks = len(information)
    if not looks:
        raise StatisticsError("no looks, must be at least 1", hint="information fractions such as 0.5, 1")
    design = tuple(bound.z for bound in bounds(information, spending, final=True))
    nominal = -float(ndtri(spending.alpha))
    total = spending.with_alpha(sides * spending.alpha)
    spent = [total.log_cumulative(t) - math.log(sides) for t in (*information[:-1], 1.0)]
    return {
        "design": design,
        "peeking": (nominal,) * looks,
        "spent-alpha-as-p": tuple(-float(ndtri_exp(level)) for level in spent),
        "bonferroni": (-float(ndtri(spending.alpha / looks)),) * looks,
        "fixed": (*(math.inf,) * (looks - 1), nominal),
    }


def _paths(information: Floats, runs: int, seed: int) -> Iterator[Floats]:
    """Runs without an effect in chunks of shape (n, K); the chunks' size does not change the numbers."""
    generator = np.random.default_rng(seed)
    spreads, roots = np.sqrt(np.diff(information, prepend=0.0)), np.sqrt(information)
    largest = max(1, _CELLS // len(information))
    for start in range(0, runs, largest):
        steps = generator.standard_normal((min(largest, runs - start), len(information)))
        yield np.cumsum(steps * spreads, axis=1) / roots


class _Tally:
    """Counts of one rule over the chunks."""

    def __init__(self, information: Floats, critical: Floats, sides: int) -> None:
        self._information, self._critical, self._sides = information, critical, sides
        self._false, self._found = 0, 0
        self._ends = np.zeros(len(information), dtype=np.int64)

    def add(self, without: Floats, with_effect: Floats) -> None:
        """Count the runs of one chunk, each of shape (n, K)."""
        self._false += int(np.count_nonzero(self._crossed(without).any(axis=1)))
        crossed = self._crossed(with_effect)
        stopped, first = crossed.any(axis=1), crossed.argmax(axis=1)
        upwards = with_effect[np.arange(len(first)), first] > 0
        self._found += int(np.count_nonzero(stopped & upwards))
        last = len(self._information) - 1
        self._ends += np.bincount(np.where(stopped, first, last), minlength=last + 1)

    def performance(self, rule: Rule, runs: int) -> RulePerformance:
        """The rule's figures after all runs."""
        mean = float(self._ends @ self._information) / runs
        variance = float(self._ends @ (self._information - mean) ** 2) / runs
        return RulePerformance(
            rule=rule,
            type_one_error=self._false / runs,
            type_one_error_se=_share_se(self._false, runs),
            power=self._found / runs,
            power_se=_share_se(self._found, runs),
            expected_information=mean,
            expected_information_se=math.sqrt(variance / runs),
        )

    def _crossed(self, z: Floats) -> npt.NDArray[np.bool_]:
        return (np.abs(z) if self._sides == 2 else z) >= self._critical


def _share_se(found: int, runs: int) -> float:
    """Standard error of a simulated share; half a run is added to each side, so that 0 of n is not called exact."""
    share = (found + 0.5) / (runs + 1)
    return math.sqrt(share * (1 - share) / runs)

"""Bounds of looks that are taken one at a time: from a spending function, past bounds frozen, each look adding one.

Source: Lan and DeMets (1983), Biometrika 70, 659-663; recursive integration as in `recursion`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from staged_rollout.errors import StatisticsError
from staged_rollout.stats.inputs import finite, positive
from staged_rollout.stats.recursion import LOWER, Looks, log_exit
from staged_rollout.stats.results import Result
from staged_rollout.stats.solve import solve_bound
from staged_rollout.stats.spending import Spending, log_difference

#: Looks closer than this in information fraction are not taken.
SMALLEST_INCREMENT = 1e-4
_SMALLEST_NORMAL = 1e-300


@dataclass(frozen=True)
class Bound(Result):
    """The bound of one look, frozen once the look is taken.

    Args:
        look: Number of the look, from 1.
        information: Information fraction t at the look; above 1 when it over-ran.
        z: Critical value: a statistic of at least `z` crosses.
        alpha_spent: Alpha of this side spent by this look and all before it.
    """

    look: int
    information: float
    z: float
    alpha_spent: float


@dataclass(frozen=True, eq=False)
class Exits(Result):
    """Probabilities of stopping first at each look.

    Args:
        upper: P(Z_k >= upper_k, no stop before), shape (K,).
        lower: P(Z_k <= lower_k, no stop before), shape (K,); zeros where there is no lower bound.
    """

    upper: npt.NDArray[np.float64]
    lower: npt.NDArray[np.float64]

    def rows(self) -> Sequence[Mapping[str, Any]]:
        """One row per look."""
        pairs = zip(self.upper.tolist(), self.lower.tolist(), strict=True)
        return [{"look": k, "upper": above, "lower": below} for k, (above, below) in enumerate(pairs, start=1)]


def next_bound(past: Sequence[Bound], information: float, spending: Spending, *, final: bool = False) -> Bound:
    """The one-sided bound of the look after `past`, which stays as it was.

    The first look with information >= 1, and one declared `final` whatever its information, spends all that is left;
    the true information enters the covariances either way. For two sides, futility and whole plans see `design`.

    Args:
        past: Bounds of the looks taken so far, in order; empty before the first.
        information: Information fraction of this look, I / I_max.
        spending: The spending function of this side.
        final: Whether no look follows, decided without reference to the effect.

    Returns:
        The new bound; always finite.

    Raises:
        StatisticsError: The information does not rise by at least 1e-4, a number is out of bounds, or nothing is left
        to spend.

    >>> first = next_bound([], 0.5, Spending("obrien-fleming", 0.025))
    >>> second = next_bound([first], 1.0, Spending("obrien-fleming", 0.025))
    >>> round(first.z, 8), round(second.z, 8)
    (2.96258804, 1.96859564)
    """
    looks = looks_of([bound.information for bound in past], [bound.z for bound in past])
    spent = past[-1].alpha_spent if past else 0.0
    return next_upper(looks, spent, information, spending, final=final)


def next_upper(looks: Looks, spent: float, information: float, spending: Spending, *, final: bool) -> Bound:
    """The upper bound of the look after `looks`, whose lower bounds count as stops.

    Args:
        looks: Looks taken so far, with their bounds.
        spent: Alpha spent by them.
        information: Information fraction of this look.
        spending: The spending function of the upper side.
        final: Whether no look follows.

    Returns:
        The new bound.

    Raises:
        StatisticsError: As `next_bound`.
    """
    earlier = looks.information[-1] if looks else 0.0
    check_step(earlier, information)
    information = float(information)
    ends = final or information >= 1
    log_target = math.log(spending.alpha) if ends else spending.log_cumulative(information)
    log_increment = log_difference(log_target, _log_spent(spent, earlier, spending) if looks else -math.inf)
    z = solve_bound(looks, information, log_increment)
    return Bound(len(looks) + 1, information, z, spending.alpha if ends else spending.cumulative(information))


def bounds(information: Sequence[float], spending: Spending, *, final: bool = False) -> tuple[Bound, ...]:
    """The one-sided bounds of a whole series of looks.

    Args:
        information: Information fractions, rising by at least 1e-4; none follows the first that reaches 1.
        spending: The spending function of this side.
        final: Whether the last look is final whatever its information.

    Returns:
        One bound per look.

    Raises:
        StatisticsError: As `next_bound`.

    >>> [round(bound.z, 4) for bound in bounds((0.2, 0.4, 0.6, 0.8, 1.0), Spending("obrien-fleming", 0.025))]
    [4.8769, 3.357, 2.6803, 2.2898, 2.031]
    """
    taken: list[Bound] = []
    for k, t in enumerate(information, start=1):
        taken.append(next_bound(taken, t, spending, final=final and k == len(information)))
    return tuple(taken)


def exit_probabilities(
    information: Sequence[float],
    upper: Sequence[float],
    lower: Sequence[float] | None = None,
    drift: float = 0.0,
) -> Exits:
    """Probability of stopping *first* at each look, above or below.

    Args:
        information: Information fractions t_k, ascending, shape (K,).
        upper: Upper bounds on the z scale, shape (K,).
        lower: Lower bounds on the z scale, none above its upper bound, shape (K,); -inf where a look has none, None
            where no look has one.
        drift: E[Z_k] = drift * sqrt(t_k); 0 under the null hypothesis.

    Returns:
        The probabilities at each look.

    Raises:
        StatisticsError: Lengths differ, information does not rise by at least 1e-4, bounds are out of order, or a
        number is not finite.

    >>> stops = exit_probabilities((0.5, 1.0), (2.5, 2.0), (0.0, 2.0))
    >>> round(float(stops.upper.sum() + stops.lower.sum()), 12)
    1.0
    """
    looks = looks_of(information, upper, lower)
    finite("drift", drift, "drift is E[Z] at information fraction 1")
    above, below = np.zeros(len(looks)), np.zeros(len(looks))
    for k, t in enumerate(looks.information):
        before = looks.first(k)
        if k and looks.lower[k - 1] >= looks.upper[k - 1]:
            break  # nobody goes on
        above[k] = math.exp(min(0.0, log_exit(before, t, looks.upper[k], drift)[0]))
        if looks.lower[k] > -math.inf:
            below[k] = math.exp(min(0.0, log_exit(before, t, looks.lower[k], drift, LOWER)[0]))
    return Exits(above, below)


def crossing_probabilities(
    information: Sequence[float], z: Sequence[float], drift: float = 0.0
) -> npt.NDArray[np.float64]:
    """Probability of a *first* crossing of one-sided bounds at each look.

    Args:
        information: Information fractions t_k, ascending, shape (K,).
        z: Bounds c_k on the z scale, shape (K,).
        drift: E[Z_k] = drift * sqrt(t_k); 0 under the null hypothesis.

    Returns:
        P(Z_k >= c_k and Z_j < c_j for all j < k), shape (K,).

    Raises:
        StatisticsError: Lengths differ, information does not rise by at least 1e-4, or a number is not finite.
    """
    return exit_probabilities(information, z, drift=drift).upper


def looks_of(information: Sequence[float], upper: Sequence[float], lower: Sequence[float] | None = None) -> Looks:
    """The looks, checked.

    Raises:
        StatisticsError: As `exit_probabilities`.
    """
    lower = [-math.inf] * len(upper) if lower is None else lower
    if not len(information) == len(upper) == len(lower):
        counts = f"{len(upper)}" if len(upper) == len(lower) else f"{len(upper)} upper and {len(lower)} lower"
        message = f"{len(information)} information fractions and {counts} bounds, must be the same number"
        raise StatisticsError(message, hint="one bound per look", looks=len(information), bounds=len(upper))
    earlier = 0.0
    for t in information:
        check_step(earlier, t)
        earlier = t
    for k, (high, low) in enumerate(zip(upper, lower, strict=True), start=1):
        finite(f"z of look {k}", high, "bounds are finite; a look that was not taken is left out")
        if math.isnan(low) or low > high:
            message = f"lower bound of look {k} == {low}, must be <= {high}, its upper bound"
            raise StatisticsError(message, hint="-inf where a look has no lower bound", lower=low, upper=high)
    return Looks(tuple(float(t) for t in information), tuple(float(z) for z in upper), tuple(float(z) for z in lower))


def check_step(earlier: float, t: float) -> None:
    """A look's information must be a positive number, and rise.

    Raises:
        StatisticsError: It does not.
    """
    positive("information", t, "information is I / I_max at the look")
    # Fractions such as 0.3001 - 0.3 are a few units in the last place short of 1e-4.
    if t - earlier < SMALLEST_INCREMENT * (1 - 1e-9):
        raise StatisticsError(
            f"information rises from {earlier} to {t}, by {t - earlier:.3g}; must be >= {SMALLEST_INCREMENT:g}",
            hint="take no look until more units have closed",
            earlier=earlier,
            information=t,
        )


def _log_spent(spent: float, information: float, spending: Spending) -> float:
    """Log of the alpha spent; from the spending function where the recorded number has underflowed."""
    if not 0 <= spent <= spending.alpha:
        message = f"alpha spent before == {spent}, must be >= 0 and <= {spending.alpha}"
        raise StatisticsError(message, hint="past bounds belong to another spending function", spent=spent)
    return math.log(spent) if spent > _SMALLEST_NORMAL else spending.log_cumulative(information)

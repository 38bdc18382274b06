"""Group-sequential bounds from a spending function; past bounds are frozen, and each look adds one.

Source: Lan and DeMets (1983), Biometrika 70, 659-663; recursive integration as in `recursion`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri_exp

from staged_rollout.errors import StatisticsError
from staged_rollout.stats.inputs import finite, positive
from staged_rollout.stats.recursion import Survivors, log_crossing, survivors
from staged_rollout.stats.spending import Spending, log_difference

#: Looks closer than this in information fraction are not taken.
SMALLEST_INCREMENT = 1e-4
_SMALLEST_NORMAL = 1e-300
_ITERATIONS = 100


@dataclass(frozen=True)
class Bound:
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


def next_bound(past: Sequence[Bound], information: float, spending: Spending, *, final: bool = False) -> Bound:
    """The bound of the look after `past`, which stays as it was.

    The first look with information >= 1, and one declared `final` whatever its information, spends all that is left;
    the true information enters the covariances either way.

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
    infos, zs = _checked([bound.information for bound in past], [bound.z for bound in past])
    _check_step(infos[-1] if infos else 0.0, information)
    information = float(information)
    ends = final or information >= 1
    log_target = math.log(spending.alpha) if ends else spending.log_cumulative(information)
    log_increment = log_difference(log_target, _log_spent(past, spending))
    before = survivors(infos, zs, information) if infos else None
    z = _solve(before, information, log_increment, log_target)
    spent = spending.alpha if ends else spending.cumulative(information)
    return Bound(len(infos) + 1, information, z, spent)


def bounds(information: Sequence[float], spending: Spending, *, final: bool = False) -> tuple[Bound, ...]:
    """The bounds of a whole series of looks.

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


def crossing_probabilities(
    information: Sequence[float], z: Sequence[float], drift: float = 0.0
) -> npt.NDArray[np.float64]:
    """Probability of a *first* crossing at each look.

    Args:
        information: Information fractions t_k, ascending, shape (K,).
        z: Bounds c_k on the z scale, shape (K,).
        drift: E[Z_k] = drift * sqrt(t_k); 0 under the null hypothesis.

    Returns:
        P(Z_k >= c_k and Z_j < c_j for all j < k), shape (K,).

    Raises:
        StatisticsError: Lengths differ, information does not rise by at least 1e-4, or a number is not finite.
    """
    infos, zs = _checked(information, z)
    finite("drift", drift, "drift is E[Z] at information fraction 1")
    out = np.empty(len(infos))
    for k, t in enumerate(infos):
        before = survivors(infos[:k], zs[:k], t) if k else None
        out[k] = math.exp(min(0.0, log_crossing(before, t, zs[k], drift)[0]))
    return out


def _checked(information: Sequence[float], z: Sequence[float]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    if len(information) != len(z):
        message = f"{len(information)} information fractions and {len(z)} bounds, must be the same number"
        raise StatisticsError(message, hint="one bound per look", looks=len(information), bounds=len(z))
    earlier = 0.0
    for t in information:
        _check_step(earlier, t)
        earlier = t
    for k, value in enumerate(z, start=1):
        finite(f"z of look {k}", value, "bounds are finite; a look that was not taken is left out")
    return tuple(float(t) for t in information), tuple(float(value) for value in z)


def _check_step(earlier: float, t: float) -> None:
    positive("information", t, "information is I / I_max at the look")
    # Fractions such as 0.3001 - 0.3 are a few units in the last place short of 1e-4.
    if t - earlier < SMALLEST_INCREMENT * (1 - 1e-9):
        raise StatisticsError(
            f"information rises from {earlier} to {t}, by {t - earlier:.3g}; must be >= {SMALLEST_INCREMENT:g}",
            hint="take no look until more units have closed",
            earlier=earlier,
            information=t,
        )


def _log_spent(past: Sequence[Bound], spending: Spending) -> float:
    """Log of the alpha spent; from the spending function where the recorded number has underflowed."""
    if not past:
        return -math.inf
    spent = past[-1].alpha_spent
    if not 0 <= spent <= spending.alpha:
        message = f"alpha spent before == {spent}, must be >= 0 and <= {spending.alpha}"
        raise StatisticsError(message, hint="past bounds belong to another spending function", spent=spent)
    return math.log(spent) if spent > _SMALLEST_NORMAL else spending.log_cumulative(past[-1].information)


def _solve(before: Survivors | None, t: float, log_increment: float, log_target: float) -> float:
    """The z that is first crossed at this look with probability exp(log_increment).

    log P is concave and falls in z, so Newton from the right end converges from one side; bisection guards it where
    the density underflows.
    """
    high = -float(ndtri_exp(log_increment))  # P(first crossing) <= P(Z >= z)
    if before is None:
        return high
    low = -float(ndtri_exp(log_target)) - 1.0  # P(first crossing) >= P(Z >= z) - what was spent before
    while log_crossing(before, t, low)[0] < log_increment:
        if low < -_ITERATIONS:
            raise StatisticsError(
                f"alpha for this look == {math.exp(log_increment):.6g}, more than can still cross",
                hint="past bounds and their spent alpha do not belong together",
                increment=math.exp(log_increment),
            )
        low -= 1.0 + abs(low)
    z = high
    for _ in range(_ITERATIONS):
        log_p, slope = log_crossing(before, t, z)
        excess = log_p - log_increment
        if excess < 0:
            high = z
        else:
            low = z
        step = -excess / slope if math.isfinite(excess) and slope < 0 and math.isfinite(slope) else math.nan
        if abs(step) <= 2e-15 * max(1.0, abs(z)):
            return z + step
        inside = low <= z + step <= high
        z = z + step if inside else 0.5 * (low + high)
    return z

"""Root finding: the z that is crossed first with a given probability, and the drift with a given power."""

from __future__ import annotations

import math
from collections.abc import Callable

from scipy.optimize import brentq
from scipy.special import ndtri, ndtri_exp

from staged_rollout.errors import StatisticsError
from staged_rollout.stats.recursion import UPPER, Looks, Side, log_exit

_ITERATIONS = 100
_FAR = 1e3
_CLOSE = 1e-9
_APART = 0.1


def solve_bound(looks: Looks, t: float, log_increment: float, *, drift: float = 0.0, side: Side = UPPER) -> float:
    """The z that is first crossed at this look with probability exp(log_increment).

    log P is concave and falls outwards, so Newton converges, from one side after its first step; bisection guards it
    where the density underflows.

    Args:
        looks: The looks before, with their bounds.
        t: Information fraction of this look.
        log_increment: Natural logarithm of the probability to cross first at this look.
        drift: E[Z(1)] under which the probability is meant.
        side: `UPPER` or `LOWER`.

    Returns:
        The bound on the z scale.

    Raises:
        StatisticsError: More is to be spent than can still cross.
    """
    centre = drift * math.sqrt(t)
    high = -float(ndtri_exp(log_increment))  # P(first crossing) <= P(Z beyond z)
    # In outward distance x from the drift: z = centre + side x. Bounds mostly fall as O'Brien and Fleming's do.
    x, low = high, -math.inf
    if looks and side == UPPER and not drift:
        x = min(high, looks.upper[-1] * math.sqrt(looks.information[-1] / t))
    for _ in range(_ITERATIONS):
        log_p, slope = log_exit(looks, t, centre + side * x, drift, side)
        excess, slope = log_p - log_increment, side * slope
        low, high = (low, x) if excess < 0 else (x, high)
        step = -excess / slope if math.isfinite(excess) and slope < 0 and math.isfinite(slope) else math.nan
        # Newton squares its error: after a step of 1e-9 nothing is left to gain.
        if abs(step) <= _CLOSE * max(1.0, abs(x)):
            return centre + side * (x + step)
        if low <= x + step <= high:
            x += step
        else:
            x = 0.5 * (low + high) if math.isfinite(low) else x - 1.0 - abs(x)
        if x < -_ITERATIONS:
            raise StatisticsError(
                f"alpha for this look == {math.exp(log_increment):.6g}, more than can still cross",
                hint="past bounds and their spent alpha do not belong together",
                increment=math.exp(log_increment),
            )
    return centre + side * x


def root(function: Callable[[float], float], low: float, high: float) -> float:
    """The zero of a rising function, to the last places; the interval is moved up until it holds it."""
    below = function(low)
    while function(high) < 0:
        if high > _FAR:
            raise StatisticsError(f"no solution up to {high:g}", hint="the numbers asked for cannot be reached")
        low, high = high, high + (high - low)
    if below > 0:
        raise StatisticsError(f"no solution from {low:g} on", hint="the numbers asked for cannot be reached")
    return float(brentq(function, low, high, xtol=1e-14, rtol=1e-14))


def drift_of_power(power: Callable[[float], float], wanted: float, fixed: float) -> float:
    """The drift at which a design has the power wanted.

    Args:
        power: Power at a drift; rising.
        wanted: In (0, 1).
        fixed: The drift at which a fixed test of the same alpha and information has it, which no design undercuts but
            one with binding futility.
    """
    # On the probit scale power is almost a straight line in the drift.
    target = float(ndtri(wanted))
    return root(lambda drift: _probit(power(drift)) - target, 0.95 * fixed, 1.02 * fixed)


def root_of_line(function: Callable[[float], float], guess: float, known: tuple[float, float]) -> float:
    """The zero of a rising function that is nearly a straight line, by secants.

    Args:
        function: Rising on the whole line.
        guess: Where the zero should be.
        known: A point of the function, (x, value), for the first secant.
    """
    (at, earlier), x = known, guess
    if abs(x - at) < _APART:
        x = at + _APART  # a secant through points that nearly coincide is rounding
    for _ in range(_ITERATIONS):
        value = function(x)
        if value == earlier:
            return x
        step = -value * (x - at) / (value - earlier)
        # A secant's error shrinks faster than its steps: after one of 1e-9 nothing is left to gain.
        if abs(step) <= _CLOSE * max(1.0, abs(x)):
            return x + step
        (at, earlier), x = (x, value), x + step
    raise StatisticsError(f"no solution near {guess:g}", hint="the numbers asked for cannot be reached")


def _probit(probability: float) -> float:
    return float(ndtri(min(max(probability, 1e-300), 1 - 1e-16)))

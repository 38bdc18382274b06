"""Futility: lower bounds that spend beta, the probability to give up although the effect planned for is there.

Source: Pampallona, Tsiatis and Kim (2001), Drug Information Journal 35, 1113-1121.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from staged_rollout.errors import StatisticsError
from staged_rollout.stats.boundary import Bound
from staged_rollout.stats.recursion import LOWER, Looks, log_exit
from staged_rollout.stats.solve import solve_bound
from staged_rollout.stats.spending import Spending, log_difference

_SMALLEST_NORMAL = 1e-300


@dataclass(frozen=True)
class Stop:
    """A futility bound.

    Args:
        z: z at or below gives up.
        beta_spent: Beta spent by this look and all before it.
    """

    z: float
    beta_spent: float


def next_stop(looks: Looks, spent: float, efficacy: Bound, spending: Spending, drift: float, *, last: bool) -> Stop:
    """The futility bound of the look after `looks`.

    At the last look whatever does not win gives up. Where even giving up everything that does not win spends no more
    than is free, the bounds meet and the test ends here.

    Args:
        looks: The looks so far, with efficacy bounds above and futility bounds below.
        spent: Beta spent by them.
        efficacy: The efficacy bound of this look.
        spending: Spends beta.
        drift: E[Z] at t = 1 planned for.
        last: Whether no look follows.

    Returns:
        The bound.
    """
    t = efficacy.information
    log_all = log_exit(looks, t, efficacy.z, drift, LOWER)[0]
    everything = Stop(efficacy.z, spent + math.exp(log_all))
    if last:
        return everything
    log_target = spending.log_cumulative(t)
    log_spent = math.log(spent) if spent > _SMALLEST_NORMAL else -math.inf
    if looks and log_spent == -math.inf:
        log_spent = spending.log_cumulative(looks.information[-1])
    try:
        log_increment = log_difference(log_target, log_spent)
    except StatisticsError:
        raise StatisticsError(
            f"beta spent before == {spent:.6g}, must be < {math.exp(log_target):.6g}, allowed by information {t}",
            hint="a futility bound needs something to spend",
            spent=spent,
        ) from None
    if log_all <= log_increment:
        return everything
    z = solve_bound(looks, t, log_increment, drift=drift, side=LOWER)
    return Stop(z, spending.cumulative(t))

"""Small statistics of shares: an exact upper limit, Holm's correction, and the population stability index."""

from __future__ import annotations

import math
from collections.abc import Sequence

from scipy.special import betaincinv, ndtr

from staged_rollout.stats.inputs import count, finite, inside


def share_upper_limit(events: int, n: int, alpha: float) -> float:
    """One-sided upper confidence limit of a share, exact.

    Source: Clopper and Pearson (1934), Biometrika 26, 404-413.

    Args:
        events: Units with the event, 0 to n.
        n: Units, at least 1.
        alpha: Error probability of the limit, on this one side.

    Returns:
        The limit in (0, 1].

    Raises:
        StatisticsError: A number is out of bounds.

    >>> round(share_upper_limit(0, 100, 0.025), 4)
    0.0362
    """
    units = count("n", n)
    inside("n", units, 0, math.inf, "a limit needs at least one unit")
    found = count("events", events)
    inside("events", found, -1, units + 1, "events are among the units")
    inside("alpha", alpha, 0.0, 0.5, "error probability of one side, such as 0.025")
    return 1.0 if found == units else float(betaincinv(found + 1, units - found, 1.0 - alpha))


def two_sided_p(z: float) -> float:
    """P(|Z| >= |z|) of a standard normal.

    >>> round(two_sided_p(1.959963984540054), 6)
    0.05
    """
    return 2.0 * float(ndtr(-abs(finite("z", z, "a standardised statistic"))))


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Holm's step-down adjusted p-values, in the order given.

    Source: Holm (1979), Scandinavian Journal of Statistics 6, 65-70.

    Args:
        p_values: Each in [0, 1].

    Returns:
        Adjusted p-values, in [0, 1], that keep the family-wise error.

    >>> holm([0.01, 0.04, 0.03])
    (0.03, 0.06, 0.06)
    """
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted = [0.0] * len(p_values)
    running = 0.0
    for rank, i in enumerate(order):
        running = max(running, min((len(p_values) - rank) * p_values[i], 1.0))
        adjusted[i] = running
    return tuple(adjusted)


def population_stability(reference: Sequence[int], present: Sequence[int]) -> float:
    """Population stability index of two histograms over the same bins: sum (q - p) ln(q / p).

    Half a count is added to each bin, so that an empty one is finite.

    Source: Siddiqi (2006), Credit Risk Scorecards, section 10; Jeffreys (1946) for the divergence.

    Args:
        reference: Counts per bin.
        present: Counts per bin, as many.

    Returns:
        The index >= 0; 0 without bins.

    >>> population_stability([90, 10], [90, 10])
    0.0
    >>> round(population_stability([90, 10], [50, 50]), 2)
    0.85
    """
    if len(reference) != len(present):
        inside("bins", len(present), len(reference) - 1, len(reference) + 1, "both histograms need the same bins")
    p = [count("reference", n) + 0.5 for n in reference]
    q = [count("present", n) + 0.5 for n in present]
    p_sum, q_sum = sum(p), sum(q)
    return math.fsum((b / q_sum - a / p_sum) * math.log((b / q_sum) / (a / p_sum)) for a, b in zip(p, q, strict=True))

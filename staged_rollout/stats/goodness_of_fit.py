"""Counts against planned shares: Pearson's chi-squared for many units, the exact multinomial test for few."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.special import betainc, gammainc, gammaincc, gammaln, logsumexp, xlog1py, xlogy

from staged_rollout.stats.inputs import count, counts_and_weights, inside, not_negative
from staged_rollout.stats.moments import exact
from staged_rollout.stats.results import Result

Floats = npt.NDArray[np.float64]
Method = Literal["exact", "chi-squared"]

FEW_EXPECTED = 5
"""Expected units in a variant below which the chi-squared approximation is not trusted (Cochran 1954)."""
LARGEST_ENUMERATION = 250_000
"""Outcomes that the exact test visits at most, a tenth of a second. Two of the variants cost nothing: two variants are
exact for any number of units, three up to 249,999 units, four up to 705, five up to 112."""
_UNDERFLOW = 1e-280


@dataclass(frozen=True)
class GoodnessOfFit(Result):
    """One look at counts against planned shares; its p-value means nothing after peeking.

    Args:
        counts: Units per variant.
        weights: Planned shares, summing to 1.
        chi_squared: Pearson's statistic, sum (n_i - N w_i)^2 / (N w_i); correctly rounded.
        p_value: Probability of a statistic at least as large; 2.2e-308 stands for anything smaller.
        log_p: Its natural logarithm, finite however far out.
        method: "exact" when a variant has fewer than 5 expected units and the outcomes can be enumerated.
        residuals: Per variant (n_i - N w_i) / sqrt(N w_i (1 - w_i)), about standard normal under the plan: the largest
            in absolute value says which variant is off.
    """

    counts: tuple[int, ...]
    weights: tuple[float, ...]
    chi_squared: float
    p_value: float
    log_p: float
    method: Method
    residuals: tuple[float, ...]


def goodness_of_fit(counts: Sequence[int], weights: Sequence[float]) -> GoodnessOfFit:
    """Test counts against planned weights, once.

    With fewer than 5 expected units in some variant the p-value is that of the exact multinomial test: the probability
    of all outcomes whose chi-squared is at least as large. Where those are too many to visit, `method` says
    "chi-squared" although a variant has few units.

    Source: Pearson (1900), Philosophical Magazine 50; residuals: Haberman (1973), Biometrics 29, 205-220.

    Args:
        counts: Units per variant, two or more variants; all zero gives a p-value of 1.
        weights: Planned weights, > 0; they need not sum to 1, and are read as the decimals they are written as.

    Returns:
        Statistic, p-value and residuals.

    Raises:
        StatisticsError: Counts or weights out of bounds.

    >>> fit = goodness_of_fit((48_912, 51_088), (1, 1))
    >>> round(fit.chi_squared, 4), round(fit.log_p, 2), [round(r, 2) for r in fit.residuals]
    (47.3498, -25.85, [-6.88, 6.88])
    >>> few = goodness_of_fit((0, 4), (1, 1))
    >>> round(few.p_value, 12), few.method
    (0.125, 'exact')
    """
    checked, shares = counts_and_weights(counts, weights)
    total = sum(checked)
    if not total:
        return GoodnessOfFit(checked, shares, 0.0, 1.0, 0.0, "exact", (0.0,) * len(checked))
    # Exact until the last division, so that counts as planned give 0 and not 1e-28.
    exact_weights = [exact(weight) for weight in weights]
    exact_shares = [weight / sum(exact_weights) for weight in exact_weights]
    deviations = [n - total * w for n, w in zip(checked, exact_shares, strict=True)]
    statistic = float(sum((d * d / (total * w) for d, w in zip(deviations, exact_shares, strict=True)), Fraction(0)))
    residuals = tuple(float(d) / math.sqrt(total * w * (1 - w)) for d, w in zip(deviations, exact_shares, strict=True))
    method: Method = "chi-squared"
    if total * min(shares) < FEW_EXPECTED and outcomes_visited(total, len(shares)) <= LARGEST_ENUMERATION:
        method, log_p = "exact", log_multinomial_tail(statistic, total, shares)
    else:
        log_p = log_chi_squared_tail(statistic, len(shares) - 1)
    return GoodnessOfFit(checked, shares, statistic, probability(log_p), log_p, method, residuals)


def probability(log_p: float) -> float:
    """exp(log_p), but never below the smallest normal float: a probability that is tiny does not read as 0."""
    return max(math.exp(min(log_p, 0.0)), sys.float_info.min)


def log_chi_squared_tail(statistic: float, degrees: int) -> float:
    """Natural logarithm of P(chi-squared >= statistic), also where the probability is below the smallest float.

    Source: NIST Digital Library of Mathematical Functions, 8.9.2 (continued fraction of the incomplete gamma function).

    Args:
        statistic: Chi-squared >= 0.
        degrees: Degrees of freedom, at least 1.

    Returns:
        log p, finite.

    Raises:
        StatisticsError: A number is out of bounds.

    >>> log_chi_squared_tail(4000.0, 2)
    -2000.0
    """
    x = not_negative("statistic", statistic, "chi-squared is a sum of squares") / 2
    a = inside("degrees", count("degrees", degrees), 0, math.inf, "one fewer than variants") / 2
    if x <= a:
        return math.log1p(-float(gammainc(a, x)))
    tail = float(gammaincc(a, x))
    if tail > _UNDERFLOW:
        return math.log(tail)
    # So far out (x - a is hundreds) that a hundred terms are many more than needed.
    fraction = x + 201.0 - a
    for n in range(100, 0, -1):
        fraction = x + 2 * n - 1 - a + n * (a - n) / fraction
    return a * math.log(x) - x - math.lgamma(a) - math.log(fraction)


def outcomes_visited(total: int, variants: int) -> int:
    """Outcomes that `log_multinomial_tail` visits: all but two of the variants are enumerated."""
    return math.comb(total + variants - 2, variants - 2)


def log_multinomial_tail(statistic: float, total: int, shares: Sequence[float]) -> float:
    """Natural logarithm of the exact probability that chi-squared is at least `statistic`.

    All but two variants are enumerated. Given their counts, chi-squared is a parabola in the count of one of the two
    left, which is binomial: the outcomes that count are its two tails.

    Args:
        statistic: Chi-squared >= 0. Outcomes smaller by one part in 10^10 still count, because they are ties that
            rounding has parted.
        total: Units, at least 1.
        shares: Planned shares, > 0, summing to 1; `outcomes_visited` says what it costs.

    Returns:
        log p, finite, at most 0.

    >>> round(math.exp(log_multinomial_tail(2.0, 4, (0.5, 0.25, 0.25))), 12)
    0.375
    """
    # The rarest variant is solved for: its counts are small, so that floor and ceil fall on the right side.
    rarest, *others = sorted(shares)
    partner = others.pop()
    left = np.array([total])
    excess = np.array([statistic * (1 - 1e-10)])
    log_p = np.zeros(1)
    for i, share in enumerate(others):
        among = math.fsum((share, *others[i + 1 :], rarest, partner))
        before = np.repeat(np.arange(len(left)), left + 1)
        n = np.arange(len(before)) - np.repeat(np.cumsum(left + 1) - left - 1, left + 1)
        log_p = log_p[before] + _log_binomial(n, left[before], share / among)
        excess = excess[before] - (n - total * share) ** 2 / (total * share)
        left = left[before] - n
    both = rarest + partner
    surplus = left - total * both
    radius = np.sqrt(np.maximum((excess - surplus**2 / (total * both)) * total * rarest * partner / both, 0.0))
    middle = left * (rarest / both)
    low, high = np.floor(middle - radius), np.ceil(middle + radius)
    everything = low + 1 >= high
    tails = np.logaddexp(
        _log_upper_tail(left - low, left, partner / both),
        _log_upper_tail(high, left, rarest / both),
    )
    return min(0.0, float(logsumexp(log_p + np.where(everything, 0.0, tails))))


def _log_binomial(k: Floats, n: Floats, p: float) -> Floats:
    """Natural logarithm of the binomial probability of k in n."""
    log_ways = gammaln(n + 1.0) - gammaln(k + 1.0) - gammaln(n - k + 1.0)
    return np.asarray(log_ways + xlogy(k, p) + xlog1py(n - k, -p))


def _log_upper_tail(k: Floats, n: Floats, p: float) -> Floats:
    """Natural logarithm of P(at least k of n), for k beyond the mean; -inf where k > n."""
    inner = np.clip(k, 1, np.maximum(n, 1))
    tail = np.where(k <= 0, 1.0, np.where(k > n, 0.0, betainc(inner, np.maximum(n, 1) - inner + 1, p)))
    with np.errstate(divide="ignore"):
        out = np.log(tail)
    far = (tail < _UNDERFLOW) & (k <= n)
    out[far] = _log_far_tail(k[far], n[far], p)
    return np.asarray(out)


def _log_far_tail(k: Floats, n: Floats, p: float) -> Floats:
    """The same where betainc underflows: the first term, times a sum that falls faster than a geometric series."""
    term, terms, j = np.ones(len(k)), np.ones(len(k)), k.astype(float)
    while np.any(term > 1e-17 * terms):
        term = term * (n - j) / (j + 1) * (p / (1 - p))
        terms += term
        j += 1
    return np.asarray(_log_binomial(k, n, p) + np.log(terms))

"""Sample-ratio mismatch: a sequential test that survives peeking, and the fixed chi-squared beside it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.special import gammaln
from scipy.stats import chi2

from staged_rollout.stats.inputs import counts_and_weights, inside, positive


@dataclass(frozen=True)
class SrmResult:
    """What both tests say about the units per variant.

    Args:
        counts: Units per variant.
        weights: Planned shares, summing to 1.
        log_e: Natural logarithm of the e-value.
        threshold_log: Alarm at or above this, log(1 / alpha).
        alarm: Whether the e-value reaches it.
        chi_squared: Fixed test's statistic; describes, does not decide.
        p_value: Fixed test's p-value; means nothing after peeking.
        prior: Weight of the prior in units; the e-value depends on it.
    """

    counts: tuple[int, ...]
    weights: tuple[float, ...]
    log_e: float
    threshold_log: float
    alarm: bool
    chi_squared: float
    p_value: float
    prior: float


def fixed_srm(counts: Sequence[int], weights: Sequence[float]) -> tuple[float, float]:
    """Pearson's chi-squared of counts against weights; valid for one look only.

    Args:
        counts: Units per variant, two or more variants.
        weights: Planned weights, > 0; they need not sum to 1.

    Returns:
        (chi-squared, p-value) with one degree of freedom fewer than variants; (0, 1) without units.

    Raises:
        StatisticsError: Counts or weights out of bounds.
    """
    checked, shares = counts_and_weights(counts, weights)
    total = sum(checked)
    if not total:
        return 0.0, 1.0
    statistic = math.fsum((n - total * w) ** 2 / (total * w) for n, w in zip(checked, shares, strict=True))
    return statistic, float(chi2.sf(statistic, len(checked) - 1))


def sequential_srm(counts: Sequence[int], weights: Sequence[float], *, alpha: float, prior: float = 100.0) -> SrmResult:
    """Dirichlet-multinomial e-process: probability alpha of a false alarm, ever, however often it is looked at.

    e = B(prior w + counts) / B(prior w) / prod w_i^counts_i with B the multivariate beta function: the predictive
    probability of the assignments under a Dirichlet prior centred on the plan, over their probability under the plan.
    It starts at 1 and is a martingale when units are drawn with the planned weights.

    Source: Lindon and Malek (2022), "Anytime-valid inference for multinomial count data", NeurIPS.

    Args:
        counts: Units per variant, two or more variants; zeros are fine.
        weights: Planned weights, > 0; they need not sum to 1.
        alpha: Probability of a false alarm given to this e-process.
        prior: The prior's total weight in units, split over the variants by their weights: larger looks for smaller
            mismatches.

    Returns:
        The result of both tests.

    Raises:
        StatisticsError: Counts, weights, alpha or prior out of bounds.

    >>> round(sequential_srm((440, 560), (1, 1), alpha=0.001).log_e, 1)
    5.4
    >>> round(sequential_srm((440, 560), (1, 1), alpha=0.001, prior=10_000).log_e, 1)
    0.6
    """
    checked, shares = counts_and_weights(counts, weights)
    inside("alpha", alpha, 0.0, 1.0, "probability of a false alarm, such as 0.001")
    positive("prior", prior, "the prior's weight in units, such as 100")
    log_e = float(gammaln(prior) - gammaln(prior + sum(checked))) if any(checked) else 0.0
    log_e += math.fsum(
        float(gammaln(prior * w + n) - gammaln(prior * w)) - n * math.log(w)
        for n, w in zip(checked, shares, strict=True)
        if n
    )
    threshold = -math.log(alpha)
    statistic, p_value = fixed_srm(checked, shares)
    return SrmResult(checked, shares, log_e, threshold, log_e >= threshold, statistic, p_value, float(prior))

"""Sample-ratio mismatch: a sequential test that survives peeking, and the fixed test beside it."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.special import gammaln

from staged_rollout.stats.goodness_of_fit import Method, goodness_of_fit
from staged_rollout.stats.inputs import inside, positive
from staged_rollout.stats.results import Result


@dataclass(frozen=True)
class SrmResult(Result):
    """What both tests say about the units per variant.

    Args:
        counts: Units per variant.
        weights: Planned shares, summing to 1.
        log_e: Natural logarithm of the e-value.
        threshold_log: Alarm at or above this, log(1 / alpha).
        alarm: Whether the e-value reaches it: a mismatch.
        chi_squared: Fixed test's statistic; describes, does not decide.
        p_value: Fixed test's p-value; means nothing after peeking. 2.2e-308 stands for anything smaller.
        prior: Weight of the prior in units; the e-value depends on it.
        e_value: exp(log_e); 1.8e308 stands for anything larger.
        log_p: Natural logarithm of the fixed test's p-value, finite however far out.
        method: What the fixed p-value comes from: "exact" when a variant has fewer than 5 expected units.
        residuals: Per variant, standardised: the largest in absolute value says which variant is off.
    """

    counts: tuple[int, ...]
    weights: tuple[float, ...]
    log_e: float
    threshold_log: float
    alarm: bool
    chi_squared: float
    p_value: float
    prior: float
    e_value: float
    log_p: float
    method: Method
    residuals: tuple[float, ...]


def fixed_srm(counts: Sequence[int], weights: Sequence[float]) -> tuple[float, float]:
    """Pearson's chi-squared of counts against weights; valid for one look only.

    `goodness_of_fit` says more: log p, the method, and which variant is off.

    Args:
        counts: Units per variant, two or more variants.
        weights: Planned weights, > 0; they need not sum to 1.

    Returns:
        (chi-squared, p-value), exact when a variant has fewer than 5 expected units; (0, 1) without units.

    Raises:
        StatisticsError: Counts or weights out of bounds.
    """
    fit = goodness_of_fit(counts, weights)
    return fit.chi_squared, fit.p_value


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
    fit = goodness_of_fit(counts, weights)
    inside("alpha", alpha, 0.0, 1.0, "probability of a false alarm, such as 0.001")
    positive("prior", prior, "the prior's weight in units, such as 100")
    log_e = float(gammaln(prior) - gammaln(prior + sum(fit.counts))) if any(fit.counts) else 0.0
    log_e += math.fsum(
        float(gammaln(prior * w + n) - gammaln(prior * w)) - n * math.log(w)
        for n, w in zip(fit.counts, fit.weights, strict=True)
        if n
    )
    threshold = -math.log(alpha)
    return SrmResult(
        counts=fit.counts,
        weights=fit.weights,
        log_e=log_e,
        threshold_log=threshold,
        alarm=log_e >= threshold,
        chi_squared=fit.chi_squared,
        p_value=fit.p_value,
        prior=float(prior),
        e_value=math.exp(min(log_e, math.log(sys.float_info.max))),
        log_p=fit.log_p,
        method=fit.method,
        residuals=fit.residuals,
    )

"""E-processes for rare events: exact for any counts, on *units* with an event, so that clustered requests count once.

With `margin` 0 it is enough to ask which variant each unit with an event belongs to: the rate itself drops out. With
a margin it does not drop out (if the control never fails, every unit with an event may belong to the treatment and
still be within the margin), so both variants' numbers of units are needed, and the unknown rate of the control is
maximised over.

From requests to units: let pi_v be the probability that a unit of v meets an event, R_v the events per request, and D
the mean requests per unit. Assumption: events cluster within units, and requests spread over units, alike in both
variants; so pi_v = D R_v / kappa with one kappa >= 1, the mean number of events of a unit that meets any. Then R_T -
R_C <= margin gives pi_T - pi_C <= D margin / kappa <= D margin. Taking kappa = 1 errs towards no alarm.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import betaincc, betaln, xlog1py, xlogy

from staged_rollout.stats.inputs import count, inside, not_negative


def log_e_which_variant(k_treatment: int, k_control: int, design_share: float) -> float:
    """Log e-value against "a unit with an event belongs to the treatment with probability <= design_share".

    The likelihood ratio q^k_T (1 - q)^k_C / (s^k_T (1 - s)^k_C), averaged over q > s with a uniform density. For each
    such q the ratio is a martingale at probability s and a supermartingale below it.

    Args:
        k_treatment: Units of the treatment with an event.
        k_control: Units of the control with an event.
        design_share: s, the treatment's planned share of units, in (0, 1).

    Returns:
        log e; 0 without events.

    >>> round(log_e_which_variant(12, 0, 0.5), 4)
    6.4458
    """
    k_t, k_c = count("k_treatment", k_treatment), count("k_control", k_control)
    s = inside("design_share", design_share, 0.0, 1.0, "the treatment's planned share of the units of both variants")
    a, b = k_t + 1.0, k_c + 1.0
    tail = float(betaincc(a, b, s))
    if tail <= 0:
        return -math.inf
    log_numerator = float(betaln(a, b)) + math.log(tail) - math.log1p(-s)
    return log_numerator - k_t * math.log(s) - k_c * math.log1p(-s)


def log_e_difference(k_treatment: int, n_treatment: int, k_control: int, n_control: int, allowed: float) -> float:
    """Log e-value against pi_T <= pi_C + allowed, whatever pi_C is.

    Numerator: beta-binomial probabilities of the units in the order seen, with independent Jeffreys priors.
    Denominator: the largest likelihood that the null hypothesis can give. For every member of the null hypothesis the
    quotient is at most a martingale that starts at 1.

    Source: Wasserman, Ramdas and Balakrishnan (2020), "Universal inference", PNAS 117 (its sequential form).

    Args:
        k_treatment: Units of the treatment with an event.
        n_treatment: Units of the treatment.
        k_control: Units of the control with an event.
        n_control: Units of the control.
        allowed: Largest difference pi_T - pi_C under the null hypothesis, >= 0; from 1 on nothing can reject it.

    Returns:
        log e, never above 0 when the observed difference is within what is allowed.
    """
    k_t, n_t = count("k_treatment", k_treatment), count("n_treatment", n_treatment)
    k_c, n_c = count("k_control", k_control), count("n_control", n_control)
    inside("k_treatment", k_t, -1, n_t + 1, "units with an event are among the units")
    inside("k_control", k_c, -1, n_c + 1, "units with an event are among the units")
    allowed = min(1.0, not_negative("allowed", allowed, "the tolerated difference between probabilities"))
    prior = float(betaln(0.5, 0.5))
    numerator = float(betaln(k_t + 0.5, n_t - k_t + 0.5) + betaln(k_c + 0.5, n_c - k_c + 0.5)) - 2 * prior

    def log_likelihood(p_t: float, p_c: float) -> float:
        return float(xlogy(k_t, p_t) + xlog1py(n_t - k_t, -p_t) + xlogy(k_c, p_c) + xlog1py(n_c - k_c, -p_c))

    p_t, p_c = k_t / n_t if n_t else 0.0, k_c / n_c if n_c else 0.0
    if p_t <= p_c + allowed:
        return numerator - log_likelihood(p_t, p_c)
    top = 1 - allowed
    best = minimize_scalar(
        lambda p: -log_likelihood(min(1.0, p + allowed), p),
        bounds=(0.0, top),
        method="bounded",
        options={"xatol": 1e-12},
    )
    ends = (log_likelihood(allowed, 0.0), log_likelihood(1.0, top))
    return numerator - float(np.max((-float(best.fun), *ends)))

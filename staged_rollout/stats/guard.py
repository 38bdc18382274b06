"""The always-valid guard of the harm budget: looked at after any unit, its false alarms stay below alpha in total.

Null hypothesis: worsening <= margin, one-sided, where the worsening is the difference of two request-weighted ratios
over unit totals (errors per request by unit). Two e-processes share alpha, because the data choose when one hands
over to the other:

- Rare events (fewer than 20 units with an event, or fewer than 10 units in a variant): beta-binomial on units with an
  event, with 1/4 of alpha. Exact for any counts; see `rare_events`.
- From then on: one-sided normal mixture on the score statistic over unit totals, with 3/4 of alpha.
  Asymptotic in units; simulated with clustered requests, rare events and small variants in the tests.

Why the handover costs alpha: P(false alarm) <= P(the first ever alarms) + P(the second ever alarms), which is at most
alpha/4 + 3 alpha/4.

Assumptions: units are independent; each unit's total is counted once (closed, or one per unit and stage).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from scipy.special import log_ndtr

from staged_rollout.stats.inputs import count, inside, not_negative
from staged_rollout.stats.means import ratio_difference
from staged_rollout.stats.moments import RatioMoments, exact
from staged_rollout.stats.planning import effective_units
from staged_rollout.stats.rare_events import log_e_difference, log_e_which_variant
from staged_rollout.stats.results import Result

Method = Literal["beta-binomial", "normal-mixture", "insufficient"]

#: Below this many units with an event (both variants together) the normal approximation is not used.
FEW_EVENTS = 20
#: Below this many units in a variant it is not used either.
FEW_UNITS = 10
#: Effective units n0 of the mixture: the prior of the standardised effect is |N(0, 1 / n0)|. 25 makes the bound
#: tightest between some 50 and some 500 units per variant, which is where a canary must alarm; it costs log(1 + n /
#: n0) / 2 later.
MIXTURE_UNITS = 25.0
_RARE_SHARE = 0.25


LARGEST_LOG_E = 1000.0
"""No threshold is anywhere near it: alpha would be e^-1000."""


@dataclass(frozen=True)
class GuardResult(Result):
    """What the guard says now.

    Args:
        worsening: Estimate, positive when the treatment is worse; None without units in both variants.
        se: Its unit-level standard error; None when there is none yet.
        margin: Largest tolerated worsening.
        log_e: Natural logarithm of the e-value against worsening <= margin.
        threshold_log: Alarm at or above this.
        alarm: Whether the e-value reaches it. An alarm stands, whatever later data say.
        method: Which e-process speaks.
        z_non_inferiority: (margin - worsening) over the standard error that holds *at* the margin, as in a score test;
            None without `se`. With the estimate's own error few events would prove too easily, because fewer of them
            make it smaller too.
    """

    worsening: float | None
    se: float | None
    margin: float
    log_e: float
    threshold_log: float
    alarm: bool
    method: Method
    z_non_inferiority: float | None


def log_normal_mixture(z: float, n_eff: float, n0: float = MIXTURE_UNITS) -> float:
    """Log e-value of a one-sided normal mixture, large when z is large and positive.

    e = 2 (1 + n / n0)^(-1/2) exp(z^2 / 2 * n / (n + n0)) Phi(z sqrt(n / (n + n0))): the likelihood ratio averaged over
    positive standardised effects with density |N(0, 1 / n0)|. Each of them gives a supermartingale under effects <= 0.

    Source: Robbins (1970), Annals of Mathematical Statistics 41, 1397-1409; Howard, Ramdas, McAuliffe and Sekhon
    (2021), Annals of Statistics 49, "Time-uniform, nonparametric, nonasymptotic confidence sequences"; with an
    estimated variance: Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas (2024).

    Args:
        z: Standardised excess over the null hypothesis.
        n_eff: Effective units 1 / (1 / n_T + 1 / n_C), > 0.
        n0: Effective units of the mixture, > 0.

    Returns:
        log e.
    """
    weight = n_eff / (n_eff + n0)
    return math.log(2) - 0.5 * math.log1p(n_eff / n0) + 0.5 * z * z * weight + float(log_ndtr(z * math.sqrt(weight)))


def bounded(log_e: float) -> float:
    """A log e-value within +-`LARGEST_LOG_E`: an impossible observation is told as a number, never as inf."""
    return min(max(log_e, -LARGEST_LOG_E), LARGEST_LOG_E)


def guard_worsening(
    treatment: RatioMoments,
    control: RatioMoments,
    *,
    margin: float,
    alpha: float,
    error_units: tuple[int, int],
    design_share: float,
) -> GuardResult:
    """Look at a ratio of unit totals whose increase is harm, such as errors per request.

    Args:
        treatment: Sums over the treatment's units: y events, d requests.
        control: Sums over the control's units.
        margin: Largest tolerated worsening >= 0, in events per request.
        alpha: Probability of a false alarm given to this guard for all of its looks.
        error_units: Units with at least one event, (treatment, control).
        design_share: Planned share of the treatment among the units of both variants, in (0, 1).

    Returns:
        The guard's word. Without units in both variants it is "insufficient" and no alarm.

    Raises:
        StatisticsError: A number is out of bounds.
    """
    not_negative("margin", margin, "the largest tolerated worsening")
    inside("alpha", alpha, 0.0, 1.0, "probability of a false alarm given to this guard")
    inside("design_share", design_share, 0.0, 1.0, "the treatment's planned share of the units of both variants")
    k_t = _events("treatment", error_units[0], treatment.n)
    k_c = _events("control", error_units[1], control.n)
    estimate = ratio_difference(treatment, control)
    few = k_t + k_c < FEW_EVENTS or min(treatment.n, control.n) < FEW_UNITS
    nothing = min(treatment.n, control.n, treatment.sd, control.sd) <= 0
    z = None if nothing else _score_z(treatment, control, exact(margin))
    method: Method
    if nothing:
        method, log_e, share = "insufficient", 0.0, 1.0
    elif few:
        method, share = "beta-binomial", _RARE_SHARE
        if margin == 0:
            log_e = log_e_which_variant(k_t, k_c, design_share)
        else:
            # At most this many more units meet an event than in the control: each event falls on one unit at most.
            allowed = margin * treatment.sd / treatment.n
            log_e = log_e_difference(k_t, treatment.n, k_c, control.n, allowed)
    else:
        method, share = "normal-mixture", 1 - _RARE_SHARE
        log_e = 0.0 if z is None else log_normal_mixture(z, effective_units(treatment.n, control.n))
    log_e = bounded(log_e)
    threshold = -math.log(alpha * share)
    worsening = None if method == "insufficient" else _worsening(treatment, control)
    return GuardResult(
        worsening=worsening,
        se=estimate.se if estimate else None,
        margin=margin,
        log_e=log_e,
        threshold_log=threshold,
        alarm=log_e >= threshold,
        method=method,
        z_non_inferiority=None if z is None or estimate is None else -z,
    )


def _score_z(treatment: RatioMoments, control: RatioMoments, margin: Fraction) -> float | None:
    """Standardised excess of the worsening over the margin, with the variance that holds *at* the margin.

    Residuals are taken about the ratios restricted to R_T = R_C + margin, and each variant's variance per unit is at
    least the pooled one: a variant in which nothing has happened yet has no variance of its own, and a small holdback
    beside a large treatment would alarm on that.
    """
    t, c = treatment, control
    ratio_c = (t.sy + c.sy - margin * t.sd) / Fraction(t.sd + c.sd)
    squares_t, squares_c = t.squared_residuals(ratio_c + margin), c.squared_residuals(ratio_c)
    pooled = (squares_t + squares_c) / (t.n + c.n)
    variance = max(squares_t, pooled * t.n) / (t.sd * t.sd) + max(squares_c, pooled * c.n) / (c.sd * c.sd)
    if variance <= 0:
        return None
    excess = Fraction(t.sy, t.sd) - Fraction(c.sy, c.sd) - margin
    return float(excess) / math.sqrt(variance)


def _worsening(treatment: RatioMoments, control: RatioMoments) -> float:
    return float(Fraction(treatment.sy, treatment.sd) - Fraction(control.sy, control.sd))


def _events(variant: str, units: int, n: int) -> int:
    units = count(f"error_units of the {variant}", units)
    return int(inside(f"error_units of the {variant}", units, -1, n + 1, "units with an event are among the units"))

"""The bounds of a look: what earlier looks used stays as the ledger has it, and this look adds one on each side."""

from __future__ import annotations

import math

from staged_rollout.evidence import BoundFigures, StopFigures
from staged_rollout.state import BoundRecord, RolloutState
from staged_rollout.stats import Bound, Design, Spending, next_bound
from staged_rollout.stats.futility import next_stop
from staged_rollout.stats.recursion import Looks
from staged_rollout.stats.rule import Rule

MIN_INCREMENT = 1e-4
"""Increment of information below which no look is taken."""
HARM_ALPHA_LIVE = 0.020
"""Primary harm in LIVE, one-sided; the bake has the rest of .025 (docs/statistics.md, harm budget)."""


def efficacy_bound(state: RolloutState, information: float, *, final: bool) -> BoundFigures | None:
    """The bound that z must reach to win; None when its information has not grown enough, or no alpha is left."""
    return _bound(state.efficacy_bounds(), information, _efficacy(state), final=final)


def harm_bound(state: RolloutState, information: float) -> BoundFigures | None:
    """The bound that -z must reach to roll back; None as for efficacy.

    Args:
        state: The rollout.
        information: On the clock of the plan as it was frozen: harm was tested by it before any re-estimation, and
            its bounds stay in order only on one clock.
    """
    return _bound(state.harm_bounds(), information, Spending("pocock", HARM_ALPHA_LIVE), final=False)


def futility_bound(state: RolloutState, efficacy: BoundFigures, *, last: bool) -> StopFigures | None:
    """The bound at or below which the candidate is given up; non-binding, so that efficacy does not count on it.

    Args:
        state: The rollout.
        efficacy: This look's efficacy bound.
        last: Whether no look follows; futility then equals the efficacy bound.

    Returns:
        The bound; None where futility is not asked for, when no beta has become free since the last one, or after a
        look at which it met the efficacy bound: the plan had ended there, and only a win that was blocked goes on.
    """
    spending = _futility(state)
    plan = state.plan
    if spending is None or plan is None or plan.drift is None:
        return None
    upper, lower = state.efficacy_bounds(), state.futility_bounds()
    spent = max((stop.beta_spent for stop in lower if stop is not None), default=0.0)
    ended = any(stop is not None and stop.z >= above.z for above, stop in zip(upper, lower, strict=True))
    if ended or spending.cumulative(efficacy.information) <= spent:
        return None
    looks = Looks(
        tuple(above.information for above in upper),
        tuple(above.z for above in upper),
        tuple(-math.inf if stop is None else stop.z for stop in lower),
    )
    bound = Bound(efficacy.look, efficacy.information, efficacy.z, efficacy.alpha_spent)
    found = next_stop(looks, spent, bound, spending, plan.drift, last=last)
    return StopFigures(look=efficacy.look, information=efficacy.information, z=found.z, beta_spent=found.beta_spent)


def design_with(
    state: RolloutState, efficacy: BoundFigures, futility: StopFigures | None = None, *, last: bool
) -> Design:
    """The efficacy looks so far and this one, as a design: what inference stands on. Harm does not enter.

    Args:
        state: The rollout before this look.
        efficacy: This look's efficacy bound.
        futility: This look's futility bound, where it has one.
        last: Whether no look follows.
    """
    used: tuple[BoundRecord | BoundFigures, ...] = (*state.efficacy_bounds(), efficacy)
    spending = _futility(state)
    stops = (*state.futility_bounds(), futility)
    return Design(
        Rule(_efficacy(state), futility=spending),
        information=tuple(bound.information for bound in used),
        efficacy=tuple(bound.z for bound in used),
        futility=tuple(-math.inf if stop is None else stop.z for stop in stops) if spending else None,
        alpha_spent=tuple(bound.alpha_spent for bound in used),
        ended=last,
    )


def _efficacy(state: RolloutState) -> Spending:
    return Spending("obrien-fleming", state.spec.success.alpha)


def _futility(state: RolloutState) -> Spending | None:
    kind, plan = state.spec.success.futility, state.plan
    if kind is None or plan is None or plan.beta is None:
        return None
    return Spending.parse(kind, plan.beta)


def _bound(
    frozen: tuple[BoundRecord, ...], information: float, spending: Spending, *, final: bool
) -> BoundFigures | None:
    """The next bound on this side; None when all of its alpha is spent, or its information has not grown enough."""
    spent = frozen[-1].alpha_spent if frozen else 0.0
    free = spending.alpha if final else spending.cumulative(information)
    # Records are rounded to 1e-9: what an early look has spent may stand rounded up above what is free by now.
    if frozen and free <= spent:
        return None
    if information - (frozen[-1].information if frozen else 0.0) < MIN_INCREMENT:
        return None
    past = [Bound(record.look, record.information, record.z, record.alpha_spent) for record in frozen]
    bound = next_bound(past, information, spending, final=final)
    return BoundFigures(look=bound.look, information=bound.information, z=bound.z, alpha_spent=bound.alpha_spent)

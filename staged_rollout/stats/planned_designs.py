"""Designs of planned looks: by spending functions or by classic constants, with futility, and with a power to have.

Efficacy above, on one side or on both; futility below, by spending beta, binding or not; harm below, with a spending
of its own.

Source: Lan and DeMets (1983), Biometrika 70, 659-663, for spending; O'Brien and Fleming (1979), Biometrics 35, 549-556,
and Pocock (1977), Biometrika 64, 191-199, for the constants; Pampallona, Tsiatis and Kim (2001), Drug Information
Journal 35, 1113-1121, for spending beta; Jennison and Turnbull (2000), ch. 2, 4 and 7.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal

from staged_rollout.errors import StatisticsError
from staged_rollout.stats.boundary import Bound, check_step, exit_probabilities
from staged_rollout.stats.designs import Design, grown, with_look
from staged_rollout.stats.inputs import inside
from staged_rollout.stats.rule import Classic, Rule
from staged_rollout.stats.solve import drift_of_power, root
from staged_rollout.stats.spending import Spending

OBRIEN_FLEMING = Spending("obrien-fleming", 0.025)


def design(
    information: Sequence[float],
    efficacy: Spending = OBRIEN_FLEMING,
    *,
    sides: Literal[1, 2] = 1,
    futility: Spending | None = None,
    binding: bool = False,
    harm: Spending | None = None,
    power: float | None = None,
    final: bool = False,
) -> Design:
    """Bounds from spending functions.

    Where power or futility is asked for and the looks end below information 1 without being final, one more look at 1
    is planned for, to find the drift; it is not among the design's looks.

    Args:
        information: Information fractions of the looks, rising by at least 1e-4; none follows the first that reaches 1.
        efficacy: Spends alpha per side above (and below, with two sides).
        sides: 1 or 2; alpha is per side either way.
        futility: Spends beta below, its `alpha` standing for beta; the design then has power 1 - beta.
        binding: Whether futility bounds must be obeyed: efficacy bounds are then lower, and crossing futility without
            stopping costs the type-I error.
        harm: Spends an alpha of its own below.
        power: Power to have, where there is no futility: gives `drift` and `inflation`.
        final: Whether the last look is the last one whatever its information.

    Returns:
        The design.

    Raises:
        StatisticsError: A number is out of bounds, or options do not go together.

    >>> print(design((0.5, 1.0), futility=Spending("obrien-fleming", 0.1)))
    look  information  efficacy  futility  alpha_spent  beta_spent
       1          0.5   2.96259  0.267025   0.00152532   0.0200093
       2            1    1.9686    1.9686        0.025         0.1
    """
    rule = Rule(efficacy, sides=sides, futility=futility, binding=binding, harm=harm)
    planned = _planned(information, final=final)
    if futility is None and power is None:
        return _walk(Design(rule), planned[: len(information)], final=final)
    if binding:
        found = _with_power(lambda drift: _walk(Design(rule, drift=drift), planned, final=True), rule, power)
    else:
        # The efficacy bounds count on no lower bound: they are the same at every drift.
        bare = _walk(Design(replace(rule, futility=None)), planned, final=True)
        found = _with_power(lambda drift: _over(bare, Design(rule, drift=drift)), rule, power)
    return found if len(planned) == len(information) else _first(found, len(information))


def classic_design(
    information: Sequence[float],
    kind: Classic = "obrien-fleming",
    alpha: float = 0.025,
    *,
    sides: Literal[1, 2] = 1,
    futility: Spending | None = None,
    binding: bool = False,
    harm: Spending | None = None,
    power: float | None = None,
) -> Design:
    """Classic bounds: one constant C for all looks, c_k = C sqrt(t_K / t_k) (O'Brien-Fleming) or c_k = C (Pocock).

    C is found for the looks given, equal or not. All looks must be planned beforehand.

    Args:
        information: Information fractions of all looks, rising by at least 1e-4.
        kind: `obrien-fleming` or `pocock`.
        alpha: Type I error probability of one side.
        sides: 1 or 2.
        futility: As in `design`.
        binding: As in `design`.
        harm: As in `design`.
        power: As in `design`.

    Returns:
        The design; its alpha_spent is what the bounds happen to spend.

    Raises:
        StatisticsError: As `design`.

    >>> [round(z, 4) for z in classic_design((0.2, 0.4, 0.6, 0.8, 1.0), sides=2).efficacy]
    [4.5617, 3.2256, 2.6337, 2.2809, 2.0401]
    """
    rule = Rule(Spending("pocock", alpha), sides=sides, classic=kind, futility=futility, binding=binding, harm=harm)
    planned = _planned(information, final=True)
    weights = [math.sqrt(planned[-1] / t) if kind == "obrien-fleming" else 1.0 for t in planned]

    def at(drift: float | None) -> Design:
        empty = Design(rule, drift=drift)

        def bounded(constant: float) -> Design:
            looks = zip(planned, weights, strict=True)
            return _over_bounds([Bound(k, t, constant * w, 0.0) for k, (t, w) in enumerate(looks, start=1)], empty)

        def room(constant: float) -> float:
            tried = bounded(constant)
            stops = exit_probabilities(tried.information, tried.efficacy, tried.stopping)
            return math.log(alpha) - math.log(float(stops.upper.sum()))

        found = bounded(root(room, 0.5 * rule.fixed_z, 2.0 * rule.fixed_z))
        stops = exit_probabilities(found.information, found.efficacy, found.stopping)
        return replace(found, alpha_spent=tuple(stops.upper.cumsum().tolist()))

    return at(None) if futility is None and power is None else _with_power(at, rule, power)


def _with_power(at: Callable[[float | None], Design], rule: Rule, power: float | None) -> Design:
    """The design at the drift where it has its power."""
    if rule.futility is not None:
        wanted = 1.0 - rule.futility.alpha
        if power is not None and abs(power - wanted) > 1e-12:
            message = f"power == {power} and beta == {rule.futility.alpha}, must add up to 1"
            raise StatisticsError(message, hint="futility spends beta: leave power out", power=power)
    else:
        wanted = inside("power", 0.0 if power is None else power, rule.efficacy.alpha, 1.0, "such as 0.8")
    fixed = rule.fixed_z + rule.z_of(wanted)
    if rule.futility is None:
        found = at(None)
        drift = drift_of_power(found.power, wanted, fixed / math.sqrt(found.information[-1]))
    else:

        def power_at(drift: float) -> float:
            try:
                return at(drift).power(drift)
            except StatisticsError:
                return 1.0  # binding futility leaves fewer than alpha is to be spent on: the drift is too high

        drift = drift_of_power(power_at, wanted, fixed)
        found = at(drift)
    return replace(found, drift=drift, inflation=found.information[-1] * (drift / fixed) ** 2)


def _walk(empty: Design, planned: Sequence[float], *, final: bool) -> Design:
    walked = empty
    for k, t in enumerate(planned, start=1):
        walked = grown(walked, t, final=final and k == len(planned))
        if walked.ended and final:
            break
    return walked


def _over(bare: Design, empty: Design) -> Design:
    """Futility below the efficacy bounds of a design without it."""
    looks = zip(bare.information, bare.efficacy, bare.alpha_spent, strict=True)
    return _over_bounds([Bound(k, *look) for k, look in enumerate(looks, start=1)], empty)


def _over_bounds(bounds: Sequence[Bound], empty: Design) -> Design:
    found = empty
    for bound in bounds:
        found = with_look(found, bound, last=bound is bounds[-1])
        if found.ended:
            break
    return found


def _planned(information: Sequence[float], *, final: bool) -> tuple[float, ...]:
    if not information:
        raise StatisticsError("no information fractions, must be at least one", hint="such as 0.2,0.4,0.6,0.8,1")
    earlier = 0.0
    for t in information:
        check_step(earlier, t)
        if earlier >= 1:
            message = f"information {t} after {earlier}, must not follow a look at information >= 1"
            raise StatisticsError(message, hint="the first look at information >= 1 is the final one", information=t)
        earlier = t
    planned = tuple(float(t) for t in information)
    return planned if final or planned[-1] >= 1 else (*planned, 1.0)


def _first(whole: Design, k: int) -> Design:
    """The first k looks of a design that goes on."""
    return replace(
        whole,
        information=whole.information[:k],
        efficacy=whole.efficacy[:k],
        futility=whole.futility and whole.futility[:k],
        harm=whole.harm and whole.harm[:k],
        alpha_spent=whole.alpha_spent[:k],
        beta_spent=whole.beta_spent and whole.beta_spent[:k],
        ended=False,
    )

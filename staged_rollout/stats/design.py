"""A group-sequential design: the bounds of its looks, what they have spent, and what it can find.

Efficacy above, on one side or on both; futility below, by spending beta, binding or not; harm below, with a spending
of its own. A design grows by one look at a time, and its earlier bounds stay as they were.

Source: Lan and DeMets (1983), Biometrika 70, 659-663, for spending; O'Brien and Fleming (1979), Biometrics 35, 549-556,
and Pocock (1977), Biometrika 64, 191-199, for the constants; Pampallona, Tsiatis and Kim (2001), Drug Information
Journal 35, 1113-1121, for spending beta; Jennison and Turnbull (2000), ch. 2, 4 and 7.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from staged_rollout.errors import StatisticsError
from staged_rollout.stats.boundary import Bound, Exits, check_step, exit_probabilities, next_bound, next_upper
from staged_rollout.stats.futility import next_stop
from staged_rollout.stats.inputs import inside
from staged_rollout.stats.recursion import Looks
from staged_rollout.stats.results import Result
from staged_rollout.stats.rule import Classic, Rule
from staged_rollout.stats.solve import drift_of_power, root
from staged_rollout.stats.spending import Spending

OBRIEN_FLEMING = Spending("obrien-fleming", 0.025)


@dataclass(frozen=True)
class Design(Result):
    """The looks of a group-sequential test, in order, shape (K,) each; z is positive in the good direction.

    Args:
        rule: What the bounds follow from.
        information: Information fractions t_k; above 1 where the last look over-ran.
        efficacy: z at or above wins; with two sides z at or below its negative loses.
        futility: z at or below gives up; equal to the efficacy bound at the last look; None without.
        harm: z at or below is harm; the efficacy bounds do not count on it; None without.
        alpha_spent: Alpha of one side spent so far.
        beta_spent: Beta spent so far, at the drift planned for; None without futility.
        drift: E[Z] at t = 1 planned for, where the design has its power; None when no power was asked for.
        inflation: Information at the planned end over that of a fixed test of the same alpha and power; None as drift.
        ended: Whether the last look was final.
    """

    rule: Rule
    information: tuple[float, ...] = ()
    efficacy: tuple[float, ...] = ()
    futility: tuple[float, ...] | None = None
    harm: tuple[float, ...] | None = None
    alpha_spent: tuple[float, ...] = ()
    beta_spent: tuple[float, ...] | None = None
    drift: float | None = None
    inflation: float | None = None
    ended: bool = False

    def __len__(self) -> int:
        """How many looks there are."""
        return len(self.information)

    @property
    def alpha(self) -> float:
        """Alpha of one side."""
        return self.rule.efficacy.alpha

    @property
    def sides(self) -> Literal[1, 2]:
        """1: a win is looked for; 2: a loss too, at the mirrored bounds."""
        return self.rule.sides

    @property
    def binding(self) -> bool:
        """Whether crossing a futility bound must stop the test."""
        return self.rule.binding

    @property
    def lower(self) -> tuple[float, ...] | None:
        """What stops the test below: futility, or the other side's efficacy bounds; None when nothing does."""
        return tuple(-z for z in self.efficacy) if self.sides == 2 else self.futility

    @property
    def stopping(self) -> tuple[float, ...] | None:
        """The lower bounds that the alpha counts on: as `lower`, but for futility that may be overruled."""
        return self.lower if self.sides == 2 or self.binding else None

    def rows(self) -> Sequence[Mapping[str, Any]]:
        """One row per look: its number, information, bounds, and what was spent."""
        columns = {
            "information": self.information,
            "efficacy": self.efficacy,
            "futility": self.futility,
            "harm": self.harm,
            "alpha_spent": self.alpha_spent,
            "beta_spent": self.beta_spent,
        }
        shown = {name: column for name, column in columns.items() if column is not None}
        return [{"look": k + 1} | {name: column[k] for name, column in shown.items()} for k in range(len(self))]

    def exits(self, drift: float = 0.0) -> Exits:
        """Probability of stopping first at each look, above and below; futility counts as a stop, binding or not.

        Args:
            drift: E[Z] at t = 1; 0 under the null hypothesis.
        """
        return exit_probabilities(self.information, self.efficacy, self.lower, drift)

    def power(self, drift: float) -> float:
        """Probability to win at some look, when E[Z] = drift at t = 1."""
        return min(1.0, float(self.exits(drift).upper.sum()))

    def expected_information(self, drift: float) -> float:
        """Expected information fraction at the stop, when E[Z] = drift at t = 1.

        Source: Jennison and Turnbull (2000), section 2.4 (expected sample size).
        """
        stops = self.exits(drift)
        here = stops.upper + stops.lower
        last = self.information[-1]
        # What has not stopped goes to the last look.
        return last + math.fsum((t - last) * p for t, p in zip(self.information, here.tolist(), strict=True))

    def appended(self, information: float, *, final: bool = False) -> Design:
        """The design with one more look; its earlier bounds stay as they are, to the last bit.

        Args:
            information: Information fraction of the look; from 1 on it is the last one.
            final: Whether it is the last one whatever its information, decided without reference to the effect.

        Raises:
            StatisticsError: The information does not rise by at least 1e-4, the design has ended, or its bounds are
            constants of all planned looks together.
        """
        if self.rule.classic:
            raise StatisticsError(
                f"a look at {information} after {len(self)} with classic constants, must be planned with them",
                hint="bounds that can grow look by look come from a spending function",
                information=information,
            )
        return _grown(self, information, final=final)


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


def _grown(before: Design, t: float, *, final: bool) -> Design:
    """One look more, from the spending functions."""
    if before.ended:
        message = f"a look at {t} after the final one at {before.information[-1]}, must not follow it"
        raise StatisticsError(message, hint="a design ends with its first look at information >= 1", information=t)
    looks = Looks(before.information, before.efficacy, before.stopping or (-math.inf,) * len(before))
    spent = before.alpha_spent[-1] if before.alpha_spent else 0.0
    bound = next_upper(looks, spent, t, before.rule.efficacy, final=final)
    return _with_look(before, bound, last=final or t >= 1)


def _walk(empty: Design, planned: Sequence[float], *, final: bool) -> Design:
    grown = empty
    for k, t in enumerate(planned, start=1):
        grown = _grown(grown, t, final=final and k == len(planned))
        if grown.ended and final:
            break
    return grown


def _over(bare: Design, empty: Design) -> Design:
    """Futility below the efficacy bounds of a design without it."""
    looks = zip(bare.information, bare.efficacy, bare.alpha_spent, strict=True)
    return _over_bounds([Bound(k, *look) for k, look in enumerate(looks, start=1)], empty)


def _over_bounds(bounds: Sequence[Bound], empty: Design) -> Design:
    grown = empty
    for bound in bounds:
        grown = _with_look(grown, bound, last=bound is bounds[-1])
        if grown.ended:
            break
    return grown


def _with_look(before: Design, bound: Bound, *, last: bool) -> Design:
    rule = before.rule
    stop = None
    if rule.futility is not None and before.drift is not None:
        looks = Looks(before.information, before.efficacy, before.futility or ())
        spent = before.beta_spent[-1] if before.beta_spent else 0.0
        stop = next_stop(looks, spent, bound, rule.futility, before.drift, last=last)
    return replace(
        before,
        information=(*before.information, bound.information),
        efficacy=(*before.efficacy, bound.z),
        alpha_spent=(*before.alpha_spent, bound.alpha_spent),
        futility=None if stop is None else (*(before.futility or ()), stop.z),
        beta_spent=None if stop is None else (*(before.beta_spent or ()), stop.beta_spent),
        harm=None if rule.harm is None else (*(before.harm or ()), _harm_bound(before, rule.harm, bound.information)),
        ended=last or (stop is not None and stop.z >= bound.z),
    )


def _harm_bound(before: Design, spending: Spending, t: float) -> float:
    looks = zip(before.information, before.harm or (), strict=True)
    past = [Bound(k, earlier, -z, spending.cumulative(earlier)) for k, (earlier, z) in enumerate(looks, start=1)]
    return -next_bound(past, t, spending).z


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

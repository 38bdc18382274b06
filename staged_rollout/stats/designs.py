"""A group-sequential design: the bounds of its looks, what they have spent, and what it can find.

A design grows by one look at a time, and its earlier bounds stay as they were.

Source: Lan and DeMets (1983), Biometrika 70, 659-663; Jennison and Turnbull (2000), ch. 2, 4 and 7.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from staged_rollout.errors import StatisticsError
from staged_rollout.stats.boundary import Bound, Exits, exit_probabilities, next_bound, next_upper
from staged_rollout.stats.futility import next_stop
from staged_rollout.stats.recursion import Looks
from staged_rollout.stats.results import Result
from staged_rollout.stats.rule import Rule
from staged_rollout.stats.spending import Spending


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
        return grown(self, information, final=final)


def grown(before: Design, t: float, *, final: bool) -> Design:
    """One look more, from the spending functions.

    Raises:
        StatisticsError: The design has ended, or as `next_bound`.
    """
    if before.ended:
        message = f"a look at {t} after the final one at {before.information[-1]}, must not follow it"
        raise StatisticsError(message, hint="a design ends with its first look at information >= 1", information=t)
    looks = Looks(before.information, before.efficacy, before.stopping or (-math.inf,) * len(before))
    spent = before.alpha_spent[-1] if before.alpha_spent else 0.0
    bound = next_upper(looks, spent, t, before.rule.efficacy, final=final)
    return with_look(before, bound, last=final or t >= 1)


def with_look(before: Design, bound: Bound, *, last: bool) -> Design:
    """One look more at a given efficacy bound, with the futility and harm bounds that its rule asks for."""
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

"""The worlds that rollouts are simulated in, and the law of each: data only. Another one is a few lines."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from tests.fakes.simulated_rollout import Lived, Scenario
from tests.fakes.simulated_traffic import Population


@dataclass(frozen=True)
class Law:
    """How often something may, or must, happen.

    Attributes:
        says: What is counted.
        holds: Whether it happened in a rollout.
        at_most: Largest probability; None: no such law.
        at_least: Smallest probability; None: no such law. With neither it is only reported.
    """

    says: str
    holds: Callable[[Scenario, Lived], bool]
    at_most: float | None = None
    at_least: float | None = None


@dataclass(frozen=True)
class Case:
    """A scenario with the laws that its rollouts keep."""

    scenario: Scenario
    laws: tuple[Law, ...]


@dataclass(frozen=True)
class Tally:
    """How often it happened, over many rollouts.

    Attributes:
        law: What was counted.
        count: Rollouts in which it happened.
        runs: All rollouts.
    """

    law: Law
    count: int
    runs: int

    @property
    def share(self) -> float:
        """The simulated probability."""
        return self.count / self.runs

    @property
    def error(self) -> float:
        """Its Monte-Carlo standard error; never 0, as one more rollout could have been different."""
        share = (self.count + 0.5) / (self.runs + 1.0)
        return math.sqrt(share * (1.0 - share) / self.runs)

    @property
    def excess(self) -> float:
        """By how many standard errors the law is missed, judged at its limit; 0 or less: it is kept."""
        excess = []
        for limit, sign in ((self.law.at_most, 1.0), (self.law.at_least, -1.0)):
            if limit is not None:
                excess.append(sign * (self.share - limit) / math.sqrt(limit * (1.0 - limit) / self.runs))
        return max(excess, default=0.0)


def tallied(case: Case, lived: Iterable[Lived]) -> tuple[Tally, ...]:
    """Every law of a case, counted over rollouts."""
    runs = tuple(lived)
    return tuple(Tally(law, sum(law.holds(case.scenario, one) for one in runs), len(runs)) for law in case.laws)


def won(_: Scenario, lived: Lived) -> bool:
    """LIVE ended with a win."""
    return lived.won


def harmed(_: Scenario, lived: Lived) -> bool:
    """It was rolled back for harm, whichever test said so."""
    return bool(lived.harmed_by)


def harmed_by_success(_: Scenario, lived: Lived) -> bool:
    """It was rolled back for harm to the success metric in LIVE."""
    return lived.harmed_by == "success"


def harmed_by_guardrail(_: Scenario, lived: Lived) -> bool:
    """A guardrail's guard rolled it back."""
    return lived.harmed_by == "guardrail"


def harmed_while_baking(_: Scenario, lived: Lived) -> bool:
    """The bake's guard of the success metric rolled it back."""
    return lived.harmed_by == "bake"


def covered_at_every_look(scenario: Scenario, lived: Lived) -> bool:
    """Every repeated interval of an efficacy look holds the true difference."""
    return all(_covers(scenario, look) for look in lived.efficacy)


def covered_at_the_decision(scenario: Scenario, lived: Lived) -> bool:
    """The interval of the last look holds the true difference."""
    return _covers(scenario, lived.looks[-1])


def _covers(scenario: Scenario, look: Any) -> bool:
    return look.interval is None or look.interval[0] <= scenario.population.effect <= look.interval[1]


def covered_after_stopping(scenario: Scenario, lived: Lived) -> bool:
    """The stage-wise interval of the first stop holds the true difference; rollouts without one count as covered."""
    found = lived.looks[-1].stage_wise
    return found is None or found.interval[0] <= scenario.population.effect <= found.interval[1]


def estimated_below(scenario: Scenario, lived: Lived) -> bool:
    """The median-unbiased estimate of the first stop lies at or below the true difference."""
    found = lived.looks[-1].stage_wise
    return found is not None and found.estimate <= scenario.population.effect


def gave_up(_: Scenario, lived: Lived) -> bool:
    """A futility bound ended LIVE before its final look."""
    return bool(lived.looks) and lived.looks[-1].futile


def planned_anew(_: Scenario, lived: Lived) -> bool:
    """The sample size was estimated again."""
    plan = lived.state.plan
    return plan is not None and lived.state.n_eff_max != plan.n_eff_max


def peeked(_: Scenario, lived: Lived) -> bool:
    """What nobody should do: a level of 5% at any look."""
    return any(look.success.z is not None and look.success.z > 1.644854 for look in lived.efficacy)


def guardrail(margin: float) -> dict[str, Any]:
    """A rollout file's guardrails: the error rate alone."""
    return {"error_rate": {"worse_by": {"value": margin, "kind": "absolute"}}}


ALPHA = 0.025
HARM, HARM_SUCCESS, HARM_BAKE, HARM_GUARDRAILS = 0.05, 0.020, 0.005, 0.025
NO_FALSE_WIN = (Law("false win", won, at_most=ALPHA), Law("false rollback for harm", harmed, at_most=HARM))
UNPROVEN = (
    Law("win with a guardrail at its margin", won, at_most=ALPHA),
    Law("false rollback by a guardrail", harmed_by_guardrail, at_most=HARM_GUARDRAILS),
)
COVERED = (
    Law("repeated intervals of all looks cover", covered_at_every_look, at_least=1 - 2 * ALPHA),
    Law("interval of the decision covers", covered_at_the_decision, at_least=1 - 2 * ALPHA),
)
STOPPED = (
    Law("stage-wise interval of the stop covers", covered_after_stopping, at_least=1 - 2 * ALPHA),
    Law("median-unbiased estimate below the truth", estimated_below, at_least=0.5, at_most=0.5),
)
CLUSTERED = {"requests": 20.0, "returns": 0.1, "icc": 0.3}
RETURNING = {"units_per_day": 150, "requests": 3.0, "returns": 3.0, "pool": 600, "visits": 0.7}
BETTER = (0.6, 0.9)

NULLS = tuple(
    Case(scenario, NO_FALSE_WIN)
    for scenario in (
        Scenario("no effect"),
        Scenario("baseline .60 planned, .85 true", Population(success=(0.85, 0.85)), {"success": {"baseline": 0.6}}),
        Scenario("baseline .85 planned, .60 true", Population(success=(0.6, 0.6)), {"success": {"baseline": 0.85}}),
        Scenario("four of ten runs missed", missed=0.4),
        Scenario("returning users", Population(**RETURNING, icc=0.1)),
        Scenario("fallbacks on 5% of requests", Population(fallbacks=0.05)),
        Scenario("20 clustered requests a unit", Population(**CLUSTERED)),
        Scenario("late and missing outcomes", Population(late=0.15, missing=0.1)),
        Scenario("split 80:20", Population(units_per_day=500), {"stages": {"live": {"split": [0.8, 0.2]}}}),
        Scenario(
            "lower is better", Population(success=(0.2, 0.2)), {"success": {"better": "lower", "baseline": 0.196}}
        ),
        Scenario("a third of the planned traffic", Population(units_per_day=110)),
        Scenario("four times the planned traffic", Population(units_per_day=1400)),
        Scenario("no effect, futility", spec={"success": {"futility": "obrien-fleming"}}),
        Scenario(
            "no worse than a margin of 8 pp: worse by that",
            Population(success=(0.8, 0.8 - 0.08 / 0.98)),
            {"success": {"mde": None, "better_or_equal": {"value": 0.08, "kind": "absolute"}}},
        ),
    )
)
"""No effect of the candidate: promotion at most at alpha, rollback for harm at most at its budget."""

PLANNED_ANEW = Case(
    Scenario(
        "planned anew, blinded, from a wrong baseline",
        Population(success=(0.55, 0.55)),
        {
            "success": {"baseline": 0.9, "reestimate": "blinded"},
            "stages": {"live": {"min": "2d", "max": "4d"}},
        },
    ),
    (*NO_FALSE_WIN, Law("planned anew", planned_anew, at_least=0.9)),
)
"""The baseline that the plan was made for is far off; the pooled rate, without labels, corrects it once."""

AT_THE_MARGIN = tuple(
    Case(scenario, UNPROVEN)
    for scenario in (
        Scenario(
            "guardrail at its margin", Population(success=BETTER, fallbacks=0.03), {"guardrails": guardrail(0.03)}
        ),
        Scenario(
            "at its margin, clustered requests",
            Population(success=BETTER, fallbacks=0.03, **CLUSTERED),
            {"guardrails": guardrail(0.03)},
        ),
        Scenario(
            "at its margin, returning users",
            Population(success=BETTER, fallbacks=0.03, **RETURNING),
            {"guardrails": guardrail(0.03)},
        ),
        Scenario(
            "at its margin, no errors of the champion",
            Population(success=BETTER, failures=(0.0, 0.0), fallbacks=0.03),
            {"guardrails": guardrail(0.03)},
        ),
    )
)
"""A real gain, bought with exactly the worsening that is tolerated at most: neither proven safe nor harmful."""

WHOLE: tuple[Case, ...] = (
    Case(
        Scenario(
            "harmless, no effect, to the end",
            Population(units_per_day=350, requests=3.0, returns=2.0, icc=0.1),
            {"guardrails": guardrail(0.02)},
            ticks=4,
            whole=True,
        ),
        NO_FALSE_WIN,
    ),
    Case(
        Scenario(
            "guardrail at its margin, to the end",
            Population(success=BETTER, fallbacks=0.02, requests=3.0, returns=2.0, icc=0.1),
            {"guardrails": guardrail(0.02)},
            ticks=4,
            whole=True,
        ),
        UNPROVEN,
    ),
    Case(
        Scenario(
            "the effect ends with LIVE",
            Population(success=(0.6, 0.9), later=0.6, requests=2.0, returns=2.0),
            ticks=4,
            whole=True,
        ),
        (
            Law("false rollback while baking", harmed_while_baking, at_most=HARM_BAKE),
            Law("false rollback for harm", harmed, at_most=HARM),
            Law("win", won),
        ),
    ),
)
"""From the first canary step to the end: what all tests of harm together do."""

EFFECTS: tuple[Case, ...] = (
    Case(
        Scenario("effect of the MDE", Population(success=(0.8, 0.8 + 0.08 / 0.98))),
        (Law("win", won, at_least=0.8), *COVERED, *STOPPED),
    ),
    Case(
        Scenario(
            "effect of the MDE, futility",
            Population(success=(0.8, 0.8 + 0.08 / 0.98)),
            {"success": {"futility": "obrien-fleming"}},
        ),
        (Law("win", won, at_least=0.8), Law("given up early", gave_up, at_most=0.2)),
    ),
    Case(
        Scenario(
            "no worse than a margin of 8 pp: as good",
            Population(),
            {"success": {"mde": None, "better_or_equal": {"value": 0.08, "kind": "absolute"}}},
        ),
        (Law("win", won, at_least=0.8), *COVERED),
    ),
    Case(Scenario("half of the MDE", Population(success=(0.8, 0.84))), (Law("win", won), *COVERED, *STOPPED)),
    Case(
        Scenario("success worse by 15 pp", Population(success=(0.8, 0.65))),
        (Law("rollback for harm", harmed, at_least=0.9), Law("win", won, at_most=0.001), *COVERED),
    ),
    Case(
        Scenario(
            "errors worse by 10 pp",
            Population(success=(0.8, 0.85), failures=(0.02, 0.12), requests=3.0, icc=0.1),
            {"guardrails": guardrail(0.01)},
            ticks=4,
            whole=True,
        ),
        (Law("rollback for harm", harmed, at_least=0.95), Law("win", won, at_most=0.001)),
    ),
)
"""Real effects: power, coverage, and harm that must be found."""

FORTNIGHT = {"stages": {"live": {"min": "7d", "max": "14d"}}, "success": {"mde": {"value": 0.05, "kind": "absolute"}}}
"""A plan as people write it: harm is tested on 14 days, efficacy on 8."""
SAME_USERS = {"units_per_day": 60, "pool": 1500, "visits": 2.0}
"""Nearly everybody is met on the first days and comes back on all: the guardrail learns without new units."""

LONG: tuple[Case, ...] = (
    Case(Scenario("14 days, no effect", Population(units_per_day=300), FORTNIGHT), NO_FALSE_WIN),
    Case(
        Scenario(
            "14 days, effect of the MDE", Population(units_per_day=300, success=(0.8, 0.8 + 0.05 / 0.98)), FORTNIGHT
        ),
        (Law("win", won, at_least=0.8), *COVERED, *STOPPED),
    ),
    Case(
        Scenario(
            "14 days, at its margin, the same users on all days",
            Population(fallbacks=0.02, success=BETTER, **SAME_USERS),
            FORTNIGHT | {"guardrails": guardrail(0.02)},
        ),
        UNPROVEN,
    ),
    Case(
        Scenario(
            "14 days, no effect, small margin, the same users",
            Population(fallbacks=0.005, **SAME_USERS),
            FORTNIGHT | {"guardrails": guardrail(0.005), "success": {"mde": {"value": 0.02, "kind": "absolute"}}},
        ),
        (Law("false rollback by a guardrail", harmed_by_guardrail, at_most=HARM_GUARDRAILS / 3),),
    ),
    Case(
        Scenario(
            "14 days, two guardrails at their margins",
            Population(
                success=BETTER, fallbacks=0.02, slow_ms=100.0, slower_ms=20.0, requests=3.0, returns=3.0, icc=0.1
            ),
            FORTNIGHT
            | {
                "guardrails": guardrail(0.02) | {"latency_p95": {"worse_by": {"value": 20.0, "kind": "ms"}}},
            },
        ),
        UNPROVEN,
    ),
)
"""Two weeks of LIVE, for the script: too long for a test."""

CASES = (*NULLS, PLANNED_ANEW, *AT_THE_MARGIN, *WHOLE, *EFFECTS, *LONG)

"""Laws of whole rollouts, simulated through the real `gather()`, `decide()` and ledger; fixed seeds.

Each law is judged at four Monte-Carlo standard errors. `benchmarks/simulate_rollouts.py` runs the same worlds, and
longer ones, by the thousand.
"""

from __future__ import annotations

import math

import pytest

from staged_rollout.state import State
from tests.fakes.rollout_scenarios import (
    AT_THE_MARGIN,
    EFFECTS,
    NO_FALSE_WIN,
    NULLS,
    PLANNED_ANEW,
    UNPROVEN,
    WHOLE,
    Case,
    Law,
    guardrail,
    peeked,
    tallied,
)
from tests.fakes.simulated_rollout import Scenario, live_through
from tests.fakes.simulated_traffic import Population

pytestmark = pytest.mark.slow

RUNS = 60
"""Of each null world; together they are more than 800."""
TOO_FAR = 4.0


_LIVED = {}
"""Rollouts by the scenario's name: what several laws are about is simulated once."""


def lived(scenario, runs):
    if (scenario.name, runs) not in _LIVED:
        _LIVED[scenario.name, runs] = [live_through(scenario, seed) for seed in range(runs)]
    return _LIVED[scenario.name, runs]


def together(cases, laws, runs):
    """Tallies over the rollouts of several worlds: each keeps the law, so all together do, with a smaller error."""
    everything = [(case.scenario, one) for case in cases for one in lived(case.scenario, runs)]
    for law in laws:
        count = sum(law.holds(scenario, one) for scenario, one in everything)
        yield law, count, len(everything)


def too_far(limit, runs):
    """The largest count that chance explains."""
    return limit * runs + TOO_FAR * math.sqrt(limit * (1 - limit) * runs)


def ids(cases):
    return [case.scenario.name for case in cases]


@pytest.mark.parametrize("case", [*NULLS, PLANNED_ANEW], ids=ids([*NULLS, PLANNED_ANEW]))
def test_without_an_effect_each_world_keeps_its_budgets(case):
    """Law: promotion at most at .025 and rollback for harm at most at .05, whatever is wrong with plan or traffic."""
    for tally in tallied(case, lived(case.scenario, RUNS)):
        assert tally.excess <= TOO_FAR, f"{tally.law.says}: {tally.count} of {tally.runs}"


def test_without_an_effect_all_worlds_together_promote_at_most_at_alpha():
    """Law: as above, over all null worlds: a rate of .05, which peeking has, would be found."""
    for law, count, runs in together([*NULLS, PLANNED_ANEW], NO_FALSE_WIN, RUNS):
        assert count <= too_far(law.at_most, runs), f"{law.says}: {count} of {runs}"


def test_the_simulation_finds_bounds_that_are_too_low():
    """Law: z > 1.645 at any of three looks wins too often; a product that did so would fail here."""
    law = Law("peeked", peeked, at_most=0.025)
    worlds = [case for case in NULLS if "margin" not in case.scenario.name]
    ((_, count, runs),) = together(worlds, [law], RUNS)
    assert count > too_far(0.025, runs)


@pytest.mark.parametrize("case", AT_THE_MARGIN, ids=ids(AT_THE_MARGIN))
def test_a_gain_with_a_guardrail_at_its_margin_is_not_promoted(case):
    """Law: intersection-union, each part with alpha undivided.

    A true worsening of exactly the margin passes in at most .025 of rollouts although the success metric always wins;
    nor does its guard alarm in more.
    """
    runs = 20 if "clustered" in case.scenario.name else 80
    for tally in tallied(case, lived(case.scenario, runs)):
        assert tally.excess <= TOO_FAR, f"{tally.law.says}: {tally.count} of {tally.runs}"


def test_all_worlds_at_the_margin_together_promote_at_most_at_alpha():
    for law, count, runs in together([c for c in AT_THE_MARGIN if "clustered" not in c.scenario.name], UNPROVEN, 80):
        assert count <= too_far(law.at_most, runs), f"{law.says}: {count} of {runs}"


@pytest.mark.parametrize("case", WHOLE, ids=ids(WHOLE))
def test_the_harm_budget_holds_from_canary_to_the_end(case):
    """Law: all tests of harm together, read four times a day from canary to bake, stay within budget."""
    for tally in tallied(case, lived(case.scenario, 50)):
        assert tally.excess <= TOO_FAR, f"{tally.law.says}: {tally.count} of {tally.runs}"


def test_an_effect_that_ends_with_live_is_promoted_through_every_stage():
    """The worlds that are followed to the end do get there: a budget that nobody could spend would prove nothing."""
    (case,) = (case for case in WHOLE if case.scenario.name == "the effect ends with LIVE")
    ends = [one.state for one in lived(case.scenario, 50)]
    assert sum(state.state is State.PROMOTED for state in ends) >= 45
    assert {State.CANARY, State.LIVE, State.PROMOTING, State.BAKING} <= {stay.state for stay in ends[0].stages}


@pytest.mark.parametrize("case", EFFECTS, ids=ids(EFFECTS))
def test_power_coverage_and_harm_under_an_effect(case):
    """Law: planned power at the MDE, coverage of 1 - 2 alpha, and harm is found.

    Repeated intervals cover the true difference at all looks together, the stage-wise one at the stop (Jennison and
    Turnbull 2000, ch. 8 and 9).
    """
    for tally in tallied(case, lived(case.scenario, 100)):
        assert tally.excess <= TOO_FAR, f"{tally.law.says}: {tally.count} of {tally.runs}"


def test_great_harm_is_rolled_back_within_a_day():
    """Law: a candidate that fails on every fifth request more is out before it gets to LIVE, in most rollouts."""
    scenario = Scenario(
        "errors worse by 20 pp",
        Population(success=(0.8, 0.85), failures=(0.02, 0.22), requests=3.0, icc=0.1),
        {"guardrails": guardrail(0.01)},
        ticks=4,
        whole=True,
    )
    found = lived(scenario, 40)
    assert sum(one.harmed_in is State.CANARY and one.days <= 1.0 for one in found) >= 32


def test_a_seed_names_a_rollout():
    """Law: the same seed gives the same events, to the hash; another one gives others."""
    scenario = Scenario("again")
    hashes = [live_through(scenario, seed).state.prefix_hash for seed in (5, 5, 6)]
    assert hashes[0] == hashes[1] != hashes[2]


def test_tallies_tell_a_broken_law():
    """A law that is missed has a positive excess, in standard errors at its limit, and a kept one has none."""
    case = Case(Scenario("counted"), (Law("always", lambda *_: True, at_most=0.5), Law("never", lambda *_: False)))
    always, never = tallied(case, lived(case.scenario, 4))
    assert (1.0, 2.0) == (always.share, always.excess)
    assert (0.0, 0.0) == (never.share, never.excess)

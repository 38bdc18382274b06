"""A whole rollout through the real operations, from the canary to its end, over simulated traffic.

`gather`, `decide_on`, `act_on` and `reconcile` are the real ones, with the real ledger events and fold; the clock
ticks, and the lake answers from `simulated_lake`. Nothing is approximated above the rows, so what is counted here is
what the product does: bounds, holds, guards, precedence, missed looks, stays and their own shares of alpha.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np

from staged_rollout.assignment import AssignmentDocument, VariantRef
from staged_rollout.evidence import Evidence, LookFigures
from staged_rollout.operations.decide import act_on, decide_on
from staged_rollout.operations.journal import load
from staged_rollout.operations.look import gather
from staged_rollout.operations.reconcile import reconcile
from staged_rollout.policy import FINAL_GRACE, Action, Decision
from staged_rollout.ports import Claim, ObservedEndpoint
from staged_rollout.spec.model import RolloutSpec
from staged_rollout.state import Actor, Event, RolloutState, State
from tests.conftest import CHURN, RolloutBuilder
from tests.fakes.memory import MemoryAssignments, MemoryLedger
from tests.fakes.ports import START, MemoryHealth, MemoryRegistry, MemoryServing
from tests.fakes.simulated_lake import SimulatedLake
from tests.fakes.simulated_traffic import Population, SimulatedTraffic

TICK = Actor("advance_rollout")
ROLLOUT = "churn-v3"
NAMES = ("v2", "v3")
ONE_DAY = timedelta(days=1)
DONE = frozenset({State.PROMOTED, State.ROLLING_BACK, State.ROLLED_BACK, State.KEPT_CHAMPION})

SHORT: dict[str, Any] = {
    "stages": {
        "shadow": {"for": "1d"},
        "canary": [{"share": 0.25, "for": "1d"}],
        "live": {"split": [0.5, 0.5], "looks": {"every": "1d"}, "min": "1d", "max": "3d"},
        "promote": [{"share": 0.95}],
        "bake": {"for": "2d", "holdback": 0.05},
    },
    "success": {"baseline": 0.784, "mde": {"value": 0.08, "kind": "absolute"}},
    "guardrails": {"error_rate": {"worse_by": {"value": 0.08, "kind": "absolute"}}},
    "signals": [],
    "segments": [],
    "budget": {},
    "capture_delay": "2d",
    "min_units": 20,
    "freeze": [],
}
"""Three days of enrolment: harm and efficacy are tested on days 2, 3 and 4. What a scenario changes comes on top.

The guardrail's margin is wide, so that it does not hide what the success metric does on its own."""


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A mapping with changes to some of its keys, at any depth; `guardrails` are replaced as a whole."""
    deep = {
        key: merged(base[key], value) if isinstance(base.get(key), Mapping) and key != "guardrails" else value
        for key, value in changes.items()
        if isinstance(value, Mapping)
    }
    return {**base, **changes, **deep}


@dataclass(frozen=True)
class Scenario:
    """A world and a rollout file, as data.

    Attributes:
        name: A few words.
        population: Who calls, and how.
        spec: Changes to `SHORT`, as JSON of the rollout file's resolved form.
        missed: Probability that a tick does not happen.
        ticks: Ticks a day.
        whole: Whether the rollout is followed from its canary to its end; else from LIVE's entry until it leaves LIVE,
            which asks for a given baseline.
    """

    name: str
    population: Population = field(default_factory=Population)
    spec: Mapping[str, Any] = field(default_factory=dict)
    missed: float = 0.0
    ticks: int = 1
    whole: bool = False

    def rollout_spec(self) -> RolloutSpec:
        """The resolved rollout file."""
        matures = {"success": {"matures_after": f"{round(self.population.matures * 24)}h"}}
        return RolloutSpec.model_validate(merged(merged(CHURN, SHORT), merged(matures, self.spec)))


@dataclass(frozen=True)
class Lived:
    """What became of one rollout.

    Attributes:
        state: As it was left.
        looks: What every look found, in order.
        harmed_by: What rolled it back for harm: "success", "guardrail", "bake"; "" when nothing did.
        harmed_in: In which state.
        days: From LIVE's begin (the canary's, when it never got so far) to the last decision.
        srm: Whether a sample-ratio test ever alarmed.
    """

    state: RolloutState
    looks: tuple[LookFigures, ...]
    harmed_by: str
    harmed_in: State | None
    days: float
    srm: bool

    @property
    def won(self) -> bool:
        """Whether LIVE ended with a win."""
        return any(stay.state is State.PROMOTING for stay in self.state.stages)

    @property
    def efficacy(self) -> tuple[LookFigures, ...]:
        """Looks with an efficacy test."""
        return tuple(look for look in self.looks if look.efficacy is not None)


class SimulatedLedger(MemoryLedger):
    """One process at a time: every lease is granted."""

    def lease(self, *_: Any, **__: Any) -> bool:
        return True

    def unlease(self, *_: Any, **__: Any) -> None:
        return None


@dataclass
class Clock:
    """Stands still until it is set."""

    at: datetime

    def now(self) -> datetime:
        return self.at

    def wall(self) -> float:
        return 0.0


@dataclass(frozen=True)
class Beginning:
    """What every run of a scenario begins with."""

    events: tuple[Event, ...]
    documents: tuple[AssignmentDocument, ...]
    endpoints: Mapping[str, ObservedEndpoint]
    now: datetime


def _platform(beginning: Beginning, traffic: SimulatedTraffic) -> Any:
    """A world in memory: the real operations cannot tell it from the one of `platform.py`."""
    registry = MemoryRegistry(champions={"churn": "2"})
    for version in ("2", "3"):
        registry.add("churn", version)
    assignments = MemoryAssignments(beginning.documents[-1], list(beginning.documents))
    return SimpleNamespace(
        clock=Clock(beginning.now),
        ledger=SimulatedLedger(list(beginning.events), Claim("churn-prod", ROLLOUT, "", 0.0)),
        assignments=assignments,
        serving=MemoryServing(endpoints=dict(beginning.endpoints)),
        registry=registry,
        lake=SimulatedLake(traffic, assignments.published, NAMES),
        health=MemoryHealth(),
        environment=SimpleNamespace(approvers={}, drain_s=0.0, poll_s=0.0),
    )


@cache
def _canary(spec_json: str) -> Beginning:
    """The first canary step is entered, after a shadow stage by hand."""
    spec = RolloutSpec.model_validate_json(spec_json)
    built = RolloutBuilder(spec.model_dump(mode="json"), ROLLOUT).register()
    built.now = START
    built.enter(State.SHADOW)
    built.now = START
    built.publish().quality(START.date().isoformat())
    document = AssignmentDocument(
        endpoint=spec.endpoint,
        epoch=built.epoch,
        rollout=ROLLOUT,
        stage="shadow",
        champion=VariantRef(name=NAMES[0], version="2"),
        split=spec.stages.live.split[1],
        published_at=START,
    )
    built.now = START + spec.stages.shadow.for_
    built.enter(State.CANARY, 1)
    return Beginning(tuple(built.events), (document,), {}, START + spec.stages.shadow.for_)


@cache
def _live(spec_json: str, population: Population) -> Beginning:
    """LIVE is entered, as the real operations bring one rollout there whose candidate is like its champion.

    With a given baseline, the plan is the same in every run: only what is met in LIVE is drawn anew.
    """
    spec = RolloutSpec.model_validate_json(spec_json)
    harmless = replace(population, failures=(population.failures[0],) * 2, fallbacks=0.0, slower_ms=0.0)
    days = horizon(spec) / ONE_DAY
    platform = _platform(_canary(spec_json), SimulatedTraffic(harmless, days, np.random.default_rng(0)))
    _settle(platform)
    while load(platform, ROLLOUT).state is State.CANARY:
        platform.clock.at += ONE_DAY
        platform.health.last_call_at = platform.clock.at
        state, evidence = gather(platform, ROLLOUT, TICK)
        act_on(platform, state, evidence, decide_on(state, evidence), TICK)
        _settle(platform)
    return Beginning(
        tuple(platform.ledger.log), tuple(platform.assignments.published), platform.serving.endpoints, platform.clock.at
    )


def _settle(platform: Any) -> None:
    while not reconcile(platform, ROLLOUT, TICK).done:
        pass


def horizon(spec: RolloutSpec) -> timedelta:
    """The longest time that a rollout can take from shadow on, with days to spare for missed ticks."""
    stages = spec.stages
    waits = (
        stages.shadow.for_,
        *(step.for_ for step in stages.canary),
        stages.live.max + spec.success.matures_after + FINAL_GRACE,
        *(step.for_ or timedelta() for step in stages.promote),
        stages.bake.for_,
    )
    return sum(waits, timedelta()) + 6 * ONE_DAY


def live_through(scenario: Scenario, seed: int) -> Lived:
    """One rollout, in LIVE only or, when the scenario says so, from the first canary step to its end.

    Args:
        scenario: What is simulated.
        seed: Of this run; the same one gives the same rollout of the same scenario.
    """
    spec = scenario.rollout_spec()
    spec_json = spec.model_dump_json()
    beginning = _canary(spec_json) if scenario.whole else _live(spec_json, scenario.population)
    # Worlds share no chance: laws about several of them together count independent rollouts.
    rng = np.random.default_rng([seed, zlib.crc32(scenario.name.encode())])
    platform = _platform(beginning, SimulatedTraffic(scenario.population, horizon(spec) / ONE_DAY, rng))
    _settle(platform)
    looks: list[LookFigures] = []
    srm = False
    while True:
        platform.clock.at += ONE_DAY / scenario.ticks
        if platform.clock.at > START + horizon(spec):
            raise AssertionError(f"{scenario.name}, seed {seed}: did not end within {horizon(spec)}")
        if rng.random() < scenario.missed:
            continue
        platform.health.last_call_at = platform.clock.at
        state, evidence = gather(platform, ROLLOUT, TICK)
        decision = decide_on(state, evidence)
        after = act_on(platform, state, evidence, decision, TICK)
        looks.extend([evidence.look] if evidence.look is not None else [])
        srm = srm or any(test.alarm for test in evidence.srm)
        left = decision.to is not None and state.state is State.LIVE
        if after.state in DONE or (left and not scenario.whole):
            began = after.effective_at(State.LIVE) or after.effective_at(State.CANARY) or beginning.now
            by = _harmed_by(evidence, decision)
            return Lived(
                state=after,
                looks=tuple(looks),
                harmed_by=by,
                harmed_in=state.state if by else None,
                days=(platform.clock.at - began) / ONE_DAY,
                srm=srm,
            )
        if decision.to is not None:
            _settle(platform)


def _harmed_by(evidence: Evidence, decision: Decision) -> str:
    """Which test of harm rolled it back; the guardrails first, as in the decision's reasons."""
    if decision.action is not Action.ROLL_BACK:
        return ""
    if any(guardrail.acting and guardrail.alarm for guardrail in evidence.guardrails):
        return "guardrail"
    if evidence.look is not None and evidence.look.harmful:
        return "success"
    return "bake" if evidence.bake is not None and evidence.bake.alarm else ""

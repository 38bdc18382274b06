"""A model check: the state machine walked exhaustively over an abstract alphabet of evidence and of people's acts."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import product
from typing import Any

import pytest

from staged_rollout.errors import NotApproverError, RefusedError
from staged_rollout.operations.decide import act_on
from staged_rollout.operations.journal import entering, write
from staged_rollout.operations.operate import Act, operate
from staged_rollout.policy import Action, Decision, decide
from staged_rollout.state import (
    EXPOSED,
    TERMINAL,
    TRANSITIONS,
    Actor,
    Event,
    EventType,
    HoldReason,
    NewEvent,
    RolloutState,
    State,
    desired,
    fold,
    stage_label,
)
from tests.conftest import CHURN
from tests.fakes import figures as fig
from tests.fakes.memory import world

TICK = Actor("advance_rollout")
LEADER = Actor("growth-ml")
FREEZE = "2026-12-20/2027-01-03"
WAITS = {"fresh": timedelta(), "served": timedelta(days=2, hours=12), "overdue": timedelta(days=20)}
"""Served: longer than any stage, shorter than twice SHADOW's time and than an approval. Overdue: longer than all."""
LOOKS = {
    "none": None,
    "harm only": fig.look("harm", z=9.0),
    "crossed": fig.look(),
    "not crossed": fig.look(z=1.0),
    "final crossed": fig.look("final"),
    "final not crossed": fig.look("final", z=1.0),
    "final insufficient": fig.look("final", insufficient="40 of 100 closed units"),
    "harmful": fig.look(z=-3.0),
    "futile": fig.look(z=0.1, futility=0.3),
    "not futile": fig.look(z=0.4, futility=0.3),
}
WINS = {"crossed", "final crossed"}
FINALS = {"final crossed", "final not crossed", "final insufficient", "futile"}


@dataclass(frozen=True)
class Letter:
    """One class of evidence."""

    harm: str
    quality: str
    srm: str
    freeze: bool
    waited: str
    desired: bool
    over_budget: bool
    look: str
    proven: bool

    @property
    def harmful(self) -> bool:
        return self.harm != "none" or self.look == "harmful"

    @property
    def sound(self) -> bool:
        """Whether the snapshot may carry a forward move of an exposed rollout."""
        return self.quality == "passed" and self.srm == "silent" and not self.freeze


def alphabet(state: State) -> Iterator[Letter]:
    """All letters that matter in a state."""
    exposed = state in EXPOSED
    harms = {State.BAKING: ("none", "guardrail", "bake")}.get(state, ("none", "guardrail") if exposed else ("none",))
    live = state is State.LIVE
    for choice in product(
        harms,
        ("passed", "failed", "three in a row", "unchecked"),
        ("silent", "alarm", "missing") if exposed else ("silent",),
        (False, True),
        WAITS,
        (True, False),
        (False, True),
        LOOKS if live else ("none",),
        (True, False) if live else (True,),
    ):
        yield Letter(*choice)


def evidence(state: RolloutState, letter: Letter) -> Any:
    began = state.stage.effective_at or state.stage.entered_at
    qualities = {
        "passed": fig.quality(),
        "failed": fig.quality(1),
        "three in a row": fig.quality(3),
        "unchecked": fig.quality(checked=False),
    }
    tests = {"silent": (fig.srm(),), "alarm": (fig.srm((700, 900), alarm=True),), "missing": ()}
    base = _good(state)
    names = tuple(state.spec.guardrails)
    rails = tuple(fig.guardrail(name, z=9.0 if letter.proven else None) for name in names)
    look = LOOKS[letter.look]
    return base.model_copy(
        update={
            "as_of": began + WAITS[letter.waited],
            "quality": qualities[letter.quality],
            "srm": tests[letter.srm],
            "freeze": FREEZE if letter.freeze else None,
            "platform": base.platform.model_copy(update={"endpoint_as_desired": letter.desired}),
            "spent_usd": 901.0 if letter.over_budget else 0.0,
            "guardrails": (*rails, fig.guardrail(alarm=True)) if letter.harm == "guardrail" else rails,
            "bake": fig.bake(alarm=True) if letter.harm == "bake" else base.bake,
            "look": look and look.model_copy(update={"slot": len(state.looks) + 1}),
        }
    )


def _good(state: RolloutState) -> Any:
    return fig.good(state, state.stage.entered_at)


@dataclass(frozen=True)
class Node:
    """What of a state its next decision can depend on."""

    state: State
    step: int
    published: bool
    paused: bool
    answer: bool | None
    ending: State | None


def node_of(state: RolloutState) -> Node:
    return Node(
        state.state,
        state.step,
        state.stage.effective_at is not None,
        HoldReason.OPERATOR in state.holds,
        state.approval.approved if state.approval else None,
        state.ending,
    )


def successors(events: tuple[Event, ...], ask: bool) -> Iterator[tuple[str, tuple[Event, ...]]]:
    """Every act, the publication of the document, and every letter; what is asserted is asserted on the way."""
    state = fold(events)
    now = state.stage.entered_at + timedelta(hours=1)
    for act in Act:
        platform = world(events, now)
        try:
            operate(platform, state.rollout, act, LEADER, "as discussed")
        except (RefusedError, NotApproverError):
            continue
        check_act(state, act, fold(platform.ledger.log))
        yield act, tuple(platform.ledger.log)
    if state.stage.effective_at is None and not state.terminal:
        platform = world(events, now)
        label = stage_label(state.state)
        result = {"epoch": len(events), "stage": label, "step": state.step, "published_at": now.isoformat()}
        payload = {"effect": "assignment", "key": "assignment", "result": result}
        platform.ledger.append(
            state.rollout, [NewEvent(EventType.OBSERVED, payload)], expected_seq=state.seq, at=now, actor=TICK
        )
        yield "published", tuple(platform.ledger.log)
    if state.state is State.ROLLING_BACK and state.stage.effective_at is not None:
        platform = world(events, now)
        write(
            platform, state, [entering(state.ending, state.reason)], TICK
        )  # what reconcile does once all has followed
        yield "followed", tuple(platform.ledger.log)
    done: set[Any] = set()
    for letter in alphabet(state.state):
        figures = evidence(state, letter)
        decision = decide(state.spec, state, figures)
        check_decision(state, letter, decision, ask)
        edge = (decision.action, decision.to, decision.step, decision.ending, frozenset(r for r, _ in decision.holds))
        if edge in done:
            continue
        done.add(edge)
        platform = world(events, now)
        if figures.look is not None:
            planned = {"slot": figures.look.slot, "kind": figures.look.kind, "cut_off": now.isoformat(), "batch": 1}
            platform.ledger.append(
                state.rollout, [NewEvent(EventType.LOOK_PLANNED, planned)], expected_seq=state.seq, at=now, actor=TICK
            )
        acted = act_on(platform, fold(platform.ledger.log), figures, decision, TICK)
        assert acted == fold(platform.ledger.log)
        check_edge(state, decision, acted, platform.assignments)
        yield str(letter), tuple(platform.ledger.log)


def check_decision(state: RolloutState, letter: Letter, found: Decision, ask: bool) -> None:
    """The invariants that speak of one decision."""
    paused = HoldReason.OPERATOR in state.holds
    forward = found.action is Action.PROMOTE
    if state.terminal:
        assert found.to is None
        return
    if state.state is State.ROLLING_BACK:
        assert found.to is None  # reconcile ends it
        return
    if state.state is not State.REGISTERED and (letter.harmful or letter.quality == "three in a row"):
        assert (found.to, found.ending) == (State.ROLLING_BACK, State.ROLLED_BACK)
        return
    if forward:
        assert not paused
        assert not letter.freeze
        if state.state is not State.REGISTERED:
            assert state.stage.effective_at is not None or state.state in {State.LIVE, State.AWAITING_APPROVAL}
            assert not letter.over_budget
            assert letter.quality == "passed"
        if state.exposed:
            assert letter.sound
        if state.state in {State.SHADOW, State.CANARY, State.BAKING}:
            assert letter.waited != "fresh"
        if state.state in {State.PROMOTING, State.BAKING}:
            assert letter.desired
        if state.state is State.LIVE:
            assert letter.look in WINS
            assert letter.proven
            assert found.to is (State.AWAITING_APPROVAL if ask else State.PROMOTING)
        if state.state is State.AWAITING_APPROVAL:
            assert state.approval is not None
            assert state.approval.approved
            assert letter.waited != "overdue"
    if state.state is State.LIVE and letter.look in FINALS:
        assert found.to is not None  # a final look ends LIVE, one way or another
        assert letter.look != "futile" or found.ending is State.KEPT_CHAMPION
    if found.to is State.ROLLING_BACK and found.ending is State.ROLLED_BACK:
        rejected = state.approval is not None and not state.approval.approved
        assert rejected or letter.quality == "failed" or letter.srm == "alarm"


def check_act(state: RolloutState, act: Act, after: RolloutState) -> None:
    """The invariants that speak of people's acts."""
    if act is Act.ROLLBACK:
        assert (after.state, after.exposed) == (State.ROLLING_BACK, False)
    elif act is Act.CANCEL:
        assert not state.exposed
    else:
        assert (after.state, after.step) == (state.state, state.step)


def check_edge(state: RolloutState, found: Decision, after: RolloutState, assignments: Any) -> None:
    """The invariants that speak of the state after."""
    if after.state is not state.state or after.step != state.step:
        assert after.state in TRANSITIONS[state.state]
    target = desired(after)
    weights = [variant.weight for variant in target.endpoint.production]
    assert min(weights) >= 0
    assert sum(weights) == pytest.approx(1.0)
    names = {variant.name for variant in target.endpoint.production}
    assert ("v2" in names) is (after.state is not State.PROMOTED)
    assert (after.plan is None) is (State.LIVE not in {stay.state for stay in after.stages})
    if found.to is State.ROLLING_BACK:
        assert assignments.document.exposure == 0.0
        assert assignments.document.champion.name == "v2"
    if found.action is Action.HOLD:
        assert {reason for reason, _ in found.holds} == set(after.holds)


@pytest.mark.parametrize("ask", [False, True], ids=["promote", "ask"])
def test_the_invariants_hold_on_every_edge_of_the_state_machine(rollouts, ask):
    """Breadth first from REGISTERED: each reachable state, each class of evidence, each act of a person."""
    rules = {"decide": {"win": {"action": "ask", "who": "growth-ml", "within": "3d"}}} if ask else {}
    start = tuple(rollouts(CHURN | rules).register().events)
    seen = {node_of(fold(start))}
    queue, edges = deque([start]), 0
    while queue:
        events = queue.popleft()
        for _, after in successors(events, ask):
            edges += 1
            node = node_of(fold(after))
            if node not in seen:
                seen.add(node)
                queue.append(after)
    reached = {node.state for node in seen}
    assert reached == set(State) - (set() if ask else {State.AWAITING_APPROVAL})
    assert {node.ending for node in seen if node.state is State.ROLLING_BACK} == TERMINAL - {State.PROMOTED}
    assert {node.step for node in seen if node.state is State.CANARY} == {1, 2, 3}
    assert {node.paused for node in seen if node.state in EXPOSED} == {True, False}
    assert edges > 500

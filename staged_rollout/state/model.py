"""What a rollout's events add up to."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum

from staged_rollout.spec.model import RolloutSpec
from staged_rollout.state.plan import BoundRecord, Plan, PlannedLook, Reestimation, StopRecord, TakenLook


class State(StrEnum):
    """The states of DESIGN section 4, by their own names."""

    REGISTERED = "REGISTERED"
    SHADOW = "SHADOW"
    CANARY = "CANARY"
    LIVE = "LIVE"
    AWAITING_APPROVAL = "AWAITING_APPROVAL"
    PROMOTING = "PROMOTING"
    BAKING = "BAKING"
    PROMOTED = "PROMOTED"
    ROLLING_BACK = "ROLLING_BACK"
    ROLLED_BACK = "ROLLED_BACK"
    KEPT_CHAMPION = "KEPT_CHAMPION"
    CANCELLED = "CANCELLED"


EXPOSED = frozenset({State.CANARY, State.LIVE, State.AWAITING_APPROVAL, State.PROMOTING, State.BAKING})
"""States in which the candidate answers people."""

TERMINAL = frozenset({State.PROMOTED, State.ROLLED_BACK, State.KEPT_CHAMPION, State.CANCELLED})
"""States that no event leaves."""

TRANSITIONS: dict[State, frozenset[State]] = {
    State.REGISTERED: frozenset({State.SHADOW, State.CANCELLED}),
    State.SHADOW: frozenset({State.CANARY, State.ROLLING_BACK}),
    State.CANARY: frozenset({State.CANARY, State.LIVE, State.ROLLING_BACK}),
    State.LIVE: frozenset({State.AWAITING_APPROVAL, State.PROMOTING, State.ROLLING_BACK}),
    State.AWAITING_APPROVAL: frozenset({State.PROMOTING, State.ROLLING_BACK}),
    State.PROMOTING: frozenset({State.PROMOTING, State.BAKING, State.ROLLING_BACK}),
    State.BAKING: frozenset({State.PROMOTED, State.ROLLING_BACK}),
    State.PROMOTED: frozenset(),
    State.ROLLING_BACK: frozenset({State.ROLLED_BACK, State.KEPT_CHAMPION, State.CANCELLED}),
    State.ROLLED_BACK: frozenset(),
    State.KEPT_CHAMPION: frozenset(),
    State.CANCELLED: frozenset(),
}
"""From each state, the states that may follow. A rollback passes through ROLLING_BACK, also out of shadow, so that the
endpoint is cleaned up before the rollout ends."""


class HoldReason(StrEnum):
    """Why forward moves are blocked."""

    QUALITY = "quality"
    SRM = "srm"
    NO_DATA = "no_data"
    NO_TRAFFIC = "no_traffic"
    FREEZE = "freeze"
    DRIFT = "drift"
    OPERATOR = "operator"


@dataclass(frozen=True)
class Candidate:
    """The version under test."""

    model: str
    version: str
    reference: str
    digest: str
    variant: str


@dataclass(frozen=True)
class Champion:
    """The version that serves; its variant keeps the name and the capacity that it has until PROMOTED.

    Attributes:
        version: In the registry.
        reference: What its variant loads.
        variant: The variant's name.
        instance_type: What it runs on; "" in ledgers that did not record it: the rollout file's.
        instance_count: How many; 0 as above.
    """

    version: str
    reference: str
    variant: str
    instance_type: str = ""
    instance_count: int = 0


@dataclass(frozen=True)
class StageRecord:
    """One stay in a state. Time served counts from `effective_at`, when its assignment document was published."""

    state: State
    step: int
    entered_at: datetime
    effective_at: datetime | None
    epoch: int | None


@dataclass(frozen=True)
class DecisionRecord:
    """A decision as it was written."""

    seq: int
    action: str
    to: State | None
    at: datetime
    reasons: tuple[str, ...]
    evidence_hash: str


@dataclass(frozen=True)
class Approval:
    """What a person said of one decision."""

    decision_seq: int
    approved: bool
    actor: str
    verified: bool
    at: datetime
    reason: str


@dataclass(frozen=True)
class Intent:
    """An outside effect that was announced and has no result yet."""

    seq: int
    effect: str
    key: str


@dataclass(frozen=True)
class RolloutState:
    """A rollout as its events say. Made by `fold`, never by hand.

    Attributes:
        rollout: Its id.
        seq: The last event's number.
        prefix_hash: The last event's hash: names the whole prefix.
        spec: The resolved spec of REGISTERED; only owner, notify and freeze are amended later.
        spec_hash: Its hash as registered.
        state: Where it is.
        step: Canary or promote step, from 1; 0 elsewhere.
        ending: Where ROLLING_BACK leads.
        reason: Why the present state was entered, in a sentence with numbers.
        stages: Every stay, in order; the last is the present one.
        again: Later epochs of a stay (by its index in `stages`) whose document was lost and published anew.
        holds: Reasons in force, each with since when and its detail.
        plan: What was frozen when LIVE began.
        reestimation: The plan's size, planned anew once; None before, and where it is not asked for.
        looks: Taken looks in order of slot.
        planned: A slot that was planned and not yet taken.
        quality: Event day to verdict.
        quality_failures: What failed on the newest day that was checked.
        decisions: All that were written.
        approval: What was said of the newest decision that asked, or None.
        intents: Effects without a result.
        attempts: How often each endpoint change was accepted in the present stay and not seen done since, by key.
        cost_usd: The forecast at registration, both variants.
        usd_per_hour: The same for each planned hour: what a running rollout is taken to spend.
        settled: Whether everything outside matches a terminal state, and the endpoint was released.
    """

    rollout: str
    seq: int
    prefix_hash: str
    spec: RolloutSpec
    spec_hash: str
    registered_at: datetime
    candidate: Candidate
    champion: Champion
    state: State
    step: int = 0
    ending: State | None = None
    reason: str = ""
    stages: tuple[StageRecord, ...] = ()
    again: dict[int, tuple[int, ...]] = field(default_factory=dict)
    holds: dict[HoldReason, tuple[datetime, str]] = field(default_factory=dict)
    plan: Plan | None = None
    reestimation: Reestimation | None = None
    looks: tuple[TakenLook, ...] = ()
    planned: PlannedLook | None = None
    quality: dict[date, bool] = field(default_factory=dict)
    quality_failures: tuple[str, ...] = ()
    decisions: tuple[DecisionRecord, ...] = ()
    approval: Approval | None = None
    intents: tuple[Intent, ...] = ()
    attempts: dict[str, int] = field(default_factory=dict)
    cost_usd: float = 0.0
    usd_per_hour: float = 0.0
    settled: bool = False
    last_at: datetime | None = None

    @property
    def stage(self) -> StageRecord:
        """The present stay."""
        return self.stages[-1]

    @property
    def exposed(self) -> bool:
        """Whether the candidate answers people."""
        return self.state in EXPOSED

    @property
    def terminal(self) -> bool:
        """Whether it has ended."""
        return self.state in TERMINAL

    @property
    def held(self) -> bool:
        """Whether forward moves are blocked."""
        return bool(self.holds)

    def epochs_of(self, state: State, step: int | None = None) -> tuple[int, ...]:
        """The published epochs of a state's stays (of one step, if named): what tells a row's stage."""
        return tuple(
            epoch
            for stay, record in enumerate(self.stages)
            if record.state is state and (step is None or record.step == step)
            for epoch in self.epochs_at(stay)
        )

    def epochs_at(self, stay: int) -> tuple[int, ...]:
        """The published epochs of one stay, by its index in `stages` (-1 is the present one)."""
        epoch = self.stages[stay].epoch
        return () if epoch is None else (epoch, *self.again.get(stay % len(self.stages), ()))

    @property
    def epochs(self) -> tuple[int, ...]:
        """All published epochs, in order."""
        return tuple(epoch for stay in range(len(self.stages)) for epoch in self.epochs_at(stay))

    def effective_at(self, state: State) -> datetime | None:
        """When a state's first document was published."""
        return next((record.effective_at for record in self.stages if record.state is state), None)

    def efficacy_bounds(self) -> tuple[BoundRecord, ...]:
        """Efficacy bounds used so far; frozen."""
        return tuple(look.efficacy for look in self.looks if look.efficacy is not None)

    def harm_bounds(self) -> tuple[BoundRecord, ...]:
        """Harm bounds used so far; frozen."""
        return tuple(look.harm for look in self.looks if look.harm is not None)

    def futility_bounds(self) -> tuple[StopRecord | None, ...]:
        """The futility bound beside each efficacy bound used so far, where there was one; frozen."""
        return tuple(look.futility for look in self.looks if look.efficacy is not None)

    @property
    def n_eff_max(self) -> float | None:
        """Effective units at t = 1 of efficacy and futility looks; None before LIVE. Harm keeps the plan's own."""
        if self.reestimation is not None:
            return self.reestimation.n_eff_max
        return self.plan.n_eff_max if self.plan else None

    def quality_failures_in_a_row(self) -> int:
        """Failed consecutive event days, ending with the newest day that was checked."""
        if not self.quality:
            return 0
        day = max(self.quality)
        count = 0
        while self.quality.get(day) is False:
            count += 1
            day -= timedelta(days=1)
        return count

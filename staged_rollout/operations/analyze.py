"""The looks that a rollout file plans, taken on logs that are already there: what would have been decided, and when.

The rollout is imagined, its decisions are not: its events are written to a ledger in memory, and every look goes
through the operations that a running rollout goes through. Only serving, routers and traffic are taken to be as
desired.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from staged_rollout.errors import DataError
from staged_rollout.evidence import Evidence, GuardrailFigures, LookFigures, sealed
from staged_rollout.operations.analyze_log import Asked, Comparison, compared
from staged_rollout.operations.decide import act_on, decide_on
from staged_rollout.operations.imagined import ImaginedClock, ImaginedPlatform
from staged_rollout.operations.imagined_rollout import ANALYST, imagined_live, imagined_plan
from staged_rollout.operations.journal import load
from staged_rollout.operations.look import gather
from staged_rollout.operations.validate import validate
from staged_rollout.policy import FINAL_GRACE, Decision
from staged_rollout.ports import Checks, Lake
from staged_rollout.spec.environment import EnvironmentSpec
from staged_rollout.spec.home import Home
from staged_rollout.spec.model import RolloutSpec
from staged_rollout.state import (
    Event,
    Plan,
)

MOST_ROUNDS = 4
"""Gatherings at one moment: a hold that is released lets the look that waited be taken at once."""
ENDLESS = timedelta(days=36500)
"""How old an imagined rollout's log may be: one that has ended says nothing about traffic."""


@dataclass(frozen=True)
class Step:
    """One moment at which a running rollout would have decided.

    Attributes:
        at: The moment.
        evidence: What was known, a look included where one was taken.
        decision: What would have been decided on it.
    """

    at: datetime
    evidence: Evidence
    decision: Decision

    @property
    def look(self) -> LookFigures | None:
        """The look that was taken."""
        return self.evidence.look


@dataclass(frozen=True)
class Analysis:
    """What would have been decided.

    Attributes:
        comparison: What was compared.
        spec: The rollout file, as it was imagined.
        plan: Frozen when LIVE began.
        steps: Every moment of the plan until the test ended, in order.
        ended: Whether a decision ended the test; else it was still running at `comparison.as_of`.
        alone: What the success metric alone says, guardrails and checks aside.
        notes: What was inferred or taken for granted.
        events: The imagined ledger.
    """

    comparison: Comparison
    spec: RolloutSpec
    plan: Plan
    steps: tuple[Step, ...]
    ended: bool
    alone: str
    notes: tuple[str, ...]
    events: tuple[Event, ...]

    @property
    def decision(self) -> Decision:
        """The last one."""
        return self.steps[-1].decision

    @property
    def next_look(self) -> datetime | None:
        """When the next look is due; None when the test has ended, or no look is left."""
        slots = () if self.ended else self.plan.slots
        due = (self.comparison.lens.since + after for after in slots)
        return next((at for at in due if at > self.comparison.as_of), None)

    @property
    def looks(self) -> tuple[Step, ...]:
        """Steps at which a look was taken."""
        return tuple(step for step in self.steps if step.look is not None)


def analyze(
    lake: Lake,
    checks: Checks,
    spec: RolloutSpec,
    environment: EnvironmentSpec,
    *,
    asked: Asked | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Analysis:
    """Take every look that a rollout file plans on what a lake holds.

    Args:
        lake: The log; its newest batch is read, and nothing is written.
        checks: Data quality.
        spec: The resolved rollout file.
        environment: Where it would have run.
        asked: What the caller names instead of leaving it to the log.
        progress: Called with (moments done, moments in all).

    Raises:
        NotFoundError: the lake holds no such rollout, endpoint or variant.
        DataError: the log compares nothing, has no labels, or ends before the first look.
        StatisticsError: no test can be planned with the measured baseline.
    """
    comparison = compared(lake, lake.head(), spec, asked or Asked())
    imagined = spec.model_copy(update={"capture_delay": ENDLESS})
    moments = _moments(spec, comparison)
    steps: list[Step] = []
    with TemporaryDirectory(prefix="staged-rollout-") as folder:
        clock = ImaginedClock(comparison.lens.since)
        seen = lake.through(comparison.lens)
        platform = ImaginedPlatform(clock, seen, checks, environment, Home(Path(folder)))
        plan, planned = imagined_plan(platform, imagined, comparison)
        state = imagined_live(platform, imagined, comparison, plan)
        for number, moment in enumerate(moments, start=1):
            steps.extend(_decided(platform, state.rollout, comparison, moment))
            if progress is not None:
                progress(number, len(moments))
            if steps[-1].decision.to is not None:
                break
    return Analysis(
        comparison=comparison,
        spec=imagined,
        plan=plan,
        steps=tuple(steps),
        ended=steps[-1].decision.to is not None,
        alone=_alone(steps),
        notes=(*comparison.notes, planned, *_granted(spec, comparison)),
        events=tuple(platform.ledger.log),
    )


def _moments(spec: RolloutSpec, comparison: Comparison) -> list[datetime]:
    """When looks are due up to the as-of time; and when a final look that was held back is given up."""
    since, as_of = comparison.lens.since, comparison.as_of
    slots = sorted({*spec.look_slots(), *spec.harm_slots()})
    if since + slots[0] > as_of:
        raise DataError(
            f"the first look is due at {(since + slots[0]).isoformat()}, and the log is read up to "
            f"{as_of.isoformat()}: {as_of - since} since LIVE began at {since.isoformat()}, of {slots[0]}",
            hint="a shorter live.min or matures_after in a copy of the rollout file; or --as-of, when the log is whole",
            first_look=(since + slots[0]).isoformat(),
            as_of=as_of.isoformat(),
        )
    expiry = slots[-1] + FINAL_GRACE + timedelta(seconds=1)
    return [since + after for after in (*slots, expiry) if since + after <= as_of]


def _decided(platform: ImaginedPlatform, rollout: str, comparison: Comparison, moment: datetime) -> list[Step]:
    """Every decision at one moment; the last only, unless looks were taken before it."""
    # A day that had not ended when the log did, or came later, is no missing day of the log.
    platform.clock.at = min(moment, comparison.last_row_at)
    validate(platform.ports, load(platform.ports, rollout), ANALYST)
    platform.clock.at = moment
    steps: list[Step] = []
    for _ in range(MOST_ROUNDS):
        before, found = gather(platform.ports, rollout, ANALYST)
        evidence = _as_logged(found, comparison)
        decision = decide_on(before, evidence)
        after = act_on(platform.ports, before, evidence, decision, ANALYST)
        if not steps or steps[-1].look is not None:
            steps.append(Step(moment, evidence, decision))
        else:
            steps[-1] = Step(moment, evidence, decision)
        if decision.to is not None or evidence.look is not None or after.held or after.seq == before.seq:
            break
    return steps


def _as_logged(evidence: Evidence, comparison: Comparison) -> Evidence:
    """The evidence, with nothing said of guardrails that the log does not tell: missing data is never a pass."""
    if not any(guardrail.name in comparison.unlogged for guardrail in evidence.guardrails):
        return evidence
    unknown = {
        "champion": None,
        "candidate": None,
        "worsening": None,
        "z_non_inferiority": None,
        "log_e": 0.0,
        "alarm": False,
        "method": "not logged",
    }

    def told(guardrail: GuardrailFigures) -> GuardrailFigures:
        return guardrail.model_copy(update=unknown) if guardrail.name in comparison.unlogged else guardrail

    return sealed(evidence.model_copy(update={"guardrails": tuple(map(told, evidence.guardrails))}))


def _alone(steps: list[Step]) -> str:
    """What the looks say of the success metric, whatever guardrails, checks and holds say."""
    for step in steps:
        look = step.look
        if look is None or look.insufficient:
            continue
        z, at = look.success.z, f"at look {look.slot}"
        if look.harmful:
            return f"harm {at}: z {z:.2f}, harm bound {-look.harm.z:.2f}" if look.harm else ""
        if look.futile:
            return f"hopeless {at}: z {z:.2f}, futility bound {look.futility.z:.2f}" if look.futility else ""
        if look.crossed:
            return f"a win {at}: z {z:.2f}, bound {look.efficacy.z:.2f}" if look.efficacy else ""
        if look.kind == "final":
            bound = f", bound {look.efficacy.z:.2f}" if look.efficacy else ""
            return f"no win {at}, the final one: z {z:.2f}{bound}"
    return "no answer yet"


def _granted(spec: RolloutSpec, comparison: Comparison) -> tuple[str, ...]:
    """What an analysis of logs takes for granted, or cannot tell."""
    said = [
        "endpoint, routers and traffic are taken to be as desired",
        "guards are read at the looks only, and days are checked that had ended when the log did",
    ]
    for name, rule in spec.guardrails.items():
        if name in comparison.unlogged:
            acts = ": a promotion needs it proven" if rule.action == "roll_back" else ""
            said.append(f"{name} was not measured: the log does not tell it for both variants{acts}")
    if spec.signals:
        said.append(f"{', '.join(spec.signals)}: not measured without a shadow stage")
    return tuple(said)

"""One rollout, resolved: what its file says, with every default filled in.

The JSON form (`model_dump(mode="json")`) is what the ledger stores at REGISTERED; it validates back without loss. What
must hold between values (rising shares, a plan that fits the traffic) is judged by `lint`.
"""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import Field, SerializerFunctionWrapHandler, field_validator, model_serializer, model_validator

from staged_rollout.errors import SpecError
from staged_rollout.spec.looks import Looks
from staged_rollout.spec.metric import BUILT_IN, Metric
from staged_rollout.spec.values import Duration, FreezeWindow, FrozenModel, Margin, Share, SpendingText, Split

__all__ = [
    "Bake",
    "Budget",
    "CanaryStep",
    "DecideRules",
    "DecideWin",
    "FreezeWindow",
    "Guardrail",
    "Instance",
    "Live",
    "Looks",
    "Margin",
    "Metric",
    "PromoteStep",
    "RolloutSpec",
    "Shadow",
    "Split",
    "Srm",
    "Stages",
    "Success",
    "Traffic",
    "canonical_json",
    "spec_hash",
]

_DAY = timedelta(days=1)
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]{0,62}$")]
Alpha = Annotated[float, Field(gt=0, lt=0.5)]


class Shadow(FrozenModel):
    """SHADOW: the candidate answers copies of requests, and nobody is served by it.

    Args:
        sample: Share of requests that are copied.
        for_: Time to serve, at least (`for` in the file).
        min_requests: Copied requests to serve, at least.
        agreement: Share of equal answers to reach.
    """

    sample: Share = 1.0
    for_: Duration = Field(default=2 * _DAY, alias="for")
    min_requests: int = Field(default=500, ge=1)
    agreement: Share = 0.7


class CanaryStep(FrozenModel):
    """One step of CANARY.

    Args:
        share: The candidate's share of all traffic; the enrolled share is `share / split.candidate`.
        for_: Time to serve, at least.
    """

    share: Share
    for_: Duration = Field(alias="for")


class Live(FrozenModel):
    """LIVE: the confirmatory test.

    Args:
        split: Champion and candidate.
        looks: The plan of efficacy looks.
        min: Enrolment before the first efficacy look.
        max: When enrolment ends.
    """

    split: Split = Split(0.5, 0.5)
    looks: Looks = Looks(every=_DAY)
    min: Duration = 7 * _DAY
    max: Duration = 14 * _DAY

    @field_validator("split")
    @classmethod
    def _sums_to_one(cls, split: Split) -> Split:
        if min(split) <= 0 or abs(sum(split) - 1) > 1e-9:
            raise ValueError(f"split == {tuple(split)}, both must be above 0 and sum to 1")
        return split


class PromoteStep(FrozenModel):
    """One step of PROMOTING.

    Args:
        share: The candidate's share of all traffic.
        for_: Time to serve; None: go on as soon as the endpoint has it.
    """

    share: Share
    for_: Duration | None = Field(default=None, alias="for")


class Bake(FrozenModel):
    """BAKING: nearly everything on the candidate, the champion warm beside it.

    Args:
        for_: Time to serve.
        holdback: Share that stays on the champion.
    """

    for_: Duration = Field(default=2 * _DAY, alias="for")
    holdback: Share = 0.05


class Stages(FrozenModel):
    """Every stage, in the order in which they are served."""

    shadow: Shadow = Shadow()
    canary: tuple[CanaryStep, ...] = Field(default=(CanaryStep(share=0.25, for_=_DAY),), min_length=1)
    live: Live = Live()
    promote: tuple[PromoteStep, ...] = Field(
        default=(PromoteStep(share=0.75, for_=_DAY), PromoteStep(share=0.95)), min_length=1
    )
    bake: Bake = Bake()


class Traffic(FrozenModel):
    """What is expected, for planning; what is served decides.

    Args:
        units_per_day: New units a day, not enrolled ones included.
    """

    units_per_day: int = Field(ge=1)


class Success(FrozenModel):
    """The one metric that decides.

    Args:
        metric: Its name.
        better: The direction in which it improves.
        mde: The smallest difference worth finding, where the candidate must be better (superiority).
        better_or_equal: The largest tolerated worsening, where it must be shown to be no worse (non-inferiority).
            Exactly one of the two is given.
        alpha: Type-I error, per side.
        power: Chance to find `mde`; with a margin, the chance to win of a candidate as good as the champion.
        futility: How beta is spent on giving up early; None: not before the final look.
        reestimate: `blinded`: plan anew, once, from the pooled rate; None: the plan of LIVE's entry stays.
        matures_after: From a unit's first exposure to its outcome.
        baseline: The champion's value; None: measured before LIVE begins.
        sd: Standard deviation of one unit's value, of a mean or a ratio; None: measured before LIVE begins.
    """

    metric: str
    better: Literal["higher", "lower"] = "higher"
    mde: Margin | None = None
    better_or_equal: Margin | None = None
    alpha: Alpha = 0.025
    power: float = Field(default=0.8, gt=0, lt=1)
    futility: SpendingText | None = None
    reestimate: Literal["blinded"] | None = None
    matures_after: Duration
    baseline: float | None = None
    sd: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _one_claim(self) -> Self:
        if (self.mde is None) is (self.better_or_equal is None):
            raise ValueError("exactly one of mde and better_or_equal must be given")
        return self

    @model_serializer(mode="wrap")
    def _as_first_stored(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # Ledgers hold specs, and hashes of them, from before these keys: what says nothing is not written.
        silent = ("mde", "better_or_equal", "futility", "reestimate", "sd")
        return {key: value for key, value in handler(self).items() if value is not None or key not in silent}

    @property
    def distance(self) -> Margin:
        """What the test is planned to tell apart: the effect worth finding, or the margin from no difference."""
        distance = self.mde or self.better_or_equal
        if distance is None:
            raise AssertionError
        return distance


class Guardrail(FrozenModel):
    """A metric that must be shown not to be worse by more than a margin.

    Args:
        worse_by: The largest tolerated worsening.
        action: `watch` reports without acting.
    """

    worse_by: Margin
    action: Literal["roll_back", "watch"] = "roll_back"


class Srm(FrozenModel):
    """The test of the observed split against the designed one; `alpha` holds for the whole rollout."""

    alpha: Alpha = 0.001


class DecideWin(FrozenModel):
    """What a win does.

    Args:
        action: `promote` at once, or `ask` first.
        who: The group of approvers that is asked.
        within: How long the question stands before the champion is kept.
    """

    action: Literal["promote", "ask"] = "promote"
    who: str | None = None
    within: Duration | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.action == "ask") is not (self.who is not None and self.within is not None):
            raise ValueError("who and within belong to action == 'ask', both or neither")
        return self


class DecideRules(FrozenModel):
    """What each ending of the test does."""

    win: DecideWin = DecideWin()
    no_win: Literal["keep_champion"] = "keep_champion"
    no_answer: Literal["keep_champion"] = "keep_champion"


class Budget(FrozenModel):
    """A limit on what the rollout's endpoint may cost in US dollars; None: no limit."""

    max_usd: float | None = Field(default=None, gt=0)


class Instance(FrozenModel):
    """What each variant runs on.

    Args:
        type: A SageMaker instance type.
        count: Instances per variant.
    """

    type: str = "ml.m5.xlarge"
    count: int = Field(default=1, ge=1)


class RolloutSpec(FrozenModel):
    """One rollout file, resolved; `staged_rollout.spec.keys` says what each key means."""

    rollout: Name
    hypothesis: str
    owner: str
    endpoint: Name
    registry: str
    unit: str
    stages: Stages = Stages()
    traffic: Traffic
    success: Success
    metrics: dict[str, Metric] = Field(default_factory=dict)
    guardrails: dict[str, Guardrail] = Field(default_factory=dict)
    signals: tuple[str, ...] = ()
    quality: str = "predictions"
    srm: Srm = Srm()
    segments: tuple[str, ...] = ()
    decide: DecideRules = DecideRules()
    budget: Budget = Budget()
    freeze: tuple[FreezeWindow, ...] = ()
    notify: str | None = None
    capture_delay: Duration = timedelta(hours=2)
    blind_after: Duration = timedelta(minutes=30)
    min_units: int = Field(default=50, ge=1)
    on_newer: Literal["queue", "supersede"] = "queue"
    instance: Instance = Instance()

    @model_serializer(mode="wrap")
    def _as_first_stored(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # As in Success: a rollout without metrics of its own keeps the hash that it had before there were any.
        return {key: value for key, value in handler(self).items() if value or key != "metrics"}

    @property
    def declared(self) -> Metric | None:
        """The success metric, where the file declares it; None: it is built in.

        Raises:
            SpecError: Nobody declared it: a spec that was made by hand must not be measured as another.
        """
        name = self.success.metric
        if name != BUILT_IN and name not in self.metrics:
            known = ", ".join((BUILT_IN, *self.metrics))
            raise SpecError(f"success.metric == {name!r}, must be one of {known}", metric=name)
        return self.metrics.get(name)

    @property
    def in_shares(self) -> bool:
        """Whether the success metric is a rate: shares of units, differences in percentage points."""
        return self.declared is None or self.declared.kind == "rate"

    def look_slots(self) -> tuple[timedelta, ...]:
        """Planned efficacy looks, counted from LIVE's begin."""
        live = self.stages.live
        return live.looks.slots(live.max, self.success.matures_after, live.min)

    def harm_slots(self) -> tuple[timedelta, ...]:
        """Planned tests of harm, counted from LIVE's begin."""
        return self.stages.live.looks.harm_slots(self.stages.live.max, self.success.matures_after)


def canonical_json(spec: RolloutSpec) -> str:
    """The one spelling of a resolved spec: sorted keys, no spaces, UTF-8."""
    return json.dumps(
        spec.model_dump(mode="json"), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def spec_hash(spec: RolloutSpec) -> str:
    """SHA-256 of the canonical JSON, in hexadecimal."""
    return hashlib.sha256(canonical_json(spec).encode()).hexdigest()

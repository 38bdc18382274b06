"""Every key of the rollout file, once: where it lies, what it takes, its default and what it means.

Lint, `explain` and the JSON schema all read this table; defaults are those of the models.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic.fields import FieldInfo

from staged_rollout.spec import kinds
from staged_rollout.spec.kinds import Kind
from staged_rollout.spec.metric_file import METRIC_NAME, METRICS
from staged_rollout.spec.metrics import GUARDRAILS, SIGNALS
from staged_rollout.spec.model import (
    Bake,
    Budget,
    DecideRules,
    Guardrail,
    Instance,
    Live,
    RolloutSpec,
    Shadow,
    Srm,
    Stages,
    Success,
    Traffic,
)
from staged_rollout.spec.values import FrozenModel


@dataclass(frozen=True)
class Key:
    """One key of the file.

    Args:
        path: Dotted path.
        kind: What it takes.
        doc: One line for a person.
        model: The model that holds it; None: lint alone reads it.
        field: Its name there, where it differs from the last part of the path.
    """

    path: str
    kind: Kind
    doc: str
    model: type[FrozenModel] | None
    field: str = ""

    @property
    def required(self) -> bool:
        """Whether the file must have it, wherever its section is due."""
        return self._held is not None and self._held.is_required()

    @property
    def default(self) -> Any:
        """The model's default; None for a required key."""
        held = self._held
        return None if held is None or self.required else held.get_default(call_default_factory=True, validated_data={})

    @property
    def _held(self) -> FieldInfo | None:
        name = self.field or self.path.rpartition(".")[2]
        return None if self.model is None else self.model.model_fields[name]


ENDPOINT_KINDS = {
    "async": "it cannot have a shadow variant, and its answers arrive later in S3, outside the router's sight",
    "serverless": "it cannot have a shadow variant, nor several production variants to weigh",
    "multi-model": "it cannot have a shadow variant, and its models share capacity that no variant weight separates",
    "multi-container": "it cannot have a shadow variant, and TargetVariant does not choose among containers",
    "inference-components": "its traffic goes to components, which neither TargetVariant nor variant weights reach",
}
"""Endpoints that exist on SageMaker and are refused, with the reason.

Source: Amazon SageMaker AI developer guide, "Shadow tests: Exclusions".
"""

_SAFE = kinds.text("letters, digits and '-', at most 63, a letter or digit first", r"[A-Za-z0-9][A-Za-z0-9-]{0,62}")
_WORD = kinds.text("letters, digits, '_', '.' and '-', at most 63", r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}")
_COLUMN = kinds.text("a column's name, such as customer_id", r"[A-Za-z_][A-Za-z0-9_]{0,62}")
_LINE = kinds.text("one line of text")
_KEEP = kinds.choice("keep_champion")
_DURATION = kinds.duration()
_ENDPOINT_KIND = kinds.choice("realtime", reasons=ENDPOINT_KINDS)

SECTIONS = {
    "stages": "What is served, in order",
    "stages.shadow": "Copies of requests go to the candidate; nobody is served by it",
    "stages.live": "The confirmatory test at a fixed split",
    "stages.bake": "Nearly everything on the candidate, the champion warm beside it",
    "traffic": "What is expected, for planning; what is served decides",
    "success": "The one metric that decides",
    "guardrails": "What must be shown not to be worse by more than a margin",
    **{f"guardrails.{name}": metric.doc for name, metric in GUARDRAILS.items()},
    "srm": "The test of the observed split against the designed one",
    "decide": "What each ending of the test does",
    "budget": "What the rollout may cost",
    "instance": "What each variant runs on",
}
OPTIONAL_SECTIONS = frozenset(f"guardrails.{name}" for name in GUARDRAILS)
"""Sections whose required keys are due only if the section is there."""

EITHER = {"success": ("mde", "better_or_equal")}
"""Keys of a section of which exactly one is given."""

KEYS: tuple[Key, ...] = (
    Key("rollout", _SAFE, "Name; with the candidate's version it is the rollout's id", RolloutSpec),
    Key("hypothesis", _LINE, "What is believed, and why; frozen at the start", RolloutSpec),
    Key("owner", _WORD, "Who is responsible", RolloutSpec),
    Key("endpoint", _SAFE, "The SageMaker endpoint", RolloutSpec),
    Key("endpoint_kind", _ENDPOINT_KIND, "The kind of endpoint; only realtime (the default) can be rolled out", None),
    Key("registry", _WORD, "Model package group (SageMaker) or registered model (MLflow)", RolloutSpec),
    Key("unit", _COLUMN, "What is assigned and analysed; sticky", RolloutSpec),
    Key("stages.shadow.sample", kinds.share(0, 1, strict_low=True), "Share of requests that are copied", Shadow),
    Key("stages.shadow.for", _DURATION, "Time to serve, at least", Shadow, "for_"),
    Key("stages.shadow.min_requests", kinds.integer(1, 500), "Copied requests to serve, at least", Shadow),
    Key("stages.shadow.agreement", kinds.THRESHOLD, "Share of equal answers to reach", Shadow),
    Key(
        "stages.canary",
        kinds.listing(kinds.CANARY_STEP, least=1),
        "The candidate's share and time, step by step; may stop, never promotes",
        Stages,
    ),
    Key("stages.live.split", kinds.SPLIT, "Champion and candidate, fixed for the rollout", Live),
    Key("stages.live.looks", kinds.LOOKS, "Efficacy looks, from min + matures_after on", Live),
    Key("stages.live.min", _DURATION, "Enrolment before the first efficacy look; whole weeks", Live),
    Key("stages.live.max", _DURATION, "When enrolment ends; the final look is matures_after later", Live),
    Key(
        "stages.promote",
        kinds.listing(kinds.PROMOTE_STEP, least=1),
        "The candidate's share and time after a win; the last is 1 - holdback",
        Stages,
    ),
    Key(
        "stages.bake.for",
        _DURATION,
        "Time to serve; at least matures_after + 1d, in a local environment matures_after",
        Bake,
        "for_",
    ),
    Key("stages.bake.holdback", kinds.share(0, 0.5, strict_low=True), "Share that stays on the champion", Bake),
    Key("traffic.units_per_day", kinds.integer(1, 250), "New units a day, the not enrolled included", Traffic),
    Key("success.metric", METRIC_NAME, "What is measured: correct, or a metric under metrics", Success),
    Key("success.better", kinds.choice("higher", "lower"), "The direction in which it improves", Success),
    Key(
        "success.mde",
        kinds.optional(kinds.margin(("absolute", "relative", "value"))),
        "The smallest difference worth finding; this or better_or_equal is given",
        Success,
    ),
    Key(
        "success.better_or_equal",
        kinds.optional(kinds.margin(("absolute", "relative", "value"))),
        "The largest tolerated worsening: a win is to be shown no worse than that, and harm is to be worse",
        Success,
    ),
    Key("success.alpha", kinds.number(0, 0.5, 0.025), "Type-I error, per side", Success),
    Key(
        "success.power",
        kinds.number(0, 1, 0.8),
        "Chance to find a difference of mde; with better_or_equal, to find no difference at all",
        Success,
    ),
    Key(
        "success.futility",
        kinds.optional(kinds.SPENDING, word="none"),
        "How 1 - power is spent on giving up before the final look; non-binding",
        Success,
    ),
    Key(
        "success.reestimate",
        kinds.optional(kinds.choice("blinded"), word="none"),
        "Plan the size anew before the first efficacy look, from the rate of both variants together; it may only rise",
        Success,
    ),
    Key(
        "success.matures_after", kinds.duration(positive=False), "From a unit's first exposure to its outcome", Success
    ),
    Key(
        "success.baseline",
        kinds.optional(kinds.amount(), word="measured"),
        "The champion's value; measured: on champion units before LIVE",
        Success,
    ),
    Key(
        "success.sd",
        kinds.optional(kinds.number(0, None, 25), word="measured"),
        "Standard deviation of one unit's value, of a mean or a ratio; measured: as baseline",
        Success,
    ),
    Key("metrics", METRICS, "Metrics that success may name: a rate, a mean, or a ratio of fields", RolloutSpec),
    *(
        key
        for name, metric in GUARDRAILS.items()
        for key in (
            Key(
                f"guardrails.{name}.worse_by",
                kinds.margin(metric.margins),
                "The largest tolerated worsening",
                Guardrail,
            ),
            Key(f"guardrails.{name}.action", kinds.choice("roll_back", "watch"), "watch only reports", Guardrail),
        )
    ),
    Key(
        "signals",
        kinds.listing(kinds.choice(*SIGNALS), unique=True),
        "What holds the rollout when it is breached",
        RolloutSpec,
    ),
    Key("quality", _WORD, "Great Expectations suite; failure holds, three in a row roll back", RolloutSpec),
    Key("srm.alpha", kinds.number(0, 0.5, 0.001), "False alarms allowed over the whole rollout", Srm),
    Key("segments", kinds.listing(_COLUMN, unique=True), "Reported, Holm-corrected, never deciding", RolloutSpec),
    Key("decide.win", kinds.WIN, "What a win does", DecideRules),
    Key("decide.no_win", _KEEP, "What futility, or a final look without a win, does", DecideRules),
    Key("decide.no_answer", _KEEP, "What an unproven guardrail, or no valid final look, does", DecideRules),
    Key("budget.max_usd", kinds.optional(kinds.number(0, None, 900)), "Limit in US dollars; null: none", Budget),
    Key("freeze", kinds.listing(kinds.FREEZE), "UTC days, both included, on which nothing moves forward", RolloutSpec),
    Key("notify", kinds.optional(_WORD), "The channel that is told; null: nobody", RolloutSpec),
    Key("capture_delay", _DURATION, "A log older than this, while calls are made, is no data", RolloutSpec),
    Key("blind_after", _DURATION, "An exposed rollout that nobody watched for so long is rolled back", RolloutSpec),
    Key("min_units", kinds.integer(1, 50), "Units per variant and canary step, at least", RolloutSpec),
    Key(
        "on_newer",
        kinds.choice("queue", "supersede"),
        "What a newer candidate does while this one runs: wait, or take its place",
        RolloutSpec,
    ),
    Key(
        "instance.type",
        kinds.text("a SageMaker instance type, such as ml.m5.xlarge", r"ml\.[a-z0-9-]+\.[a-z0-9]+"),
        "Instance type of each variant",
        Instance,
    ),
    Key("instance.count", kinds.integer(1, 1), "Instances of each variant", Instance),
)
BY_PATH = {key.path: key for key in KEYS}


def children(section: str) -> tuple[str, ...]:
    """The keys directly below a section, in the table's order; `""` is the top of the file.

    >>> children("stages.bake")
    ('for', 'holdback')
    """
    start = f"{section}." if section else ""
    names = (path[len(start) :].split(".")[0] for path in BY_PATH if path.startswith(start))
    return tuple(dict.fromkeys(names))


def describe(key: Key) -> tuple[str, str]:
    """The default in the file's form, and the one-line documentation."""
    if key.required:
        return "required", key.doc
    return ("realtime" if key.model is None else key.kind.render(key.default)), key.doc

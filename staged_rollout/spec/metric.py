"""A metric that the rollout file declares: a rate of a condition, a mean of a field, or a ratio of two."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from staged_rollout.spec.metric_grammar import SEPARATE, parse_condition, parse_field
from staged_rollout.spec.metric_grammar import Field as MetricField
from staged_rollout.spec.values import FrozenModel

MetricKind = Literal["rate", "mean", "ratio"]

LEAST_RESOLUTION, LARGEST_RESOLUTION = 1e-6, 1e9
"""Evidence keeps numbers to 1e-9: a finer step would lose what it counts. Scale such a field up at its source."""
BUILT_IN = "correct"
"""The metric that needs no declaration: the served prediction was right, 0 or 1 per unit."""
LARGEST_CAP = 2**40
"""Steps of the resolution that a winsorised total may have, as any total."""

FieldText = Annotated[str, AfterValidator(lambda text: str(parse_field(text)))]
ConditionText = Annotated[str, AfterValidator(lambda text: str(parse_condition(text)))]


class Metric(FrozenModel):
    """One declared metric; exactly one of rate, mean and ratio is given.

    Args:
        rate: Share of units with at least one row in their window for which this holds.
        mean: Field whose total of a unit is averaged over units.
        ratio: Fields whose totals over all units are divided: numerator, denominator.
        resolution: Smallest step that counts, in the metric's unit; of a mean, or of both fields of a ratio.
        winsorise: Unit totals above it count as it, in the metric's unit; of a mean.
        unit_total: What a unit's value is: the `sum` of its values (the default) or their `mean`; of a mean.
    """

    rate: ConditionText | None = None
    mean: FieldText | None = None
    ratio: tuple[FieldText, FieldText] | None = None
    resolution: float | None = Field(default=None, ge=LEAST_RESOLUTION, le=LARGEST_RESOLUTION)
    winsorise: float | None = None
    unit_total: Literal["sum", "mean"] | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        problems = problems_of({key: value for key, value in self if value is not None})
        if problems:
            raise ValueError("; ".join(f"{key} {problem}; accepted: {accepts}" for key, problem, accepts in problems))
        return self

    @model_serializer(mode="wrap")
    def _as_written(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {key: value for key, value in handler(self).items() if value is not None}

    @property
    def kind(self) -> MetricKind:
        """Which of the three it is."""
        if self.rate is not None:
            return "rate"
        return "mean" if self.mean is not None else "ratio"

    @property
    def step(self) -> float:
        """The resolution; 1 for a rate, which counts."""
        return 1.0 if self.resolution is None else self.resolution

    @property
    def averaged(self) -> bool:
        """Whether a unit's value is the mean of its values."""
        return self.unit_total == "mean"

    @property
    def fields(self) -> tuple[MetricField, ...]:
        """What it reads: one field, or numerator and denominator."""
        if self.rate is not None:
            return (parse_condition(self.rate).field,)
        if self.mean is not None:
            return (parse_field(self.mean),)
        return tuple(parse_field(text) for text in self.ratio or ())

    @property
    def needs_value(self) -> bool:
        """Whether a unit without a value is left out; else it counts as 0, or as one where no condition held."""
        return self.averaged or self.fields[0].kind in SEPARATE

    def __str__(self) -> str:
        if self.rate is not None:
            return f"share of units with a row where {self.rate}"
        if self.ratio is not None:
            return f"{self.ratio[0]} per {self.ratio[1]}, of all units together"
        total = "mean" if self.averaged else "sum"
        capped = "" if self.winsorise is None else f", totals above {self.winsorise:g} counted as that"
        return f"mean over units of each unit's {total} of {self.mean}{capped}"


def problems_of(given: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """What does not fit together in a metric: (key, problem, what is accepted) of each.

    Args:
        given: Its keys with their values, each fine by itself.
    """
    kinds = [name for name in ("rate", "mean", "ratio") if name in given]
    if len(kinds) != 1:
        problem = "is missing" if not kinds else f"stands beside {kinds[0]}"
        return [("rate" if not kinds else kinds[1], problem, "exactly one of rate, mean and ratio")]
    kind, found = kinds[0], []
    if kind == "rate":
        if "resolution" in given:
            found.append(("resolution", "stands in a rate, which counts units", "no resolution"))
    elif "resolution" not in given:
        found.append(("resolution", "is missing", "the smallest step that counts, such as 0.01"))
    found.extend(
        (key, f"stands in a {kind}", "winsorise and unit_total belong to a mean")
        for key in ("winsorise", "unit_total")
        if kind != "mean" and key in given
    )
    if kind == "mean" and "winsorise" in given and "resolution" in given:
        steps = given["winsorise"] / given["resolution"]
        if abs(steps) > LARGEST_CAP:
            found.append(("winsorise", f"is {abs(steps):.3g} steps of the resolution", "at most 2^40 steps"))
    if kind == "ratio" and given["ratio"][0] == given["ratio"][1]:
        found.append(("ratio", f"divides {given['ratio'][0]} by itself", "two different fields"))
    return found


def measure_names(metrics: Mapping[str, Metric]) -> tuple[str, ...]:
    """The measures that some metrics read, sorted: what ingest has to keep of a line beside its own fields."""
    fields = (field for metric in metrics.values() for field in metric.fields)
    return tuple(sorted({field.key for field in fields if field.kind == "measure" and field.key}))

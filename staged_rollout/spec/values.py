"""The value types that the models of `configs/` are made of."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, NamedTuple, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, model_validator

from staged_rollout.spec.grammar import (
    MarginKind,
    parse_duration,
    parse_spending,
    render_duration,
    render_margin,
    render_spending,
)


class FrozenModel(BaseModel):
    """A model that cannot change, knows all its keys, and holds finite numbers only."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
    )


def _duration(value: Any) -> Any:
    if isinstance(value, timedelta):
        render_duration(value)
    return parse_duration(value) if isinstance(value, str) else value


Duration = Annotated[
    timedelta, BeforeValidator(_duration), PlainSerializer(render_duration, return_type=str, when_used="json")
]
"""A duration of whole seconds from 0: a `timedelta` in Python, the grammar's text (`1d12h`) in JSON."""

Share = Annotated[float, Field(ge=0, le=1)]
"""A fraction in [0, 1]."""

SpendingText = Annotated[str, AfterValidator(lambda text: render_spending(parse_spending(text)))]
"""How an error probability is spent, in the grammar's text: `obrien-fleming`, `pocock`, `power:2`, `hsd:-4`."""


class Margin(FrozenModel):
    """How large a difference matters.

    Args:
        value: A fraction for `relative` and `absolute` (5pp is 0.05), milliseconds for `ms`, the metric's own
            unit for `value`; above 0.
        kind: What it is measured against.
    """

    value: float = Field(gt=0)
    kind: MarginKind

    def absolute(self, baseline: float) -> float:
        """The margin in the metric's own units, given the champion's value.

        >>> Margin(value=0.1, kind="relative").absolute(0.8)
        0.08000000000000002
        """
        return self.value * baseline if self.kind == "relative" else self.value

    def __str__(self) -> str:
        return render_margin(self.value, self.kind)


class Split(NamedTuple):
    """Shares of enrolled units in CANARY and LIVE; fractions that sum to 1."""

    champion: float
    candidate: float


class FreezeWindow(FrozenModel):
    """Days on which nothing moves forward.

    Args:
        start: First day, UTC, included.
        end: Last day, UTC, included.
    """

    start: date
    end: date

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.end < self.start:
            raise ValueError(f"end == {self.end}, must not lie before start == {self.start}")
        return self

    def covers(self, moment: datetime) -> bool:
        """Whether a moment lies in the window.

        Args:
            moment: With a time zone.

        Raises:
            ValueError: If the moment has no time zone.
        """
        if moment.tzinfo is None:
            raise ValueError(f"moment == {moment.isoformat()}, must have a time zone")
        return self.start <= moment.astimezone(UTC).date() <= self.end

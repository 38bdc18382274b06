"""The demo's candidates, one after another: what each is, under which rules it is tried, and how that should end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from demo import models
from demo.rules import Edit
from staged_rollout.state import State

Fitted = tuple[Any, tuple[str, ...]]
"""A fitted classifier, and the columns that it takes."""

HYPOTHESIS = "The candidate is right about more customers, because it sees how they call"
AS_GOOD = (
    Edit(HYPOTHESIS, "The candidate is as good, and needs less than half of the columns"),
    Edit("shadow: {sample: 100%, for: 2d", "shadow: {sample: 100%, for: 1d"),
    Edit("min: 7d", "min: 2d"),
    Edit("max: 14d", "max: 7d"),
    Edit("promote: [75% 1d, 95%]", "promote: [95%]"),
    Edit("units_per_day: 250", "units_per_day: 500"),
    Edit("mde: 5pp", "better_or_equal: 3pp"),
    Edit("baseline: measured", "baseline: 95%"),
)
"""Not worse by more than 3 pp is enough; twice the customers a day, so that a week is."""

ASKS = (
    *AS_GOOD[1:],
    Edit(HYPOTHESIS, "The candidate is no worse, and sees where customers live"),
    Edit("win: promote,", 'win: "ask growth-ml within 3d",'),
)
"""As `AS_GOOD`; a win is put before a person."""


GIVES_UP = (
    Edit("# futility: obrien-fleming", "futility: hsd:-4"),
    Edit("units_per_day: 250", "units_per_day: 300"),
    Edit("min: 7d", "min: 2d"),
)
"""Should its shadow not show already that it cannot win, it is given up at the first look that says so."""


@dataclass(frozen=True)
class Candidate:
    """One version and its rollout.

    Attributes:
        version: The registry's number for it.
        words: What it is.
        fit: Trains it, from the customers and the demo's seed.
        rules: What its owner changes in `churn.yaml` before it is registered.
        told: The change in words; empty: the file stays as it was written.
        ending: How it should end.
        at_least: The least probability of that ending, over seeds.
    """

    version: int
    words: str
    fit: Callable[[models.Customers, int], Fitted]
    rules: tuple[Edit, ...]
    told: str
    ending: State
    at_least: float


CANDIDATES = (
    Candidate(2, "all columns", lambda customers, _: models.candidate_v2(customers), (), "", State.PROMOTED, 0.95),
    Candidate(
        3,
        "all columns, a quarter of its training labels corrupted",
        models.candidate_v3,
        (),
        "",
        State.ROLLED_BACK,
        0.90,
    ),
    Candidate(
        4,
        "v2 retrained on resampled rows",
        models.candidate_v4,
        GIVES_UP,
        "its owner edits churn.yaml: futility: hsd:-4 gives up early, from the second day on",
        State.KEPT_CHAMPION,
        0.94,
    ),
    Candidate(
        5,
        "9 of the 19 columns",
        lambda customers, _: models.candidate_v5(customers),
        AS_GOOD,
        "its owner edits churn.yaml: better_or_equal: 3pp in place of mde: 5pp, and a faster plan",
        State.PROMOTED,
        0.80,
    ),
    Candidate(
        6,
        "v5's columns and where a customer lives",
        lambda customers, _: models.candidate_v6(customers),
        ASKS,
        "its owner edits churn.yaml: a win asks growth-ml within 3d",
        State.PROMOTED,
        0.80,
    ),
)
"""The probabilities: v2, v3 and v4 as the demo promises them; v5 and v6 the power that their plan asks for."""


def candidate_after(version: int, last: int) -> Candidate | None:
    """The next one, or None when `last` has been tried."""
    return next((one for one in CANDIDATES if version < one.version <= last), None)

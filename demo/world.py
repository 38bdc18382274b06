"""The calendar: who comes on which day, and what became of them. The only thing that is simulated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from demo.models import Customers
from staged_rollout.assignment import request_id
from staged_rollout.state import RolloutState, State

RETURNING_PER_LIVE_DAY = 60
BEFORE_LIVE = {State.SHADOW: 600, State.CANARY: 450}
"""Customers a day before LIVE: enough to measure the champion's baseline on 1,000 of them."""
AFTERWARDS = 300
REPEAT = 0.2
"""Share of a day's customers who come a second time on that day."""


@dataclass(frozen=True)
class Call:
    """One request of one customer."""

    request_id: str
    at: datetime
    unit_id: str
    customer: int
    features: dict[str, Any]


@dataclass(frozen=True)
class Outcome:
    """What became of a customer, one day after a call."""

    at: datetime
    unit_id: str
    outcome: int


def calls_of_day(
    customers: Customers, state: RolloutState | None, day: datetime, seed: int, live_day: int
) -> list[Call]:
    """The calls of one day, in order of time; the same for the same arguments.

    Args:
        customers: The data set.
        state: The rollout in force at the day's start, or None.
        day: Midnight at the day's start, UTC.
        seed: The demo's.
        live_day: Whole days since LIVE began, 0 on its first day; ignored outside LIVE.
    """
    rng = np.random.default_rng([seed, day.toordinal()])
    comers = _comers(customers, state, rng, seed, live_day)
    calls: list[Call] = []
    for customer in comers:
        times = 2 if rng.random() < REPEAT else 1
        for visit in range(times):
            at = day + timedelta(seconds=float(rng.uniform(60, 86_340)))
            unit = f"customer-{customer}"
            calls.append(
                Call(
                    request_id=request_id(f"demo-{seed}", unit, f"{day.date()}:{visit}"),
                    at=at,
                    unit_id=unit,
                    customer=int(customer),
                    features=customers.rows[customer],
                )
            )
    return sorted(calls, key=lambda call: (call.at, call.request_id))


def _comers(
    customers: Customers, state: RolloutState | None, rng: np.random.Generator, seed: int, live_day: int
) -> Sequence[int]:
    traffic = customers.traffic
    if state is not None and state.state in {State.LIVE, State.AWAITING_APPROVAL}:
        order = np.random.default_rng([seed, int(state.candidate.version)]).permutation(traffic)
        new = len(traffic) // state.spec.stages.live.max.days  # every customer once, over all LIVE days
        start = live_day * new
        fresh = order[start : start + new]
        seen = order[:start]
        # Once all have come, others come back in their place: a site does not empty because a test has enrolled.
        returning = RETURNING_PER_LIVE_DAY + new - len(fresh)
        back = rng.choice(seen, size=min(returning, len(seen)), replace=False) if len(seen) else seen
        return [int(customer) for customer in (*fresh, *back)]
    count = BEFORE_LIVE.get(state.state, AFTERWARDS) if state is not None else AFTERWARDS
    return [int(customer) for customer in rng.choice(traffic, size=count, replace=False)]


def outcomes_of(calls: Sequence[Call], customers: Customers) -> list[Outcome]:
    """The data set's label of each caller, one day after the call."""
    return [
        Outcome(at=call.at + timedelta(days=1), unit_id=call.unit_id, outcome=int(customers.left[call.customer]))
        for call in calls
    ]

"""When the planned looks of LIVE are taken."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from typing import Self

from pydantic import model_validator

from staged_rollout.spec.grammar import render_duration, render_looks
from staged_rollout.spec.values import Duration, FrozenModel

_DAY = timedelta(days=1)


class Looks(FrozenModel):
    """A plan of looks: one step apart (`every`), or on a list of days (`at`).

    Days in `at` count enrolment, like `live.min` and `live.max`: the look at `7d` weighs the units that entered
    within the first seven days, and is taken when their outcomes have matured. So no look can come before its labels.

    Args:
        every: Time between looks; None when `at` is given.
        at: Rising enrolment times.
    """

    every: Duration | None = None
    at: tuple[Duration, ...] = ()

    @model_validator(mode="after")
    def _one_plan(self) -> Self:
        if (self.every is None) is not bool(self.at):
            raise ValueError("exactly one of every and at must be given")
        if self.every is not None and not self.every:
            raise ValueError("every == 0, must be above 0")
        if any(later <= earlier for earlier, later in pairwise(self.at)):
            raise ValueError("at must rise")
        return self

    def slots(self, live_max: timedelta, matures_after: timedelta, live_min: timedelta) -> tuple[timedelta, ...]:
        """Planned times of the efficacy looks, counted from LIVE's begin.

        Args:
            live_max: When enrolment ends.
            matures_after: From a unit's first exposure to its outcome.
            live_min: Enrolment before the first efficacy look.

        Returns:
            Rising times; steps begin at `live_min + matures_after`, and every plan ends at `live_max + matures_after`.

        >>> plan = Looks(every=timedelta(days=3))
        >>> [slot.days for slot in plan.slots(timedelta(days=14), timedelta(days=1), timedelta(days=7))]
        [8, 11, 14, 15]
        """
        enrolled = [day for day in self.at if live_min <= day < live_max]
        if self.every is not None:
            day = live_min
            while day < live_max:
                enrolled.append(day)
                day += self.every
        return tuple(day + matures_after for day in (*enrolled, live_max))

    def harm_slots(self, live_max: timedelta, matures_after: timedelta) -> tuple[timedelta, ...]:
        """Planned times at which harm is tested, counted from LIVE's begin: once for every closed day of enrolment.

        Args:
            live_max: When enrolment ends.
            matures_after: From a unit's first exposure to its outcome.

        Returns:
            Rising times from `matures_after + 1 day` to `live_max + matures_after`, whatever the efficacy looks.
        """
        whole = [_DAY * day for day in range(1, live_max // _DAY + 1)]
        return tuple(day + matures_after for day in (*(day for day in whole if day < live_max), live_max))

    def __str__(self) -> str:
        if self.every is not None:
            return render_looks(self.every)
        return f"[{', '.join(render_duration(day) for day in self.at)}]"

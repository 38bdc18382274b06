"""A lake that is asked like the real one and answers from simulated traffic: only the store of rows is replaced.

What a statement of `sql/` computes over rows, numpy computes here over arrays; `tests/unit/test_simulated_lake.py`
holds both against each other. Everything above `lake.query` is the real code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from staged_rollout.assignment import AssignmentDocument
from staged_rollout.ports import Batch, Rows
from tests.fakes.ports import START
from tests.fakes.simulated_traffic import CHAMPION, NEVER, NOBODY, Requests, SimulatedTraffic


def microseconds(moment: datetime) -> int:
    """Whole microseconds after START."""
    return (moment - START) // timedelta(microseconds=1)


def moment(at: int) -> datetime:
    """The moment that many microseconds after START."""
    return START + timedelta(microseconds=int(at))


class SimulatedLake:
    """Satisfies the lake's port as far as CANARY and what follows it ask.

    Args:
        traffic: All requests that will ever be made.
        documents: Every document that was published, in order; the list grows while the rollout runs.
        names: (champion's, candidate's) variant.
    """

    def __init__(
        self, traffic: SimulatedTraffic, documents: Sequence[AssignmentDocument], names: tuple[str, str]
    ) -> None:
        self.traffic, self.documents, self.names = traffic, documents, names
        self._stays: dict[tuple[tuple[int, ...], int], Stay] = {}

    def head(self) -> Batch:
        """The newest batch: everything up to now."""
        return self.batch(1)

    def batch(self, number: int) -> Batch:
        """A sealed batch; cut-offs say what may be seen of it."""
        return Batch(number, {}, START)

    def query(self, name: str, parameters: Mapping[str, Any], *, batch: Batch) -> Rows:
        """What the statement of that name answers."""
        if name == "freshness":
            seen = int(np.searchsorted(self.traffic.at, microseconds(parameters["cut_off"]), side="right"))
            return [{"rows": seen, "newest": moment(self.traffic.at[seen - 1]) if seen else None}]
        answer: Rows = getattr(self.stay(tuple(parameters["epochs"])), name)(parameters)
        return answer

    def stay(self, epochs: tuple[int, ...]) -> Stay:
        """The rows of some epochs; made once, until another document ends the last of them."""
        key = (epochs, len(self.documents))
        if key not in self._stays:
            self._stays[key] = Stay(self.rows(epochs), self.traffic, self.names)
        return self._stays[key]

    def rows(self, epochs: Sequence[int]) -> Requests:
        """What was and, by the newest document, will be logged in some epochs."""
        begins = [microseconds(document.published_at) for document in self.documents]
        served = [
            self.traffic.served(document, begin, end)
            for document, begin, end in zip(self.documents, begins, [*begins[1:], NEVER], strict=True)
            if document.epoch in epochs
        ]
        return Requests.joined([self.traffic.served(self.documents[0], 0, 0), *served])


class Stay:
    """All rows of some epochs. Each public method is one statement of `sql/`: up to its cut-off, with its columns."""

    def __init__(self, rows: Requests, traffic: SimulatedTraffic, names: tuple[str, str]) -> None:
        self.rows, self.names, self._known = rows, names, traffic
        self._enrolled = rows.only(rows.counted & (rows.assigned != NOBODY))
        self._first = np.sort(np.unique(self._enrolled.unit, return_index=True)[1])
        self._torn_at = self._contradicted_at()

    def _contradicted_at(self) -> np.ndarray:
        """For each first row of a unit: when the unit is seen under another variant; `NEVER` for most."""
        rows, first = self._enrolled, self._first
        units = len(self._known.arm)
        drawn = np.full(units, NOBODY)
        drawn[rows.unit[first]] = rows.assigned[first]
        other = np.flatnonzero(rows.assigned != drawn[rows.unit])
        at = np.full(units, NEVER)
        np.minimum.at(at, rows.unit[other], rows.at[other])
        return at[rows.unit[first]]

    def _exposures(self, cut_off: int) -> Requests:
        """`exposures`: each unit's first row."""
        first = self._first[(self._enrolled.at[self._first] <= cut_off) & (self._torn_at > cut_off)]
        return self._enrolled.only(first)

    def _seen(self, cut_off: int) -> Requests:
        """Rows of enrolled units that are not contradictory."""
        units = np.zeros(len(self._known.arm), dtype=bool)
        units[self._exposures(cut_off).unit] = True
        rows = self._enrolled
        return rows.only((rows.at <= cut_off) & units[rows.unit])

    def _outcomes(self, exposures: Requests, cut_off: int, matures_after: timedelta) -> tuple[np.ndarray, ...]:
        """`unit_outcomes`: closed, with an outcome, correct, and after closure, for each exposure."""
        closes = exposures.at + matures_after // timedelta(microseconds=1)
        at, value = self._known.outcome_at[:, exposures.row], self._known.outcome[:, exposures.row]
        (first, second), (early, late) = at, value
        known = first <= cut_off
        # The latest one within the window counts; only when there is none, the earliest after it.
        corrected = (second <= cut_off) & (second <= closes)
        outcome = np.where(corrected, late, early)
        correct = known & (exposures.prediction == outcome)
        return closes <= cut_off, known, correct, known & (first > closes)

    def _by_variant(self, assigned: np.ndarray, **columns: np.ndarray | int) -> Rows:
        """Sums of columns by assigned variant, for the variants that have rows."""
        found: Rows = []
        for side, name in enumerate(self.names):
            mine = assigned == side
            if mine.any():
                sums = {
                    name: int(mine.sum()) * column if isinstance(column, int) else int(column[mine].sum())
                    for name, column in columns.items()
                }
                found.append({"assigned_variant": name} | sums)
        return found

    def contradictions(self, parameters: Mapping[str, Any]) -> Rows:
        """Units, and contradictory ones among them."""
        cut_off = microseconds(parameters["cut_off"])
        met = self._enrolled.at[self._first] <= cut_off
        return [{"units": int((self._torn_at[met] <= cut_off).sum()), "units_total": int(met.sum())}]

    def traffic(self, parameters: Mapping[str, Any]) -> Rows:
        """Requests and what became of them; None for those that are not enrolled."""
        rows = self.rows.only(self.rows.at <= microseconds(parameters["cut_off"]))
        found: Rows = []
        for side, name in ((NOBODY, None), *enumerate(self.names)):
            mine = rows.only(rows.assigned == side)
            if len(mine.unit):
                counts = (len(mine.unit), len(np.unique(mine.unit)), int(mine.failed.sum()), int(mine.fallback.sum()))
                columns = ("assigned_variant", "requests", "units", "errors", "fallbacks")
                found.append(dict(zip(columns, (name, *counts), strict=True)))
        return found

    def srm_counts(self, parameters: Mapping[str, Any]) -> Rows:
        """Units by assigned variant at their first exposure."""
        return self._by_variant(self._exposures(microseconds(parameters["cut_off"])).assigned, units=1)

    def success_counts(self, parameters: Mapping[str, Any]) -> Rows:
        """The success metric on closed units."""
        cut_off = microseconds(parameters["cut_off"])
        exposures = self._exposures(cut_off)
        closed, known, correct, after = self._outcomes(exposures, cut_off, parameters["matures_after"])
        return self._by_variant(
            exposures.assigned,
            units=1,
            closed=closed,
            with_outcome=closed & known,
            correct=closed & correct,
            after_closure=closed & after,
        )

    def baseline(self, parameters: Mapping[str, Any]) -> Rows:
        """The champion's success on units that it answered."""
        cut_off = microseconds(parameters["cut_off"])
        rows = self.rows.only(self.rows.counted & (self.rows.variant == CHAMPION) & ~self.rows.fallback)
        rows = rows.only(np.sort(np.unique(rows.unit, return_index=True)[1]))
        rows = rows.only(rows.at <= cut_off)
        closed, known, correct, _ = self._outcomes(rows, cut_off, parameters["matures_after"])
        both = closed & known
        return [{"closed": int(closed.sum()), "units": int(both.sum()), "correct": int((both & correct).sum())}]

    def guardrail_errors(self, parameters: Mapping[str, Any]) -> Rows:
        """Moments of errors over unit totals."""
        rows = self._seen(microseconds(parameters["cut_off"]))
        units = len(self._known.arm)
        requests = np.bincount(rows.unit, minlength=units)
        errors = np.bincount(rows.unit, weights=rows.failed | rows.fallback, minlength=units).astype(int)
        fallbacks = np.bincount(rows.unit, weights=rows.fallback, minlength=units).astype(int)
        assigned = np.full(units, NOBODY)
        assigned[rows.unit] = rows.assigned
        return self._by_variant(
            assigned,
            units=1,
            requests=requests,
            requests_squared=requests * requests,
            errors=errors,
            errors_squared=errors * errors,
            errors_requests=errors * requests,
            statuses=requests,
            error_units=errors > 0,
            fallbacks=fallbacks,
        )

    def guardrail_latency(self, parameters: Mapping[str, Any]) -> Rows:
        """Moments of exceedances over unit totals, for each threshold."""
        thresholds = np.asarray(parameters["thresholds"])
        rows = self._seen(microseconds(parameters["cut_off"]))
        found: Rows = []
        for side, name in enumerate(self.names):
            mine = rows.only(rows.assigned == side)
            if not len(mine.unit):
                continue
            unit = np.unique(mine.unit, return_inverse=True)[1]
            units, bins = int(unit.max()) + 1, len(thresholds) + 1
            # Bin b: slower than exactly the first b thresholds. Counts above threshold j are those of the bins beyond.
            bin_of = np.where(mine.failed, len(thresholds), np.searchsorted(thresholds, mine.latency, side="left"))
            counts = np.bincount(unit * bins + bin_of, minlength=units * bins).reshape(units, bins)
            above = counts[:, ::-1].cumsum(axis=1)[:, ::-1][:, 1:]
            requests = np.bincount(unit)
            shared = {"assigned_variant": name, "units": units, "requests": len(unit)}
            shared |= {"requests_squared": int((requests * requests).sum())}
            sums = (above.sum(axis=0), (above * above).sum(axis=0), requests @ above)
            found.extend(
                shared | {"threshold": t, "exceed": x, "exceed_squared": xx, "exceed_requests": xr}
                for t, x, xx, xr in zip(thresholds.tolist(), *(column.tolist() for column in sums), strict=True)
            )
        return found

    def latency_quantile(self, parameters: Mapping[str, Any]) -> Rows:
        """A quantile of the champion's own latency; failed requests are slower than any other."""
        rows = self.rows.only(self.rows.at <= microseconds(parameters["cut_off"]))
        asked = np.where(rows.variant != NOBODY, rows.variant, np.maximum(rows.assigned, CHAMPION))
        rows = rows.only((asked == CHAMPION) & ~rows.fallback)
        latency = np.sort(np.where(rows.failed, np.inf, rows.latency))
        place = int(np.ceil(parameters["level"] * len(latency) - 1e-9)) - 1
        found = float(latency[max(place, 0)]) if len(latency) else np.inf
        return [{"requests": len(latency), "latency_ms": found if np.isfinite(found) else None}]

"""Simulated units and their requests: who calls when, what the variants answer, and when outcomes are known.

All chance is drawn before a rollout begins. What becomes of a request (its variant, its answer) follows from the
assignment document that is in force when it is made, as in the router.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from staged_rollout.assignment import AssignmentDocument

SECOND = 1_000_000
"""Moments are whole microseconds after START, as the lake stores them."""
DAY = 86_400 * SECOND
NEVER = np.iinfo(np.int64).max // 4
"""Later than any cut-off, and far enough from overflow to add a window to it."""
CHAMPION, CANDIDATE, NOBODY = 0, 1, -1


@dataclass(frozen=True)
class Population:
    """Who calls, and how: everything about units and requests that a simulation may vary.

    Rates of success and failure are (champion, candidate). A unit's requests share its difficulty: a variant is right
    about all of them or about none. They share its proneness to failures too, beta-distributed with an intra-class
    correlation.

    Attributes:
        units_per_day: New units a day; each comes `requests` times, spread over `returns`.
        requests: Mean number of requests of a new unit, at least 1; the excess over 1 is Poisson-distributed.
        returns: Days over which a new unit's requests are spread.
        pool: Units that are customers already and come back on all days, each at a rate of its own.
        visits: Mean requests a day of a unit of the pool; the rates are gamma-distributed with shape 1.
        success: Probability that an answer of the variant is right.
        later: The candidate's success after LIVE; None: as before.
        failures: Share of requests that the variant fails on; the caller gets no answer.
        fallbacks: Share of the candidate's requests that the champion answers for it.
        icc: Intra-class correlation of failures and fallbacks within units, in [0, 1).
        matures: Days from a first exposure to the end of its outcome window.
        late: Share of units, the most difficult ones, whose outcome comes after their window.
        missing: Share of requests that never get an outcome.
        corrected: Share of requests whose first outcome is wrong and corrected later, in the window or after it.
        torn: Share of requests that a router assigned to the other variant by mistake.
        slow_ms: Median latency; the unit's and the request's part each have a log sd of 0.3. None: all take 50 ms.
        slower_ms: By how much the candidate is slower.
    """

    units_per_day: int = 350
    requests: float = 1.0
    returns: float = 0.0
    pool: int = 0
    visits: float = 0.5
    success: tuple[float, float] = (0.8, 0.8)
    later: float | None = None
    failures: tuple[float, float] = (0.02, 0.02)
    fallbacks: float = 0.0
    icc: float = 0.0
    matures: float = 1.0
    late: float = 0.0
    missing: float = 0.0
    corrected: float = 0.0
    torn: float = 0.0
    slow_ms: float | None = None
    slower_ms: float = 0.0

    @property
    def effect(self) -> float:
        """True difference of the success metric in LIVE, intention to treat: fallbacks and failures count.

        Only for populations without corrected, late or torn rows, which change what is measured.
        """
        champion, candidate = self.success
        answered = 1.0 - self.failures[CANDIDATE] - self.fallbacks
        return answered * candidate + self.fallbacks * champion - (1.0 - self.failures[CHAMPION]) * champion


@dataclass(frozen=True)
class Requests:
    """Rows of the prediction log as columns, in order of time; `row` is the request's id and finds its outcomes."""

    row: np.ndarray
    unit: np.ndarray
    at: np.ndarray
    counted: np.ndarray
    assigned: np.ndarray
    variant: np.ndarray
    fallback: np.ndarray
    failed: np.ndarray
    prediction: np.ndarray
    latency: np.ndarray

    def only(self, chosen: np.ndarray | slice) -> Requests:
        """Some rows, in the same order."""
        return Requests(**{name: column[chosen] for name, column in vars(self).items()})

    @classmethod
    def joined(cls, parts: Sequence[Requests]) -> Requests:
        """Rows of several epochs, earlier epochs first."""
        return cls(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in cls.__annotations__})


class SimulatedTraffic:
    """Every unit and request of one world, drawn before anything is decided; documents say what becomes of them.

    Args:
        population: What is drawn.
        days: For how many days after START.
        rng: The source of chance.
    """

    def __init__(self, population: Population, days: float, rng: np.random.Generator) -> None:
        self.population = population
        unit, at = _visits(population, days, rng)
        order = np.argsort(at, kind="stable")
        self.unit, self.at = unit[order], at[order]
        units, rows = int(unit.max(initial=-1)) + 1, len(at)
        self.arm, self.enrol = rng.random(units), rng.random(units)
        self.difficulty = rng.random(units)
        self.truth = (rng.random(units) < 0.5).astype(float)
        bad = (population.failures[CHAMPION], population.failures[CANDIDATE] + population.fallbacks)
        self.prone = np.stack([_proneness(rate, population.icc, units, rng) for rate in bad])
        self.luck, self.kind = rng.random(rows), rng.random(rows)
        self.torn = rng.random(rows) < population.torn if population.torn else np.zeros(rows, dtype=bool)
        self.latency = np.full(rows, 50.0)
        if population.slow_ms is not None:
            spread = rng.normal(0.0, 0.3, units)[self.unit] + rng.normal(0.0, 0.3, rows)
            self.latency = population.slow_ms * np.exp(spread)
        self._draw_outcomes(rng)

    def _draw_outcomes(self, rng: np.random.Generator) -> None:
        """Up to two outcomes of each request: the first, and its correction; `NEVER` for one that does not come."""
        population, rows = self.population, len(self.at)
        window = round(population.matures * DAY)
        delay = rng.integers(1, window, rows)
        if population.late:
            delay += np.where(self.difficulty[self.unit] > 1.0 - population.late, window, 0)
        first, second = self.at + delay, np.full(rows, NEVER)
        wrong = np.zeros(rows, dtype=bool)
        if population.corrected:
            wrong = rng.random(rows) < population.corrected
            second = np.where(wrong, first + rng.integers(1, 2 * window, rows), NEVER)
        if population.missing:
            gone = rng.random(rows) < population.missing
            first, second = np.where(gone, NEVER, first), np.where(gone, NEVER, second)
        truth = self.truth[self.unit]
        self.outcome_at = np.stack([first, second])
        self.outcome = np.stack([np.where(wrong, 1.0 - truth, truth), truth])

    def served(self, document: AssignmentDocument, begin: int, end: int) -> Requests:
        """What the routers log while a document is in force, from `begin` until before `end`."""
        some = slice(*np.searchsorted(self.at, (begin, end), side="left"))
        unit = self.unit[some]
        if document.rollout is None or document.candidate is None:
            assigned = np.full(len(unit), NOBODY)
            counted = np.full(len(unit), document.rollout is not None)
        elif document.share:
            assigned = (self.arm[unit] < document.share).astype(int)
            counted = np.full(len(unit), fill_value=True)
        else:
            counted = self.enrol[unit] < document.enrolled
            assigned = np.where(counted, self.arm[unit] < document.split, NOBODY)
        assigned = np.where(self.torn[some] & (assigned != NOBODY), 1 - assigned, assigned)
        return self._answered(some, assigned, counted, later=bool(document.share))

    def _answered(self, some: slice, assigned: np.ndarray, counted: np.ndarray, *, later: bool) -> Requests:
        population, unit = self.population, self.unit[some]
        asked = np.maximum(assigned, CHAMPION)
        bad = self.luck[some] < self.prone[asked, unit]
        total = population.failures[CANDIDATE] + population.fallbacks
        falls = (asked == CANDIDATE) & (self.kind[some] * total < population.fallbacks)
        fallback, failed = bad & falls, bad & ~falls
        variant = np.where(failed, NOBODY, np.where(fallback, CHAMPION, asked))
        candidate = population.success[CANDIDATE] if population.later is None or not later else population.later
        success = np.array([population.success[CHAMPION], candidate])
        right = self.difficulty[unit] < success[np.maximum(variant, CHAMPION)]
        truth = self.truth[unit]
        return Requests(
            row=np.arange(some.start, some.stop),
            unit=unit,
            at=self.at[some],
            counted=counted,
            assigned=assigned,
            variant=variant,
            fallback=fallback,
            failed=failed,
            prediction=np.where(failed, np.nan, np.where(right, truth, 1.0 - truth)),
            latency=self.latency[some] + population.slower_ms * (variant == CANDIDATE),
        )


def _visits(population: Population, days: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Unit and microsecond of each request."""
    new = round(population.units_per_day * days)
    begins = rng.random(new) * days
    times = 1 + rng.poisson(population.requests - 1.0, new)
    unit = np.repeat(np.arange(new), times)
    first = np.concatenate([[0], np.cumsum(times)[:-1]])[: len(times)]
    after = rng.random(len(unit)) * population.returns
    after[first] = 0.0
    at = begins[unit] + after
    if population.pool:
        visits = rng.poisson(rng.gamma(1.0, population.visits * days, population.pool))
        unit = np.concatenate([unit, new + np.repeat(np.arange(population.pool), visits)])
        at = np.concatenate([at, rng.random(int(visits.sum())) * days])
    return unit, (at * DAY).astype(np.int64)


def _proneness(rate: float, icc: float, units: int, rng: np.random.Generator) -> np.ndarray:
    """Each unit's own rate of failures: beta-distributed around `rate`."""
    if not icc or not rate:
        return np.full(units, rate)
    k = (1.0 - icc) / icc
    return rng.beta(rate * k, (1.0 - rate) * k, units)

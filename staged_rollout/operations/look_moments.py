"""A declared metric on one batch: its definition as bound parameters of sql/, and the answer as exact sums."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from staged_rollout.errors import QuantisationError
from staged_rollout.spec.metric import Metric
from staged_rollout.spec.metric_grammar import parse_condition
from staged_rollout.stats import (
    Difference,
    Moments,
    RatioMoments,
    difference,
    quantise,
    ratio_difference,
    ratio_unit_sd,
)
from staged_rollout.stats.moments import exact


@dataclass(frozen=True)
class MetricSums:
    """One variant's units of a declared metric.

    Args:
        closed: Units whose window is over.
        n: Of these, units that count.
        holds: Of these, units for which a rate's condition held.
        capped: Of these, units whose total was lowered to the cap.
        moments: Sums over their totals, in steps of the resolution.
    """

    closed: int = 0
    n: int = 0
    holds: int = 0
    capped: int = 0
    moments: RatioMoments = field(default_factory=RatioMoments)

    @classmethod
    def from_rows(cls, metric: Metric, name: str, rows: Iterable[Mapping[str, Any]]) -> MetricSums:
        """The sums of some rows of sql/moments.sql, or of its kin, added up.

        Args:
            metric: The metric.
            name: As the rollout file calls it, for a message.
            rows: Of one variant.

        Raises:
            QuantisationError: A total is beyond 2^40 steps: it has no exact sum.
        """
        closed = n = holds = capped = beyond = 0
        moments = RatioMoments()
        for row in rows:
            closed, n, holds, capped = (
                closed + row["closed"],
                n + row["n"],
                holds + row["holds"],
                capped + row["capped"],
            )
            beyond += row["too_large"]
            if beyond:
                continue
            sums = (int(row[key] or 0) for key in ("sy", "syy", "sd", "sdd", "syd"))
            moments = moments.merge(RatioMoments(row["n"], *sums))
        if beyond:
            raise QuantisationError(
                f"metric {name}: {beyond:,} units have totals beyond 2^40 steps of {metric.step:g}",
                hint="declare a coarser resolution, or winsorise; the rows are those with the largest values",
                metric=name,
                units=beyond,
                resolution=metric.step,
            )
        return cls(closed, n, holds, capped, moments)

    @property
    def mean_moments(self) -> Moments:
        """The sums of y alone."""
        return Moments(self.moments.n, self.moments.sy, self.moments.syy)


def query_parameters(metric: Metric) -> dict[str, Any]:
    """What binds the statements unit_totals, moments, baseline_moments and segment_moments to a metric."""
    condition = None if metric.rate is None else parse_condition(metric.rate)
    first, *more = metric.fields
    divisor = more[0] if more else None
    return {
        "field": first.kind,
        "field_key": first.key,
        "divisor": divisor.kind if divisor else None,
        "divisor_key": divisor.key if divisor else None,
        "operator": condition.operator if condition else None,
        "number": condition.number if condition else None,
        "phrase": condition.text if condition else None,
        "steps": float(1 / exact(metric.step)),
        "each": metric.averaged,
        "cap": None if metric.winsorise is None else quantise(metric.winsorise, metric.step),
        "needed": metric.needs_value,
    }


def metric_difference(metric: Metric, candidate: MetricSums, champion: MetricSums) -> Difference | None:
    """Candidate minus champion of a mean or a ratio; None while there are too few units or no variance."""
    if metric.kind == "ratio":
        # Both fields are counted in the same step, which the quotient does not have any more.
        return ratio_difference(candidate.moments, champion.moments)
    return difference(candidate.mean_moments, champion.mean_moments, metric.step)


def value_of(metric: Metric, sums: MetricSums) -> float | None:
    """One variant's mean or ratio, in the metric's unit; None without units or without a denominator."""
    if metric.kind == "ratio":
        return sums.moments.sy / sums.moments.sd if sums.moments.sd > 0 else None
    return sums.mean_moments.mean(metric.step) if sums.n else None


def unit_sd(metric: Metric, sums: MetricSums) -> float | None:
    """Standard deviation of one unit's value, in the metric's unit; None with too few units or no variance.

    Source: as `ratio_unit_sd` for a ratio: its variance by the delta method, times the units.
    """
    if metric.kind == "ratio":
        found = ratio_unit_sd(sums.moments)
        return found[1] if found else None
    variance = sums.mean_moments.variance(metric.step) if sums.n >= 2 else 0.0
    return math.sqrt(variance) if variance > 0 else None


def harm_moments(metric: Metric, sums: MetricSums, *, better: str) -> RatioMoments:
    """The sums turned so that more is worse, for a guard; a mean is a ratio per unit."""
    sign = -1 if better == "higher" else 1
    m = sums.moments
    if metric.kind == "ratio":
        return RatioMoments(m.n, sign * m.sy, m.syy, m.sd, m.sdd, sign * m.syd)
    return RatioMoments(m.n, sign * m.sy, m.syy, m.n, m.n, sign * m.sy)


def harm_margin(metric: Metric, margin: float) -> float:
    """A margin in the unit of `harm_moments`: steps of a mean; a ratio has none."""
    return margin if metric.kind == "ratio" else float(Fraction(exact(margin)) / exact(metric.step))

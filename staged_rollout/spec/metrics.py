"""Which metrics, guardrails and signals a rollout file can name today."""

from __future__ import annotations

from dataclasses import dataclass

from staged_rollout.spec.grammar import MarginKind


@dataclass(frozen=True)
class SuccessMetric:
    """A metric that may decide.

    Args:
        doc: What it is, in one line.
        margins: The kinds of margin that it takes.
        per: What one observation belongs to; `unit: request` needs a metric per request.
    """

    doc: str
    margins: tuple[MarginKind, ...]
    per: str


@dataclass(frozen=True)
class GuardrailMetric:
    """A metric that must not get worse by more than its margin."""

    doc: str
    margins: tuple[MarginKind, ...]


CORRECT = SuccessMetric("The served prediction was right: 0 or 1 per unit", ("absolute", "relative"), "unit")
SUCCESS_METRICS = {"correct": CORRECT}
"""Metrics that need no declaration; declared ones belong to units, too."""
RATE_MARGINS: tuple[MarginKind, ...] = ("absolute", "relative")
VALUE_MARGINS: tuple[MarginKind, ...] = ("relative", "value")
"""Margins of declared metrics: of a rate, and of a mean or a ratio."""
GUARDRAILS = {
    "error_rate": GuardrailMetric("Share of a variant's requests that failed", ("absolute", "relative")),
    "latency_p95": GuardrailMetric("95th percentile of a variant's latency", ("ms",)),
}
SIGNALS = {
    "score_drift": "The distribution of the candidate's scores moved away from its reference",
}

"""Logs of an experiment with a known truth, as lines and as a frame for an independent calculation."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd

BEGIN = datetime(2026, 3, 2, 6, tzinfo=UTC)


@dataclass(frozen=True)
class Experiment:
    """An A/B test on a champion and a candidate that are right with known probabilities.

    Attributes:
        units: In all, about half of them in each variant.
        rates: Probability to be right, champion then candidate.
        days: Of enrolment.
        seed: The same one gives the same log.
        labels_after: Days from exposure to the label.
    """

    units: int = 4000
    rates: tuple[float, float] = (0.70, 0.70)
    days: float = 5.0
    seed: int = 1
    labels_after: float = 0.4

    def frame(self) -> pd.DataFrame:
        """One row per unit: variant, seconds since BEGIN, whether the prediction was right, and the label's delay."""
        rng = np.random.default_rng(self.seed)
        candidate = rng.random(self.units) < 0.5
        at = np.sort(rng.uniform(0, self.days * 86_400, self.units)).round(3)
        right = rng.random(self.units) < np.where(candidate, self.rates[1], self.rates[0])
        return pd.DataFrame(
            {
                "unit": [f"u{number}" for number in range(self.units)],
                "variant": np.where(candidate, "v2", "v1"),
                "at": at,
                "right": right,
                "labelled": at + self.labels_after * 86_400,
            }
        )

    def write(self, home, *, endpoint="churn-prod", **changes) -> pd.DataFrame:
        """Write the log below a home, in its default layout; `changes` replace fields of every prediction."""
        frame = self.frame()
        lines, labels = [], []
        for row in frame.itertuples():
            record = {
                "request_id": f"r-{row.unit}",
                "timestamp": _moment(row.at),
                "rollout": "churn-v2",
                "unit_id": row.unit,
                "assigned_variant": row.variant,
                "variant": row.variant,
                "fallback": False,
                "epoch": 0,
                "model_version": row.variant[1:],
                "prediction": 1,
                "latency_ms": 20.0 + hash_free(row.Index),
                "status": 200,
                "features": {},
            }
            lines.append(json.dumps(record | changes))
            label = {"unit_id": row.unit, "timestamp": _moment(row.labelled), "outcome": int(row.right)}
            labels.append(json.dumps(label))
        _put(home.root / "logs" / "predictions" / endpoint / "2026-03-02" / "router.jsonl", lines)
        _put(home.root / "logs" / "outcomes" / endpoint / "labels.jsonl", labels)
        return frame

    def write_foreign(self, folder) -> pd.DataFrame:
        """Write the same log as somebody else would: `clicks.jsonl` and `truth.jsonl`, with other names and no ids."""
        frame = self.frame()
        groups = {"v1": "control", "v2": "treatment"}
        clicks = [
            {"user": {"id": row.unit}, "ts": _moment(row.at), "group": groups[row.variant], "answer": 1}
            for row in frame.itertuples()
        ]
        truth = [
            {"user": row.unit, "timestamp": _moment(row.labelled), "truth": int(row.right)}
            for row in frame.itertuples()
        ]
        _put(folder / "clicks.jsonl", map(json.dumps, clicks))
        _put(folder / "truth.jsonl", map(json.dumps, truth))
        return frame


def hash_free(number: int) -> float:
    """Milliseconds that differ between requests, the same in every run."""
    return number * 37 % 101 / 10


def _moment(seconds: float) -> str:
    return (BEGIN + timedelta(seconds=float(seconds))).isoformat()


def _put(path, lines) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


ROLLOUT_FILE = """
rollout: churn
hypothesis: "The candidate is right about more customers"
owner: growth-ml
endpoint: churn-prod
registry: churn
unit: customer_id
stages:
  live: {split: 50/50, looks: daily, min: 2d, max: 5d}
traffic: {units_per_day: 800}
success: {metric: correct, better: higher, mde: 5pp, matures_after: 12h}
guardrails: {error_rate: {worse_by: 2pp}}
"""

"""The demo's models: trained here, in a second, on a third of the customers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

PLAN_AND_ACCOUNT = (
    "state",
    "account_length",
    "area_code",
    "international_plan",
    "voice_mail_plan",
    "number_vmail_messages",
)
"""What the operator knew before it looked at how people call."""

TELLING = (
    "international_plan",
    "voice_mail_plan",
    "number_vmail_messages",
    "total_day_minutes",
    "total_eve_minutes",
    "total_night_minutes",
    "total_intl_minutes",
    "total_intl_calls",
    "number_customer_service_calls",
)
"""Without charges (minutes times a price), counts of calls, and where a customer lives: the columns that tell."""

PLACE = ("state", "area_code")

TRAINING = 1667
"""Customers that train the models; all others are traffic."""

FLIPPED = 0.25
"""Share of the training labels that were corrupted for v3: the pinned recipe of a plausible mistake."""

DATA = Path(__file__).parent / "data" / "churn.csv"


@dataclass(frozen=True)
class Customers:
    """The data set.

    Attributes:
        names: Feature names, in the file's order.
        rows: One dict of features per customer, as a client would send it; with `plan`, for the report's segments.
        matrix: (customers, features) encoded numbers.
        left: 0 or 1 per customer.
        encodings: Category to number for each categorical feature.
        training: Indices of customers that train.
        traffic: Indices of customers that are served, in the order of a seeded shuffle.
    """

    names: tuple[str, ...]
    rows: tuple[dict[str, Any], ...]
    matrix: npt.NDArray[np.float64]
    left: npt.NDArray[np.int64]
    encodings: dict[str, dict[str, float]]
    training: npt.NDArray[np.int64]
    traffic: npt.NDArray[np.int64]


def load_customers(seed: int, path: Path = DATA) -> Customers:
    """Read and encode the churn data; the seed decides who trains and in which order customers come."""
    import pandas as pd

    table = pd.read_csv(path)
    left = (table.pop("churn") == "yes").to_numpy(dtype=np.int64)
    table = table.drop(columns=["customer_id"])
    encodings: dict[str, dict[str, float]] = {}
    encoded = table.copy()
    for name in table.columns:
        if not pd.api.types.is_numeric_dtype(table[name]):
            codes = {str(value): float(code) for code, value in enumerate(sorted(table[name].unique()))}
            encodings[name] = codes
            encoded[name] = table[name].map(codes)
    order = np.random.default_rng(seed).permutation(len(table))
    rows = tuple({**record, "plan": _plan(record)} for record in table.to_dict("records"))
    return Customers(
        names=tuple(table.columns),
        rows=rows,
        matrix=encoded.to_numpy(dtype=np.float64),
        left=left,
        encodings=encodings,
        training=order[:TRAINING],
        traffic=order[TRAINING:],
    )


def _plan(record: dict[str, Any]) -> str:
    if record["international_plan"] == "yes":
        return "international"
    return "voice mail" if record["voice_mail_plan"] == "yes" else "basic"


def champion_v1(customers: Customers) -> tuple[Any, tuple[str, ...]]:
    """v1: plan and account columns only."""
    return _fit(customers, PLAN_AND_ACCOUNT, customers.left[customers.training], iterations=60, leaves=8)


def candidate_v2(customers: Customers) -> tuple[Any, tuple[str, ...]]:
    """v2: all columns."""
    return _fit(customers, customers.names, customers.left[customers.training], iterations=100, leaves=15)


def candidate_v3(customers: Customers, seed: int) -> tuple[Any, tuple[str, ...]]:
    """v3: all columns, a quarter of the training labels flipped: harmful, yet it agrees with v2 often enough."""
    labels = customers.left[customers.training].copy()
    flipped = np.random.default_rng(seed + 3).permutation(len(labels))[: int(FLIPPED * len(labels))]
    labels[flipped] = 1 - labels[flipped]
    return _fit(customers, customers.names, labels, iterations=200, leaves=31)


def candidate_v4(customers: Customers, seed: int) -> tuple[Any, tuple[str, ...]]:
    """v4: v2 retrained on its own training rows, resampled with replacement: another model, and not a better one."""
    rows = customers.training
    resampled = np.random.default_rng(seed + 4).choice(rows, size=len(rows))
    return _fit(customers, customers.names, customers.left[resampled], iterations=100, leaves=15, rows=resampled)


def candidate_v5(customers: Customers) -> tuple[Any, tuple[str, ...]]:
    """v5: less than half of the columns, and smaller trees: cheaper to feed, and about as good."""
    return _fit(customers, TELLING, customers.left[customers.training], iterations=60, leaves=8)


def candidate_v6(customers: Customers) -> tuple[Any, tuple[str, ...]]:
    """v6: v5's columns and where a customer lives, which is not for a machine alone to decide."""
    return _fit(customers, (*TELLING, *PLACE), customers.left[customers.training], iterations=60, leaves=8)


def _fit(
    customers: Customers,
    features: tuple[str, ...],
    labels: npt.NDArray[np.int64],
    *,
    iterations: int,
    leaves: int,
    rows: npt.NDArray[np.int64] | None = None,
) -> tuple[Any, tuple[str, ...]]:
    from sklearn.ensemble import HistGradientBoostingClassifier

    columns = [customers.names.index(name) for name in features]
    model = HistGradientBoostingClassifier(max_iter=iterations, max_leaf_nodes=leaves, random_state=0)
    return model.fit(customers.matrix[customers.training if rows is None else rows][:, columns], labels), features

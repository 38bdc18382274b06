"""What a number must be before a statistic is computed from it: each check names the value, the bound and a hint."""

from __future__ import annotations

import math
from collections.abc import Sequence

from staged_rollout.errors import StatisticsError


def finite(name: str, value: float, hint: str) -> float:
    """Return `value` as a float if it is finite.

    Raises:
        StatisticsError: The value is nan or infinite.
    """
    if not math.isfinite(value):
        raise StatisticsError(f"{name} == {value}, must be finite", hint=hint, name=name, value=value)
    return float(value)


def positive(name: str, value: float, hint: str) -> float:
    """Return `value` as a float if it is finite and above zero.

    Raises:
        StatisticsError: The value is not a positive number.
    """
    if finite(name, value, hint) <= 0:
        raise StatisticsError(f"{name} == {value}, must be > 0", hint=hint, name=name, value=value)
    return float(value)


def not_negative(name: str, value: float, hint: str) -> float:
    """Return `value` as a float if it is finite and not below zero.

    Raises:
        StatisticsError: The value is negative or not a number.
    """
    if finite(name, value, hint) < 0:
        raise StatisticsError(f"{name} == {value}, must be >= 0", hint=hint, name=name, value=value)
    return float(value)


def inside(name: str, value: float, low: float, high: float, hint: str) -> float:
    """Return `value` as a float if low < value < high.

    Raises:
        StatisticsError: The value lies on or outside the bounds.
    """
    if not low < value < high:
        message = f"{name} == {value}, must be > {low:g} and < {high:g}"
        raise StatisticsError(message, hint=hint, name=name, value=value)
    return float(value)


def per_side_alpha(alpha: float) -> float:
    """Return `alpha` if it can be an error probability of one side.

    Raises:
        StatisticsError: alpha <= 0 or alpha >= 0.5.
    """
    return inside("alpha", alpha, 0.0, 0.5, "alpha is per side: a two-sided 5% test has alpha 0.025")


def count(name: str, value: int) -> int:
    """Return `value` if it is a whole number that is not negative.

    Raises:
        StatisticsError: The value is negative or not whole.
    """
    # Compared before int(), which raises errors of its own for nan and inf.
    if not 0 <= value < math.inf or value != int(value):
        message = f"{name} == {value}, must be a whole number >= 0"
        raise StatisticsError(message, hint="pass counts, not shares", name=name, value=value)
    return int(value)


def events_and_units(x: int, n: int, variant: str) -> tuple[int, int]:
    """Return the events and units of a variant if both are counts and each unit has one event at most.

    Raises:
        StatisticsError: A number is negative or not whole, or there are more events than units.
    """
    x, n = count(f"x_{variant}", x), count(f"n_{variant}", n)
    if x > n:
        raise StatisticsError(
            f"x_{variant} == {x}, must be <= n_{variant} == {n}", hint="events are counted per unit", x=x, n=n
        )
    return x, n


def counts_and_weights(counts: Sequence[int], weights: Sequence[float]) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Return the counts, and the weights divided by their sum.

    Raises:
        StatisticsError: Fewer than two variants, different lengths, a negative count or a weight that is not positive.
    """
    if len(counts) < 2 or len(counts) != len(weights):
        raise StatisticsError(
            f"{len(counts)} counts and {len(weights)} weights, must be the same number and >= 2",
            hint="one count and one planned weight per variant",
            counts=tuple(counts),
            weights=tuple(weights),
        )
    hint = "weights are the planned shares; leave out a variant that gets no units"
    checked = [positive(f"weights[{i}]", weight, hint) for i, weight in enumerate(weights)]
    total = math.fsum(checked)
    return tuple(count(f"counts[{i}]", n) for i, n in enumerate(counts)), tuple(w / total for w in checked)

"""Several candidates against one champion: promotion at alpha / m each, and at most one winner.

Source: Bonferroni's inequality over the m comparisons, whatever their correlation by the shared control; each
comparison keeps its own sequential bounds (Jennison and Turnbull 2000, ch. 16).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from staged_rollout.errors import StatisticsError
from staged_rollout.stats.inputs import count, finite, inside, per_side_alpha
from staged_rollout.stats.results import Result


@dataclass(frozen=True)
class Winner(Result):
    """One look at several candidates; prints as one row per candidate.

    Args:
        z: Statistic of each candidate against the champion, positive when it is better; None is "insufficient".
        bounds: Each candidate's efficacy bound of this look, at alpha / m.
        passed: Whether z reaches the bound and the candidate is eligible.
        winner: Place of the winner, from 0; None when nobody passed.
    """

    z: tuple[float | None, ...]
    bounds: tuple[float, ...]
    passed: tuple[bool, ...]
    winner: int | None

    def rows(self) -> Sequence[Mapping[str, Any]]:
        """One row per candidate."""
        return [
            {"candidate": i, "z": z, "bound": bound, "passed": passed, "winner": i == self.winner}
            for i, (z, bound, passed) in enumerate(zip(self.z, self.bounds, self.passed, strict=True))
        ]


def candidate_alpha(alpha: float, candidates: int) -> float:
    """Alpha of one candidate's promotion, so that any false promotion has probability at most `alpha`.

    Args:
        alpha: Probability of promoting anything that is no better, one side.
        candidates: m, all that are compared with the champion, also those dropped on the way.

    Returns:
        alpha / m.

    Raises:
        StatisticsError: A number is out of bounds.

    >>> candidate_alpha(0.025, 2)
    0.0125
    """
    return per_side_alpha(alpha) / inside(
        "candidates", count("candidates", candidates), 0, float("inf"), "at least one"
    )


def choose_winner(z: Sequence[float | None], bounds: Sequence[float], eligible: Sequence[bool] | None = None) -> Winner:
    """The largest z among the candidates that pass this look.

    Args:
        z: Statistic of each candidate against the champion at this look, None where insufficient.
        bounds: Each candidate's efficacy bound at this look, from a design with `candidate_alpha`. They differ where
            the candidates' information does.
        eligible: Whether all else passed: quality, sample ratio, guardrails at the same bound; all by default.

    Returns:
        Who passed, and who wins. Of equal z the first given wins.

    Raises:
        StatisticsError: Lengths differ, there is no candidate, or a number is not finite.

    >>> print(choose_winner([2.9, 3.4, 1.1], [2.39, 2.39, 2.39], eligible=[True, False, True]))
    candidate    z  bound  passed  winner
            0  2.9   2.39    True    True
            1  3.4   2.39   False   False
            2  1.1   2.39   False   False
    """
    allowed = (True,) * len(z) if eligible is None else tuple(eligible)
    if not z or not len(z) == len(bounds) == len(allowed):
        message = (
            f"{len(z)} statistics, {len(bounds)} bounds, {len(allowed)} eligible, must be the same number and >= 1"
        )
        raise StatisticsError(message, hint="one of each per candidate, None without a statistic", candidates=len(z))
    zs = tuple(None if value is None else finite(f"z[{i}]", value, "None is insufficient") for i, value in enumerate(z))
    limits = tuple(finite(f"bounds[{i}]", value, "the look's efficacy bound") for i, value in enumerate(bounds))
    passed = tuple(
        ok and value is not None and value >= limit for value, limit, ok in zip(zs, limits, allowed, strict=True)
    )
    best = max(
        ((value, -i) for i, (value, ok) in enumerate(zip(zs, passed, strict=True)) if ok and value is not None),
        default=None,
    )
    return Winner(zs, limits, passed, None if best is None else -best[1])

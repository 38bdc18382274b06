"""What a rollout's test is to show, in numbers, once the champion's rate is known."""

from __future__ import annotations

from dataclasses import dataclass

from staged_rollout.spec.model import Success


@dataclass(frozen=True)
class Claim:
    """What the plan is made for; differences are candidate minus champion.

    Args:
        rate: The candidate's value that is planned for; of a rate in (0, 1).
        null: The difference under the null hypothesis, of a rate in (-1, 1); 0 for superiority.
        distance: What the test is to tell apart: the absolute effect, or the absolute margin; above 0.
        margin: The largest tolerated worsening; None: superiority.
    """

    rate: float
    null: float
    distance: float
    margin: float | None


def claim_at(success: Success, baseline: float, *, in_shares: bool = True) -> Claim | None:
    """The claim at a baseline.

    Args:
        success: The metric that decides.
        baseline: The champion's rate, mean or ratio.
        in_shares: Whether it is a rate.

    Returns:
        The claim; None where it needs a rate that lies outside (0, 1), or a relative difference from a mean of 0, so
        that no test can be planned.
    """
    # A mean may be negative: a relative difference is one of its size.
    distance = success.distance.absolute(abs(baseline))
    sign = 1.0 if success.better == "higher" else -1.0
    better, worse = baseline + sign * distance, baseline - sign * distance
    if not in_shares:
        if distance <= 0:
            return None
        if success.better_or_equal is not None:
            return Claim(baseline, -sign * distance, distance, distance)
        return Claim(better, 0.0, distance, None)
    if not 0.0 < baseline < 1.0:
        return None
    if success.better_or_equal is not None:
        # Planned for a candidate exactly as good as the champion.
        return Claim(baseline, -sign * distance, distance, distance) if 0.0 < worse < 1.0 else None
    # A champion at 96% leaves no room for 5 pp more: then the same difference is planned for on the other side, where
    # there is room, so that the plan stays large enough to see harm of that size.
    rate = next((rate for rate in (better, worse) if 0.0 < rate < 1.0), None)
    return None if rate is None else Claim(rate, 0.0, distance, None)

"""A guardrail at a look: is it proven that the candidate is not worse by more than the margin?"""

from __future__ import annotations

from staged_rollout.stats.inputs import finite, not_negative


def z_non_inferiority(worsening: float, se: float, margin: float) -> float | None:
    """z_NI = (margin - worsening) / se, compared with the same look's bound.

    Args:
        worsening: Estimate, positive when the candidate is worse, in the metric's unit.
        se: Its standard error.
        margin: Largest tolerated worsening, >= 0.

    Returns:
        z_NI, or None ("insufficient") when se is 0.

    Raises:
        StatisticsError: A number is not finite, or margin or se is negative.

    >>> z_non_inferiority(worsening=0.002, se=0.004, margin=0.01)
    2.0
    """
    finite("worsening", worsening, "candidate minus champion, positive when worse")
    not_negative("margin", margin, "the largest tolerated worsening")
    if not_negative("se", se, "the standard error of the worsening") == 0:
        return None
    return (margin - worsening) / se


def is_non_inferior(z_ni: float | None, bound: float) -> bool:
    """Whether non-inferiority is proven at this look; without a statistic it never is.

    Args:
        z_ni: From `z_non_inferiority`, at this very look: an earlier crossing does not count.
        bound: The look's bound c_k.
    """
    return z_ni is not None and z_ni >= bound

"""Statistics: numbers and moments in, numbers out. Pure functions; no rows, no files, no clock.

- Group-sequential test: `Spending`, `next_bound`, `bounds`, `crossing_probabilities`.
- Planning: `inflation`, `two_proportions_units`, `two_means_units`, `maximum_information_units`,
  `information_fraction`.
- Test statistics: `score_test`, `score_z`, `score_interval` for rates; `difference`, `ratio_difference` for means and
  ratios.
- Guardrails: `z_non_inferiority`, `quantile_worsening`; always valid: `guard_worsening`, `guard_quantile`.
- Sample-ratio mismatch: `sequential_srm`, `fixed_srm`.
- Shares: `share_upper_limit`, `holm`, `population_stability`.
- Sufficient statistics: `Moments`, `RatioMoments`, `ExceedanceMoments`, `quantise`.

A statistic that the data do not allow yet is None ("insufficient"), never nan or inf; numbers that no statistic is
defined for raise `StatisticsError`. `alpha` is per side.
"""

from __future__ import annotations

from staged_rollout.stats.boundary import SMALLEST_INCREMENT, Bound, bounds, crossing_probabilities, next_bound
from staged_rollout.stats.exceedance import ExceedanceMoments, exceedances, threshold_grid
from staged_rollout.stats.guard import GuardResult, guard_worsening, log_normal_mixture
from staged_rollout.stats.means import Difference, difference, ratio_difference
from staged_rollout.stats.moments import LARGEST_QUANTUM, Moments, RatioMoments, quantise, ratio_estimate
from staged_rollout.stats.non_inferiority import is_non_inferior, z_non_inferiority
from staged_rollout.stats.planning import (
    effective_units,
    inflation,
    information_fraction,
    maximum_information_units,
    two_means_units,
    two_proportions_units,
)
from staged_rollout.stats.proportions import RateTest, score_interval, score_test, score_z
from staged_rollout.stats.quantile import QuantileTest, guard_quantile, quantile_worsening
from staged_rollout.stats.rare_events import log_e_difference, log_e_which_variant
from staged_rollout.stats.shares import holm, population_stability, share_upper_limit, two_sided_p
from staged_rollout.stats.spending import Spending
from staged_rollout.stats.srm import SrmResult, fixed_srm, sequential_srm

__all__ = [
    "LARGEST_QUANTUM",
    "SMALLEST_INCREMENT",
    "Bound",
    "Difference",
    "ExceedanceMoments",
    "GuardResult",
    "Moments",
    "QuantileTest",
    "RateTest",
    "RatioMoments",
    "Spending",
    "SrmResult",
    "bounds",
    "crossing_probabilities",
    "difference",
    "effective_units",
    "exceedances",
    "fixed_srm",
    "guard_quantile",
    "guard_worsening",
    "holm",
    "inflation",
    "information_fraction",
    "is_non_inferior",
    "log_e_difference",
    "log_e_which_variant",
    "log_normal_mixture",
    "maximum_information_units",
    "next_bound",
    "population_stability",
    "quantile_worsening",
    "quantise",
    "ratio_difference",
    "ratio_estimate",
    "score_interval",
    "score_test",
    "score_z",
    "sequential_srm",
    "share_upper_limit",
    "threshold_grid",
    "two_means_units",
    "two_proportions_units",
    "two_sided_p",
    "z_non_inferiority",
]

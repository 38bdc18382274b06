"""Statistics: numbers and moments in, numbers out. Pure functions; no rows, no files, no clock.

- Group-sequential test: `Spending`, `next_bound`, `bounds`, `crossing_probabilities`.
- Planning: `plan_rates`, `plan_means`, `plan_ratio` give a `SamplePlan`; `inflation`, `two_proportions_units`,
  `two_means_units`, `ratio_unit_sd`, `maximum_information_units`, `information_fraction`.
- Test statistics: `score_test`, `score_z`, `score_interval` for rates; `difference`, `ratio_difference`,
  `rate_difference` for means, ratios and rates; `cuped_difference` with a covariate, `stratified_difference` by day.
- Effects without a unit: `relative_lift`, `rate_lift`, `cohens_h`, `cohens_d`.
- Guardrails: `z_non_inferiority`, `quantile_worsening`; always valid: `guard_worsening`, `guard_quantile`.
- Sample-ratio mismatch: `sequential_srm`, `fixed_srm`, `goodness_of_fit`, `locate_srm`.
- Always valid: `mean_sequence`, `difference_sequence`; exact: `rate_sequence`, `bounded_mean_sequence`,
  `bounded_difference_sequence`; either: `rate_difference_sequence`; tuning: `mixture_units`.
- Several candidates: `candidate_alpha`, `choose_winner`. Blinded re-estimation: `reestimate_blinded`.
- Shares: `share_upper_limit`, `holm`, `population_stability`.
- Sufficient statistics: `Moments`, `RatioMoments`, `CovariateMoments`, `WinsorisedMoments` (`winsorise`, `Cap`),
  `ExceedanceMoments`, `quantise`.
- What repeated looks do to a test, by simulation: `simulate_test`.

A statistic that the data do not allow yet is None ("insufficient"), never nan or inf; numbers that no statistic is
defined for raise `StatisticsError`. `alpha` is per side.
"""

from __future__ import annotations

from staged_rollout.stats.boundary import (
    SMALLEST_INCREMENT,
    Bound,
    Exits,
    bounds,
    crossing_probabilities,
    exit_probabilities,
    next_bound,
)
from staged_rollout.stats.bounded_sequence import bounded_mean_sequence, log_e_rate, rate_sequence
from staged_rollout.stats.confidence_sequence import (
    ConfidenceSequence,
    difference_sequence,
    mean_sequence,
    mixture_units,
    normal_mixture_bound,
)
from staged_rollout.stats.cuped import LEAST_CUPED_UNITS, CovariateMoments, CupedDifference, cuped_difference
from staged_rollout.stats.designs import Design
from staged_rollout.stats.effect_size import cohens_d, cohens_h
from staged_rollout.stats.exceedance import ExceedanceMoments, exceedances, threshold_grid
from staged_rollout.stats.fixed_sample import ratio_unit_sd, two_means_units, two_proportions_units
from staged_rollout.stats.goodness_of_fit import GoodnessOfFit, goodness_of_fit
from staged_rollout.stats.guard import GuardResult, guard_worsening, log_normal_mixture
from staged_rollout.stats.inference import Inference, infer, repeated_p_value
from staged_rollout.stats.inference_of_effects import infer_differences, infer_rates
from staged_rollout.stats.lift import RelativeLift, rate_lift, relative_lift
from staged_rollout.stats.means import Difference, difference, rate_difference, ratio_difference
from staged_rollout.stats.moments import LARGEST_QUANTUM, Moments, RatioMoments, quantise, ratio_estimate
from staged_rollout.stats.non_inferiority import is_non_inferior, z_non_inferiority
from staged_rollout.stats.plan import plan_means, plan_rates, plan_ratio
from staged_rollout.stats.planned_designs import classic_design, design
from staged_rollout.stats.planning import (
    effective_units,
    inflation,
    information_fraction,
    maximum_information_units,
)
from staged_rollout.stats.proportions import RateTest, score_interval, score_test, score_z
from staged_rollout.stats.quantile import QuantileTest, guard_quantile, quantile_worsening
from staged_rollout.stats.rare_events import log_e_difference, log_e_which_variant
from staged_rollout.stats.reestimation import Reestimate, reestimate_blinded
from staged_rollout.stats.sample_plan import SamplePlan
from staged_rollout.stats.sequence_difference import bounded_difference_sequence, rate_difference_sequence
from staged_rollout.stats.several import Winner, candidate_alpha, choose_winner
from staged_rollout.stats.shares import holm, population_stability, share_upper_limit, two_sided_p
from staged_rollout.stats.simulation import RuleComparison, simulate_test
from staged_rollout.stats.spending import Spending
from staged_rollout.stats.srm import SrmResult, fixed_srm, sequential_srm
from staged_rollout.stats.srm_cells import SrmCell, locate_srm
from staged_rollout.stats.stage_wise import StageWise, stage_wise
from staged_rollout.stats.stratified import StratifiedDifference, stratified_difference
from staged_rollout.stats.winsorise import Cap, WinsorisedMoments, winsorise

__all__ = [
    "LARGEST_QUANTUM",
    "LEAST_CUPED_UNITS",
    "SMALLEST_INCREMENT",
    "Bound",
    "Cap",
    "ConfidenceSequence",
    "CovariateMoments",
    "CupedDifference",
    "Design",
    "Difference",
    "ExceedanceMoments",
    "Exits",
    "GoodnessOfFit",
    "GuardResult",
    "Inference",
    "Moments",
    "QuantileTest",
    "RateTest",
    "RatioMoments",
    "Reestimate",
    "RelativeLift",
    "RuleComparison",
    "SamplePlan",
    "Spending",
    "SrmCell",
    "SrmResult",
    "StageWise",
    "StratifiedDifference",
    "Winner",
    "WinsorisedMoments",
    "bounded_difference_sequence",
    "bounded_mean_sequence",
    "bounds",
    "candidate_alpha",
    "choose_winner",
    "classic_design",
    "cohens_d",
    "cohens_h",
    "crossing_probabilities",
    "cuped_difference",
    "design",
    "difference",
    "difference_sequence",
    "effective_units",
    "exceedances",
    "exit_probabilities",
    "fixed_srm",
    "goodness_of_fit",
    "guard_quantile",
    "guard_worsening",
    "holm",
    "infer",
    "infer_differences",
    "infer_rates",
    "inflation",
    "information_fraction",
    "is_non_inferior",
    "locate_srm",
    "log_e_difference",
    "log_e_rate",
    "log_e_which_variant",
    "log_normal_mixture",
    "maximum_information_units",
    "mean_sequence",
    "mixture_units",
    "next_bound",
    "normal_mixture_bound",
    "plan_means",
    "plan_rates",
    "plan_ratio",
    "population_stability",
    "quantile_worsening",
    "quantise",
    "rate_difference",
    "rate_difference_sequence",
    "rate_lift",
    "rate_sequence",
    "ratio_difference",
    "ratio_estimate",
    "ratio_unit_sd",
    "reestimate_blinded",
    "relative_lift",
    "repeated_p_value",
    "score_interval",
    "score_test",
    "score_z",
    "sequential_srm",
    "share_upper_limit",
    "simulate_test",
    "stage_wise",
    "stratified_difference",
    "threshold_grid",
    "two_means_units",
    "two_proportions_units",
    "two_sided_p",
    "winsorise",
    "z_non_inferiority",
]

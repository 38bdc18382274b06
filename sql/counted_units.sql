-- Purpose: the units that a look counts for a declared metric, but for those that are in the table `units` already.
-- Parameters: endpoint, rollout, epochs, cut_off, matures_after (interval), field, divisor, field_key, divisor_key,
--   operator, number, phrase, steps, each, cap, needed (all as unit_totals.sql)
-- Grain: unit
-- Columns: unit_id, assigned_variant, exposed_day, y, d, holds, capped
-- uses: exposures, unit_outcomes, metric_events, unit_totals
SELECT
  t.unit_id AS unit_id,
  t.assigned_variant AS assigned_variant,
  t.exposed_day AS exposed_day,
  t.y AS y,
  t.d AS d,
  t.holds AS holds,
  t.capped AS capped
FROM unit_totals AS t
WHERE t.counted
  AND t.too_large = 0
  AND NOT EXISTS (SELECT 1 FROM units AS k WHERE k.rollout = $rollout AND k.unit_id = t.unit_id)

-- Purpose: as counted_units, where the success metric is `correct`: the units with an outcome.
-- Parameters: endpoint, rollout, epochs, cut_off, matures_after (interval)
-- Grain: unit
-- Columns: unit_id, assigned_variant, exposed_day, y, d, holds, capped
-- uses: exposures, unit_outcomes
SELECT
  o.unit_id AS unit_id,
  o.assigned_variant AS assigned_variant,
  o.exposed_day AS exposed_day,
  o.correct AS y,
  0 AS d,
  o.correct AS holds,
  0 AS capped
FROM unit_outcomes AS o
WHERE o.closed
  AND o.outcome IS NOT NULL
  AND NOT EXISTS (SELECT 1 FROM units AS k WHERE k.rollout = $rollout AND k.unit_id = o.unit_id)

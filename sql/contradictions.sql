-- Purpose: how many units a stage knows, and how many of them were assigned to more than one variant within it.
-- Parameters: endpoint, rollout, epochs, cut_off
-- Grain: one row
-- Columns: units (contradictory), units_total
SELECT
  COUNT(CASE WHEN unit.lowest_variant <> unit.highest_variant THEN 1 END) AS units,
  COUNT(unit.unit_id) AS units_total
FROM (
  SELECT
    p.unit_id AS unit_id,
    MIN(p.assigned_variant) AS lowest_variant,
    MAX(p.assigned_variant) AS highest_variant
  FROM first_rows AS p
  WHERE p.endpoint = $endpoint
    AND p.rollout = $rollout
    AND p.epoch IN $epochs
    AND p."timestamp" <= $cut_off
    AND p.unit_id IS NOT NULL
    AND p.assigned_variant IS NOT NULL
  GROUP BY p.unit_id
) AS unit
